"""Whether the options of a field fit each other, its kind and its encoding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

import numpy as np

from cen import schema
from cen.data.fields.encodings import ENCODINGS
from cen.data.fields.field_description import Beyond, FieldDescription
from cen.data.fields.field_kinds import KINDS
from cen.data.fields.geometry import Interpolation
from cen.data.fields.holes import Filling
from cen.data.fields.missing import missing_values
from cen.data.fields.normal_field import parse_axes
from cen.data.formats.pictures import Exif
from cen.errors import ConfigError, did_you_mean

MOST_ENTRIES = 2**16
"""Most channels, and most entries of any list, of a field that a file describes."""

_NOT_GIVEN: Mapping[str, tuple[Any, ...]] = {
    "fill_holes": (None,),
    "intrinsics": (None,),
    "farthest": (None,),
    "bit_rotation": (0,),
    "beyond": ("clip",),
    "axes": ("+x +y +z",),
    "missing": (None, ()),
    "unit": (None, 1.0),
}
"""Options that are not for every kind, and what they are where they are not given."""

# Options that once could be said of any kind, to no effect, and so stand in old files.
_ONCE_SILENT = ("missing", "unit", "axes", "beyond")
_BITS = (8, 16, 32, 64)
# Bits of a depth file that may be rotated.
_WORD = 16


def check(field: FieldDescription) -> None:
    """Brings the options of a modality to their types and refuses what does not fit.

    Raises:
        ConfigError: naming the option.
    """
    one_of("kind", field.kind, KINDS)
    one_of("interpolation", field.interpolation, get_args(Interpolation))
    one_of("fill_holes", field.fill_holes, (None, *get_args(Filling)))
    one_of("bits", field.bits, (None, *_BITS))
    one_of("encoding", field.encoding, ENCODINGS)
    parse_axes(field.axes)
    _check_channels(field)
    object.__setattr__(field, "missing", missing_values(field.missing))
    one_of("beyond", field.beyond, get_args(Beyond))
    for name in ("scale", "fill", "unit", "farthest"):
        value = getattr(field, name)
        if value is not None or name in ("scale", "fill"):
            object.__setattr__(field, name, _number(name, value))
    for name in ("mean", "std"):
        _numbers(field, name, field.channels)
    _numbers(field, "clip", 2)
    _numbers(field, "intrinsics", 4)
    _check_stored(field)
    _check_values(field)
    KINDS[field.kind].check(field)
    _check_own_options(field)


def one_of(name: str, value: object, choices: Any) -> None:
    """Refuses a value that is none of the choices.

    Raises:
        ConfigError: with the nearest that is.
    """
    if value not in choices:
        hint = did_you_mean(value, [k for k in choices if isinstance(k, str)])
        names = ", ".join(str(k) for k in choices if k is not None)
        raise ConfigError(f"{name}: {value!r} is none of {names}{hint}")


def _for_kinds(option: str) -> list[str]:
    """The kinds that an option means something for."""
    return [name for name, kind in KINDS.items() if option in kind.own_options]


def _check_own_options(field: FieldDescription) -> None:
    """Refuses options that mean nothing for the kind."""
    kind = KINDS[field.kind]
    for name, usual in _NOT_GIVEN.items():
        if name not in kind.own_options and getattr(field, name) not in usual:
            raise ConfigError(
                f"{name}: is for kind {' or '.join(_for_kinds(name))}, not for kind {field.kind}"
                f"{kind.instead.get(name, '')}"
            )


def _check_values(field: FieldDescription) -> None:
    unit = field.unit
    if min(field.std) <= 0 or field.scale == 0 or (unit is not None and unit <= 0):
        raise ConfigError("std and unit must be positive and scale must not be 0")
    kinds, clip = _for_kinds("clip"), field.clip
    if clip is not None and (field.kind not in kinds or clip[0] >= clip[1]):
        raise ConfigError(f"clip: {list(clip)} must rise, and is for kinds {', '.join(kinds)}")


def _check_channels(field: FieldDescription) -> None:
    """Whether the encoding is for the kind, and the channels are for both."""
    kind, encoding, chosen = field.kind, field.encoding, ENCODINGS[field.encoding]
    if kind not in chosen.kinds:
        possible = ", ".join(name for name, other in ENCODINGS.items() if kind in other.kinds)
        raise ConfigError(f"encoding: {encoding} is not for kind {kind}; there are {possible}")
    allowed = (3,) if chosen.colours else KINDS[kind].network_channels
    if field.channels < 1 or (allowed is not None and field.channels not in allowed):
        raise ConfigError(
            f"channels: a modality of kind {kind} with encoding {encoding} cannot have "
            f"{field.channels}"
        )


def _check_stored(field: FieldDescription) -> None:
    """Whether bands and numbers of classes are whole, and of a kind that has them."""
    object.__setattr__(field, "ignore", tuple(field.ignore))
    object.__setattr__(field, "values", _pairs(field.values))
    numbers = {"first": field.first, "ignore_index": field.ignore_index}
    numbers["bit_rotation"] = field.bit_rotation
    if field.page is not None:
        numbers["page"] = field.page
    _check_bands(field)
    many = [("ignore", one) for one in field.ignore]
    many += [("values", one) for pair in field.values for one in pair]
    for name, value in [*numbers.items(), *many]:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigError(f"{name}: {value!r} is no whole number")
    if not 0 <= field.bit_rotation < _WORD:
        raise ConfigError(f"bit_rotation: {field.bit_rotation} is not within 0..{_WORD - 1}")
    labels = KINDS[field.kind].classes
    if not labels and (field.first or field.ignore or field.values):
        raise ConfigError(f"first, ignore, values: are for kind label, not for kind {field.kind}")
    if field.values and field.first:
        raise ConfigError("first: means nothing beside values, which say what every number is")
    if field.page is not None and field.page < 0:
        raise ConfigError(f"page: {field.page} is no number of a page; they count from 0")
    one_of("exif", field.exif, (None, *get_args(Exif)))
    if field.variable is not None and not isinstance(field.variable, str):
        raise ConfigError(f"variable: {field.variable!r} is no name of an array")


def _check_bands(field: FieldDescription) -> None:
    """Whether bands are numbers of bands, and as many as are read."""
    if field.bands is None:
        return
    try:
        bands = tuple(field.bands)
        whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in bands)
    except TypeError:
        bands, whole = (), False
    if not bands or not whole:
        raise ConfigError(
            f"bands: {field.bands!r} is no list of bands, which count from 0; the fourth of a "
            "file is bands: [3]"
        )
    object.__setattr__(field, "bands", bands)
    needed = KINDS[field.kind].stored_channels(field)
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


def _numbers(field: FieldDescription, name: str, count: int) -> None:
    """Makes floats of a field with several numbers, and checks how many there are."""
    values = getattr(field, name)
    if values is None:
        return
    numbers = tuple(_number(name, number) for number in values)
    if len(numbers) != count:
        what = f"{count} channels; give one each" if name in ("mean", "std") else f"{count}"
        raise ConfigError(f"{name}: {len(numbers)} numbers for {what}")
    object.__setattr__(field, name, numbers)


def _pairs(values: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    """Pairs of numbers as tuples, by which a frozen modality is hashed.

    Raises:
        ConfigError: they are none.
    """
    try:
        return tuple((stored, number) for stored, number in values)
    except (TypeError, ValueError):
        raise ConfigError(f"values: {values!r} are no pairs of numbers") from None


def from_file(values: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Modality.of` that a file, such as the header of a checkpoint, holds.

    Args:
        values: what the file says; lists stand for tuples, and numbers may be NumPy's.

    Returns:
        Plain values, without those that old versions wrote of kinds for which they mean nothing.

    Raises:
        ConfigError: a key is unknown, or its value has another type or too many entries.
    """
    hints = {name: hint | None for name, hint in get_type_hints(FieldDescription).items()}
    if unknown := [key for key in values if key not in hints]:
        raise ConfigError(f"{unknown[0]}: no key of a modality; there are {', '.join(hints)}")
    hints |= {"missing": hints["missing"] | float, "bands": hints["bands"] | int}
    plain = {key: _plain(value) for key, value in values.items()}
    # NaN is a value: as `missing` it says that none is.
    schema.check_arguments(plain, hints, "modality", ConfigError, finite=False)
    sizes = {key: len(value) for key, value in plain.items() if isinstance(value, list)}
    for key, size in {"channels": plain.get("channels") or 0, **sizes}.items():
        if size > MOST_ENTRIES:
            raise ConfigError(f"modality.{key}: {size} is too much; at most {MOST_ENTRIES}")
    own = KINDS[plain.get("kind") or "image"].own_options
    return {name: value for name, value in plain.items() if name in own or name not in _ONCE_SILENT}


def _plain(value: Any) -> Any:
    """A value as a file holds it: numbers and lists, nothing of NumPy."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
