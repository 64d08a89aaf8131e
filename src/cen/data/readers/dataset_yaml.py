"""What a dataset.yaml beside the files of a published layout says: its classes, its palette."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cen.documents import read_yaml
from cen.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Classes:
    """What the values of a label field mean.

    Attributes:
        names: class names; the position is the label value.
        palette: (C, 3) uint8 RGB colours, for pictures.
    """

    names: tuple[str, ...]
    palette: NDArray[np.uint8]


def describe(root: str | Path, keys: Sequence[str]) -> dict[str, Any]:
    """What dataset.yaml in a data folder says; empty if there is none.

    Args:
        root: the folder.
        keys: what the reader takes of it; beside them ``about`` may hold anything.

    Raises:
        DataError: it is no YAML mapping, or has other keys, which would be passed over silently.
    """
    path = Path(root) / "dataset.yaml"
    if not path.is_file():
        return {}
    described = read_yaml(path, DataError).value
    if not isinstance(described, dict):
        raise DataError(f"{path}: must hold keys and values, such as 'classes: [floor, wall]'")
    # What Rooms writes of itself is beside the keys in one layout.
    for key in [] if described.get("name") == "rooms" else described:
        if key not in (*keys, "about"):
            raise DataError(
                f"{path}: {key}: is no key of this layout{did_you_mean(key, keys)}; there are "
                f"{', '.join(keys)}, and about for anything else"
            )
    return described


def palette_of(palette: Any, classes: int) -> NDArray[np.uint8]:
    """(C, 3) RGB colours: those of dataset.yaml if there is one per class, else separated ones."""
    if palette is not None:
        try:
            colours = np.array(palette, dtype=np.uint8).reshape(len(palette), 3)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"dataset.yaml: palette: must be a list of [red, green, blue], 0..255 ({error})"
            ) from error
        if len(colours) == classes:
            return colours
    # Steps of the golden ratio keep any number of hues apart.
    hues = np.arange(classes) * 0.618034 % 1.0
    levels = 0.55 + 0.45 * (np.arange(classes) % 3) / 2.0
    waves = 0.5 + 0.5 * np.cos(2.0 * np.pi * (hues[:, None] + np.array((0.0, 1 / 3, 2 / 3))))
    bright = 255.0 * levels[:, None] * (0.15 + 0.85 * waves)
    return np.asarray(np.rint(bright), dtype=np.uint8)


def class_names(names_or_count: int | Iterable[object]) -> tuple[str, ...]:
    """Names of classes; a number makes names of it."""
    if isinstance(names_or_count, int):
        names_or_count = range(names_or_count)
    return tuple(map(str, names_or_count))


def described_classes(
    classes: int | Sequence[str] | None, described: Mapping[str, Any], root: Path
) -> Classes:
    """The classes as given, else as dataset.yaml says, in its colours."""
    names_or_count = described.get("classes") if classes is None else classes
    if names_or_count is None:
        raise DataError(
            f"{root}: how many classes? Set data.classes, or write dataset.yaml with 'classes:'"
        )
    if not isinstance(names_or_count, int | Sequence) or isinstance(names_or_count, str):
        raise DataError(
            f"{root}: classes must be their number or a list of names, not {names_or_count!r}"
        )
    names = class_names(names_or_count)
    if not names:
        raise DataError(f"{root}: there must be at least one class")
    return Classes(names, palette_of(described.get("palette"), len(names)))


def published_classes(
    classes: int | Sequence[str] | None,
    names: Sequence[str],
    palette: ArrayLike,
    where: Path,
) -> Classes:
    """The classes of a published data set, under other names where as many are given."""
    count = classes if isinstance(classes, int) else len(classes or names)
    if count != len(names):
        raise DataError(f"{where}: has {len(names)} classes, not {count}")
    if classes is not None and not isinstance(classes, int):
        names = [str(name) for name in classes]
    return Classes(tuple(names), np.array(palette, dtype=np.uint8))
