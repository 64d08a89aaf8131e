"""Runs that torchrun starts give what one process gives, whether weights are dealt out or not."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.processes import side_by_side
from tests.training.launched import RUNS, STEPS, work
from tests.training.toy import UNET, tensors, toy_config, toy_network
from torch import distributed
from torch.distributed.tensor import DTensor

from cen.exchange import exchange_layers
from cen.training.weight_sharding import clip, deal_out, whole_state

ROOT = Path(__file__).parents[2]


def torchrun(*words: str, count: int = 2) -> subprocess.CompletedProcess[str]:
    """Runs a command in several processes of this machine."""
    how = ["--nnodes", "1", "--nproc_per_node", str(count), "--rdzv_backend", "c10d"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *how, "--rdzv_endpoint", "localhost:0",
         *words],
        cwd=ROOT, capture_output=True, text=True, timeout=400, check=False,
        env=environment | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def files(run: Path) -> set[str]:
    found = (path.relative_to(run) for path in run.rglob("*") if path.is_file())
    return {str(path) for path in found if "tfevents" not in path.name}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of one process, which takes the pieces of both."""
    out = tmp_path_factory.mktemp("alone")
    work(out)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_of_torchrun_give_the_run_of_one(
    alone: Path, tmp_path: Path, strategy: str
) -> None:
    ended = torchrun("-m", "tests.training.launched", str(tmp_path), strategy)
    assert ended.returncode == 0, ended.stderr[-3000:]
    for name in (*RUNS, "resumed"):
        one, two = alone / name, tmp_path / name
        assert files(one) == files(two)
        for file in ("best.safetensors", "last.safetensors"):
            expected, found = tensors(one / file), tensors(two / file)
            assert expected.keys() == found.keys()
            for key, value in expected.items():
                torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-5, msg=key)
        for first, second in zip(rows(one), rows(two), strict=True):
            for column, value in first.items():
                if value:
                    # A pixel of some thousands may be another class by rounding.
                    least = 5e-4 if column.startswith("val/") else 1e-5
                    assert float(second[column]) == pytest.approx(float(value), rel=1e-3, abs=least)
        # A single process can go on with it: a checkpoint says nothing of how it was trained.
        kept, theirs = (
            torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (one, two)
        )
        assert theirs["global_step"] == STEPS
        assert kept["state_dict"].keys() == theirs["state_dict"].keys()
        states = kept["optimizer_states"][0], theirs["optimizer_states"][0]
        assert states[0]["state"].keys() == states[1]["state"].keys()
        for number, entry in states[0]["state"].items():
            for key, value in entry.items():
                other = states[1]["state"][number][key]
                assert type(other) is type(value)
                torch.testing.assert_close(other, value, rtol=1e-3, atol=1e-5)


def _dealt(rank: int, folder: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    net = toy_network(toy_config(UNET))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    deal_out(net, "cpu")
    shards = [p for p in net.parameters() if isinstance(p, DTensor)]
    assert sum(p.numel() for p in shards) > 0.9 * sum(p.numel() for p in net.parameters())
    for layer in exchange_layers(net).values():
        assert not isinstance(layer.weight, DTensor), "every process knows all scales"
    after = whole_state(net)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    parameters = list(net.parameters())
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    clip(parameters, 1.0)
    count = sum(p.numel() for p in parameters)
    for parameter in parameters:
        found = parameter.grad.full_tensor() if isinstance(parameter, DTensor) else parameter.grad
        torch.testing.assert_close(found, torch.full_like(found, count**-0.5))
    distributed.destroy_process_group()


def test_weights_are_dealt_out_and_put_together_and_scales_stay(tmp_path: Path) -> None:
    side_by_side(_dealt, str(tmp_path))
