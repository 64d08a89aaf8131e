"""Two processes train generator and discriminator as one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.training.adversaries import work

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_gradients_of_both_networks_are_those_of_one_process(tmp_path: Path) -> None:
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
    assert json.loads((tmp_path / "run2" / "run.json").read_text())["step"] == 2
