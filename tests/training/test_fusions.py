"""The baselines and the random guide train, resume and are scored like the method."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.toy import RESNET, Blocks, toy_config, toy_network

import cen
from cen.config import Config
from cen.errors import ConfigError
from cen.losses import fusion_loss
from cen.optim import Schedule, build_optimizer, param_groups
from cen.options.training_options import TrainConfig
from cen.training import train_network
from cen.training.absent_streams import absent_rows, kept
from cen.training.module import DensePrediction
from cen.training.rate import RateController
from cen.training.scoring_pass import score_network

MIT = {"name": "segformer", "encoder": "mit_b0", "drop_path": 0.0}


def config_of(model: dict[str, Any], **train: Any) -> Config:
    config = toy_config(RESNET, **train)
    return Config.from_dict(config.to_dict(), {f"model.{key}": v for key, v in model.items()})


@pytest.mark.parametrize(
    "model",
    [
        {"fusion": "concat", "fusion_at": "middle"},
        pytest.param({"fusion": "gate", "fusion_at": "late"}, marks=pytest.mark.slow),
        {"fusion": "align"},
        pytest.param({"fusion": "tokenfusion", **MIT}, marks=pytest.mark.slow),
        {"guide": "random", "random_rate": 0.5, "penalty": "none"},
    ],
    ids=["concat", "gate", "align", "tokenfusion", "random"],
)
def test_a_run_with_missing_modalities_is_trained_saved_and_scored(
    model: dict[str, Any], tmp_path: Path
) -> None:
    config = config_of(model, steps=4, modality_dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # no word of an exchange that is not learned
        train_network(
            config, tmp_path / "run", toy_network(config), Blocks(10), Blocks(4), progress=False
        )
    net = cen.load(tmp_path / "run")
    scores = score_network(net, Blocks(4), batch_size=2, accelerator="cpu", flip=True)
    assert list(scores) == ["rgb+depth", "rgb", "depth"]
    streams = [] if model.get("fusion") in ("concat", "gate") else ["rgb", "depth"]
    for entry in scores.values():
        assert not math.isnan(entry["segmentation"]["ensemble"]["mean_iou"])
    assert list(scores["rgb+depth"]["segmentation"]["streams"]) == streams
    assert list(scores["rgb+depth"]["segmentation"]["alpha"]) == streams


def test_random_channels_are_drawn_anew_for_every_seed() -> None:
    """Else the spread over seeds would leave out the draw that is tested."""

    def masks(seed: int) -> list[torch.Tensor]:
        config = config_of({"guide": "random", "random_rate": 0.5, "penalty": "none"})
        config.seed = seed
        layers = cen.exchange.exchange_layers(toy_network(config)).values()
        return [layer.replaced().clone() for layer in layers]

    first, again, other = masks(0), masks(0), masks(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_penalty_rises_over_its_warmup() -> None:
    config = toy_config(RESNET)
    batch = torch.utils.data.default_collate([Blocks(8)[i] for i in range(4)])
    module = DensePrediction(
        toy_network(config), TrainConfig(steps=8, sparsity=0.5, sparsity_warmup=0.5)
    )
    seen = []
    for step in range(6):
        module.trainer = type("Alone", (), {"world_size": 1, "global_step": step})()
        loss = module.training_step(batch, 0)
        seen.append(module.figures["lambda"].item())
        term = module.figures["train/sparsity"] * seen[-1]
        rest = sum(v for k, v in module.figures.items() if k.startswith("train/segmentation/"))
        torch.testing.assert_close(loss, rest + term)
    assert seen == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5])
    with pytest.raises(ConfigError, match="sparsity_warmup"):
        toy_config(sparsity_warmup=0.5, exchange_rate=0.3)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ({"fusion": "align", "fusion_at": "middle"}, "alignment"),
        ({"fusion": "tokenfusion", **MIT}, "token_sparsity"),
    ],
    ids=["align", "tokenfusion"],
)
def test_a_loss_of_a_networks_own_is_added_with_its_weight(model: dict[str, Any], key: str) -> None:
    config = config_of({**model, "dropout": 0.0})
    batch = torch.utils.data.default_collate([Blocks(8)[i] for i in range(4)])
    losses = []
    for weight in (0.0, 2.0):
        module = DensePrediction(toy_network(config), TrainConfig(steps=1, **{key: weight}))  # type: ignore[arg-type]
        module.trainer = type("Alone", (), {"world_size": 1, "global_step": 0})()
        losses.append(module.training_step(batch, 0))
    term = module.figures[f"train/{key}"]
    assert term > 0
    torch.testing.assert_close(losses[1] - losses[0], 2 * term)
    net = toy_network(config).train()
    outputs = net({name: batch[name] for name in net.inputs})
    expected = fusion_loss(outputs, {"segmentation": batch["segmentation"]}, net.outputs).total
    torch.testing.assert_close(losses[0], expected)


@pytest.mark.parametrize(
    "model",
    [{"fusion": "align", "fusion_at": "middle"}, {"fusion": "tokenfusion", **MIT}],
    ids=["align", "tokenfusion"],
)
def test_a_loss_of_a_networks_own_is_that_of_both_passes_of_a_robust_step(
    model: dict[str, Any],
) -> None:
    net = toy_network(config_of({**model, "dropout": 0.0}))
    module = DensePrediction(net, TrainConfig(steps=1, robust=True))
    optimizer = type("Optimizer", (), {"param_groups": []})()
    facts = {"world_size": 1, "global_rank": 0, "global_step": 0, "optimizers": [optimizer]}
    module.trainer = type("Alone", (), facts)()
    batch = torch.utils.data.default_collate([Blocks(8)[i] for i in range(4)])
    module.on_train_batch_start(batch, 0)
    module.training_step(batch, 0)
    expected = torch.zeros(())
    for names in (module.present, module.lacking):
        net({name: batch[name] for name in names})
        expected = expected + net.auxiliary_loss()
    assert len(module.lacking) == 1
    assert expected > 0
    torch.testing.assert_close(module.figures[f"train/{net.auxiliary}"], expected.detach())


@pytest.mark.slow
def test_alignment_is_learned() -> None:
    """With a large weight the streams' features come nearer than without."""
    batch = torch.utils.data.default_collate([Blocks(8)[i] for i in range(8)])
    ends = []
    for weight in (0.0, 20.0):
        net = toy_network(config_of({"fusion": "align", "fusion_at": "middle", "dropout": 0.0}))
        module = DensePrediction(net, TrainConfig(steps=1, alignment=weight))
        module.trainer = type("Alone", (), {"world_size": 1, "global_step": 0})()
        optimizer = torch.optim.Adam(net.parameters(), 3e-3)
        for _ in range(25):
            optimizer.zero_grad()
            module.training_step(batch, 0).backward()
            optimizer.step()
        ends.append(module.figures["train/alignment"].item())
    assert ends[1] < 0.5 * ends[0]


