"""The class mappings of NYUDv2: from the 894 labels of its file to 40 or 13 classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cen.data.formats import matfiles
from cen.errors import DataError

LABELED = "nyu_depth_v2_labeled.mat"
MAPPING40 = "classMapping40.mat"
MAPPINGS13 = ("classMapping13.mat", "class13Mapping.mat")


@dataclass(frozen=True)
class Mapping894:
    """From the labels of the file to classes.

    Attributes:
        names: class names.
        table: class number (from 1) of every label of the file, at its place; 0 is no class.
        path: where it was read.
    """

    names: tuple[str, ...]
    table: NDArray[np.int64]
    path: Path


def choose_mapping(
    folder: Path, labels: int, names: Callable[[], list[str]], classes: int | Sequence[str] | None
) -> Mapping894:
    """The mapping with as many classes as are wanted."""
    if classes is None:
        return mapping40(folder, labels)
    count = classes if isinstance(classes, int) else len(classes)
    mappings = {labels: Mapping894((), np.arange(labels + 1), folder / LABELED)}
    if count != labels:
        for mapping in _offered(folder, labels, count):
            mappings.setdefault(len(mapping.names), mapping)
            if count in mappings:
                break
    if count not in mappings:
        there = ", ".join(str(number) for number in sorted(mappings))
        raise DataError(
            f"{folder}: no mapping to {count} classes; there are {there} "
            f"({MAPPING40}: 40, {' or '.join(MAPPINGS13)}: 13)"
        )
    class_names = (
        (mappings[count].names or names()) if isinstance(classes, int) else map(str, classes)
    )
    return Mapping894(tuple(class_names), mappings[count].table, mappings[count].path)


def _offered(folder: Path, labels: int, count: int) -> Iterator[Mapping894]:
    """The mappings there are, read one after another; one that is not needed may be missing."""
    if count == 40 or (folder / MAPPING40).is_file():
        yield mapping40(folder, labels)
    if (thirteen := mapping13(folder, labels)) is not None:
        yield thirteen


def mapping40(folder: Path, labels: int) -> Mapping894:
    """The mapping of classMapping40.mat: ``mapClass`` and ``className``."""
    return _plain_mapping(matfiles.load_v5(folder / MAPPING40, ("mapClass", "className")), labels)


def _plain_mapping(variables: matfiles.Variables, labels: int) -> Mapping894:
    names, values = variables.texts("className"), variables.integers("mapClass")
    return _mapping(variables.path, names, values, "mapClass", labels)


def mapping13(folder: Path, labels: int) -> Mapping894 | None:
    """The mapping to 13 classes in either of its forms; None where there is no such file."""
    path = next((folder / name for name in MAPPINGS13 if (folder / name).is_file()), None)
    if path is None:
        return None
    variables = matfiles.load_v5(path, ("mapClass", "className", "classMapping13"))
    if "mapClass" in variables:
        return _plain_mapping(variables, labels)
    struct = variables["classMapping13"].ravel()
    fields = struct.dtype.names or ()
    if len(struct) != 1 or "labels13" not in fields or len(fields) != 2:
        raise DataError(f"{path}: classMapping13 is no struct of labels13 and the class names")
    # What the field of the names is called differs from what is documented.
    named = next(name for name in fields if name != "labels13")
    names = matfiles.texts(path, named, np.asarray(struct[0][named]))
    values = matfiles.integers(path, "labels13", np.asarray(struct[0]["labels13"]))
    between = mapping40(folder, labels)
    second = _mapping(path, names, values, "labels13", len(between.names))
    return Mapping894(second.names, second.table[between.table], path)


def _mapping(
    path: Path, names: Sequence[str], values: NDArray[np.int64], variable: str, labels: int
) -> Mapping894:
    if len(values) != labels:
        raise DataError(
            f"{path}: {variable} maps {len(values)} labels, the data have {labels}; "
            "do the two files belong together?"
        )
    if values.min() < 0 or values.max() > len(names):
        wrong = values[(values < 0) | (values > len(names))][0]
        raise DataError(f"{path}: {variable} maps to class {wrong}, but there are {len(names)}")
    return Mapping894(tuple(names), np.concatenate(([0], values)), path)
