"""What watches a run: losses that are no numbers, and exchange that goes astray."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from tests.training.running import At, spoil_loss, spoil_weights, train
from tests.training.toy import Blocks, toy_config, toy_network

import cen
from cen.config import Config
from cen.errors import TrainingError
from cen.models import ChannelExchangeNetwork
from cen.training import train_network


@pytest.mark.parametrize("spoil", [spoil_loss, spoil_weights])
def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, spoil: Any
) -> None:
    with pytest.raises(TrainingError, match=r"not finite.*clip_norm"):
        train(toy_config(), tmp_path / "run", At(9, spoil))
    net = cen.load(tmp_path / "run" / "last.safetensors")
    assert net.metadata["step"] == 8
    assert all(torch.isfinite(p).all() for p in net.parameters())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"
    resumed = train(toy_config(), tmp_path / "run", resume=True)
    assert resumed.seen[0][0] == 8


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    """The loss of a step is computed before its update, which may ruin the weights."""

    class Ruin(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, *args: Any) -> None:
            if trainer.global_step == 8:
                spoil_weights(module)

    with pytest.raises(TrainingError):
        train(toy_config(log_every=50), tmp_path / "run", callbacks=(Ruin(),))
    assert cen.load(tmp_path / "run" / "last.safetensors").metadata["step"] == 4


def test_warnings_say_which_knob_to_turn(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"no channel is exchanged yet\. Raise train\.sparsity"):
        train(toy_config(), tmp_path / "none")


@pytest.mark.parametrize("key", ["sparsity", "exchange_rate"])
def test_a_sensor_may_fail_but_everything_is_exchanged(tmp_path: Path, key: str) -> None:
    asked = {"exchange_rate": 1.0} if key == "exchange_rate" else {}
    config = toy_config(steps=4, modality_dropout=0.5, **asked)
    with pytest.warns(UserWarning, match=rf"100% of the own channels.*Lower train\.{key}"):
        train_network(config, tmp_path, _exchanging(config), Blocks(10), None, progress=False)


def test_full_exchange_is_no_fault_where_all_inputs_are_always_there(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    config = toy_config(steps=4)
    train_network(config, tmp_path / "all", _exchanging(config), Blocks(10), None, progress=False)
    assert not [w for w in recwarn if "own channels" in str(w.message)]


def _exchanging(config: Config) -> ChannelExchangeNetwork:
    """A network whose own channels are all exchanged."""
    net = toy_network(config)
    with torch.no_grad():
        for layer in cen.exchange.exchange_layers(net).values():
            layer.weight[layer.own] = 0.0
    return net
