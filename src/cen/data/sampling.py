"""Which samples a step or a process reads: by arithmetic alone, so nothing need be remembered."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

# What a random generator is for; keeps the streams of random numbers of one seed apart.
_ORDER, _SAMPLE = 0, 1

Key = tuple[int, int]


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator for the random transforms of one sample in one epoch.

    It depends on neither the worker that reads the sample nor on what was read before.
    """
    return np.random.default_rng([seed, epoch, index, _SAMPLE])


def split_key(key: int | Key) -> Key:
    """(epoch, index) of a data set key; a bare index is of epoch 0."""
    return (int(key[0]), int(key[1])) if isinstance(key, tuple) else (0, int(key))


class StepBatches(Sampler[list[Key]]):
    """The batches of training steps ``start`` to ``stop``, as lists of (epoch, index) keys.

    The permutations of all epochs, each keyed by (seed, epoch), form one endless sequence. Step k
    of the run takes its k-th piece of ``world * batch_size`` keys, and each process its share of
    the piece. So the batch of a step depends on (seed, k, rank, world) alone, which makes a run
    resumable at any step; every sample of an epoch is read exactly once over all steps and
    processes; and an epoch that does not fill its last batch is continued by the next.

    Use it as ``DataLoader(dataset, batch_sampler=StepBatches(...))``; with Lightning, switch off
    its own sampler (``use_distributed_sampler=False``).

    Args:
        length: samples in the data set.
        batch_size: samples per step and process.
        stop: the step after the last one.
        start: the first step: the number of steps that are already done.
        seed: of the permutations, >= 0.
        rank, world: which of how many processes this is.

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        stop: int,
        start: int = 0,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if length < 1 or batch_size < 1:
            raise ValueError(f"cannot draw batches of {batch_size} from {length} samples")
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not one of {world} processes")
        if min(start, stop, seed) < 0:
            raise ValueError("start, stop and seed must not be negative")
        self.length, self.batch_size = length, batch_size
        self.start, self.stop, self.seed = start, stop, seed
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        """Number of batches from ``start`` to ``stop``."""
        return max(0, self.stop - self.start)

    def __iter__(self) -> Iterator[list[Key]]:
        """Batches, in order."""
        epoch, order = -1, np.empty(0, dtype=np.int64)
        for step in range(self.start, self.stop):
            first = (step * self.world + self.rank) * self.batch_size
            batch: list[Key] = []
            for position in range(first, first + self.batch_size):
                if position // self.length != epoch:
                    epoch = position // self.length
                    order = permutation(self.length, self.seed, epoch, _ORDER)
                batch.append((epoch, int(order[position % self.length])))
            yield batch


def permutation(length: int, *seeds: int) -> NDArray[np.int64]:
    """An order of ``length`` things that the seeds decide."""
    return np.random.default_rng(seeds).permutation(length)


def endless(length: int, position: int, seed: int, *salt: int) -> int:
    """Which of ``length`` things stands at a place of an endless sequence of their permutations."""
    turn, place = divmod(position, length)
    return int(permutation(length, seed, turn, *salt)[place])


class EvaluationShard(Sampler[int]):
    """Every ``world``-th sample, for evaluation: each sample is read by exactly one process.

    The shares of two processes may differ by one sample. Samples are never repeated to even them
    out, which would count some of them twice.

    Raises:
        ValueError: the rank is not one of the processes.
    """

    def __init__(self, length: int, rank: int = 0, world: int = 1) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not one of {world} processes")
        self.indices = range(rank, length, world)

    def __len__(self) -> int:
        """Number of samples of this process."""
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        """Indices, in order."""
        return iter(self.indices)
