"""The batches of a run: training steps by number, evaluation in groups of one size."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import ceil
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from cen.data import EvaluationShard, StepBatches
from cen.errors import CenError, ConfigError, DataError
from cen.models import Task
from cen.signals import end_helpers, leave_signals_to_parent
from cen.training.balanced_batches import BalancedBatches, classes_shown
from cen.training.partial_labels import CompleteBatches, fill_in, known_targets

Sample = dict[str, Any]


class StepLoader(DataLoader[Any]):
    """The training batches of a whole run, which Lightning sees as one epoch.

    It starts at the step that the run has reached, and its length is that of the whole run, as
    Lightning counts on. The two methods below tell Lightning that it can be resumed; what they
    carry is only checked, because the batch of a step is known from its number.

    Args:
        dataset: takes (epoch, index) keys.
        batches: which keys each step reads.
        workers: processes that read.
        pinned: page-locked memory, for faster copies to a GPU.
        outputs: the tasks; targets that a sample lacks are filled in, see :func:`fill_in`.
        whole: no sample may lack any.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batches: StepBatches,
        *,
        workers: int,
        pinned: bool,
        outputs: Mapping[str, Task] | None = None,
        whole: bool = False,
    ) -> None:
        self.steps = batches.stop
        super().__init__(
            dataset,
            batch_sampler=batches,
            collate_fn=partial(collate, outputs=outputs or {}, whole=whole),
            num_workers=workers,
            pin_memory=pinned,
            persistent_workers=workers > 0,
            worker_init_fn=_worker_signals,
        )

    def __len__(self) -> int:
        """Steps of the whole run, also when it is resumed."""
        return self.steps

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must agree on."""
        return {"steps": self.steps, "samples": _length(self.dataset)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Checks that the run goes on with the data it began with.

        Raises:
            ConfigError: the data set has another number of samples now.
        """
        if state_dict["samples"] != _length(self.dataset):
            raise ConfigError(
                f"the run was started with {state_dict['samples']} training samples, now there are"
                f" {_length(self.dataset)}; it cannot be resumed exactly. Restore the data, or"
                " start a new run"
            )


