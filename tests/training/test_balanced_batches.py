"""Class-balanced sampling."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from tests.training.running import killed, train
from tests.training.toy import TASKS, Blocks, same, tensors, toy_config

from cen.config import Config
from cen.errors import ConfigError
from cen.training.balanced_batches import BalancedBatches, classes_shown


def test_classes_come_up_alike_however_rare_and_by_step_alone() -> None:
    shown = [{"common"}] * 18 + [{"rare", "common"}, {"rare"}, set()]
    keys = [key for batch in BalancedBatches(shown, 4, 40) for key in batch]
    by_index = Counter(index for _, index in keys)
    assert 60 <= by_index[18] + by_index[19] <= 100  # 80 of rare, and sometimes as a common one
    assert set(by_index) == set(range(20))
    assert len({epoch for epoch, _ in keys}) == len(keys), "transforms of a sample are repeated"
    later = [key for batch in BalancedBatches(shown, 4, 40, start=25) for key in batch]
    assert later == keys[100:]
    halves = [list(BalancedBatches(shown, 2, 40, rank=rank, world=2)) for rank in (0, 1)]
    together = [key for pair in zip(*halves, strict=True) for half in pair for key in half]
    assert together == keys
    with pytest.raises(ConfigError, match="no training sample shows a class"):
        BalancedBatches([set()], 4, 1)


def test_ignored_labels_are_no_class() -> None:
    class Labels(Blocks):
        def __getitem__(self, key: int | tuple[int, int]) -> dict[str, torch.Tensor]:
            return {"segmentation": torch.tensor([[2, 2], [255, 0]])}

    found = classes_shown(Labels(1), {"segmentation": TASKS["segmentation"]})
    assert found == [{("segmentation", 0), ("segmentation", 2)}]


def test_a_balanced_run_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    config = toy_config(balance_classes=True, steps=6, checkpoint_every=2)
    train(config, tmp_path / "whole")
    killed(config, tmp_path / "parts", 4)
    train(config, tmp_path / "parts", resume=True)
    assert same(*(tensors(tmp_path / d / "last.safetensors") for d in ("whole", "parts")))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"train": {"balance_classes": True, "every_output": True}}, "leave one of them out"),
        (
            {
                "train": {"balance_classes": True},
                "model": {"outputs": {"depth": {"kind": "depth"}}, "inputs": {"rgb": 3}},
            },
            "needs an output of kind segmentation",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Config.from_dict(values)