def test_what_is_fused_is_never_absent() -> None:
    """Without a modality its own rows stay, and those of the fused stream move."""
    net = toy_network(
        config_of({"fusion": "concat", "fusion_at": "middle", "dropout": 0.0})
    ).train()
    optimizer = build_optimizer(param_groups(net, 1e-2, 1e-2), "adam")
    own: Any = net.get_submodule("encoder.layer1.0.bn1")
    fused: Any = net.get_submodule("encoder.layer3.0.bn1")
    before = own.weight.detach().clone(), fused.weight.detach().clone()
    batch = torch.utils.data.default_collate([Blocks(8)[i] for i in range(4)])
    net({"depth": batch["depth"]})["segmentation"].ensemble.square().mean().backward()
    with kept(optimizer, absent_rows(net, ("depth",))):
        optimizer.step()
    moved = (before[0] != own.weight).any(1).tolist()
    assert moved == [False, True]
    assert (before[1] != fused.weight).all()


@pytest.mark.parametrize(
    "model",
    [
        {"fusion": "ensemble"},
        {"fusion": "sum"},
        {"fusion": "tokenfusion", **MIT},
        {"guide": "random", "random_rate": 0.5},
        {"exchange": False},
        {"threshold": 0.0},
    ],
)
def test_a_rate_cannot_be_steered_where_scales_decide_nothing(model: dict[str, Any]) -> None:
    net = toy_network(config_of(model))
    with pytest.raises(ConfigError, match=r"by its scales.*model\.fusion exchange"):
        RateController(net, 0.2, Schedule(steps=10))


def test_switched_off_exchange_is_no_reason_to_warn(tmp_path: Path) -> None:
    config = config_of({"exchange": False}, steps=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train_network(
            config, tmp_path / "run", toy_network(config), Blocks(8), None, progress=False
        )
