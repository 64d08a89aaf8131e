"""Labels: the class of every pixel, and what class a stored number means."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_description import FieldDescription
from cen.data.fields.field_kind import FieldKind
from cen.data.formats.file_bytes import File
from cen.data.formats.label_maps import check_integers, read_labels, strange_values
from cen.data.formats.stored import Stored
from cen.errors import ConfigError, DataError


class LabelField(FieldKind):
    """(H, W) class numbers from 0, ``ignore_index`` where there is no class."""

    name = "label"
    described = "class numbers"
    interpolation = "nearest"
    single = True
    classes = True
    bounded = True
    measured = False
    own_options = ("first", "ignore", "values")
    file_options = ("first", "ignore", "ignore_index", "values")
    instead: ClassVar[Mapping[str, str]] = {
        "missing": "; of a label ignore says which stored numbers are no class"
    }

    def check(self, field: FieldDescription) -> None:
        """Class numbers are never blended."""
        super().check(field)
        if field.interpolation != "nearest":
            raise ConfigError("interpolation: labels are resized by nearest only")

    def read_file(self, path: File, field: FieldDescription) -> Stored:
        """The stored numbers, of a palette its indices."""
        return Stored(read_labels(path, field.part(self.picture)))

    def raw_values(self, file: Stored, field: FieldDescription, source: str) -> NDArray[Any]:
        """Class numbers."""
        check_integers(file.values, source)
        return class_numbers(file.values, field, source)

    def wanted_numbers(self, array: NDArray[Any], field: FieldDescription) -> str:
        """Integers."""
        return "of integers" if np.issubdtype(array.dtype, np.floating) else ""

    def normalise(self, field: FieldDescription, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """A channel per class; all 0 where there is none."""
        if field.channels < 2:
            raise DataError(
                "a label as an input needs as many channels as there are classes; set "
                "model.inputs.<name>"
            )
        classes = np.arange(field.channels)[:, None, None]
        return np.asarray(prepared == classes, dtype=np.float32)

    def denormalise(self, field: FieldDescription, numbers: NDArray[Any]) -> NDArray[Any]:
        """The strongest class."""
        return np.asarray(numbers.argmax(axis=0))

    def truth(self, field: FieldDescription, prepared: NDArray[Any]) -> NDArray[np.int64]:
        """(H, W) int64."""
        return prepared.astype(np.int64)

    def from_truth(self, field: FieldDescription, values: NDArray[Any]) -> NDArray[Any]:
        """(H, W) as they are."""
        return values

    def shown(self, values: NDArray[Any]) -> NDArray[Any]:
        """Class numbers, for whoever has a palette."""
        return values


def class_numbers(stored: NDArray[Any], field: FieldDescription, source: str) -> NDArray[Any]:
    """Stored labels as class numbers from 0, with ``ignore_index`` for what is no class."""
    if field.values:
        return _listed(stored, field, source)
    if field.first == 0 and not field.ignore:
        return stored
    labels = stored.astype(np.int64) - field.first
    labels[np.isin(stored, field.ignore)] = field.ignore_index
    return labels


def first_number(field: FieldDescription) -> int:
    """The stored number of class 0, where stored numbers are class numbers but for that."""
    return 0 if field.values else field.first


def stored_numbers(labels: NDArray[Any], field: FieldDescription) -> NDArray[np.int64] | None:
    """Numbers from which `class_numbers` makes these labels; None where there are none."""
    if not field.values:
        return labels.astype(np.int64) + field.first
    back = {number: stored for stored, number in reversed(field.values)}
    if field.ignore:
        back[field.ignore_index] = field.ignore[0]
    stored, strange = mapped(labels, back)
    return None if strange.any() else stored


def mapped(
    stored: NDArray[Any], meanings: Mapping[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """What every stored number means, and which of them mean nothing.

    Returns:
        Both of the shape of ``stored``; the first is arbitrary where the second is true.
    """
    numbers = np.array(sorted(meanings), dtype=np.int64)
    means = np.array([meanings[number] for number in numbers.tolist()], dtype=np.int64)
    where = np.searchsorted(numbers, stored).clip(max=len(numbers) - 1)
    return means[where], np.asarray(numbers[where] != stored)


def _listed(stored: NDArray[Any], field: FieldDescription, source: str) -> NDArray[np.int64]:
    pairs = (field.values, field.ignore, field.ignore_index)
    if stored.dtype in (np.uint8, np.uint16):
        table, unlisted = _table(*pairs)
        labels, strange = table.take(stored), unlisted.take(stored)
    else:
        labels, strange = mapped(stored, _meanings(*pairs))
    if strange.any():
        listed, smoothed = strange_values(stored[strange])
        raise DataError(
            f"{source}: label {listed} is not listed below values; name its class there, or "
            f"'ignore'{smoothed}"
        )
    return labels


def _meanings(
    values: tuple[tuple[int, int], ...], ignore: tuple[int, ...], ignore_index: int
) -> dict[int, int]:
    return {**dict(values), **dict.fromkeys(ignore, ignore_index)}


@functools.lru_cache(maxsize=16)
def _table(
    values: tuple[tuple[int, int], ...], ignore: tuple[int, ...], ignore_index: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """What every 16-bit number means; looking it up is faster than to search for it."""
    return mapped(np.arange(2**16), _meanings(values, ignore, ignore_index))
