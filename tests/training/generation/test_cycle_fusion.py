"""Cycle fusion: all directions trained at once, the cycle term, evaluation, from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from tests.training.generation.pictures import Pictures
from tests.training.generation.test_translation import rows, state
from torch.nn import functional as F
from torch.utils.data import default_collate

import cen
from cen.config import Config
from cen.data import Modality, write_rooms
from cen.errors import ConfigError, ShapeError
from cen.models import Task
from cen.models.cycle import fused
from cen.training import evaluate, fit, score_network, train_network
from cen.training.batch_fields import targets_of
from cen.training.generation.cycle_fusion import feeds_of
from cen.training.setup import build_network

TASKS = {"shade": Task("image", 1), "texture": Task("image", 3), "rgb": Task("image", 3)}


def cycle(model: dict[str, Any] | None = None, **train: Any) -> Config:
    small: dict[str, Any] = {
        "name": "cycle",
        "encoder": "unet3",
        "width": 4,
        "inputs": {name: task.channels for name, task in TASKS.items()},
        "outputs": {name: {"kind": "image"} for name in TASKS},
        "dropout": 0.0,
        "statistics": "instance",
        "discriminator_width": 4,
        "discriminator_layers": 1,
    }
    recipe: dict[str, Any] = {
        "steps": 4,
        "batch_size": 2,
        "encoder_lr": 2e-3,
        "decoder_lr": 2e-3,
        "log_every": 1,
        "validate_every": 4,
        "checkpoint_every": 2,
        "accelerator": "cpu",
    }
    return Config.from_dict({"model": small | (model or {}), "train": recipe | train})


def network(config: Config) -> Any:
    torch.manual_seed(0)
    return build_network(config, TASKS)


class Notes(Callback):
    """The first batch and the loss's gradient in it, or an end of the run."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.gradients = stop, {}

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
        if trainer.global_step == self.stop:
            raise InterruptedError
        if index == 0:
            self.batch = batch

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        if trainer.global_step == 0:
            named = module.net.named_parameters()
            self.gradients = {k: p.grad.clone() for k, p in named if p.grad is not None}


def train(config: Config, folder: Path, notes: Notes | None = None, **options: Any) -> Notes:
    notes = notes or Notes()
    given: dict[str, Any] = {"progress": False, "callbacks": (notes,)} | options
    train_network(config, folder, network(config), Pictures(8), Pictures(3, seed=1), **given)
    return notes


def test_a_step_is_all_directions_and_one_prediction_seen_again(tmp_path: Path) -> None:
    """The gradient of a step, computed once more from the definition; one of three is drawn."""
    config = cycle(steps=1, sparsity=1e-3, cycle_weight=7.0)
    notes = train(config, tmp_path / "run")
    batch = {name: notes.batch[name] for name in TASKS}
    net = network(config)
    out = net(batch)
    plain = sum(
        F.l1_loss(image, batch[name])
        for name, output in out.items()
        for image in (*output.streams.values(), output.ensemble)
    )
    plain = plain + 1e-3 * cen.sparsity(net)
    named = dict(net.named_parameters())
    distances = []
    for drawn in TASKS:
        others = [name for name in TASKS if name != drawn]
        again = net({**batch, drawn: fused(out[drawn])}, targets=others)
        term = sum(F.l1_loss(fused(again[name]), batch[name]) for name in others) / 2
        gradients = torch.autograd.grad(
            plain + 7 * term, list(named.values()), retain_graph=True, allow_unused=True
        )
        off = [
            (notes.gradients[name] - gradient).norm() / (gradient.norm() + 1e-4)
            for name, gradient in zip(named, gradients, strict=True)
            if gradient is not None
        ]
        distances.append(max(off).item())
    assert min(distances) < 1e-2
    assert sorted(distances)[1] > 0.1
    table = rows(tmp_path / "run")
    assert float(table[0]["train/cycle"]) > 0


def test_without_the_cycle_term_the_directions_are_merely_trained_together(tmp_path: Path) -> None:
    train(cycle(cycle_weight=0.0, steps=1, checkpoint_every=1), tmp_path / "run")
    assert "train/cycle" not in rows(tmp_path / "run")[0]


