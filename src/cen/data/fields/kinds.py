"""What each kind of modality is by default, and what its options may be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from cen.data.fields.encodings import ENCODINGS, IMAGENET_MEAN, IMAGENET_STD
from cen.data.fields.geometry import Interpolation
from cen.data.fields.holes import Filling
from cen.data.fields.stored import missing_values, parse_axes
from cen.data.formats.pictures import Exif
from cen.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from cen.data.fields.modality import Modality

Beyond = Literal["clip", "missing"]
Kind = Literal["image", "depth", "normal", "label", "edge", "continuous"]

# Indoor scenes: Rooms has 3.1 +- 1.1 m, NYUDv2 2.8 +- 1.3 m. Round numbers in between.
DEPTH_MEAN, DEPTH_STD = 3.0, 1.25

UNIT: dict[str, float | None] = {
    "depth": 0.001,
    "edge": None,
    "taskonomy_edge_texture": 1.0 / 11355.0,
    "taskonomy_edge_occlusion": 1.0 / 11584.0,
}
"""Unit by kind, and by the encodings of two domains of Taskonomy that have their own white."""

INTERPOLATION: dict[str, Interpolation] = {
    "image": "cubic",
    "depth": "nearest",
    "label": "nearest",
}
"""How a kind is resized; those not named linearly."""

_MEASURED = ("depth", "normal", "edge", "continuous")
_MEANT_FOR: dict[str, tuple[tuple[str, ...], tuple[Any, ...]]] = {
    **dict.fromkeys(("fill_holes", "intrinsics", "farthest"), (("depth",), (None,))),
    "bit_rotation": (("depth",), (0,)),
    "beyond": (("depth",), ("clip",)),
    "axes": (("normal",), ("+x +y +z",)),
    "missing": (_MEASURED, (None, ())),
    "unit": (("depth", "edge", "continuous"), (None, 1.0)),
}
"""Kinds for which an option means something, and what it is where it is not given."""

_INSTEAD = {
    ("missing", "label"): "; of a label ignore says which stored numbers are no class",
    ("missing", "image"): "; values that were measured are kind: continuous",
    ("unit", "image"): "; values that were measured are kind: continuous or kind: depth",
}

_BITS = (8, 16, 32, 64)
# Bits of a depth file that may be rotated.
_WORD = 16


def check(modality: Modality) -> None:
    """Brings the options of a modality to their types and refuses what does not fit.

    Raises:
        ConfigError: naming the option.
    """
    one_of("kind", modality.kind, get_args(Kind))
    one_of("interpolation", modality.interpolation, get_args(Interpolation))
    one_of("fill_holes", modality.fill_holes, (None, *get_args(Filling)))
    one_of("bits", modality.bits, (None, *_BITS))
    one_of("encoding", modality.encoding, ENCODINGS)
    parse_axes(modality.axes)
    _check_channels(modality)
    object.__setattr__(modality, "missing", missing_values(modality.missing))
    one_of("beyond", modality.beyond, get_args(Beyond))
    for name in ("scale", "fill", "unit", "farthest"):
        value = getattr(modality, name)
        if value is not None or name in ("scale", "fill"):
            object.__setattr__(modality, name, _number(name, value))
    for name in ("mean", "std"):
        _numbers(modality, name, modality.channels)
    _numbers(modality, "clip", 2)
    _numbers(modality, "intrinsics", 4)
    _check_stored(modality)
    _check_values(modality)
    _check_kind(modality)


def meaningful(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a modality without those that once could be said of any kind, to no effect."""
    kind = arguments.get("kind", "image")
    silent = [n for n in ("missing", "unit", "axes", "beyond") if kind not in _MEANT_FOR[n][0]]
    return {name: value for name, value in arguments.items() if name not in silent}


def normalisation(
    kind: str, encoding: str, count: int, bits: int | None
) -> tuple[float, Sequence[float], Sequence[float]]:
    """Scale, mean and deviation that a kind or an encoding has unless others are given."""
    if encoding != "raw":
        chosen = ENCODINGS[encoding]
        tiled = count // len(chosen.mean)
        return chosen.scale, chosen.mean * tiled, chosen.std * tiled
    if kind == "depth":
        return 1.0, (DEPTH_MEAN,) * count, (DEPTH_STD,) * count
    if kind != "image":
        return 1.0, (0.0,) * count, (1.0,) * count
    scale = 1.0 / 65535.0 if bits == 16 else 1.0 / 255.0
    if count == 3:
        return scale, IMAGENET_MEAN, IMAGENET_STD
    return scale, (0.449,) * count, (0.226,) * count


def usual_channels(kind: str, encoding: str, bands: int | Sequence[int] | None) -> int:
    """What a network gets of a kind in an encoding unless something else is said."""
    if ENCODINGS[encoding].colours:
        return 3
    if kind in ("image", "continuous") and isinstance(bands, Sequence):
        return len(bands)
    return 3 if kind in ("image", "normal") else 1


def one_of(name: str, value: object, known: Any) -> None:
    """Refuses a value that is none of ``known``.

    Raises:
        ConfigError: with the nearest that is.
    """
    if value not in known:
        hint = did_you_mean(value, [k for k in known if isinstance(k, str)])
        names = ", ".join(str(k) for k in known if k is not None)
        raise ConfigError(f"{name}: {value!r} is none of {names}{hint}")


