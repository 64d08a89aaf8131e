"""Encodings: what a picture of one number per pixel is turned into before normalisation.

Each is one entry of ``ENCODINGS``, chosen by name (``data.modalities.<name>.encoding``). Those that
look at one pixel at a time run after the geometry of a sample (zoom, mirror, turn, crop). Those
that look at others, or at all of them, run before it, on the whole picture, so that a crop does not
change what they say of a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_description import IMAGENET_MEAN, IMAGENET_STD, FieldDescription
from cen.data.fields.geometry import Matrix, as_intrinsics, normals_from_depth
from cen.data.fields.hha import hha
from cen.errors import DataError

Floats = NDArray[np.float32]
Encode = Callable[[Floats, FieldDescription, Matrix | None], Floats]
Decode = Callable[[Floats, FieldDescription], Floats]
Values = tuple[float, ...]

NEAREST = 0.1
"""Metres: what is nearer counts as this far in inverse and logarithmic depth."""


@dataclass(frozen=True)
class Encoding:
    """One way to show a picture to a network.

    Attributes:
        kinds: kinds of modality that it is for.
        encode: from (H, W) float32, NaN where missing, to (H, W) or (H, W, 3), NaN where missing.
            Gets the modality, and the intrinsics where ``camera`` says so.
        decode: inverse of ``encode``, where there is one.
        colours: whether it makes three channels of one.
        before_geometry: it looks at more than one pixel, and so runs before the geometry.
        camera: whether it needs intrinsics.
        picture: whether what it makes are colours in 0..255.
        unit: what one stored value is worth by default; None: as the kind has it.
        scale, mean, std: default normalisation of what it makes.
    """

    kinds: tuple[str, ...]
    encode: Encode
    decode: Decode | None = None
    colours: bool = False
    before_geometry: bool = False
    camera: bool = False
    picture: bool = False
    unit: float | None = None
    scale: float = 1.0
    mean: Values = (0.0,)
    std: Values = (1.0,)


def jet(share: NDArray[Any]) -> Floats:
    """The colours of the jet map: (H, W) in 0..1 to (H, W, 3) RGB in 0..255, NaN stays NaN."""
    t = np.asarray(share, dtype=np.float32)[..., None]
    centres = np.array((0.75, 0.5, 0.25), dtype=np.float32)
    return np.asarray(255.0 * np.clip(1.5 - 4.0 * np.abs(t - centres), 0.0, 1.0), np.float32)


def spread(values: Floats) -> Floats:
    """Values between the smallest and the largest of the picture as 0..1; all 0 if they agree."""
    measured = np.isfinite(values)
    if not measured.any():
        return values
    low, high = float(values[measured].min()), float(values[measured].max())
    return np.asarray((values - low) / max(high - low, 1e-12), dtype=np.float32)


def needs_camera(field: FieldDescription, intrinsics: Any, size: tuple[int, int]) -> Matrix:
    """The intrinsics of a sample, else those of the field."""
    camera = intrinsics if intrinsics is not None else field.intrinsics
    if camera is None:
        raise DataError(
            f"the encoding {field.encoding} needs the camera: the data set gives no intrinsics, "
            "so set data.modalities.<name>.intrinsics: [fx, fy, cx, cy] in pixels"
        )
    return as_intrinsics(camera, size)


def _each(encode: Callable[[Floats], Any]) -> Encode:
    """An encoding that neither the options nor the camera play a part in."""
    return lambda values, field, camera: np.asarray(encode(values), dtype=np.float32)


def _back(decode: Callable[[Floats], Any]) -> Decode:
    return lambda values, field: np.asarray(decode(values), dtype=np.float32)


def _near(metres: Floats) -> Floats:
    return np.maximum(metres, NEAREST)


def _reciprocal(values: Floats) -> NDArray[Any]:
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / np.maximum(values, 0.0))


def _jet(values: Floats, field: FieldDescription, camera: Matrix | None) -> Floats:
    if field.clip is None:
        return jet(1.0 - spread(values))
    low, high = field.clip
    return jet(1.0 - np.clip((values - low) / (high - low), 0.0, 1.0))


def _normals(values: Floats, field: FieldDescription, camera: Matrix | None) -> Floats:
    assert camera is not None  # the caller asked needs_camera
    return normals_from_depth(values, camera)


def _hha(values: Floats, field: FieldDescription, camera: Matrix | None) -> Floats:
    assert camera is not None  # the caller asked needs_camera
    if not np.isfinite(values).any():
        return np.full((*values.shape, 3), np.nan, dtype=np.float32)
    return hha(values, camera)


def _times(factor: float) -> tuple[Encode, Decode]:
    """Stored values times a factor and back, as the released code does, whatever their unit."""

    def encode(values: Floats, field: FieldDescription, camera: Matrix | None) -> Floats:
        return np.asarray(values * np.float64(factor / field.unit_or_one), dtype=np.float32)

    def decode(values: Floats, field: FieldDescription) -> Floats:
        return np.asarray(values * np.float64(field.unit_or_one / factor), dtype=np.float32)

    return encode, decode


def _taskonomy_depth(values: Floats, field: FieldDescription, camera: Matrix | None) -> Floats:
    stored = values.astype(np.float64) / field.unit_or_one
    return np.asarray(np.log1p(np.maximum(stored, 0.0)) * (255.0 / 11.1), dtype=np.float32)


def _untaskonomy_depth(values: Floats, field: FieldDescription) -> Floats:
    stored = np.expm1(values.astype(np.float64) * (11.1 / 255.0))
    return np.asarray(stored * field.unit_or_one, dtype=np.float32)


_DEPTH: tuple[str, ...] = ("depth",)
_SCALARS = ("depth", "edge", "continuous")
_EVERY = ("image", "depth", "normal", "label", "edge", "continuous")
_PICTURE: dict[str, Any] = {
    "colours": True,
    "picture": True,
    "scale": 1 / 255,
    "mean": IMAGENET_MEAN,
    "std": IMAGENET_STD,
}
_BYTE: dict[str, Any] = {"scale": 1 / 255, "mean": (0.5,), "std": (0.5,)}

ENCODINGS: dict[str, Encoding] = {
    # The normalisation of raw values is that of the kind.
    "raw": Encoding(_EVERY, _each(np.asarray)),
    # Indoor scenes lie around 3 m: 1/3 and ln 3, with the spread of 1.5 to 6 m.
    "inverse": Encoding(
        _DEPTH, _each(lambda z: 1.0 / _near(z)), _back(_reciprocal), mean=(0.4,), std=(0.2,)
    ),
    "log": Encoding(
        _DEPTH, _each(lambda z: np.log(_near(z))), _back(np.exp), mean=(1.0,), std=(0.5,)
    ),
    "minmax": Encoding(
        ("depth", "continuous"), _each(spread), before_geometry=True, mean=(0.5,), std=(0.25,)
    ),
    # With a fixed range (clip) a pixel's colour depends on its own depth alone.
    "jet": Encoding(("depth", "continuous"), _jet, before_geometry=True, **_PICTURE),
    "normals": Encoding(
        _DEPTH,
        _normals,
        colours=True,
        before_geometry=True,
        camera=True,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    ),
    "hha": Encoding(_DEPTH, _hha, before_geometry=True, camera=True, **_PICTURE),
    # The released code: segmentation divides stored depth by 5000 and normalises no further;
    # translation scales the 16-bit files of Taskonomy to 0..255 and that to [-1, 1].
    "released_segmentation": Encoding(_DEPTH, *_times(1 / 5000)),
    "taskonomy_depth": Encoding(_SCALARS, _taskonomy_depth, _untaskonomy_depth, **_BYTE),
    "taskonomy_edge_texture": Encoding(_SCALARS, *_times(255 / 11355), unit=1.0 / 11355.0, **_BYTE),
    "taskonomy_edge_occlusion": Encoding(
        _SCALARS, *_times(255 / 11584), unit=1.0 / 11584.0, **_BYTE
    ),
}


def before_geometry(field: FieldDescription) -> bool:
    """Whether the encoding looks at the whole picture; ``jet`` of a given range does not."""
    needs_full_picture = ENCODINGS[field.encoding].before_geometry
    return needs_full_picture and not (field.encoding == "jet" and field.clip is not None)
