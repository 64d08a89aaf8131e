"""The training step: loss, penalty, modality dropout, seeds."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from tests.training.running import rows
from tests.training.toy import RESNET, Blocks, same, toy_config, toy_network

import cen
from cen.errors import ConfigError
from cen.exchange import keep_partial_statistics
from cen.losses import fusion_loss
from cen.models.compiled import Compiled
from cen.options.training_options import TrainConfig
from cen.training import train_network
from cen.training.batches import FusionData
from cen.training.module import DensePrediction


def run(module: DensePrediction, steps: int = 1, **options: object) -> DensePrediction:
    """Trains a module for some steps with a bare trainer."""
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        **options,  # type: ignore[arg-type]
    )
    trainer.fit(module, datamodule=FusionData(Blocks(8), None, batch_size=4, steps=steps))
    return module


def test_loss_is_fusion_loss_plus_the_penalty_once() -> None:
    net = toy_network()
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    weights = torch.tensor([1.0, 2.0, 0.5])
    batch = torch.utils.data.default_collate([Blocks(8)[i] for i in range(4)])
    module = DensePrediction(
        net, TrainConfig(steps=1, sparsity=0.01, class_weights=weights.tolist())
    )
    module.trainer = type("Alone", (), {"world_size": 1, "global_step": 0})()
    loss = module.training_step(batch, 0)
    net.train()
    terms = fusion_loss(
        net(batch_inputs(batch)),
        {"segmentation": batch["segmentation"]},
        net.outputs,
        {"segmentation": weights},
    )
    assert torch.allclose(loss, terms.total + 0.01 * cen.sparsity(net))
    assert torch.allclose(module.figures["train/loss"], loss)
    assert module.figures["train/sparsity"] == cen.sparsity(net)


def test_a_robust_step_also_learns_from_its_batch_without_some_modalities() -> None:
    """The loss is that of both passes; the statistics of the second are kept apart."""
    net, twin = toy_network(), toy_network()
    for network in (net, twin):
        for module in network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    module = DensePrediction(net, TrainConfig(steps=8, sparsity=0.01, robust=True))
    keep_partial_statistics(twin)
    optimizer = type("Optimizer", (), {"param_groups": []})()
    facts = {"world_size": 1, "global_rank": 0, "global_step": 0, "optimizers": [optimizer]}
    module.trainer = type("Alone", (), facts)()
    batch = torch.utils.data.default_collate([Blocks(8)[i] for i in range(4)])
    truth = {"segmentation": batch["segmentation"]}
    seen = set()
    for step in range(8):
        module.trainer.global_step = step
        module.on_train_batch_start(batch, step)
        assert module.present == ("rgb", "depth")
        seen.add(module.lacking)
        loss = module.training_step(batch, step)
        twin.load_state_dict(net.state_dict())
        twin.train()
        inputs = batch_inputs(batch)
        passes = [inputs, {name: inputs[name] for name in module.lacking}]
        terms = [fusion_loss(twin(given), truth, twin.outputs).total for given in passes]
        assert torch.allclose(loss, sum(terms) + 0.01 * cen.sparsity(twin))
    assert seen == {("rgb",), ("depth",)}
    layer: Any = net.get_submodule("encoder.layer1.0.bn1")
    assert layer.num_batches_tracked.unique().tolist() == [8]
    assert layer.partial_batches.sum() == 8


def test_with_one_modality_there_is_nothing_to_leave_out() -> None:
    config = toy_config()
    config.model.inputs = {"rgb": 3}
    plain, robust = toy_network(config), toy_network(config)
    run(DensePrediction(plain, TrainConfig(steps=2)), steps=2)
    run(DensePrediction(robust, TrainConfig(steps=2, robust=True)), steps=2)
    kept = robust.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in plain.state_dict().items())


def test_compiled_steps_are_those_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    nets = [toy_network(toy_config()) for _ in range(2)]
    for net, compile_it in zip(nets, (False, True), strict=True):
        module = run(DensePrediction(net, TrainConfig(steps=2, compile=compile_it)), steps=2)
        assert isinstance(module.run_net, Compiled) == compile_it
    assert same(nets[0].state_dict(), nets[1].state_dict())


def batch_inputs(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: batch[name] for name in ("rgb", "depth")}


def test_frozen_statistics_stay_while_scales_learn() -> None:
    net = toy_network()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    run(DensePrediction(net, TrainConfig(steps=2, freeze_statistics=True)), steps=2)
    after = net.state_dict()
    statistics = [k for k in before if "running" in k or "tracked" in k]
    kept = [k for k in statistics if torch.equal(before[k], after[k])]
    # Those of the decoder are no pretrained ones.
    assert kept == [k for k in statistics if k.startswith("encoder.")]
    assert len(kept) < len(statistics)
    key = "encoder.layer1.0.bn1.weight"
    assert not torch.equal(before[key], after[key])


def test_gradients_can_be_clipped() -> None:
    """With SGD and no momentum the update of a step is the clipped gradient times the rate."""

    def moved(**options: Any) -> float:
        net = toy_network()
        before = [p.detach().clone() for p in net.parameters()]
        rates = {"steps": 1, "schedule": "constant", "encoder_lr": 1.0, "decoder_lr": 1.0}
        how = TrainConfig(**rates, optimizer="sgd", momentum=0.0)  # type: ignore[arg-type]
        run(DensePrediction(net, how), **options)
        moves = [(p - q).flatten() for p, q in zip(net.parameters(), before, strict=True)]
        return float(torch.cat(moves).detach().norm())

    assert moved() > 0.1
    assert moved(gradient_clip_val=0.01) == pytest.approx(0.01, rel=1e-3)


def test_seed_decides_everything() -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        how = TrainConfig(steps=3, modality_dropout=0.5)
        module = DensePrediction(toy_network(), how, seed=seed)
        torch.manual_seed(torch.seed())  # whatever went on before must not matter
        return run(module, steps=3).net.state_dict()

    assert same(weights(1), weights(1))
    assert not same(weights(1), weights(2))


def test_a_step_without_a_modality_leaves_its_streams_alone() -> None:
    """Through Lightning's own optimiser step, with Adam's momentum and weight decay."""
    rates = {"schedule": "constant", "encoder_lr": 1e-2, "decoder_lr": 1e-2}
    how = TrainConfig(steps=12, weight_decay=0.1, modality_dropout=1.0, **rates)  # type: ignore[arg-type]
    module = DensePrediction(toy_network(), how)
    layer: Any = module.net.get_submodule("encoder.layer1.0.bn1")
    values: list[torch.Tensor] = [layer.weight.detach().clone()]
    subsets: list[tuple[str, ...]] = []

    class Watch(Callback):
        def on_train_batch_end(self, *args: object) -> None:
            values.append(layer.weight.detach().clone())
            subsets.append(module.present)

    run(module, steps=12, callbacks=[Watch()])
    assert set(subsets) == {("rgb",), ("depth",)}
    for present, (before, after) in zip(subsets, pairwise(values), strict=True):
        moved = (before != after).any(1).tolist()
        assert moved == [name in present for name in ("rgb", "depth")]
    # What such steps saw is kept apart from the statistics of full ones, of which there were none.
    counts = Counter(subsets)
    assert layer.partial_batches.tolist() == [[counts["rgb",], counts["depth",]]]
    assert not layer.num_batches_tracked.any()
    assert not layer.running_mean.any()
    assert layer.partial_mean.any(-1).all()


def test_class_weights_must_fit_the_classes() -> None:
    with pytest.raises(ConfigError, match=r"2 weights.*3 classes"):
        DensePrediction(toy_network(), TrainConfig(steps=1, class_weights=[1.0, 2.0]))


PLAIN = {"name": "unet", "encoder": "unet4", "width": 4, "dropout": 0.0}
PARTLY = [
    {},
    {"exchange_rate": 0.3, "robust": True},
    {"weighting": "uncertainty", "modality_dropout": 0.5},
]


@pytest.mark.parametrize("options", PARTLY, ids=["plain", "rate", "uncertainty"])
def test_two_pieces_of_four_are_a_batch_of_eight(tmp_path: Path, options: dict[str, Any]) -> None:
    """Pieces differ in how many labels they have, which the mean over all must not feel."""
    nets = []
    for batch, pieces in ((8, 1), (4, 2)):
        # Not Adam: the gradient of a bias before a norm is 0 but for rounding, which it enlarges.
        how = {"optimizer": "sgd", "encoder_lr": 0.02, "decoder_lr": 0.02, **options}
        config = toy_config(PLAIN, steps=3, batch_size=batch, accumulate=pieces, **how)
        net = toy_network(config)
        train_network(
            config, tmp_path / str(pieces), net, Blocks(12, ignored=True), None, progress=False
        )
        nets.append(net)
    for (name, one), other in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6, msg=name)
    figures = [rows(tmp_path / pieces)[-2] for pieces in ("1", "2")]
    for key in (
        "train/loss",
        "train/segmentation/rgb",
        "train/sparsity",
        "train/penalty",
        "lambda",
    ):
        assert float(figures[0][key]) == pytest.approx(float(figures[1][key]), rel=1e-5), key


def test_what_needs_a_whole_batch_is_refused_with_pieces() -> None:
    with pytest.raises(ConfigError, match=r"train.accumulate: .*PCGrad.*whole batch"):
        toy_config(accumulate=2, weighting="PCGrad")


def test_a_frozen_encoder_stays_as_it_is(tmp_path: Path) -> None:
    config = toy_config(RESNET, steps=3, validate_every=1, freeze_encoder=True)
    net, before = toy_network(config), toy_network(config)
    train_network(config, tmp_path, net, Blocks(8), Blocks(4), progress=False)
    kept = ("encoder.", "stems.")
    state = before.state_dict()
    moved = {
        name for name, value in net.state_dict().items() if not torch.equal(value, state[name])
    }
    assert moved
    assert not [name for name in moved if name.startswith(kept)]
    assert {name.split(".")[0] for name in state} - {n.split(".")[0] for n in moved} <= {
        "encoder",
        "stems",
    }
    with pytest.raises(ConfigError, match=r"train.exchange_rate: .*freeze_encoder"):
        toy_config(exchange_rate=0.1, freeze_encoder=True)
    whole = cen.convert(
        torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm2d(3)),
        {"rgb": 3, "depth": 3},
        {"segmentation": 3},
        where="1",
    )
    with pytest.raises(ConfigError, match="no part named encoder"):
        DensePrediction(whole, TrainConfig(freeze_encoder=True))
