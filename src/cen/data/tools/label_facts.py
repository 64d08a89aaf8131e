"""What labels hold as a whole: classes without a pixel, numbers that count for nothing, blur."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cen.errors import DataError

if TYPE_CHECKING:
    from cen.data.readers.aligned import AlignedDataset

# A share of ignored pixels that is worth asking for, where nobody has said that they are.
_MUCH = 0.1
# Of the outlines of masks that were never blended, hardly any lies between its two sides.
_BLURRED, _FEW_OUTLINES = 0.15, 100
_SECONDS = 5.0
_LEAST_MAPS = 64
_NAMED = 5


def doubts(
    dataset: AlignedDataset, field: str, training: Mapping[int, int], where: str
) -> Iterator[str]:
    """What is probably wrong with a label field, judged by the pixels of a training split."""
    total = sum(training.values())
    classes, ignored = dataset.labels[field].names, dataset.ignore_index
    if not total or not classes:
        return
    absent = [n for n, _ in enumerate(classes) if not training.get(n) and n != ignored]
    share = training.get(ignored, 0) / total
    ignored_share = f"{ignored} covers {100 * share:.1f} % of the pixels and counts as no label"
    example = f"values: {{0: {classes[0]}, {ignored}: {classes[absent[0] if absent else -1]}}}"
    advice = f"say what every number means by {example} in dataset.yaml (layout folder)"
    if absent:
        some = ", ".join(f"{classes[number]} ({number})" for number in absent[:_NAMED])
        more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        what = "class" if len(absent) == 1 else "classes"
        from_one = dataset.own_classes and absent == [0] and len(classes) > 1
        yield (
            f"{field}: {what} {some}{more} without a pixel in {where}: nothing is learnt of it, "
            "and no score says so"
            + (f"; {ignored_share}: if it is a class, {advice}; else" if share else ";")
            + " correct the labels, or take it out of the classes"
            + ("; where labels are counted from 1, say first: 1 in dataset.yaml" * from_one)
        )
    elif field in dataset.undeclared and share > _MUCH:
        yield (
            f"{field}: {ignored_share}, which nobody has said: write ignore: {ignored} in "
            f"dataset.yaml; or, if it is a class, {advice}"
        )


def stored_ignored(dataset: AlignedDataset, field: str, index: int) -> int:
    """Pixels of a label map that hold ``ignore_index`` though `half_declared` does not name it."""
    # Read as if nothing else were ignored.
    alone = replace(dataset.targets[field], ignore=(dataset.ignore_index,))
    return int((dataset.read(field, index, alone) == dataset.ignore_index).sum())


def half_declared_doubt(
    dataset: AlignedDataset, field: str, stored: int, total: int, where: str
) -> str | None:
    """What is said of pixels that `stored_ignored` counts; None where there are none."""
    if not stored:
        return None
    ignored = dataset.ignore_index
    named = [n for n in dataset.targets[field].ignore if n != ignored]
    return (
        f"{field}: {stored} pixels ({100 * stored / max(1, total):.2g} %) in {where} are stored as "
        f"{ignored}, which ignore: {named} does not name; they count as no label, too. If that is "
        f"meant write ignore: {[*named, ignored]} in dataset.yaml; if {ignored} is a class, say "
        "what every number means by values"
    )


def label_doubts(dataset: AlignedDataset, seconds: float = _SECONDS) -> Iterator[str]:
    """What is probably wrong with the labels of a training split, by some of them.

    Label maps from all over the split are read until every class was seen and some more, or for
    some seconds; the text says how many. Of data whose classes nobody declared, as those of
    published sets, only some may occur, so nothing is said.

    Args:
        dataset: a training split.
        seconds: how long to look, over all label fields.
    """
    fields = [name for name in dataset.targets if name in dataset.labels]
    until = time.monotonic() + seconds
    for name in fields if dataset.own_classes else []:
        training, stored, looked = _look(dataset, name, until)
        where = "the training split"
        if looked < len(dataset):
            where = f"the {looked} of {len(dataset)} training samples that were looked at"
        yield from doubts(dataset, name, training, where)
        if doubt := half_declared_doubt(dataset, name, stored, training.total(), where):
            yield doubt


def _look(dataset: AlignedDataset, field: str, until: float) -> tuple[Counter[int], int, int]:
    """Pixels by value of some label maps, `stored_ignored` ones, and how many maps it were."""
    training: Counter[int] = Counter()
    stored = 0
    # Steps of about the golden ratio: however early it ends, all parts of the split were seen.
    count, classes = len(dataset), len(dataset.labels[field].names)
    step = next(s for s in range(max(1, round(0.618034 * count)), 2 * count) if gcd(s, count) == 1)
    for looked in range(count):
        index = looked * step % count
        done = looked >= _LEAST_MAPS and set(range(classes)) <= training.keys()
        if done or (looked and time.monotonic() > until):
            return training, stored, looked
        if field not in dataset.annotated(index):
            continue
        try:
            value = dataset.read(field, index, dataset.targets[field])
        except DataError:  # training itself says what is wrong with it
            continue
        training.update(counted(value))
        stored += stored_ignored(dataset, field, index) if field in dataset.half_declared else 0
    return training, stored, count


def counted(labels: NDArray[Any]) -> dict[int, int]:
    """Pixels by value."""
    if labels.size and labels.min() >= 0 and labels.max() < 2**16:  # some ten times as fast
        pixels = np.bincount(labels.reshape(-1))
        return {int(value): int(pixels[value]) for value in np.flatnonzero(pixels)}
    values, counts = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def outlines(labels: NDArray[Any], ignore_index: int) -> tuple[int, int, int]:
    """How the outlines of classes look along the rows of a label map.

    Returns:
        Pixels with different classes left and right; those of them whose own lies strictly
        between, as in outlines that were blended; and pixels that stick out on both sides, as in
        noise.
    """
    wide = labels.astype(np.int64)
    left, here, right = wide[:, :-2], wide[:, 1:-1], wide[:, 2:]
    labelled = (left != ignore_index) & (here != ignore_index) & (right != ignore_index)
    before, after = np.sign(here - left), np.sign(right - here)
    different = labelled & (left != right)
    between = labelled & (before * after > 0)
    spikes = labelled & (before * after < 0)
    return int(different.sum()), int(between.sum()), int(spikes.sum())


def blurred(different: int, between: int, spikes: int) -> bool:
    """Whether `outlines`, summed over many maps, look blended."""
    if different < _FEW_OUTLINES or 2 * spikes > between:
        return False
    return between > _BLURRED * different
