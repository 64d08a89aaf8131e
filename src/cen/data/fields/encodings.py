"""Encodings: what a picture of one number per pixel is turned into before normalisation.

Each is one entry of ``ENCODINGS``, chosen by name (``data.modalities.<name>.encoding``). Those that
look at one pixel at a time run after the geometry of a sample (zoom, mirror, turn, crop). Those
that look at others, or at all of them, run before it, on the whole picture, so that a crop does not
change what they say of a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.geometry import Matrix, as_intrinsics, normals_from_depth
from cen.data.fields.hha import hha
from cen.errors import DataError

if TYPE_CHECKING:
    from cen.data.fields.modality import Modality

Floats = NDArray[np.float32]
Encode = Callable[[Floats, "Modality", Matrix | None], Floats]
Decode = Callable[[Floats, "Modality"], Floats]
Values = tuple[float, ...]

NEAREST = 0.1
"""Metres: what is nearer counts as this far in inverse and logarithmic depth."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Encoding:
    """One way to show a picture to a network.

    Attributes:
        kinds: kinds of modality that it is for.
        encode: from (H, W) float32, NaN where missing, to (H, W) or (H, W, 3), NaN where missing.
            Gets the modality, and the intrinsics where ``camera`` says so.
        decode: inverse of ``encode``, where there is one.
        colours: whether it makes three channels of one.
        whole: whether it looks at more than one pixel, and so runs before the geometry.
        camera: whether it needs intrinsics.
        scale, mean, std: default normalisation of what it makes.
    """

    kinds: tuple[str, ...]
    encode: Encode
    decode: Decode | None = None
    colours: bool = False
    whole: bool = False
    camera: bool = False
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
    known = np.isfinite(values)
    if not known.any():
        return values
    low, high = float(values[known].min()), float(values[known].max())
    return np.asarray((values - low) / max(high - low, 1e-12), dtype=np.float32)


def needs_camera(modality: Modality, intrinsics: Any, size: tuple[int, int]) -> Matrix:
    """The intrinsics of a sample, else those of the modality.

    Raises:
        DataError: there are none, or they do not belong to a picture of this size.
    """
    given = intrinsics if intrinsics is not None else modality.intrinsics
    if given is None:
        raise DataError(
            f"the encoding {modality.encoding} needs the camera: the data set gives no intrinsics, "
            "so set data.modalities.<name>.intrinsics: [fx, fy, cx, cy] in pixels"
        )
    return as_intrinsics(given, size)


def _raw(values: Floats, modality: Modality, camera: Matrix | None) -> Floats:
    return values


def _unraw(values: Floats, modality: Modality) -> Floats:
    return values


def _inverse(values: Floats, modality: Modality, camera: Matrix | None) -> Floats:
    return np.asarray(1.0 / np.maximum(values, NEAREST), dtype=np.float32)


def _uninverse(values: Floats, modality: Modality) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / np.maximum(values, 0.0), dtype=np.float32)


def _log(values: Floats, modality: Modality, camera: Matrix | None) -> Floats:
    return np.asarray(np.log(np.maximum(values, NEAREST)), dtype=np.float32)


def _unlog(values: Floats, modality: Modality) -> Floats:
    return np.asarray(np.exp(values), dtype=np.float32)


def _minmax(values: Floats, modality: Modality, camera: Matrix | None) -> Floats:
    return spread(values)


def _jet(values: Floats, modality: Modality, camera: Matrix | None) -> Floats:
    if modality.clip is None:
        return jet(1.0 - spread(values))
    low, high = modality.clip
    return jet(1.0 - np.clip((values - low) / (high - low), 0.0, 1.0))


def _normals(values: Floats, modality: Modality, camera: Matrix | None) -> Floats:
    assert camera is not None  # the caller asked needs_camera
    return normals_from_depth(values, camera)


def _hha(values: Floats, modality: Modality, camera: Matrix | None) -> Floats:
    assert camera is not None  # the caller asked needs_camera
    if not np.isfinite(values).any():
        return np.full((*values.shape, 3), np.nan, dtype=np.float32)
    return hha(values, camera)


def _times(factor: float) -> tuple[Encode, Decode]:
    """Stored values times a factor and back, as the released code does, whatever their unit."""

    def encode(values: Floats, modality: Modality, camera: Matrix | None) -> Floats:
        return np.asarray(values * np.float64(factor / modality.step), dtype=np.float32)

    def decode(values: Floats, modality: Modality) -> Floats:
        return np.asarray(values * np.float64(modality.step / factor), dtype=np.float32)

    return encode, decode


def _taskonomy_depth(values: Floats, modality: Modality, camera: Matrix | None) -> Floats:
    stored = values.astype(np.float64) / modality.step
    return np.asarray(np.log1p(np.maximum(stored, 0.0)) * (255.0 / 11.1), dtype=np.float32)


def _untaskonomy_depth(values: Floats, modality: Modality) -> Floats:
    stored = np.expm1(values.astype(np.float64) * (11.1 / 255.0))
    return np.asarray(stored * modality.step, dtype=np.float32)


_DEPTH: tuple[str, ...] = ("depth",)
_SCALARS = ("depth", "edge", "continuous")
_EVERY = ("image", "depth", "normal", "label", "edge", "continuous")
_PICTURE: dict[str, Any] = {
    "colours": True,
    "scale": 1 / 255,
    "mean": IMAGENET_MEAN,
    "std": IMAGENET_STD,
}
_BYTE: dict[str, Any] = {"scale": 1 / 255, "mean": (0.5,), "std": (0.5,)}

ENCODINGS: dict[str, Encoding] = {
    # The normalisation of raw values is that of the kind; see Modality.of.
    "raw": Encoding(_EVERY, _raw, _unraw),
    # Indoor scenes lie around 3 m: 1/3 and ln 3, with the spread of 1.5 to 6 m.
    "inverse": Encoding(_DEPTH, _inverse, _uninverse, mean=(0.4,), std=(0.2,)),
    "log": Encoding(_DEPTH, _log, _unlog, mean=(1.0,), std=(0.5,)),
    "minmax": Encoding(("depth", "continuous"), _minmax, whole=True, mean=(0.5,), std=(0.25,)),
    # With a fixed range (clip) a pixel's colour depends on its own depth alone.
    "jet": Encoding(("depth", "continuous"), _jet, whole=True, **_PICTURE),
    "normals": Encoding(
        _DEPTH, _normals, colours=True, whole=True, camera=True, mean=(0.0,) * 3, std=(1.0,) * 3
    ),
    "hha": Encoding(_DEPTH, _hha, whole=True, camera=True, **_PICTURE),
    # The released code: segmentation divides stored depth by 5000 and normalises no further;
    # translation scales the 16-bit files of Taskonomy to 0..255 and that to [-1, 1].
    "released_segmentation": Encoding(_DEPTH, *_times(1 / 5000)),
    "taskonomy_depth": Encoding(_SCALARS, _taskonomy_depth, _untaskonomy_depth, **_BYTE),
    "taskonomy_edge_texture": Encoding(_SCALARS, *_times(255 / 11355), **_BYTE),
    "taskonomy_edge_occlusion": Encoding(_SCALARS, *_times(255 / 11584), **_BYTE),
}
