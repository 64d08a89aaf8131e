"""Splits: what belongs together stays together, and splits stay what they are when files are added.

`cut_validation` cuts a validation split from an official training list; `hashed_split` makes all
three splits of data that have none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cen.errors import DataError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

PUBLISHED_NAMES: Mapping[Split, str] = {"train": "train", "validation": "val", "test": "test"}
"""What the authors of most data sets call the splits."""

_BLOCKS = 5


def check_split(split: str) -> None:
    """Refuses a split that does not exist."""
    if split not in SPLITS:
        raise DataError(f"no split {split!r}; there are {', '.join(SPLITS)}")


def cut_validation(
    groups: Sequence[str], share: float, split: Literal["train", "validation"], where: str
) -> list[int]:
    """Which samples of a training list belong to the training or the validation split.

    Frames of one room must not stand on both sides. Where the groups say which frames belong
    together, whole groups are held out, until their share is reached; where every sample is a
    group of its own, contiguous blocks are, because neighbouring frames often show one room.
    Several of them, evenly spaced, so that the validation split is not one kind of room only.

    Args:
        groups: the group of each sample, in the order of the list.
        share: of the list that is the validation split, 0 <= share < 1.
        split: which of the two is wanted.
        where: what the list is called in messages.

    Returns:
        Indices into the list, ascending.

    Raises:
        DataError: the share is out of range or leaves the split empty.
    """
    if not 0.0 <= share < 1.0:
        raise DataError(f"validation: {share} is no share of {where}, 0 <= share < 1")
    quota = round(share * len(groups))
    grouped = len(set(groups)) < len(groups)
    held = _whole_groups(groups, quota) if grouped else _blocks(len(groups), quota)
    part = np.flatnonzero(held == (split == "validation")).tolist()
    if not part:
        unit = f"{len(set(groups))} scenes" if grouped else f"{len(groups)} lines"
        raise DataError(f"{where}: validation = {share} of {unit} leaves the {split} split empty")
    return [int(index) for index in part]


def _whole_groups(groups: Sequence[str], quota: int) -> NDArray[np.bool_]:
    """Evenly spaced whole groups with ``quota`` samples in all, or as close as they come."""
    names, member, counts = np.unique(np.array(groups), return_inverse=True, return_counts=True)
    held = np.zeros(len(names), dtype=bool)
    # Bit-reversed order spreads any number of groups over the sorted names.
    bits = max(1, int(len(names) - 1).bit_length())
    order = sorted(range(len(names)), key=lambda n: int(f"{n:0{bits}b}"[::-1], 2))
    total = 0
    for group in order[::-1]:
        # A tie is held out: of few frames a validation split rather than none.
        if abs(total + int(counts[group]) - quota) <= abs(total - quota):
            held[group] = True
            total += int(counts[group])
    return np.asarray(held[member])


def _blocks(length: int, quota: int) -> NDArray[np.bool_]:
    """Up to five contiguous blocks, evenly spaced."""
    held = np.zeros(length, dtype=bool)
    blocks = min(_BLOCKS, quota)
    end = 0
    for block in range(blocks):
        done = quota * block // blocks
        size = quota * (block + 1) // blocks - done
        centre = (2 * block + 1) * length // (2 * blocks)
        # Where nearly all is held out, rounding must push no block into the next or over the end.
        first = max(end, min(centre - size // 2, length - (quota - done)))
        end = first + size
        held[first:end] = True
    return held


def hashed_number(group: str, salt: str) -> float:
    """A number in [0, 1) that depends on the two texts alone, not on machine or process."""
    digest = hashlib.sha256(f"{salt}\0{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def held_out(groups: Sequence[str], share: float, salt: str, keep: int = 1) -> set[str]:
    """The groups that a split holds out.

    A group is held out where its hashed number is below ``share``, so more files change nothing for
    those that were there. Only where that holds out none, or leaves fewer than ``keep``, the order
    of the numbers decides, so that a small data set has both sides, too.

    Args:
        groups: names of what must not be torn apart; repeated names count once.
        share: of the groups, 0 <= share < 1.
        salt: tells one split of the same groups from another.
        keep: how many groups are left at least, where there are more than these.
    """
    numbers = {group: hashed_number(group, salt) for group in set(groups)}
    held = {group for group, number in numbers.items() if number < share}
    most = len(numbers) - keep
    if share > 0.0 and most > 0 and not 0 < len(held) <= most:
        ordered = sorted(numbers, key=lambda group: (numbers[group], group))
        held = set(ordered[: max(1, min(len(held), most))])
    return held


def hashed_split(
    groups: Sequence[str], split: Split, *, validation: float, test: float, where: str
) -> list[int]:
    """Which samples belong to a split, by group and hash.

    Where one group alone is left of the test split, validation is cut from it in blocks.

    Args:
        groups: the group of each sample.
        split: which split is wanted.
        validation: share of what is not test.
        test: share of the groups.
        where: what the data set is called in messages.

    Returns:
        Indices into ``groups``, ascending.

    Raises:
        DataError: a share is out of range, or the split is empty.
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0.0 <= share < 1.0:
            raise DataError(f"{where}: {name} = {share} is no share, 0 <= share < 1")
    # A second group is left for validation where there are enough.
    keep = 2 if validation > 0.0 and len(set(groups)) > 2 else 1
    tested = held_out(groups, test, "test", keep)
    rest = [index for index, group in enumerate(groups) if group not in tested]
    rest_groups = [groups[index] for index in rest]
    if split == "test":
        part = [index for index, group in enumerate(groups) if group in tested]
    elif len(set(rest_groups)) == 1 and validation > 0.0 and len(rest) > 1:
        # One building or scene is left: blocks of its frames.
        alone = [str(index) for index in rest]
        part = [rest[index] for index in cut_validation(alone, validation, split, where)]
    else:
        held = held_out(rest_groups, validation, "validation")
        part = [
            index
            for index, group in zip(rest, rest_groups, strict=True)
            if (group in held) == (split == "validation")
        ]
    if not part:
        raise DataError(
            f"{where}: of {len(groups)} frames in {len(set(groups))} groups, test = {test} and "
            f"validation = {validation} leave the {split} split empty; give it a list, or another "
            "share"
        )
    return part


def evenly(length: int, count: int) -> list[int]:
    """``count`` indices (or all), evenly spaced over a data set."""
    places = np.linspace(0, length - 1, min(count, length)).round().astype(int)
    return sorted(set(places.tolist()))
