"""Two processes do what one does: gradients, validation, evaluation."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from tests.training.processes import work
from tests.training.running import rows, train
from tests.training.toy import tensors, toy_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """What one process and two processes found."""
    out = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "-m", "tests.training.processes", str(out), "2"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    result = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    work(out, 1)
    return {n: torch.load(out / f"{n}.pt") | {"run": out / f"run{n}"} for n in (1, 2)}


def test_gradients_are_those_of_one_process(found: dict[int, Any]) -> None:
    one, two = found[1]["gradients"], found[2]["gradients"]
    assert one.keys() == two.keys()
    assert len(one) > 50
    for name, gradient in one.items():
        difference = (gradient - two[name]).norm()
        assert difference <= 1e-5 * gradient.norm() + 1e-12, name


def test_gradients_of_several_outputs_are_those_of_one_process(found: dict[int, Any]) -> None:
    """Depth, normals and edges are balanced by their valid pixels; learned weights, too."""
    for weighting, one in found[1]["several"].items():
        two = found[2]["several"][weighting]
        assert one.keys() == two.keys()
        assert ("weighting.log_variances" in one) == (weighting == "uncertainty")
        for name, gradient in one.items():
            difference = (gradient - two[name]).norm()
            assert difference <= 1e-4 * gradient.norm() + 1e-9, (weighting, name)


def test_gradients_without_a_modality_are_those_of_one_process(found: dict[int, Any]) -> None:
    one, two = found[1]["missing"], found[2]["missing"]
    scales = [g for name, g in one.items() if name.endswith(".weight") and g.ndim == 2]
    assert len(scales) > 10
    present = {tuple(row.any().item() for row in scale) for scale in scales}
    assert present in ({(True, False)}, {(False, True)}), "one of two modalities is left out"
    for name in {**one, **two}:
        # Where one process has no gradient at all, another may have one of zeros.
        a, b = (each.get(name, torch.zeros(())) for each in (one, two))
        assert (a - b).norm() <= 1e-5 * a.norm() + 1e-12, name


def test_gradients_of_pieces_are_those_of_a_whole_batch(found: dict[int, Any]) -> None:
    one, two = (found[n]["pieces"] for n in (1, 2))
    assert one.keys() == two.keys()
    for name, gradient in one.items():
        assert torch.allclose(gradient, two[name], rtol=1e-4, atol=1e-6), name


def test_gradients_of_the_cycle_term_are_those_of_one_process(found: dict[int, Any]) -> None:
    """What is predicted from a prediction is balanced by its valid pixels, too, and by edges."""
    one, two = found[1]["cycle"], found[2]["cycle"]
    assert one.keys() == two.keys()
    assert len(one) > 20
    # The bias of a convolution before a norm has no gradient but rounding.
    largest = max(gradient.norm() for gradient in one.values())
    for name, gradient in one.items():
        difference = (gradient - two[name]).norm()
        assert difference <= 1e-4 * gradient.norm() + 1e-6 * largest, name


def test_each_sample_is_counted_once(found: dict[int, Any]) -> None:
    """Seven samples on two processes: a sampler that pads would count eight."""
    one, two = found[1]["scores"], found[2]["scores"]
    assert sum(two["rgb+depth"]["segmentation"]["ensemble"]["pixels"]) == 7 * 32 * 32
    for subset, entry in one.items():
        for key, values in entry["segmentation"]["streams"].items():
            assert values["pixels"] == two[subset]["segmentation"]["streams"][key]["pixels"]
            iou = two[subset]["segmentation"]["streams"][key]["iou"]
            assert values["iou"] == pytest.approx(iou, abs=1e-3)


def test_validation_and_files_are_those_of_one_process(found: dict[int, Any]) -> None:
    def rows(run: Path) -> list[dict[str, str]]:
        with (run / "metrics.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    one, two = rows(found[1]["run"]), rows(found[2]["run"])
    assert [row["step"] for row in one] == [row["step"] for row in two]
    for first, second in zip(one, two, strict=True):
        for column in first:
            if first[column]:
                assert float(second[column]) == pytest.approx(
                    float(first[column]), rel=0.01, abs=0.01
                )
    weights = (tensors(found[n]["run"] / "last.safetensors") for n in (1, 2))
    for key, (a, b) in zip_dicts(*weights).items():
        assert torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-4), key


def zip_dicts(a: dict[str, Any], b: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    assert a.keys() == b.keys()
    return {key: (a[key], b[key]) for key in a}


def test_a_rank_of_the_cluster_is_not_that_of_a_process_that_trains_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # what Lightning makes of it when imported
    train(toy_config(steps=2), tmp_path / "run")
    assert {row["step"] for row in rows(tmp_path / "run")} == {"2"}
    assert (tmp_path / "run" / "config.yaml").is_file()
