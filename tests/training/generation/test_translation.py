"""Adversarial training: what the two networks learn from, resuming, ways to evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from tests.training.generation.pictures import Pictures, network, translation
from tests.training.running import rows
from torch.nn import functional as F

import cen
from cen.config import Config
from cen.errors import ConfigError
from cen.models import PatchGAN, Task
from cen.options.training_options import TrainConfig
from cen.training import make_discriminators, train_network
from cen.training.generation.translation import Translation
from cen.training.setup import build_network


class Watch(Callback):
    """Notes the gradients that each optimiser steps with, and may stop the run."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.discriminator = stop, 0
        self.gradients: dict[bool, dict[str, torch.Tensor]] = {}
        self.batch: Any = None

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
        if trainer.global_step == self.stop:
            raise InterruptedError
        if index == 0:
            self.batch = batch
            self.before = {k: v.clone() for k, v in module.state_dict().items()}

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        generator = optimizer is trainer.optimizers[0]
        self.discriminator += not generator
        owner = module.net if generator else module.discriminators
        if trainer.global_step == 0:
            named = owner.named_parameters()
            self.gradients[generator] = {k: p.grad.clone() for k, p in named if p.grad is not None}


def train(config: Config, folder: Path, watch: Watch | None = None, **options: Any) -> Watch:
    watch = watch or Watch()
    data = options.pop("data", Pictures(8)), options.pop("validation", Pictures(4, seed=1))
    given: dict[str, Any] = {"progress": False, "callbacks": (watch,)} | options
    train_network(config, folder, network(config), *data, **given)
    return watch


@pytest.mark.parametrize("kind", ["bce", "least_squares"])
def test_first_step_is_the_released_recipe(kind: str, tmp_path: Path) -> None:
    """Both networks' gradients, computed once more from the definition, stream by stream."""
    config = translation(adversarial=kind, steps=1, sparsity=1e-3)
    watch = train(config, tmp_path / "run")
    net = network(config)
    torch.manual_seed(0)
    judge = PatchGAN(6, 4, layers=1)
    judge.load_state_dict(
        {
            k.removeprefix("discriminators.rgb."): v
            for k, v in watch.before.items()
            if k.startswith("discriminators.rgb.")
        }
    )
    batch = watch.batch
    pairs = [(batch["shade"].repeat(1, 3, 1, 1), "shade"), (batch["texture"], "texture")]
    out = net({name: batch[name] for name in net.inputs})["rgb"]

    def loss(logits: torch.Tensor, real: bool) -> torch.Tensor:
        if kind == "bce":
            share = logits.sigmoid()
            return -(share if real else 1 - share).log().mean()
        return ((logits - float(real)) ** 2).mean()

    wrong = sum(
        0.5 * (loss(judge(source, batch["rgb"]), True) + loss(judge(source, made), False))
        for source, made in ((source, out.streams[name].detach()) for source, name in pairs)
    )
    expected = torch.autograd.grad(wrong, list(judge.parameters()))
    for (name, _), gradient in zip(judge.named_parameters(), expected, strict=True):
        found = watch.gradients[False][f"rgb.{name}"]
        torch.testing.assert_close(found, gradient, rtol=1e-3, atol=1e-6)

    # The discriminator learns first: Adam's first step is the rate times the gradient's sign.
    with torch.no_grad():
        for parameter, gradient in zip(judge.parameters(), expected, strict=True):
            parameter -= 2e-4 * gradient / (gradient.abs() + 1e-8)
    total = sum(loss(judge(source, out.streams[name]), True) for source, name in pairs)
    for image in (*out.streams.values(), out.ensemble):
        total = total + 100 * F.l1_loss(image, batch["rgb"])
    total = total + 1e-3 * cen.sparsity(net)
    named = dict(net.named_parameters())
    gradients = torch.autograd.grad(total, list(named.values()))
    for name, gradient in zip(named, gradients, strict=True):
        found = watch.gradients[True][name]
        assert (found - gradient).norm() <= 1e-3 * gradient.norm() + 1e-5, name


