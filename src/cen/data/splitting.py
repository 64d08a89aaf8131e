"""Splits that stay what they are when files are added: by a hash of what belongs together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cen.data.base import Split
from cen.errors import DataError


def hashed_number(group: str, salt: str) -> float:
    """A number in [0, 1) that depends on the two texts alone, not on machine or process."""
    digest = hashlib.sha256(f"{salt}\0{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def held_out(groups: Sequence[str], share: float, salt: str) -> set[str]:
    """The groups that a split holds out.

    A group is held out where its hashed number is below ``share``, so more files change nothing for
    those that were there. Where that holds out no group of several, or all, the one with the
    smallest number is, or the one with the largest is not: a small data set has both sides, too.

    Args:
        groups: names of what must not be torn apart; repeated names count once.
        share: of the groups, 0 <= share < 1.
        salt: tells one split of the same groups from another.
    """
    numbers = {group: hashed_number(group, salt) for group in set(groups)}
    held = {group for group, number in numbers.items() if number < share}
    if share > 0.0 and len(numbers) > 1:
        ordered = sorted(numbers, key=lambda group: (numbers[group], group))
        if not held:
            held = {ordered[0]}
        elif len(held) == len(numbers):
            held = set(ordered[:-1])
    return held


def hashed_split(
    groups: Sequence[str], split: Split, *, validation: float, test: float, where: str
) -> list[int]:
    """Which samples belong to a split, by group and hash.

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
    tested = held_out(groups, test, "test")
    rest = [group for group in groups if group not in tested]
    validated = held_out(rest, validation, "validation")
    held = {
        "test": tested,
        "validation": validated,
        "train": set(rest) - validated,
    }[split]
    part = [index for index, group in enumerate(groups) if group in held]
    if not part:
        raise DataError(
            f"{where}: of {len(groups)} frames in {len(set(groups))} groups, test = {test} and "
            f"validation = {validation} leave the {split} split empty; give it a list, or another "
            "share"
        )
    return part
