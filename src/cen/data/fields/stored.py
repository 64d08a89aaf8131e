"""From the values that a file holds to the raw values of a modality, by kind."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.geometry import unit_length
from cen.data.formats.bands import as_channels, wrong_channels
from cen.data.formats.label_maps import check_integers, class_numbers
from cen.errors import ConfigError, DataError

if TYPE_CHECKING:
    from cen.data.fields.modality import Modality

# A stored normal whose length is not near 1 is none: (128, 128, 128) and (0, 0, 0) of 8 bits.
_SHORTEST, _LONGEST = 0.5, 1.5
# Edges above white are rounding or a wrong unit; twice as much is no rounding.
_BRIGHTEST = 2.0
# Of sentinels: nothing that is measured is as large; how near a rounded one is.
_NOTHING, _NEAR = 1e30, 1e-3
_AXES = {"x": 0, "y": 1, "z": 2}


def raw_values(
    stored: NDArray[Any], modality: Modality, told: str, nodata: float | None = None
) -> NDArray[Any]:
    """What the values of a file mean.

    Args:
        stored: (H, W) or (H, W, C) as decoded.
        modality: says what they are.
        told: how messages name the file.
        nodata: what the file itself calls no data.

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
        return _image(stored, modality, told, nodata)
    if kind == "label":
        check_integers(stored, told)
        return class_numbers(stored, modality, told)
    holes = all_missing(modality, nodata)
    if kind == "depth":
        return _metres(stored, modality, told, holes)
    if kind == "normal":
        return _normals(stored, modality, told, holes)
    return _numbers(stored, modality, told, holes)


def missing_values(given: float | Sequence[float] | None) -> tuple[float, ...] | None:
    """Stored values that are missing, of one or several numbers; NaN is missing anyway.

    Raises:
        ConfigError: what is given are no numbers.
    """
    if given is None:
        return None
    values = given if isinstance(given, Sequence) else [given]
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        raise ConfigError(f"missing: {given!r} is no number, and no list of numbers") from None
    return tuple(dict.fromkeys(number for number in numbers if math.isfinite(number)))


def all_missing(modality: Modality, nodata: float | None) -> tuple[float, ...]:
    """What is missing in a file that itself calls ``nodata`` so."""
    if nodata is None or not math.isfinite(nodata) or modality.missing == ():
        return modality.missing or ()
    return tuple(dict.fromkeys((*(modality.missing or ()), nodata)))


def equal_to(stored: NDArray[Any], value: float) -> NDArray[np.bool_]:
    """Where a file holds a value, in the file's own type.

    The number nearest to the value in a file of 32-bit floats is meant, so that -3.4028235e38 is
    found; beyond 1e30, where nothing is measured, any within a thousandth of it, so that -3.4e38
    is, too. Integers cannot be what is no integer or beyond their range.
    """
    if stored.dtype.kind == "f":
        with np.errstate(over="ignore"):
            if abs(value) > _NOTHING:
                return np.asarray(np.abs(stored / value - 1) < _NEAR)
            return np.asarray(stored == stored.dtype.type(value))
    limits = np.iinfo(stored.dtype)
    if value != int(value) or not limits.min <= value <= limits.max:
        return np.zeros(stored.shape, dtype=bool)
    return np.asarray(stored == int(value))


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


def _image(
    stored: NDArray[Any], modality: Modality, told: str, nodata: float | None
) -> NDArray[Any]:
    stored = as_channels(stored, modality.channels, told)
    # Any number of bands may be of any type; colours and grey have 8 bits unless declared.
    if modality.channels in (1, 3) and stored.dtype != np.uint8 and modality.bits in (None, 8):
        raise DataError(
            f"{told}: is of type {stored.dtype}, but an image has 8 bits; declare it as "
            f"kind: depth or kind: continuous, say bits: {8 * stored.dtype.itemsize}, or convert "
            "the file"
        )
    if stored.dtype.kind == "f":
        return _scaled(stored, all_missing(modality, nodata), np.float64(1.0))
    return stored


def _metres(
    stored: NDArray[Any], modality: Modality, told: str, holes: tuple[float, ...]
) -> NDArray[np.float32]:
    turned = modality.bit_rotation
    if turned and (stored.ndim != 2 or stored.dtype != np.uint16):
        raise DataError(
            f"{told}: is {stored.shape} {stored.dtype}; depth whose bits are rotated, as in SUN "
            "RGB-D, is 16-bit grey"
        )
    if stored.ndim != 2:
        raise DataError(
            f"{told}: {stored.shape[2]} channels; depth is a file of one (16-bit or float), or "
            "bands: [0] says which it is"
        )
    if turned:
        stored = stored >> turned | stored << (16 - turned)
    metres = _measured(stored, holes, np.float64(modality.step))
    if modality.farthest is not None:
        far = metres > modality.farthest
        metres[far] = modality.farthest if modality.beyond == "clip" else np.nan
    return metres


def _numbers(
    stored: NDArray[Any], modality: Modality, told: str, holes: tuple[float, ...]
) -> NDArray[np.float32]:
    """Edges and continuous values."""
    channels = 1 if modality.kind == "edge" else modality.stored_channels
    if modality.kind == "edge":
        stored = as_channels(stored, 1, told)
    if (1 if stored.ndim == 2 else stored.shape[2]) != channels:
        raise DataError(f"{told}: {wrong_channels(stored, channels)}")
    step = modality.unit
    if step is None:
        step = 1.0 / np.iinfo(stored.dtype).max if stored.dtype.kind in "ui" else 1.0
    values = _measured(stored, holes, np.float64(step))
    if modality.kind == "edge":
        highest = float(np.nanmax(values, initial=0.0))
        if modality.clip is None and highest > _BRIGHTEST:
            raise DataError(
                f"{told}: an edge has a strength of 0 to 1, here up to {highest:g}; set unit to "
                "what one stored value is worth, or clip: [0, 1] where more than white is meant"
            )
        values = np.clip(values, 0.0, 1.0)
    return values


def _measured(
    stored: NDArray[Any], holes: tuple[float, ...], step: np.float64
) -> NDArray[np.float32]:
    if stored.dtype == np.uint16 and stored.size > 2**16:
        return np.asarray(_table(float(step), holes).take(stored))
    return _scaled(stored, holes, step)


@functools.lru_cache(maxsize=16)
def _table(step: float, holes: tuple[float, ...]) -> NDArray[np.float32]:
    """What every 16-bit value means; looking it up is faster than to compute it."""
    return _scaled(np.arange(2**16, dtype=np.uint16), holes, np.float64(step))


def _scaled(
    stored: NDArray[Any], holes: tuple[float, ...], step: np.float64
) -> NDArray[np.float32]:
    # A sentinel times its unit may be infinite, and is missing all the same.
    with np.errstate(over="ignore"):
        values = np.asarray(stored * step).astype(np.float32)
    missing = ~np.isfinite(stored)
    for value in holes:
        missing |= equal_to(stored, value)
    values[missing] = np.nan
    return values


def _normals(
    stored: NDArray[Any], modality: Modality, told: str, holes: tuple[float, ...]
) -> NDArray[np.float32]:
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
    for value in holes:
        missing |= equal_to(stored, value).all(axis=2)
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
