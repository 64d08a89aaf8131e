"""Labels of own files: what their colours and numbers mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.label_field import mapped
from cen.data.formats.label_maps import read_colours, strange_values
from cen.data.formats.pictures import WHOLE, Part
from cen.data.readers.folder_yaml import IGNORED, Description, FieldConfig
from cen.errors import ConfigError, DataError, did_you_mean

_UNLABELLED = -1

Meaning = tuple[str, str, str, int]
"""Where something is said, of which class, how it is written, and the number that it is."""


def class_colours(description: Description, name: str, classes: Sequence[str]) -> dict[int, int]:
    """The class of every colour (65536 red + 256 green + blue) of a field's masks; -1 is none."""
    _check_alone(description, name, "colours", ("bands", "first", "ignore"))
    return _meanings(description, name, "colours", _colours(description, name), classes)


def class_values(
    description: Description, name: str, classes: Sequence[str]
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Pairs of a stored number and its class, and the numbers that are no class."""
    _check_alone(description, name, "values", ("colours", "first", "ignore"))
    meanings = _meanings(description, name, "values", _values(description, name), classes)
    pairs = tuple(pair for pair in meanings.items() if pair[1] != _UNLABELLED)
    return pairs, tuple(stored for stored, label in meanings.items() if label == _UNLABELLED)


def _check_alone(description: Description, name: str, key: str, others: Sequence[str]) -> None:
    field = description.fields[name]
    for other in others:
        if getattr(field, other) != getattr(FieldConfig, other):
            raise ConfigError(
                f"{description.at_field(name, other)}: means nothing beside {key}, which say it all"
            )


def _meanings(
    description: Description,
    name: str,
    key: str,
    entries: Iterator[Meaning],
    classes: Sequence[str],
) -> dict[int, int]:
    """The class of every number; -1 for those that are no class. Every class has one."""
    numbers = {**{label: number for number, label in enumerate(classes)}, IGNORED: _UNLABELLED}
    meanings: dict[int, int] = {}
    for where, label, written, number in entries:
        if label not in numbers:
            raise ConfigError(f"{where}: {label} is no class{did_you_mean(label, classes)}")
        if number in meanings:
            raise ConfigError(f"{where}: {written} stands there twice")
        meanings[number] = numbers[label]
    for label in classes:
        if numbers[label] not in meanings.values():
            where = description.at_field(name, key)
            what = "colour" if key == "colours" else "number"
            raise ConfigError(f"{where}: says no {what} of the class {label}")
    return meanings


def _colours(description: Description, name: str) -> Iterator[Meaning]:
    for label, colour in (description.fields[name].colours or {}).items():
        where = description.at_field(name, "colours", label)
        if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
            raise ConfigError(f"{where}: {colour} is no colour; give [red, green, blue], 0..255")
        yield where, label, f"{colour}", colour[0] << 16 | colour[1] << 8 | colour[2]


def _values(description: Description, name: str) -> Iterator[Meaning]:
    for text, label in (description.fields[name].values or {}).items():
        written = f"[{', '.join(map(str, text))}]" if isinstance(text, tuple) else text
        where = description.at_field(name, "values", written)
        for number in _stored(text, where):
            yield where, str(label), f"{number}", number


def _stored(text: object, where: str) -> list[int]:
    """The numbers that a key of ``values`` names: 7, or several as in [3, 4]."""
    words = [text] if isinstance(text, int) else str(text).strip("[]() ").split(",")
    try:
        if isinstance(text, bool):
            raise ValueError
        return [int(word) for word in words]
    except ValueError:
        raise ConfigError(
            f"{where}: {text!r} is no number; write {{0: background, [3, 4]: road, 7: {IGNORED}}}"
        ) from None


def decode_colours(
    path: Path, colours: dict[int, int], ignore_index: int, part: Part = WHOLE
) -> NDArray[np.int64]:
    """(H, W) class numbers of a mask that holds colours."""
    codes = read_colours(path, part)
    numbers, strange = mapped(codes, colours)
    if np.any(strange):
        listed, smoothed = strange_values(
            codes[strange], lambda code: [code >> 16, code >> 8 & 255, code & 255], 3
        )
        raise DataError(
            f"{path}: colour {listed} is no class; name it below colours (as {IGNORED}, if it "
            f"shall not count){smoothed}"
        )
    numbers[numbers == _UNLABELLED] = ignore_index
    return numbers


def class_list(field: FieldConfig) -> list[str] | int | None:
    """The classes of a label field, as ``classes`` says, else in the order of values or colours."""
    if field.classes is not None:
        return field.classes
    listed = [str(label) for label in (field.values or {}).values()] or list(field.colours or {})
    return [label for label in dict.fromkeys(listed) if label != IGNORED] or None