def _check_values(modality: Modality) -> None:
    unit = modality.unit
    if min(modality.std) <= 0 or modality.scale == 0 or (unit is not None and unit <= 0):
        raise ConfigError("std and unit must be positive and scale must not be 0")
    clip = modality.clip
    kinds = ("depth", "edge", "continuous")
    if clip is not None and (modality.kind not in kinds or clip[0] >= clip[1]):
        raise ConfigError(f"clip: {list(clip)} must rise, and is for kinds {', '.join(kinds)}")


def _check_channels(modality: Modality) -> None:
    """Whether the encoding is for the kind, and the channels are for both."""
    kind, encoding, chosen = modality.kind, modality.encoding, ENCODINGS[modality.encoding]
    if kind not in chosen.kinds:
        known = ", ".join(name for name, other in ENCODINGS.items() if kind in other.kinds)
        raise ConfigError(f"encoding: {encoding} is not for kind {kind}; there are {known}")
    allowed: tuple[int, ...] | None = None
    if chosen.colours or kind == "normal":
        allowed = (3,)
    elif kind in ("depth", "edge"):
        allowed = (1, 3)
    if modality.channels < 1 or (allowed is not None and modality.channels not in allowed):
        raise ConfigError(
            f"channels: a modality of kind {kind} with encoding {encoding} cannot have "
            f"{modality.channels}"
        )


def _check_kind(modality: Modality) -> None:
    kind, encoding = modality.kind, modality.encoding
    if modality.unit is None and (kind != "edge" or encoding != "raw"):
        raise ConfigError(f"unit: must be given for kind {kind} with encoding {encoding}")
    if kind == "label" and modality.interpolation != "nearest":
        raise ConfigError("interpolation: labels are resized by nearest only")
    for name, (kinds, usual) in _MEANT_FOR.items():
        if kind not in kinds and getattr(modality, name) not in usual:
            raise ConfigError(
                f"{name}: is for kind {' or '.join(kinds)}, not for kind {kind}"
                f"{_INSTEAD.get((name, kind), '')}"
            )
    if modality.farthest is not None and modality.farthest <= 0:
        raise ConfigError(f"farthest: {modality.farthest} is no distance")


def _check_stored(modality: Modality) -> None:
    """Whether bands and numbers of classes are whole, and of a kind that has them."""
    object.__setattr__(modality, "ignore", tuple(modality.ignore))
    numbers = {"first": modality.first, "ignore_index": modality.ignore_index}
    numbers["bit_rotation"] = modality.bit_rotation
    if modality.page is not None:
        numbers["page"] = modality.page
    _check_bands(modality)
    many = [("ignore", one) for one in modality.ignore]
    many += [("values", one) for pair in modality.values for one in pair]
    for name, value in [*numbers.items(), *many]:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigError(f"{name}: {value!r} is no whole number")
    if not 0 <= modality.bit_rotation < _WORD:
        raise ConfigError(f"bit_rotation: {modality.bit_rotation} is not within 0..{_WORD - 1}")
    if modality.kind != "label" and (modality.first or modality.ignore or modality.values):
        raise ConfigError(
            f"first, ignore, values: are for kind label, not for kind {modality.kind}"
        )
    if modality.values and modality.first:
        raise ConfigError("first: means nothing beside values, which say what every number is")
    if modality.page is not None and modality.page < 0:
        raise ConfigError(f"page: {modality.page} is no number of a page; they count from 0")
    one_of("exif", modality.exif, (None, *get_args(Exif)))
    if modality.variable is not None and not isinstance(modality.variable, str):
        raise ConfigError(f"variable: {modality.variable!r} is no name of an array")


def _check_bands(modality: Modality) -> None:
    """Whether bands are numbers of bands, and as many as are read."""
    if modality.bands is None:
        return
    try:
        bands = tuple(modality.bands)
        whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in bands)
    except TypeError:
        bands, whole = (), False
    if not bands or not whole:
        raise ConfigError(
            f"bands: {modality.bands!r} is no list of bands, which count from 0; the fourth of a "
            "file is bands: [3]"
        )
    object.__setattr__(modality, "bands", bands)
    needed = 3 if modality.kind == "normal" else modality.stored_channels
    if len(bands) != needed:
        raise ConfigError(f"bands: {list(bands)} are {len(bands)}, but {needed} channels are read")


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {value!r} is no number") from error
    if not math.isfinite(number):
        raise ConfigError(f"{name}: {value!r} is no finite number")
    return number


def _numbers(modality: Modality, name: str, count: int) -> None:
    """Makes floats of a field with several numbers, and checks how many there are."""
    given = getattr(modality, name)
    if given is None:
        return
    numbers = tuple(_number(name, number) for number in given)
    if len(numbers) != count:
        what = f"{count} channels; give one each" if name in ("mean", "std") else f"{count}"
        raise ConfigError(f"{name}: {len(numbers)} numbers for {what}")
    object.__setattr__(modality, name, numbers)


def pairs(values: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    """Pairs of numbers as tuples, by which a frozen modality is hashed.

    Raises:
        ConfigError: they are none.
    """
    try:
        return tuple((stored, number) for stored, number in values)
    except (TypeError, ValueError):
        raise ConfigError(f"values: {values!r} are no pairs of numbers") from None


def band_numbers(given: int | Sequence[int] | None, count: int) -> tuple[int, ...] | None:
    """Bands as they are kept; of their number the first that are read."""
    if isinstance(given, int):
        return tuple(range(count))
    return None if given is None else tuple(given)
