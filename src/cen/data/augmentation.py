"""Changes of inputs that no geometry makes: light, blur, noise, holes, failing patches.

Each takes its random numbers from a generator of its own field, so that an option of one field
changes nothing of another.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_kinds import KINDS
from cen.data.fields.modality import Modality
from cen.errors import ConfigError
from cen.options.augmentation_options import CHANGES, IMAGES, AugmentConfig

_BLOB = 12
"""Pixels from one random number to the next of the field that holes are cut from."""
_SHARPEST = 0.1
"""Deviation of a blur, in pixels, below which it changes nothing."""


def check_augmentation(name: str, how: AugmentConfig, modality: Modality) -> None:
    """Refuses options that mean nothing for what a field holds.

    Raises:
        ConfigError: naming the key and what it is for.
    """
    wrong = {key: f"kind {_kinds_with(key)}" for key in CHANGES}
    for key in modality.field_kind.changes:
        del wrong[key]
    if not modality.coloured:
        wrong |= dict.fromkeys(("saturation", "hue"), "images of three channels")
    for key, what in wrong.items():
        if getattr(how, key):
            raise ConfigError(
                f"data.modalities.{name}.augment.{key}: is for {what}, and {name} is of kind "
                f"{modality.kind} with {modality.channels} channels; leave it out"
            )


def _kinds_with(key: str) -> str:
    """The kinds of fields that a change is for, in words."""
    *names, last = (kind.name for kind in KINDS.values() if key in kind.changes)
    return f"{', '.join(names)} and {last}" if names else last


def changed_values(
    values: NDArray[Any], how: AugmentConfig, modality: Modality, rng: np.random.Generator
) -> NDArray[Any]:
    """Noise and holes of raw values as their sensor would give them; images are left alone.

    Args:
        values: raw, NaN where missing; not changed.
        how: the options.
        modality: what the values are.
        rng: where the random numbers come from.
    """
    if modality.field_kind.colours or not (how.noise or how.holes):
        return values
    values = values.astype(np.float32)
    if how.noise:
        noise = rng.standard_normal(values.shape, np.float32) * np.float32(how.noise * rng.random())
        values = values * (1 + noise) if modality.field_kind.metres else values + noise
    if how.holes:
        values[_blobs(values.shape[:2], how.holes * rng.random(), rng)] = np.nan
    return values


def changed_picture(
    picture: NDArray[Any], how: AugmentConfig, modality: Modality, rng: np.random.Generator
) -> NDArray[Any]:
    """Light, colours, blur and noise of an image, in its own type; other fields are left alone.

    Args:
        picture: (H, W) or (H, W, C) of the crop; not changed.
        how: the options.
        modality: what the picture is.
        rng: where the random numbers come from.
    """
    changed = how.noise or any(getattr(how, key) for key in IMAGES)
    if not (modality.field_kind.colours and changed):
        return picture
    is_integer = picture.dtype.kind in "ui"
    white = np.float32(np.iinfo(picture.dtype).max if is_integer else 1.0 / modality.scale)
    missing = ~np.isfinite(picture)
    light = np.where(missing, 0, picture).astype(np.float32) / white
    # Always as many numbers, so that one option does not change what another draws.
    brightness, contrast, saturation, hue = 2 * rng.random(4) - 1
    blur, noise = rng.random(2)
    light = light * np.float32(1 + how.brightness * brightness)
    mean = light.mean()
    light = mean + (light - mean) * np.float32(1 + how.contrast * contrast)
    if modality.coloured and (how.saturation or how.hue):
        light = _coloured(light, 1 + how.saturation * saturation, how.hue * hue)
    if how.blur * blur > _SHARPEST:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), how.blur * blur), np.float32)
    if how.noise:
        spread = np.float32(how.noise * noise)
        light = light + spread * rng.standard_normal(light.shape, np.float32)
    light = np.clip(light, 0, 1) * white
    if is_integer:
        return np.asarray(np.rint(light), picture.dtype)
    return np.where(missing, picture, light.astype(picture.dtype))


def fail_in_patches(
    numbers: NDArray[np.float32], how: AugmentConfig, fill: float, rng: np.random.Generator
) -> None:
    """Writes ``fill`` into some rectangles of (C, H, W) numbers for the network, in place."""
    height, width = numbers.shape[-2:]
    for _ in range(int(rng.integers(how.patches + 1))):
        tall, wide = (
            max(1, round(side * how.patch_size * rng.random())) for side in (height, width)
        )
        top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
        numbers[:, top : top + tall, left : left + wide] = fill


def _coloured(light: NDArray[Any], saturation: float, turn: float) -> NDArray[Any]:
    """(H, W, 3) RGB of 0..1 with other saturation, and hues turned by a share of the circle."""
    grey = cv2.cvtColor(light, cv2.COLOR_RGB2GRAY)[..., None]
    mixed = np.clip(grey + (light - grey) * np.float32(saturation), 0, 1)
    if not turn:
        return mixed
    hsv = cv2.cvtColor(mixed, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turn)) % 360
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def _blobs(size: tuple[int, ...], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(H, W) that is true in blobs, in a share of all pixels."""
    height, width = size
    coarse = rng.random((height // _BLOB + 2, width // _BLOB + 2), np.float32)
    field = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(field < np.quantile(field, share))
