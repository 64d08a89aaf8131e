"""Batches in which every class comes up alike, however few samples show it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cen.data import AlignedDataset, StepBatches
from cen.data.sampling import Key, endless
from cen.data.tools.label_facts import counted
from cen.errors import ConfigError
from cen.models import Task

# Keep these random numbers apart from those of the order of samples, transforms and completion.
_CLASSES, _SAMPLES = 3, 4


class BalancedBatches(StepBatches):
    """Like `StepBatches`, but samples are drawn by class: a class, then a sample that shows it.

    This project's choice of a common scheme. Classes come in an endless sequence of permutations,
    and the samples of a class in one of their own, so each class is asked for equally often, and
    the batch of a step depends on (seed, step, rank, world) alone. A sample is read as often as
    its classes ask for it, with other transforms every time; one without any class never.

    Args:
        shown: by sample, the classes that it shows.
        batch_size: samples per step and process.
        stop: the step after the last one.
        **which: start, seed, rank, world: see `StepBatches`.

    Raises:
        ConfigError: no sample shows any class.
    """

    def __init__(
        self, shown: Sequence[Collection[Any]], batch_size: int, stop: int, **which: int
    ) -> None:
        super().__init__(len(shown), batch_size, stop, **which)
        by_class: dict[Any, list[int]] = {}
        for index, classes in enumerate(shown):
            for one in classes:
                by_class.setdefault(one, []).append(index)
        self.having = [by_class[one] for one in sorted(by_class)]
        if not self.having:
            raise ConfigError(
                "train.balance_classes: no training sample shows a class; leave it out"
            )

    def __iter__(self) -> Iterator[list[Key]]:
        """Batches, in order."""
        for step in range(self.start, self.stop):
            first = (step * self.world + self.rank) * self.batch_size
            yield [self._key(position) for position in range(first, first + self.batch_size)]

    def _key(self, position: int) -> Key:
        """The sample at a place of the endless sequence; its number stands for the epoch."""
        number = endless(len(self.having), position, self.seed, _CLASSES)
        having, turn = self.having[number], position // len(self.having)
        return position, having[endless(len(having), turn, self.seed, number, _SAMPLES)]


def classes_shown(dataset: Any, outputs: Mapping[str, Task]) -> list[set[tuple[str, int]]]:
    """By sample, the classes in it, as (output, class); reads every label map once.

    Of an `AlignedDataset` labels alone are read; others give samples by (epoch, index).
    """
    tasks = {name: task for name, task in outputs.items() if task.rules.labels}
    return [_classes_of(dataset, index, tasks) for index in range(len(dataset))]


def _classes_of(dataset: Any, index: int, tasks: Mapping[str, Task]) -> set[tuple[str, int]]:
    if isinstance(dataset, AlignedDataset):
        annotated = [name for name in tasks if name in dataset.annotated(index)]
        labels = {name: dataset.read(name, index, dataset.targets[name]) for name in annotated}
    else:
        sample = dataset[0, index]
        labels = {name: np.asarray(sample[name]) for name in tasks if name in sample}
    return {
        (name, value)
        for name, values in labels.items()
        for value in counted(values)
        if 0 <= value < tasks[name].channels and value != tasks[name].ignore_index
    }
