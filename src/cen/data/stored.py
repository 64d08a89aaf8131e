"""From the values that a file holds to the raw values of a modality, by kind."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cen.data.geometry import unit_length
from cen.data.labels import check_integers, class_numbers
from cen.errors import ConfigError, DataError

if TYPE_CHECKING:
    from cen.data.modality import Modality

# A stored normal whose length is not near 1 is none: (128, 128, 128) and (0, 0, 0) of 8 bits.
_SHORTEST, _LONGEST = 0.5, 1.5
# Edges above white are rounding or a wrong unit; twice as much is no rounding.
_BRIGHTEST = 2.0
_AXES = {"x": 0, "y": 1, "z": 2}


def raw_values(stored: NDArray[Any], modality: Modality, told: str) -> NDArray[Any]:
    """What the values of a file mean.

    Args:
        stored: (H, W) or (H, W, C) as decoded.
        modality: says what they are.
        told: how messages name the file.

    Raises:
        DataError: other channels, bits or types than declared.
    """
    kind = modality.kind
    if modality.bits is not None and 8 * stored.dtype.itemsize != modality.bits:
        raise DataError(
            f"{told}: holds values of {8 * stored.dtype.itemsize} bits, not of {modality.bits} as "
            "declared; a picture saved anew by a viewer or as JPEG has lost its values: use the "
            "original file, or declare its bits"
        )
    if kind == "image":
        return _image(stored, modality, told)
    if kind == "label":
        check_integers(stored, told)
        return class_numbers(stored, modality, told)
    if kind == "depth":
        return _metres(stored, modality, told)
    if kind == "normal":
        return _normals(stored, modality, told)
    return _numbers(stored, modality, told)


def parse_axes(axes: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Channel and sign of x, y and z in ``"+x -y +z"``, which names each stored channel.

    Raises:
        ConfigError: the text does not name each axis once.
    """
    words = axes.split()
    names = [word.lstrip("+-") for word in words]
    if sorted(names) != ["x", "y", "z"] or any(
        word[1:] != n for word, n in zip(words, names, strict=True) if word != n
    ):
        raise ConfigError(
            f"axes: {axes!r} does not say what the three channels are; in CEN x points right, y "
            "down, z forward: '+x +y +z', or '+x -y -z' where y points up and z to the camera"
        )
    channels = tuple(names.index(axis) for axis in _AXES)
    return channels, tuple(-1.0 if words[c].startswith("-") else 1.0 for c in channels)


def _image(stored: NDArray[Any], modality: Modality, told: str) -> NDArray[Any]:
    found = 1 if stored.ndim == 2 else stored.shape[2]
    if found != modality.channels:
        raise DataError(f"{told}: {found} channels, but this modality has {modality.channels}")
    # Any number of bands may be of any type; colours and grey have 8 bits unless declared.
    if modality.channels in (1, 3) and stored.dtype != np.uint8 and modality.bits in (None, 8):
        raise DataError(
            f"{told}: is of type {stored.dtype}, but an image has 8 bits; declare it as "
            f"kind: depth or kind: continuous, say bits: {8 * stored.dtype.itemsize}, or convert "
            "the file"
        )
    return stored


def _metres(stored: NDArray[Any], modality: Modality, told: str) -> NDArray[np.float32]:
    if stored.ndim != 2:
        raise DataError(
            f"{told}: {stored.shape[2]} channels; depth is a file of one (16-bit or float)"
        )
    return _measured(stored, modality, np.float64(modality.step))


def _numbers(stored: NDArray[Any], modality: Modality, told: str) -> NDArray[np.float32]:
    """Edges and continuous values."""
    channels = 1 if modality.kind == "edge" else modality.stored_channels
    found = 1 if stored.ndim == 2 else stored.shape[2]
    if found == modality.bands and found > channels:
        # The others hold nothing, or something else.
        stored, found = stored[..., 0] if channels == 1 else stored[..., :channels], channels
    if found != channels:
        raise DataError(f"{told}: {found} channels, but this modality has {channels}")
    step = modality.unit
    if step is None:
        step = 1.0 / np.iinfo(stored.dtype).max if stored.dtype.kind in "ui" else 1.0
    values = _measured(stored, modality, np.float64(step))
    if modality.kind == "edge":
        highest = float(np.nanmax(values, initial=0.0))
        if modality.clip is None and highest > _BRIGHTEST:
            raise DataError(
                f"{told}: an edge has a strength of 0 to 1, here up to {highest:g}; set unit to "
                "what one stored value is worth, or clip: [0, 1] where more than white is meant"
            )
        values = np.clip(values, 0.0, 1.0)
    return values


def _measured(stored: NDArray[Any], modality: Modality, step: np.float64) -> NDArray[np.float32]:
    if stored.dtype == np.uint16 and stored.size > 2**16:
        return np.asarray(_table(float(step), modality.missing).take(stored))
    return _scaled(stored, modality.missing, step)


@functools.lru_cache(maxsize=16)
def _table(step: float, missing: float | None) -> NDArray[np.float32]:
    """What every 16-bit value means; looking it up is faster than to compute it."""
    return _scaled(np.arange(2**16, dtype=np.uint16), missing, np.float64(step))


def _scaled(
    stored: NDArray[Any], missing_value: float | None, step: np.float64
) -> NDArray[np.float32]:
    values = np.asarray(stored * step).astype(np.float32)
    missing = ~np.isfinite(stored)
    if missing_value is not None:
        missing |= stored == missing_value
    values[missing] = np.nan
    return values


def _normals(stored: NDArray[Any], modality: Modality, told: str) -> NDArray[np.float32]:
    if stored.ndim != 3 or stored.shape[2] != 3:
        found = 1 if stored.ndim == 2 else stored.shape[2]
        raise DataError(f"{told}: {found} channels; normals have three")
    if stored.dtype.kind in "ui":
        vectors = stored * (2.0 / np.iinfo(stored.dtype).max) - 1.0
    else:
        vectors = stored.astype(np.float64)
    length = np.linalg.norm(vectors, axis=2)
    with np.errstate(invalid="ignore"):
        missing = ~((length > _SHORTEST) & (length < _LONGEST))
    if modality.missing is not None:
        missing |= (stored == modality.missing).all(axis=2)
    channels, signs = parse_axes(modality.axes)
    normals = unit_length(vectors[..., channels] * np.array(signs))
    normals[missing] = np.nan
    return normals


def shown(values: NDArray[Any], kind: str) -> NDArray[np.uint8]:
    """Raw images, normals, edges or continuous values as an (H, W, 3) picture.

    Of normals x is red, y green and what faces us blue, as everywhere in pictures of CEN.
    """
    if kind == "normal":
        picture = np.nan_to_num(127.5 + 127.5 * values * np.array((1, 1, -1), dtype=np.float32))
    elif values.dtype == np.uint8 and (values.ndim == 2 or values.shape[2] == 3):
        picture = values
    else:
        band = values if values.ndim == 2 or values.shape[2] == 3 else values[..., 0]
        known = band[np.isfinite(band)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        picture = np.nan_to_num((band.astype(np.float64) - low) * (255.0 / max(high - low, 1e-9)))
    colours = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return np.repeat(colours[..., None], 3, axis=2) if colours.ndim == 2 else colours