def test_both_networks_learn_and_steps_are_counted_once(tmp_path: Path) -> None:
    config = translation(steps=40, decoder_lr=2e-3, encoder_lr=2e-3, validate_every=40)
    watch = train(config, tmp_path / "run")
    assert watch.discriminator == 40
    table = rows(tmp_path / "run")
    assert [int(row["step"]) for row in table if row["train/loss"]] == list(range(1, 41))
    errors = [float(row["train/rgb/ensemble"]) for row in table if row["train/rgb/ensemble"]]
    assert np.mean(errors[-5:]) < 0.85 * np.mean(errors[:5])
    assert any(row["train/discriminator"] and row["train/rgb/adversarial"] for row in table)
    scores = cen.load(tmp_path / "run" / "best.safetensors").metadata["metrics"]["rgb"]
    assert set(scores["ensemble"]) == {"mae", "rmse", "psnr", "ssim", "images"}
    assert scores["ensemble"]["images"] == 4
    assert set(scores["streams"]) == {"shade", "texture"}


def state(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("options", [{}, {"modality_dropout": 0.5}, {"precision": "bf16-mixed"}])
def test_resumed_run_is_the_uninterrupted_one(options: dict[str, Any], tmp_path: Path) -> None:
    config = translation({"dropout": 0.5, "encoder": "unet3"}, **options)
    train(config, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        train(config, tmp_path / "parts", Watch(stop=5))
    train(config, tmp_path / "parts", resume=True)
    whole, parts = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert whole["global_step"] == parts["global_step"] == 6
    assert any(key.startswith("discriminators") for key in whole["state_dict"])
    assert whole["state_dict"].keys() == parts["state_dict"].keys()
    for key, value in whole["state_dict"].items():
        assert torch.equal(value, parts["state_dict"][key]), key
    assert len(whole["optimizer_states"]) == 2
    for one, two in zip(whole["optimizer_states"], parts["optimizer_states"], strict=True):
        assert one["state"].keys() == two["state"].keys()
        for key, values in one["state"].items():
            assert all(torch.equal(v, two["state"][key][name]) for name, v in values.items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_half_precision_scales_the_losses_of_both_networks(tmp_path: Path) -> None:
    config = translation({"statistics": "instance"}, precision="16-mixed", accelerator="gpu")
    with pytest.raises(InterruptedError):
        train(config, tmp_path / "parts", Watch(stop=5))
    train(config, tmp_path / "parts", resume=True)
    content = state(tmp_path / "parts")
    assert content["global_step"] == 6
    assert "MixedPrecision" in content
    assert all(torch.isfinite(v).all() for v in content["state_dict"].values())


def test_pixels_without_truth_teach_nothing(tmp_path: Path) -> None:
    config = translation(steps=2)
    train(config, tmp_path / "run", data=Pictures(4, missing=True))
    net = cen.load(tmp_path / "run" / "last.safetensors")
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())


def test_channel_concatenation_is_judged_beside_all_inputs(tmp_path: Path) -> None:
    config = translation({"fusion": "concat", "fusion_at": "early"}, steps=2, sparsity=0.0)
    net = network(config)
    (judge,) = make_discriminators(net, width=4, layers=1).values()
    assert judge.channels == 3 + 3 + 3
    train(config, tmp_path / "run")
    assert "train/rgb/adversarial" in rows(tmp_path / "run")[0]


def test_outputs_of_other_kinds_have_no_discriminator() -> None:
    config = translation()
    torch.manual_seed(0)
    net = build_network(config, {"rgb": Task("image", 3), "depth": Task("depth", 1)})
    assert list(make_discriminators(net)) == ["rgb"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": {"segmentation": {"kind": "segmentation"}}}, "needs an output of kind image"),
        ({"train.clip_norm": 1.0}, r"train\.clip_norm"),
        ({"train.weighting": "uncertainty"}, r"train\.weighting"),
        ({"decoder_channels": 8}, r"model\.decoder_channels"),
    ],
)
def test_what_adversarial_training_refuses(changes: dict[str, Any], message: str) -> None:
    train_keys = {k.removeprefix("train."): v for k, v in changes.items() if "." in k}
    model = {k: v for k, v in changes.items() if "." not in k}
    with pytest.raises(ConfigError, match=message):
        network(translation(model, **train_keys))


def test_what_is_fused_early_is_judged_with_modalities_absent(tmp_path: Path) -> None:
    """The discriminator of all inputs sees zeros in place of an absent one, as the network does."""
    config = translation({"fusion": "concat"}, modality_dropout=0.9)
    train(config, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()
    net = network(config)
    module = Translation(net, make_discriminators(net, width=4, layers=1), TrainConfig(steps=1))
    texture, truth = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)
    pair = module._pairs("rgb", {"texture": texture}, net({"texture": texture}), {"rgb": truth})
    assert torch.equal(pair.source, torch.cat([torch.zeros_like(texture), texture], 1))
