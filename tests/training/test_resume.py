"""Checkpoints that a run cannot go on from."""

import os

import pytest
import torch

from cen.errors import CheckpointError
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
