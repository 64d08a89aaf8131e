"""The lists of names of data sets that are distributed with train.txt, val.txt and test.txt."""

from __future__ import annotations

from pathlib import Path

from cen.data.formats.text_lists import leaves, listed_samples
from cen.data.readers.splitting import SPLITS, Split
from cen.errors import DataError

FILES: dict[Split, str] = {"train": "train", "validation": "val", "test": "test"}
"""What the authors of most data sets call the splits."""


def official_list(folder: Path, split: Split) -> dict[str, str]:
    """The names of a split, each with its place; those of all three lists are looked at.

    Raises:
        DataError: a list is missing or empty, a name leaves the folder, or is listed twice.
    """
    seen: dict[str, str] = {}
    names_by_split: dict[Split, dict[str, str]] = {}
    for other in SPLITS:
        names_by_split[other] = listed_samples(folder / f"{FILES[other]}.txt", _name, seen)
        seen |= names_by_split[other]
    return names_by_split[split]


def _name(line: str) -> str:
    if leaves(line):
        raise DataError(f"{line!r} is no name of a frame")
    return line