@pytest.mark.parametrize("options", [{}, {"adversarial": "bce", "momentum": 0.5}])
def test_resumed_run_is_the_uninterrupted_one(options: dict[str, Any], tmp_path: Path) -> None:
    config = cycle(**options)
    train(config, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        train(config, tmp_path / "parts", Notes(stop=3))
    train(config, tmp_path / "parts", resume=True)
    whole, parts = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert whole["state_dict"].keys() == parts["state_dict"].keys()
    for key, value in whole["state_dict"].items():
        assert torch.equal(value, parts["state_dict"][key]), key


def test_every_direction_and_subset_is_scored() -> None:
    config = cycle()
    scores = score_network(network(config), Pictures(2), accelerator="cpu", batch_size=2)
    assert len(scores) == 7
    whole = scores["shade+texture+rgb"]
    assert {t: list(entry["streams"]) for t, entry in whole.items()} == {
        "shade": ["texture", "rgb"],
        "texture": ["shade", "rgb"],
        "rgb": ["shade", "texture"],
    }
    assert set(whole["rgb"]["alpha"]) == {"shade", "texture"}
    assert set(scores["rgb"]) == {"shade", "texture"}
    assert set(scores["shade+texture"]) == {"rgb"}
    same = scores["shade+texture"]["rgb"]["ensemble"]["mae"]
    assert same == pytest.approx(whole["rgb"]["ensemble"]["mae"], rel=1e-5)


def test_from_files_to_evaluation(tmp_path: Path) -> None:
    """RGB, depth and labels of Rooms: images, metres and classes are each in turn the target."""
    write_rooms(
        tmp_path / "data", layout="taskonomy", labels="parts", size=(32, 32), train=8, test=2
    )
    config = Config.from_dict(
        {
            "data": {
                "layout": "taskonomy",
                "root": str(tmp_path / "data"),
                "validation": 0.25,
                "transforms": {"flip": True},
            },
            "model": {
                "name": "cycle",
                "encoder": "unet3",
                "width": 4,
                "inputs": {"rgb": 3, "depth_zbuffer": 1, "segment_semantic": 15},
                "outputs": {
                    "rgb": {"kind": "image"},
                    "depth_zbuffer": {"kind": "depth"},
                    "segment_semantic": {"kind": "segmentation"},
                },
                "statistics": "instance",
            },
            "train": {"steps": 2, "batch_size": 2, "validate_every": 2, "accelerator": "cpu"},
        }
    )
    net = fit(config, tmp_path / "run", progress=False)
    assert set(net.feeds) == {"rgb", "depth_zbuffer"}
    assert list((tmp_path / "run" / "panels").glob("*.npz"))
    varied = evaluate(tmp_path / "run", panels=1, features=None, flip=True, scales=(1.0, 0.75))
    evaluate(tmp_path / "run", panels=1, features=None)
    found = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    whole = found["scores"]["rgb+depth_zbuffer+segment_semantic"]
    assert whole["segment_semantic"]["ensemble"]["mean_iou"] is not None
    assert whole["depth_zbuffer"]["ensemble"]["rmse"] > 0
    assert varied["scores"].keys() == found["scores"].keys()
    assert varied["scores"] != found["scores"]
    assert found["generator_mode"] == "eval"
    preprocessing = cen.load(tmp_path / "run").metadata["preprocessing"]
    assert set(preprocessing) == set(config.model.inputs)


def test_inputs_made_of_ground_truth_are_those_that_files_give() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    fields = {
        "rgb": (Modality.of("image"), rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)),
        "grey": (Modality.of("image", 1), rng.integers(0, 256, (4, 5), dtype=np.uint8)),
        "depth": (Modality.of("depth"), rng.uniform(1, 5, (4, 5)).astype(np.float32)),
        "normal": (Modality.of("normal"), rng.normal(size=(4, 5, 3)).astype(np.float32)),
    }
    kinds = {"rgb": "image", "grey": "image", "depth": "depth", "normal": "normal"}
    tasks = {name: Task(kinds[name], m.channels) for name, (m, _) in fields.items()}  # type: ignore[arg-type]
    feeds = feeds_of(tasks, {name: m for name, (m, _) in fields.items()})
    config = cycle()
    net = cen.build(
        "cycle",
        encoder="unet3",
        width=4,
        inputs={name: task.channels for name, task in tasks.items()},
        outputs=tasks,
        feeds=feeds,
    )
    assert config.model.name == "cycle"
    for name, (modality, values) in fields.items():
        truth = torch.from_numpy(modality.to_target(values))[None]
        expected = torch.from_numpy(modality.to_network(values))[None]
        torch.testing.assert_close(net.enter(name, truth), expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(ConfigError, match=r"data\.modalities\.depth\.encoding"):
        feeds_of({"depth": tasks["depth"]}, {"depth": Modality.of("depth", encoding="log")})


@pytest.mark.parametrize(
    ("modality", "key"),
    [
        (Modality.of("depth", clip=(0.5, 10.0)), "clip"),
        (Modality.of("depth", fill_holes="nearest"), "fill_holes"),
        (Modality.of("depth", fill=-1.0), "fill"),
        (Modality.of("image", fill=0.5), "fill"),
        (Modality.of("continuous", fill=0.5), "fill"),
    ],
)
def test_keys_of_inputs_alone_are_refused(modality: Modality, key: str) -> None:
    """Training would pass over them, and a prediction on files would heed them."""
    task = Task("image", modality.channels)
    with pytest.raises(ConfigError, match=rf"data\.modalities\.depth\.{key}: is of inputs alone"):
        feeds_of({"depth": task}, {"depth": modality})
    feeds_of({"depth": task}, {"depth": Modality.of("continuous", clip=(0.0, 1.0))})


@pytest.mark.parametrize("options", [{}, {"adversarial": "bce", "momentum": 0.5}])
def test_in_a_training_step_nothing_of_a_target_reaches_its_own_prediction(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """Gradients inside the step of the trainer, from ground truth on, with dropout at work."""
    seen: dict[str, dict[str, float]] = {}

    class Gradients(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            layers = cen.exchange.exchange_layers(pl_module.net).values()
            with torch.no_grad():
                for layer in layers:
                    layer.weight[:, ::2] = 1e-3  # not 0, which would hide a leak
            assert all(layer.replaced().any() for layer in layers)
            pl_module.net.register_forward_hook(note)

        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, n: int) -> None:
            for name in TASKS:
                batch[name].requires_grad_()
            self.batch = batch

    watch = Gradients()

    def note(net: Any, args: Any, outputs: Any) -> None:
        dropouts = [m for m in net.modules() if isinstance(m, torch.nn.Dropout)]
        assert all(m.training for m in dropouts)
        assert any(m.p > 0 for m in dropouts)
        truth = [watch.batch[name] for name in TASKS]
        for target, output in outputs.items():
            total = sum((value**2).sum() for value in (*output.streams.values(), fused(output)))
            found = torch.autograd.grad(total, truth, retain_graph=True, allow_unused=True)
            seen[target] = {
                name: 0.0 if gradient is None else gradient.abs().max().item()
                for name, gradient in zip(TASKS, found, strict=True)
            }
        # What comes after the first pass looks at predictions again, see the cycle term.
        raise InterruptedError

    class Large(Pictures):
        def __getitem__(self, key: Any) -> dict[str, Any]:
            sample = super().__getitem__(key)
            return sample | {name: sample[name].tile(1, 2, 2) for name in TASKS}

    # Smaller ones have no dropout.
    config = cycle({"dropout": 0.5, "encoder": "unet6"}, steps=1, **options)
    with pytest.raises(InterruptedError):
        train_network(
            config, tmp_path / "run", network(config), Large(4), None,
            progress=False, callbacks=(watch,),
        )  # fmt: skip
    assert list(seen) == list(TASKS)
    for target, gradients in seen.items():
        assert gradients[target] == 0.0
        assert all(value > 0 for name, value in gradients.items() if name != target)


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="texture is only one of them"):
        network(cycle({"inputs": {"shade": 1, "rgb": 3}}))
    with pytest.raises(ConfigError, match="modality_dropout"):
        cycle(modality_dropout=0.5)
    with pytest.raises(ConfigError, match=r"model\.fusion: is not for model\.name cycle"):
        network(cycle({"fusion": "concat"}))

    net, batch = network(cycle()), default_collate([Pictures(1)[0]])
    del batch["rgb"]
    with pytest.raises(ConfigError, match="no ground truth 'rgb'"):
        targets_of(net, batch)

    class Odd(Pictures):
        def __getitem__(self, key: Any) -> dict[str, Any]:
            sample = super().__getitem__(key)
            return {**sample, "shade": sample["shade"][:, :16]}

    with pytest.raises(ShapeError, match="resample one of them first"):
        train_network(cycle(), tmp_path / "run", net, Odd(4), None, progress=False)
