"""Whether the options of a field fit each other, its kind and its encoding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from cen import schema
from cen.data.fields.encodings import ENCODINGS
from cen.data.fields.field_description import FieldDescription
from cen.data.fields.field_kinds import KINDS
from cen.data.fields.missing import missing_values
from cen.data.fields.normal_field import parse_axes
from cen.errors import ConfigError, did_you_mean
from cen.options.constraints import is_union

MOST_ENTRIES = 2**16
"""Most channels, and most entries of any list, of a field that a file describes."""

_HINTS = get_type_hints(FieldDescription)
# Options that once could be said of any kind, to no effect, and so stand in old files.
_ONCE_SILENT = ("missing", "unit", "axes", "beyond")
_BITS = (None, 8, 16, 32, 64)
# Bits of a depth file that may be rotated.
_WORD = 16


def check(field: FieldDescription) -> None:
    """Brings the options of a modality to their types and refuses what does not fit."""
    for name, hint in _HINTS.items():
        if choices := choices_of(hint):
            one_of(name, getattr(field, name), choices)
    one_of("bits", field.bits, _BITS)
    one_of("encoding", field.encoding, ENCODINGS)
    parse_axes(field.axes)
    _check_channels(field)
    _check_numbers(field)
    _check_stored(field)
    KINDS[field.kind].check(field)
    _check_own_options(field)


def check_option(name: str, value: object, hint: Any) -> None:
    """Refuses a value that is not of a type, or none of the choices that the type names."""
    if choices := choices_of(hint):
        one_of(name, value, choices)
    else:
        schema.check(value, hint, name, ConfigError)


def choices_of(hint: Any) -> tuple[Any, ...]:
    """What a Literal allows, with None where it may be null; empty for other types."""
    parts = get_args(hint) if is_union(hint) else (hint,)
    literals = [part for part in parts if get_origin(part) is Literal]
    return (*((None,) if len(parts) > 1 else ()), *get_args(literals[0])) if literals else ()


def one_of(name: str, value: object, choices: Any) -> None:
    """Refuses a value that is none of the choices, with the nearest that is."""
    if value not in choices:
        hint = did_you_mean(value, [k for k in choices if isinstance(k, str)])
        names = ", ".join(str(k) for k in choices if k is not None)
        raise ConfigError(f"{name}: {value!r} is none of {names}{hint}")


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


def _check_numbers(field: FieldDescription) -> None:
    """Makes floats of measures, and tuples of several."""
    object.__setattr__(field, "missing", missing_values(field.missing))
    for name in ("scale", "fill", "unit", "farthest"):
        value = getattr(field, name)
        if value is not None or name in ("scale", "fill"):
            object.__setattr__(field, name, _number(name, value))
    counts = {"mean": field.channels, "std": field.channels, "clip": 2, "intrinsics": 4}
    for name, count in counts.items():
        if (values := getattr(field, name)) is None:
            continue
        numbers = tuple(_number(name, number) for number in values)
        if len(numbers) != count:
            what = f"{count} channels; give one each" if name in ("mean", "std") else f"{count}"
            raise ConfigError(f"{name}: {len(numbers)} numbers for {what}")
        object.__setattr__(field, name, numbers)
    unit, clip = field.unit, field.clip
    if min(field.std) <= 0 or field.scale == 0 or (unit is not None and unit <= 0):
        raise ConfigError("std and unit must be positive and scale must not be 0")
    if clip is not None and clip[0] >= clip[1]:
        raise ConfigError(f"clip: {list(clip)} must rise")


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {value!r} is no number") from error
    if not math.isfinite(number):
        raise ConfigError(f"{name}: {value!r} is no finite number")
    return number


def _check_stored(field: FieldDescription) -> None:
    """Whether what files hold is said in whole numbers and names."""
    try:
        # As tuples, by which a frozen modality is hashed.
        values = tuple((stored, number) for stored, number in field.values)
    except (TypeError, ValueError):
        raise ConfigError(f"values: {field.values!r} are no pairs of numbers") from None
    object.__setattr__(field, "ignore", tuple(field.ignore))
    object.__setattr__(field, "values", values)
    _check_bands(field)
    integer_options: list[tuple[str, Any]] = [
        (name, getattr(field, name)) for name in ("first", "ignore_index", "bit_rotation")
    ]
    integer_options += [("page", field.page)] if field.page is not None else []
    integer_options += [("ignore", one) for one in field.ignore]
    integer_options += [("values", one) for pair in values for one in pair]
    for name, value in integer_options:
        if not _is_whole(value):
            raise ConfigError(f"{name}: {value!r} is no whole number")
    if not 0 <= field.bit_rotation < _WORD:
        raise ConfigError(f"bit_rotation: {field.bit_rotation} is not within 0..{_WORD - 1}")
    if values and field.first:
        raise ConfigError("first: means nothing beside values, which say what every number is")
    if field.page is not None and field.page < 0:
        raise ConfigError(f"page: {field.page} is no number of a page; they count from 0")
    if field.variable is not None and not isinstance(field.variable, str):
        raise ConfigError(f"variable: {field.variable!r} is no name of an array")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_bands(field: FieldDescription) -> None:
    """Whether bands are numbers of bands, and as many as are read."""
    if field.bands is None:
        return
    try:
        bands = tuple(field.bands)
    except TypeError:
        bands = ()
    if not bands or not all(_is_whole(band) and band >= 0 for band in bands):
        raise ConfigError(
            f"bands: {field.bands!r} is no list of bands, which count from 0; the fourth of a "
            "file is bands: [3]"
        )
    object.__setattr__(field, "bands", bands)
    needed = KINDS[field.kind].stored_channels(field)
    if len(bands) != needed:
        raise ConfigError(f"bands: {list(bands)} are {len(bands)}, but {needed} channels are read")


def _check_own_options(field: FieldDescription) -> None:
    """Refuses options that mean nothing for the kind."""
    kind = KINDS[field.kind]
    for option in fields(FieldDescription):
        name = option.name
        kinds = [other for other, its in KINDS.items() if name in its.own_options]
        if not kinds or field.kind in kinds:
            continue
        if getattr(field, name) not in (option.default, None, ()):
            raise ConfigError(
                f"{name}: is for kind {' or '.join(kinds)}, not for kind {field.kind}"
                f"{kind.instead.get(name, '')}"
            )


def from_file(values: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Modality.of` that a file, such as the header of a checkpoint, holds.

    Args:
        values: what the file says; lists stand for tuples, and numbers may be NumPy's.

    Returns:
        Plain values, without those that old versions wrote of kinds for which they mean nothing.
    """
    hints = {name: hint | None for name, hint in _HINTS.items()}
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
