"""Splits by list: files that name the samples of each split, every sample in one of them, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from cen.data.formats.text_lists import leaves, read_entries
from cen.data.readers.splitting import PUBLISHED_NAMES, Split
from cen.errors import DataError

Name = TypeVar("Name", bound=str)
Sample = TypeVar("Sample", str, int)


def listed_splits(
    lists: Mapping[Name, Path], sample_of: Callable[[str], Sample]
) -> dict[Name, dict[Sample, str]]:
    """The samples of each split in the order of its list, with list and line.

    Args:
        lists: the file of each split.
        sample_of: the sample that a line names; a `DataError` of it gets the line.

    Raises:
        DataError: a list is missing or empty, or a sample is named twice, in one list or two.
    """
    places: dict[Sample, str] = {}
    samples_by_split: dict[Name, dict[Sample, str]] = {}
    for split, path in lists.items():
        samples_by_split[split] = {}
        for place, line in read_entries(path):
            try:
                sample = sample_of(line)
            except DataError as error:
                raise DataError(f"{place}: {error}") from None
            if sample in places:
                before = places[sample]
                raise DataError(
                    f"{place}: {line} is also in {before}; a sample is in one split, once"
                )
            places[sample] = samples_by_split[split][sample] = place
    return samples_by_split


def official_list(folder: Path, split: Split) -> dict[str, str]:
    """The names of a split in train.txt, val.txt or test.txt, each with its place.

    Raises:
        DataError: one of the three is missing or empty, a name leaves the folder, or is listed
            twice.
    """
    lists = {one: folder / f"{name}.txt" for one, name in PUBLISHED_NAMES.items()}
    return listed_splits(lists, _name)[split]


def _name(line: str) -> str:
    if leaves(line):
        raise DataError(f"{line!r} is no name of a frame")
    return line


def official_part(
    path: Path, lists: Mapping[str, Sequence[Sample]], split: Split, one: str, prefix: str = ""
) -> Sequence[Sample]:
    """Of a file's official lists, training before test, the one that a split is taken from.

    Raises:
        DataError: a list repeats a sample, or both have it.
    """
    for name, samples in lists.items():
        if len(set(samples)) < len(samples):
            raise DataError(f"{path}: {name} names {one} twice")
    train, test = lists.values()
    if shared := set(train) & set(test):
        raise DataError(
            f"{path}: {prefix}{min(shared)} is in {' and in '.join(lists)}; "
            "nothing can be measured on images that were trained on"
        )
    return test if split == "test" else train