class EvaluationBatches(Sampler[list[int]]):
    """Batches for evaluation: each sample on exactly one process, as many batches on each.

    Processes with less to do end with empty batches: some steps of distributed training wait for
    every process, and repeating samples to even them out would count these twice.

    Args:
        length: samples of the data set.
        batch_size: samples per batch and process.
        rank: which process this is.
        world: of how many.
    """

    def __init__(self, length: int, batch_size: int, rank: int = 0, world: int = 1) -> None:
        self.indices = list(EvaluationShard(length, rank, world))
        self.batch_size = batch_size
        largest_share = ceil(length / world)
        self.count = ceil(largest_share / batch_size)

    def __len__(self) -> int:
        """Number of batches, the same on every process."""
        return self.count

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of indices, in order."""
        for k in range(self.count):
            yield self.indices[k * self.batch_size : (k + 1) * self.batch_size]


def collate(
    samples: Sequence[Sample], outputs: Mapping[str, Task], *, whole: bool = False
) -> dict[str, Any]:
    """Makes a batch of samples of one size, whose targets are filled in where they are missing.

    With ``whole`` a missing target is an error, see :func:`fill_in`. What else only some of the
    samples have is left out.
    """
    filled = [fill_in(sample, outputs, whole=whole) for sample in samples]
    common = [key for key in filled[0] if all(key in sample for sample in filled)]
    batch: dict[str, Any] = default_collate([{k: sample[k] for k in common} for sample in filled])
    return batch


def group_by_size(
    samples: Sequence[Sample], outputs: Mapping[str, Task] | None = None, *, whole: bool = False
) -> list[dict[str, Any]]:
    """Collates samples into one batch per combination of shapes, so that sizes may differ.

    Args:
        samples: dicts of tensors (and names).
        outputs: the tasks; targets that a sample lacks are filled in, see :func:`fill_in`.
        whole: no sample may lack any.

    Returns:
        Batches, in the order in which their shapes first occur; none for no samples.
    """
    groups: dict[Any, list[Sample]] = {}
    for sample in (fill_in(sample, outputs or {}, whole=whole) for sample in samples):
        shapes = sorted((k, tuple(v.shape)) for k, v in sample.items() if hasattr(v, "shape"))
        groups.setdefault(tuple(shapes), []).append(sample)
    return [default_collate(group) for group in groups.values()]


def evaluation_loader(
    dataset: Dataset[Any],
    batch_size: int,
    *,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    outputs: Mapping[str, Task] | None = None,
    whole: bool = False,
) -> DataLoader[Any]:
    """A loader that gives lists of batches, see :func:`group_by_size`."""
    return DataLoader(
        dataset,
        batch_sampler=EvaluationBatches(_length(dataset), batch_size, rank, world),
        collate_fn=partial(group_by_size, outputs=outputs or {}, whole=whole),
        num_workers=workers,
        worker_init_fn=_worker_signals,
    )


class FusionData(LightningDataModule):
    """Batches for training, and of data that are scored.

    Args:
        train: training data; takes (epoch, index) keys. None where nothing is trained.
        validation: data that are scored, in validation or a test; None for none.
        batch_size: samples per step over all processes together.
        scored: samples of a batch that is scored, per process; None: ``batch_size``.
        steps: length of the run.
        seed: seed of the order of the samples.
        workers: processes that read, per process that trains.
        outputs: the tasks; targets that a sample lacks are filled in, see :func:`fill_in`.
        every_output: no batch lacks an output altogether, see :class:`CompleteBatches`.
        balanced: classes come up alike, see :class:`BalancedBatches`.
        whole: no sample may lack an output, as in cycle fusion.

    Raises:
        ConfigError: the batch cannot be dealt out evenly to the processes (when training starts).
    """

    def __init__(
        self,
        train: Dataset[Any] | None,
        validation: Dataset[Any] | None,
        *,
        batch_size: int,
        scored: int | None = None,
        steps: int = 0,
        seed: int = 0,
        workers: int = 0,
        outputs: Mapping[str, Task] | None = None,
        every_output: bool = False,
        balanced: bool = False,
        whole: bool = False,
    ) -> None:
        super().__init__()
        self.train, self.validation = train, validation
        self.batch_size, self.steps = batch_size, steps
        self.scored = batch_size if scored is None else scored
        self.seed, self.workers = seed, workers
        self.outputs, self.every_output = dict(outputs or {}), every_output
        self.balanced, self.whole = balanced, whole

    def train_dataloader(self) -> StepLoader:
        """Batches from the step that the run has reached to the last one."""
        trainer = self.trainer
        assert trainer is not None
        assert self.train is not None
        if self.batch_size % trainer.world_size:
            raise ConfigError(
                f"train.batch_size {self.batch_size} cannot be dealt out evenly to"
                f" {trainer.world_size} devices; make it a multiple of them"
            )
        annotated = known_targets(self.train, self.outputs)
        known_targets(self.validation)  # now, and not at the first validation
        share = self.batch_size // trainer.world_size
        which: dict[str, int] = {
            "stop": self.steps,
            "start": trainer.global_step,
            "seed": self.seed,
            "rank": trainer.global_rank,
            "world": trainer.world_size,
        }
        if self.every_output and annotated is not None:
            batches: StepBatches = CompleteBatches(annotated, tuple(self.outputs), share, **which)
        elif self.balanced:
            batches = BalancedBatches(classes_shown(self.train, self.outputs), share, **which)
        else:
            batches = StepBatches(_length(self.train), share, **which)
        return StepLoader(
            self.train,
            batches,
            workers=self.workers,
            pinned=torch.cuda.is_available(),
            outputs=self.outputs,
            whole=self.whole,
        )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Validation batches, dealt out to the processes; nothing where there is no such split."""
        if self.validation is None:
            return []
        trainer = self.trainer
        assert trainer is not None
        return evaluation_loader(
            self.validation,
            self.scored,
            workers=self.workers,
            rank=trainer.global_rank,
            world=trainer.world_size,
            outputs=self.outputs,
            whole=self.whole,
        )

    test_dataloader = val_dataloader


def _worker_signals(worker: int) -> None:
    """Signals may reach all processes of a group; the one that trains decides when to stop."""
    leave_signals_to_parent()


@contextmanager
def reading_in_processes() -> Iterator[None]:
    """Tells of a process of a loader that was killed, and what is wrong with a sample it read."""
    atexit.register(end_helpers)  # before Python's own, which was registered earlier
    try:
        yield
    except CenError as error:
        if (own := _own_words(error)) is None:
            raise
        raise own from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            "a process that read samples was killed, perhaps for want of memory (a container's "
            "shared memory counts, too); use fewer of them (data.workers) or a smaller "
            "train.batch_size"
        ) from error


def _own_words(error: CenError) -> CenError | None:
    """An error of a process of a loader as it was there; PyTorch puts its traceback in front."""
    kind = type(error)
    traceback, separator, message = str(error).rpartition(
        f"\n{kind.__module__}.{kind.__qualname__}: "
    )
    return kind(message.rstrip("\n")) if separator and "Original Traceback" in traceback else None


def _length(dataset: Dataset[Any]) -> int:
    return len(dataset)  # type: ignore[arg-type]
