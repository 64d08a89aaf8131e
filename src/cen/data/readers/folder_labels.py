"""Labels of own files: what their colours and numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.label_field import mapped
from cen.data.formats.label_maps import read_colours, smoothed
from cen.data.formats.pictures import WHOLE, Part
from cen.data.readers.folder_yaml import IGNORED, Description, FieldConfig
from cen.errors import ConfigError, DataError, did_you_mean

_UNLABELLED = -1

LabelValues = tuple[tuple[tuple[int, int], ...], tuple[int, ...]]


def class_colours(description: Description, name: str, classes: Sequence[str]) -> dict[int, int]:
    """The class of every colour of a field's masks.

    Returns:
        From colour (65536 red + 256 green + blue) to class number; -1 for pixels without a label.
    """
    given = description.fields[name].colours or {}
    at = f"{description.key_of(name)}.colours"
    for other in ("bands", "first", "ignore"):
        if getattr(description.fields[name], other):
            where = description.at(f"{description.key_of(name)}.{other}")
            raise ConfigError(f"{where}: means nothing beside colours, which say it all")
    numbers = {**{label: number for number, label in enumerate(classes)}, IGNORED: _UNLABELLED}
    colours: dict[int, int] = {}
    for label, colour in given.items():
        where = description.at(f"{at}.{label}")
        if label not in numbers:
            raise ConfigError(f"{where}: is no class{did_you_mean(label, classes)}")
        if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
            raise ConfigError(f"{where}: {colour} is no colour; give [red, green, blue], 0..255")
        code = colour[0] << 16 | colour[1] << 8 | colour[2]
        if code in colours:
            raise ConfigError(f"{where}: {colour} is the colour of another class, too")
        colours[code] = numbers[label]
    for label in classes:
        if label not in given:
            raise ConfigError(f"{description.at(at)}: says no colour of the class {label}")
    return colours


def decode_colours(
    path: Path, colours: dict[int, int], ignore_index: int, part: Part = WHOLE
) -> NDArray[np.int64]:
    """(H, W) class numbers of a mask that holds colours."""
    codes = read_colours(path, part)
    numbers, strange = mapped(codes, colours)
    if np.any(strange):
        values, counts = np.unique(codes[strange], return_counts=True)
        told = ", ".join(
            f"[{code >> 16}, {code >> 8 & 255}, {code & 255}] ({count} pixels)"
            for code, count in zip(values[:3].tolist(), counts[:3].tolist(), strict=True)
        )
        more = f" and {len(values) - 3} more" if len(values) > 3 else ""
        raise DataError(
            f"{path}: colour {told}{more} is no class; name it below colours (as {IGNORED}, if it "
            f"shall not count){smoothed(len(values))}"
        )
    numbers[numbers == _UNLABELLED] = ignore_index
    return numbers


def class_values(description: Description, name: str, classes: Sequence[str]) -> LabelValues:
    """The class of every stored number of a field, as its key ``values`` says.

    Returns:
        Pairs of a stored number and its class, and the numbers that are no class.
    """
    field, key = description.fields[name], f"{description.key_of(name)}.values"
    for other in ("colours", "ignore"):
        if getattr(field, other) is not None:
            raise ConfigError(
                f"{description.at(key)}: stands beside {other}; values says it all, alone"
            )
    if field.first:
        raise ConfigError(f"{description.at(key)}: stands beside first; values says it all, alone")
    number_of = {label: number for number, label in enumerate(classes)}
    pairs: dict[int, int] = {}
    ignored: list[int] = []
    for text, given in (field.values or {}).items():
        shown = f"[{', '.join(map(str, text))}]" if isinstance(text, tuple) else text
        label, where = str(given), description.at(f"{key}.{shown}")
        if label != IGNORED and label not in number_of:
            raise ConfigError(f"{where}: {label} is no class{did_you_mean(label, classes)}")
        for number in _stored(text, where):
            if number in pairs or number in ignored:
                raise ConfigError(f"{where}: {number} stands there twice")
            if label == IGNORED:
                ignored.append(number)
            else:
                pairs[number] = number_of[label]
    for label, number in number_of.items():
        if number not in pairs.values():
            raise ConfigError(f"{description.at(key)}: says no number of the class {label}")
    return tuple(pairs.items()), tuple(ignored)


def named(field: FieldConfig) -> list[str] | int | None:
    """The classes of a label field, as ``classes`` says, else in the order of values or colours."""
    if field.classes is not None:
        return field.classes
    listed = [str(label) for label in (field.values or {}).values()] or list(field.colours or {})
    return [label for label in dict.fromkeys(listed) if label != IGNORED] or None


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
