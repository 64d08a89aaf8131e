"""Splits that stay what they are when files are added: by a hash of what belongs together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from cen.data.readers.aligned import Split, cut_validation
from cen.errors import DataError


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
        if not isinstance(share, int | float) or not 0.0 <= share < 1.0:
            raise DataError(f"{where}: {name} = {share} is no share, 0 <= share < 1")
    # A second group is left for validation where there are enough.
    keep = 2 if validation > 0.0 and len(set(groups)) > 2 else 1
    tested = held_out(groups, test, "test", keep)
    if split == "test":
        part = [index for index, group in enumerate(groups) if group in tested]
    else:
        rest = [index for index, group in enumerate(groups) if group not in tested]
        part = _of_the_rest([groups[index] for index in rest], rest, split, validation, where)
    if not part:
        raise DataError(
            f"{where}: of {len(groups)} frames in {len(set(groups))} groups, test = {test} and "
            f"validation = {validation} leave the {split} split empty; give it a list, or another "
            "share"
        )
    return part


def _of_the_rest(
    groups: Sequence[str],
    rest: Sequence[int],
    split: Literal["train", "validation"],
    share: float,
    where: str,
) -> list[int]:
    """Training or validation, of what is not test."""
    if len(set(groups)) == 1 and share > 0.0 and len(rest) > 1:
        # One building or scene is left: blocks of its frames.
        alone = [str(index) for index in rest]
        return [rest[index] for index in cut_validation(alone, share, split, where)]
    held = held_out(groups, share, "validation")
    return [
        index
        for index, group in zip(rest, groups, strict=True)
        if (group in held) == (split == "validation")
    ]
