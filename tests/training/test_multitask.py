"""Several outputs: training, weights, resuming, missing ground truth, evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.running import At, Killed, kill, rows
from tests.training.toy import (
    RESNET,
    TASKS,
    UNET,
    Scenes,
    same,
    several_config,
    several_network,
    tensors,
)

import cen
from cen.config import Config
from cen.errors import DataError
from cen.scores import headline
from cen.training import score_network, train_network


def train(
    config: Config, folder: Path, at: At | None = None, partial: bool = True, **options: Any
) -> At:
    at = at or At()
    given: dict[str, Any] = {"progress": False, "callbacks": (at,)} | options
    data = Scenes(10, partial=partial), Scenes(4, seed=1)
    train_network(config, folder, several_network(config), *data, **given)
    return at


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with learned weights on partly annotated data."""
    folder = tmp_path_factory.mktemp("runs") / "learned"
    train(several_config(weighting="uncertainty", steps=8, decoder_lr=0.01), folder)
    return folder


def test_every_output_is_scored_and_weighed(learned: Path) -> None:
    table = rows(learned)
    scores = ("mean_iou", "rmse", "mean_angle", "max_f")
    for (name, _), score in zip(TASKS.items(), scores, strict=True):
        assert any(row[f"val/{name}/ensemble/{score}"] for row in table), name
        assert any(row[f"val/{name}/streams/depth/{score}"] for row in table), name
        weights = [float(row[f"weight/{name}"]) for row in table if row[f"weight/{name}"]]
        assert len(set(weights)) == len(weights) == 4  # every logged step has another one


def test_the_best_checkpoint_has_the_greatest_mean_headline(learned: Path) -> None:
    metrics = cen.load(learned / "best.safetensors").metadata["metrics"]
    best = np.mean([headline(entry["ensemble"]) for entry in metrics.values()])
    last = cen.load(learned / "last.safetensors").metadata["metrics"]
    final = np.mean([headline(entry["ensemble"]) for entry in last.values()])
    assert set(metrics) == set(TASKS)
    assert best >= final > 0


@pytest.mark.parametrize(("weighting", "model"), [("uncertainty", UNET), ("PCGrad", RESNET)])
def test_a_killed_run_is_resumed_exactly(
    weighting: str, model: dict[str, Any], tmp_path: Path
) -> None:
    if weighting == "PCGrad":
        pytest.importorskip("torchjd")
    config = several_config(
        ("segmentation", "distance"),
        model,
        weighting=weighting,
        steps=6,
        checkpoint_every=2,
        validate_every=3,
        every_output=True,
    )
    train(config, tmp_path / "whole")
    with pytest.raises(Killed):
        train(config, tmp_path / "parts", At(5, kill))
    train(config, tmp_path / "parts", resume=True)
    files = (tensors(tmp_path / name / "last.safetensors") for name in ("whole", "parts"))
    assert same(*files)
    texts = [(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "parts")]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["distance", "normal", "edge"])
def test_a_single_output_of_any_kind_trains(name: str, tmp_path: Path) -> None:
    config = several_config((name,), UNET, steps=4, validate_every=2)
    train(config, tmp_path / "run", partial=False)
    net = cen.load(tmp_path / "run" / "best.safetensors")
    value = headline(net.metadata["metrics"][name]["ensemble"])
    assert value is not None
    assert 0 <= value <= 1
    assert not any(column.startswith("weight/") for column in rows(tmp_path / "run")[0])


def test_a_weight_learned_for_one_output_is_logged(tmp_path: Path) -> None:
    train(several_config(("edge",), UNET, steps=4, weighting="uncertainty"), tmp_path / "run")
    weights = [row["weight/edge"] for row in rows(tmp_path / "run") if row["weight/edge"]]
    assert len(set(weights)) == 2


