"""Partly annotated data: batches in which no output is without ground truth, and filling in.

This project's extension. A target that a sample lacks is filled in with what losses and metrics
pass over: NaN, or the ignored label. The losses are masked, so such a sample still teaches the
outputs that it has ground truth for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from cen.data import StepBatches
from cen.data.sampling import Key, endless
from cen.errors import ConfigError, DataError
from cen.models import Task

# Keeps these random numbers apart from those of the order of the samples and of their transforms.
_EXTRA = 2


class CompleteBatches(StepBatches):
    """Like `StepBatches`, but every step has ground truth for every output.

    Where the batch of a step (over all processes) lacks an output, one of its samples gives way to
    one that has it: the next of an endless sequence of permutations of such samples. So the batch
    of a step still depends on (seed, step, rank, world) alone, but some samples are read more than
    once in an epoch and some not at all.

    Args:
        annotated: by sample, the outputs that it has ground truth for.
        outputs: the outputs.
        batch_size: samples per step and process.
        stop, start, seed, rank, world: see `StepBatches`.

    Raises:
        DataError: no sample has ground truth for an output.
        ConfigError: a batch is too small to have one sample for each output.
    """

    def __init__(
        self,
        annotated: Sequence[Collection[str]],
        outputs: Sequence[str],
        batch_size: int,
        stop: int,
        start: int = 0,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(len(annotated), batch_size, stop, start, seed, rank, world)
        self.annotated = [frozenset(names).intersection(outputs) for names in annotated]
        self.having: dict[str, list[int]] = {
            name: [i for i, names in enumerate(self.annotated) if name in names] for name in outputs
        }
        for name, samples in self.having.items():
            if not samples:
                raise DataError(
                    f"no training sample has ground truth for the output {name!r}; give some, or"
                    " leave it out of model.outputs"
                )
        if batch_size * world < len(outputs):
            raise ConfigError(
                f"train.every_output: a batch of {batch_size * world} cannot have a sample for each"
                f" of {len(outputs)} outputs; raise train.batch_size"
            )

    def __iter__(self) -> Iterator[list[Key]]:
        """Batches, in order."""
        shares = [
            StepBatches.__iter__(self._of(rank)) for rank in range(self.world)
        ]  # the whole step, which all processes complete alike
        for step in range(self.start, self.stop):
            batch = [key for share in shares for key in next(share)]
            for number, name in enumerate(self.having):
                self._complete(batch, name, number, step)
            first = self.rank * self.batch_size
            yield batch[first : first + self.batch_size]

    def _of(self, rank: int) -> StepBatches:
        return StepBatches(
            self.length, self.batch_size, self.stop, self.start, self.seed, rank, self.world
        )

    def _complete(self, batch: list[Key], name: str, number: int, step: int) -> None:
        if any(name in self.annotated[index] for _, index in batch):
            return
        carriers = Counter(output for _, index in batch for output in self.annotated[index])
        # The last one that no other output depends on; a batch has more samples than outputs that
        # are carried by one alone.
        place = next(
            position
            for position in reversed(range(len(batch)))
            if all(carriers[output] > 1 for output in self.annotated[batch[position][1]])
        )
        having = self.having[name]
        which = endless(len(having), step, self.seed, number, _EXTRA)
        batch[place] = (batch[place][0], having[which])


def known_targets(dataset: Any, outputs: Collection[str] = ()) -> list[Collection[str]] | None:
    """By sample, the targets that a data set has ground truth for; None where it has them all."""
    if not getattr(dataset, "partial", False):
        return None
    annotated: list[Collection[str]] = [dataset.annotated(index) for index in range(len(dataset))]
    for index, names in enumerate(annotated):
        if not names:
            raise DataError(
                f"{dataset.place(index)}: has no ground truth for any of"
                f" {', '.join(dataset.targets)}; take it out of the list"
            )
    carried = frozenset().union(*annotated)
    if absent := [name for name in outputs if name not in carried]:
        raise DataError(
            f"no sample has ground truth for {', '.join(absent)}; leave it out of the outputs, or"
            " add some"
        )
    return annotated


def fill_in(
    sample: Mapping[str, Any], outputs: Mapping[str, Task], *, whole: bool = False
) -> dict[str, Any]:
    """A sample with every target: those that it lacks are all ignored, or NaN.

    Args:
        sample: tensors by name.
        outputs: the tasks by output name.
        whole: the targets are inputs, too (cycle fusion), where a filled one would be taken for a
            picture of nothing; then none may be lacking.

    Raises:
        DataError: the sample has no target at all, or lacks one with ``whole``.
    """
    lacking = [name for name in outputs if name not in sample]
    if not lacking:
        return dict(sample)
    if whole:
        raise DataError(
            f"sample {sample.get('name', '')}: has no {', '.join(lacking)}; it has"
            f" {', '.join(sample)}. In cycle fusion every modality is an input and a target of"
            " every sample, so give it, or leave it out of the network"
        )
    if len(lacking) == len(outputs):
        raise DataError(
            f"sample {sample.get('name', '')}: has no ground truth for any of {', '.join(outputs)};"
            f" it has {', '.join(sample)}"
        )
    pictures = (v for v in sample.values() if isinstance(v, Tensor) and v.ndim == 3)
    size = next(pictures).shape[-2:]
    filled = dict(sample)
    for name in lacking:
        filled[name] = outputs[name].rules.missing(size)
    return filled
