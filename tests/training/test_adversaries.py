"""Two processes train generator and discriminator as one does, and go on with both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.adversaries import work
from tests.training.toy import same

ROOT = Path(__file__).parents[2]


def content(run: Path) -> Any:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.slow
def test_gradients_of_both_networks_are_those_of_one_process_and_both_resume(
    tmp_path: Path,
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    result = subprocess.run(
        [sys.executable, "-m", "tests.training.adversaries", str(tmp_path), "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env=environment | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    work(tmp_path, 1)
    one, two = (torch.load(tmp_path / f"{n}.pt") for n in (1, 2))
    for generator in (True, False):
        assert one[generator].keys() == two[generator].keys()
        for name, gradient in one[generator].items():
            difference = (gradient - two[generator][name]).norm()
            # Biases before a norm have no gradient but rounding.
            assert difference <= 1e-3 * gradient.norm() + 1e-5, name
    whole, parts = content(tmp_path / "whole"), content(tmp_path / "parts")
    assert whole["global_step"] == parts["global_step"] == 4
    assert any(key.startswith("discriminators") for key in whole["state_dict"])
    assert same(whole["state_dict"], parts["state_dict"])
    for first, second in zip(whole["optimizer_states"], parts["optimizer_states"], strict=True):
        assert all(same(values, second["state"][key]) for key, values in first["state"].items())
    assert len(whole["optimizer_states"]) == 2
    assert json.loads((tmp_path / "run2" / "run.json").read_text())["step"] == 2