def test_streams_without_a_partner_are_not_told_to_exchange(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    config = several_config(("edge",), steps=4)
    config.model.inputs, config.model.decoder_exchange = {"rgb": 3}, None
    train(config, tmp_path / "run")
    assert not [w for w in recwarn if "no channel is exchanged" in str(w.message)]


class Lacking(Scenes):
    """`Scenes` of which some lack what they are asked for."""

    def __init__(self, length: int, lacking: tuple[str, ...], where: slice) -> None:
        super().__init__(length, partial=True)
        self.lacking, self.where = lacking, range(length)[where]

    def annotated(self, index: int) -> tuple[str, ...]:
        known = super().annotated(index)
        return tuple(n for n in known if index not in self.where or n not in self.lacking)

    def place(self, index: int) -> str:
        return f"sample number {index}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((Lacking(8, ("edge",), slice(None)), Scenes(4)), "no sample has ground truth for edge"),
        ((Scenes(8), Lacking(4, tuple(TASKS), slice(2, 3))), "sample number 2: has no ground"),
    ],
)
def test_what_cannot_be_learnt_or_scored_is_refused_before_the_first_step(
    data: tuple[Scenes, Scenes], message: str, tmp_path: Path
) -> None:
    config, at = several_config(), At()
    with pytest.raises(DataError, match=message):
        train_network(
            config,
            tmp_path / "run",
            several_network(config),
            *data,
            progress=False,
            callbacks=(at,),
        )
    assert at.seen == []


def test_shared_task_streams_have_one_decoder_for_all() -> None:
    config = several_config()
    private = several_network(config)
    config.model.task_streams = "shared"
    shared = several_network(config)
    assert len(private.decoder_streams) == 8
    assert len(shared.decoder_streams) == 2
    names = {n for n, _ in shared.named_parameters()}
    assert names == {n for n, _ in private.named_parameters()}
    images = {"rgb": torch.rand(1, 3, 32, 32), "depth": torch.rand(1, 1, 32, 32)}
    output = shared.eval()(images)
    assert {n: o.ensemble.shape[1] for n, o in output.items()} == {
        n: task.channels for n, task in TASKS.items()
    }
    again = cen.build(**shared.config)
    assert len(again.decoder_streams) == 2


def test_private_norms_without_exchange_among_tasks() -> None:
    """The exchange among the modalities in the encoder stays."""
    config = several_config()
    config.model.decoder_exchange = False
    layers = cen.inspect(several_network(config)).layers
    assert layers
    assert all(layer.name.startswith("encoder.") for layer in layers)


@pytest.mark.parametrize("weighting", ["uncertainty", "MGDA"])
def test_weighting_under_mixed_precision(weighting: str, tmp_path: Path) -> None:
    if weighting == "MGDA":
        pytest.importorskip("torchjd")
    names = ("segmentation", "distance")
    config = several_config(names, UNET, weighting=weighting, precision="bf16-mixed", steps=4)
    train(config, tmp_path / "run", partial=False)
    table = [row for row in rows(tmp_path / "run") if row["train/loss"]]
    assert len(table) == 2
    for row in table:
        weights = [float(row[f"weight/{name}"]) for name in names]
        assert np.isfinite([float(row["train/loss"]), *weights]).all()
        if weighting == "MGDA":
            assert sum(weights) == pytest.approx(2, abs=1e-3)


class Five(Scenes):
    """`Scenes` seen by three sensors more."""

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        sample = super().__getitem__(key)
        more = {
            "thermal": sample["depth"] * 2,
            "flow": sample["rgb"][:2],
            "grey": sample["rgb"][:1],
        }
        return sample | more


def test_five_inputs_and_four_outputs(tmp_path: Path) -> None:
    """With modalities left out at random, and a wished exchange rate."""
    config = several_config(steps=4, validate_every=4, modality_dropout=0.5, exchange_rate=0.3)
    config.model.inputs = {"rgb": 3, "depth": 1, "thermal": 1, "flow": 2, "grey": 1}
    net = several_network(config)
    assert len(net.decoder_streams) == 20
    assert sorted(map(len, net.decoder_streams.groups)) == [4] * 5
    train_network(config, tmp_path / "run", net, Five(8), Five(2, seed=1), progress=False)
    net = cen.load(tmp_path / "run")
    which = [tuple(net.inputs), ("thermal", "flow")]
    scores = score_network(net, Five(2), which=which, accelerator="cpu")
    assert set(scores["thermal+flow"]["normal"]["streams"]) == {"thermal", "flow"}
    for entry in scores.values():
        assert all(headline(entry[name]["ensemble"]) is not None for name in TASKS)
