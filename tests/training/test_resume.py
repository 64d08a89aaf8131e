"""Checkpoints that a run cannot go on from, and runs that are made longer."""

import os
from dataclasses import replace

import pytest
import torch
from tests.training.running import rows, train
from tests.training.toy import same, tensors, toy_config

from cen.config import Config
from cen.errors import CheckpointError, ConfigError
from cen.training.resume import LAST, read_checkpoint


class Payload:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize("content", [b"", b"PK\3\4" + b"\0" * 90, {"a": Payload()}, {"a": 1}, [1]])
def test_a_foreign_checkpoint_points_to_the_best_network(tmp_path, content):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "best.safetensors").touch()
    if isinstance(content, bytes):
        (tmp_path / LAST).write_bytes(content)
    else:
        torch.save(content, tmp_path / LAST)
    with pytest.raises(
        CheckpointError, match=r"last\.ckpt cannot be .*best\.safetensors"
    ) as caught:
        read_checkpoint(tmp_path)
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_finished_run_goes_on_with_more_steps_as_one_that_was_that_long(tmp_path):
    long = toy_config(steps=9, schedule="constant", validate_every=4)
    train(replace_train(long, steps=5), tmp_path / "parts")
    rest = train(long, tmp_path / "parts", resume=True)
    assert [step for step, _ in rest.seen] == [5, 6, 7, 8]
    train(long, tmp_path / "whole")
    first, second = (tensors(tmp_path / d / "last.safetensors") for d in ("whole", "parts"))
    assert same(first, second)
    validated = [
        int(r["step"]) for r in rows(tmp_path / "parts") if r["val/segmentation/ensemble/mean_iou"]
    ]
    assert validated == [4, 5, 8, 9]
    assert Config.load(tmp_path / "parts" / "config.yaml").train.steps == 9
    with pytest.raises(ConfigError, match=r"train.steps: 7.*has done 9; give more"):
        train(replace_train(long, steps=7), tmp_path / "parts", resume=True)


def replace_train(config, **train):
    return replace(config, train=replace(config.train, **train))
