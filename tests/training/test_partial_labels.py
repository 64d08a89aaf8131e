"""Ground truth that samples lack: filled in, and batches that hold every output."""

from __future__ import annotations

import pytest
import torch
from tests.training.toy import TASKS, Scenes

from cen.errors import ConfigError, DataError
from cen.training import CompleteBatches, fill_in
from cen.training.batches import collate, group_by_size


def test_missing_ground_truth_is_filled_in() -> None:
    data = Scenes(12, partial=True)
    batch = collate([data[i] for i in range(4)], TASKS)
    assert batch["distance"].shape == (4, 1, 32, 32)
    assert batch["distance"][0].isnan().all()
    assert not batch["distance"][1].isnan().all()
    assert batch["normal"][1].isnan().all()
    without_labels = {k: v for k, v in data[2].items() if k != "segmentation"}
    filled = fill_in(without_labels, TASKS)
    assert torch.equal(filled["segmentation"], torch.full((32, 32), 255))
    assert len(group_by_size([data[i] for i in range(4)], TASKS)) == 1


def test_a_sample_without_any_label_is_refused() -> None:
    sample = {k: v for k, v in Scenes(1)[0].items() if k not in TASKS}
    with pytest.raises(DataError, match=r"sample 0: has no ground truth for any of segmentation"):
        fill_in(sample, TASKS)


def test_complete_batches_hold_every_output() -> None:
    """Few samples have one of the outputs; it is in every step, the same on all processes."""
    annotated = [("a", "b") if i % 9 == 4 else ("a",) if i % 2 else ("c",) for i in range(40)]

    def batches(rank: int, start: int = 0) -> list[list[tuple[int, int]]]:
        options = {"stop": 60, "start": start, "seed": 3, "rank": rank, "world": 2}
        return list(CompleteBatches(annotated, ("a", "b", "c"), 2, **options))

    first, second = batches(0), batches(1)
    replaced = set()
    for left, right in zip(first, second, strict=True):
        step = [index for _, index in (*left, *right)]
        assert {name for index in step for name in annotated[index]} == {"a", "b", "c"}
        replaced |= {index for index in step if "b" in annotated[index]}
    assert replaced == {4, 13, 22, 31}, "all samples that have it take their turn"
    assert batches(0, start=25) == first[25:]
    assert batches(1, start=25) == second[25:]


def test_outputs_that_no_sample_has_are_refused() -> None:
    with pytest.raises(DataError, match="'b'"):
        CompleteBatches([("a",)] * 4, ("a", "b"), 2, 1)
    with pytest.raises(ConfigError, match="batch_size"):
        CompleteBatches([("a", "b")] * 4, ("a", "b"), 1, 1)
