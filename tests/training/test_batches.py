"""Batches of a run: which samples a step and a process reads."""

from __future__ import annotations

import pytest
import torch
from tests.training.toy import Blocks
from torch.utils.data import DataLoader, Dataset

from cen.data import StepBatches
from cen.errors import ConfigError, DataError
from cen.training.batches import (
    EvaluationBatches,
    StepLoader,
    evaluation_loader,
    group_by_size,
    reading_in_processes,
)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 6, 7, 13])
def test_evaluation_reads_each_sample_once_in_as_many_batches_everywhere(
    length: int, world: int
) -> None:
    shares = [list(EvaluationBatches(length, 2, rank, world)) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    assert [len(s) for s in shares] == [len(EvaluationBatches(length, 2, 0, world))] * world
    indices = [i for share in shares for batch in share for i in batch]
    assert sorted(indices) == list(range(length))


def test_samples_of_different_sizes_are_batched_apart() -> None:
    def sample(height: int, name: str) -> dict[str, object]:
        return {"rgb": torch.full((3, height, 4), float(height)), "name": name}

    groups = group_by_size([sample(4, "a"), sample(5, "b"), sample(4, "c")])
    assert [list(group["name"]) for group in groups] == [["a", "c"], ["b"]]
    assert groups[0]["rgb"].shape == (2, 3, 4, 4)
    assert group_by_size([]) == []


def test_evaluation_loader_pads_with_empty_batches() -> None:
    data = Blocks(3)
    last = list(evaluation_loader(data, 1, rank=1, world=2))
    assert [len(groups) for groups in last] == [1, 0]


def test_step_loader_goes_on_where_it_starts_and_counts_the_whole_run() -> None:
    def names(start: int) -> list[list[str]]:
        batches = StepBatches(5, 2, stop=6, start=start, seed=3)
        loader = StepLoader(Blocks(5), batches, workers=0, pinned=False)
        assert len(loader) == 6
        return [batch["name"] for batch in loader]

    assert names(2) == names(0)[2:]


def test_resuming_with_other_data_is_refused() -> None:
    def loader(length: int) -> StepLoader:
        return StepLoader(Blocks(length), StepBatches(length, 2, stop=6), workers=0, pinned=False)

    loader(5).load_state_dict(loader(5).state_dict())
    with pytest.raises(ConfigError, match="5 training samples, now there are 6"):
        loader(6).load_state_dict(loader(5).state_dict())


class Damaged(Dataset[int]):
    """A data set none of whose samples can be read."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        try:
            return int("x")
        except ValueError as error:
            raise DataError("list.txt, line 1: a.png: is cut short\n(300 bytes)") from error


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_a_worker_cannot_read_is_told_without_a_traceback(workers: int) -> None:
    with pytest.raises(DataError) as told, reading_in_processes():
        list(DataLoader(Damaged(), num_workers=workers))
    assert str(told.value) == "list.txt, line 1: a.png: is cut short\n(300 bytes)"
