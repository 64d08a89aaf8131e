"""Splits of Taskonomy by list: frames by line, or buildings in the authors' CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cen.data.formats.text_lists import forward, leaves, read_lines
from cen.data.readers.split_lists import listed_splits
from cen.data.readers.splitting import PUBLISHED_NAMES, SPLITS, Split
from cen.data.readers.taskonomy_files import FRAME, Frames
from cen.errors import ConfigError, DataError, did_you_mean


def listed_frames(
    lists: Mapping[str, str], frames: Frames
) -> tuple[dict[Split, NDArray[np.int64]], dict[int, str]]:
    """The frames of each split that the lists name, in their order.

    Args:
        lists: a file for train, for test and perhaps for validation; paths from the root of the
            data, or absolute. A line holds a path or name with ``point_1_view_2`` in it, in data of
            several buildings after the name of the building; {domain} may stand in it.
        frames: what there is.

    Returns:
        The frames by split, and the place (list and line) of each.
    """
    if not {"train", "test"} <= set(lists):
        raise ConfigError(
            f"data.options.lists: {lists!r} must be a CSV of buildings or say "
            "{train: FILE, test: FILE}"
        )
    for name in lists:
        if name not in SPLITS:
            raise ConfigError(
                f"data.options.lists.{name}: no split{did_you_mean(name, SPLITS)}; there are "
                f"{', '.join(SPLITS)}"
            )
    files = {split: frames.root / lists[split] for split in SPLITS if split in lists}
    places_by_split = listed_splits(files, partial(_key, frames=frames))
    keys = {split: np.array(list(own), np.int64) for split, own in places_by_split.items()}
    return keys, {key: place for own in places_by_split.values() for key, place in own.items()}


def building_splits(path: Path, buildings: tuple[str, ...]) -> dict[str, Split]:
    """The split of every building by the authors' CSV: id,train,val,test with a 1 in one column."""
    rows = list(csv.DictReader(read_lines(path)))
    if not rows or not {"id", *PUBLISHED_NAMES.values()} <= set(rows[0]):
        raise DataError(f"{path}: is no CSV with the columns id,train,val,test")
    named = {
        row["id"].strip().lower(): split
        for row in rows
        for split, column in PUBLISHED_NAMES.items()
        if (row[column] or "").strip() == "1"
    }
    splits = {name: named[name.lower()] for name in buildings if name.lower() in named}
    if not splits:
        examples = ", ".join(buildings[:3]) if buildings != ("",) else "the data have none by name"
        raise DataError(f"{path}: names none of the buildings ({examples})")
    return splits


def _key(line: str, frames: Frames) -> int:
    """The frame that a line names."""
    path = PurePosixPath(forward(line))
    if leaves(str(path)):
        raise DataError(f"path {line!r} leaves {frames.root}; paths are relative to it")
    match = FRAME.search(path.name)
    if match is None:
        raise DataError(f"{line!r} names no frame; a line holds something like point_1_view_2")
    building = ""
    if frames.buildings != ("",):
        above = [part for part in path.parts[:-1] if part in frames.buildings]
        if not above:
            raise DataError(
                f"{line!r} names no building of {frames.root}; a line holds something like "
                f"{frames.buildings[0]}/point_1_view_2"
            )
        building = above[-1]
    return frames.key(building, int(match[1]), int(match[2]))
