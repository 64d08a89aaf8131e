"""Several outputs: training, weights, resuming, missing ground truth, evaluation."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.running import At, Killed, kill
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
from cen.errors import ConfigError, DataError, ShapeError
from cen.metrics import depth_scores, depth_sums
from cen.report.panels import load_panel
from cen.scores import headline
from cen.training import CompleteBatches, fill_in, score_network, train_network
from cen.training.batches import collate, group_by_size
from cen.training.module import targets_of
from cen.training.sample_panels import write_panels


def train(
    config: Config, folder: Path, at: At | None = None, partial: bool = True, **options: Any
) -> At:
    at = at or At()
    given: dict[str, Any] = {"progress": False, "callbacks": (at,)} | options
    data = Scenes(10, partial=partial), Scenes(4, seed=1)
    train_network(config, folder, several_network(config), *data, **given)
    return at


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


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


def test_scores_of_a_dense_output_against_a_loop() -> None:
    """Every subset; the prediction is upsampled to the truth, missing pixels do not count."""
    config = several_config(("segmentation", "distance"))
    net, data = several_network(config), Scenes(5)
    scores = score_network(net, data, batch_size=2, accelerator="cpu")
    net.eval()
    for subset, entry in scores.items():
        sums = torch.zeros(4, dtype=torch.float64)
        for index in range(5):
            sample = data[index]
            images = {name: sample[name][None] for name in subset.split("+")}
            with torch.no_grad():
                output = net(images, size=(32, 32))["distance"]
            sums += depth_sums(output.ensemble, sample["distance"][None])
        expected = depth_scores(sums).to_dict()
        assert entry["distance"]["ensemble"] == pytest.approx(expected, rel=1e-4)
        assert expected["pixels"] == 5 * 30 * 32


def test_mirroring_turns_normals_back() -> None:
    """On inputs that are the same in a mirror, the mean over both has no sideways part."""
    config = several_config(("normal",))
    net = several_network(config).eval()

    class Symmetric(Scenes):
        def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
            sample = super().__getitem__(key)
            for name in ("rgb", "depth"):
                sample[name] = (sample[name] + sample[name].flip(-1)) / 2
            towards_us = torch.zeros(3, 32, 32)
            towards_us[2] = -1
            sample["normal"] = towards_us
            return sample

    plain = score_network(net, Symmetric(1), which=[("rgb",)], accelerator="cpu")
    both = score_network(net, Symmetric(1), which=[("rgb",)], accelerator="cpu", flip=True)
    with torch.no_grad():
        image = Symmetric(1)[0]["rgb"][None]
        out = [net({"rgb": x}, size=(32, 32))["normal"].ensemble for x in (image, image.flip(-1))]
    mirrored = out[1].flip(-1) * torch.tensor([-1.0, 1, 1]).view(1, 3, 1, 1)
    mean = torch.nn.functional.normalize(out[0] + mirrored, dim=1)
    angle = torch.rad2deg(torch.acos((-mean[:, 2]).clamp(-1, 1))).mean().item()
    found = both["rgb"]["normal"]["ensemble"]["mean_angle"]
    assert found == pytest.approx(angle, abs=0.05)
    assert found != pytest.approx(plain["rgb"]["normal"]["ensemble"]["mean_angle"], abs=0.05)


def test_missing_ground_truth_is_filled_in() -> None:
    data = Scenes(12, partial=True)
    batch = collate([data[i] for i in range(4)], TASKS)
    assert batch["distance"].shape == (4, 1, 32, 32)
    assert batch["distance"][0].isnan().all()
    assert not batch["distance"][1].isnan().all()
    assert batch["normal"][1].isnan().all()
    without_labels = {k: v for k, v in data[2].items() if k != "segmentation"}
    filled = fill_in(without_labels, TASKS)
    assert torch.equal(filled["segmentation"], torch.full((32, 32), 255))
    assert len(group_by_size([data[i] for i in range(4)], TASKS)) == 1


def test_a_sample_without_any_label_is_refused() -> None:
    sample = {k: v for k, v in Scenes(1)[0].items() if k not in TASKS}
    with pytest.raises(DataError, match=r"sample 0: has no ground truth for any of segmentation"):
        fill_in(sample, TASKS)


def test_labels_of_another_size_are_refused() -> None:
    net = several_network(several_config(("segmentation", "distance")))
    batch = {k: v[None] for k, v in Scenes(1)[0].items() if k != "name"}
    batch["distance"] = batch["distance"][..., :16]
    with pytest.raises(ShapeError, match=r"'distance' is 32 × 16.*'rgb' is 32 × 32"):
        targets_of(net, batch)
    del batch["distance"]
    with pytest.raises(ConfigError, match="no ground truth 'distance'"):
        targets_of(net, batch)


def test_complete_batches_hold_every_output() -> None:
    """Few samples have one of the outputs; it is in every step, the same on all processes."""
    annotated = [("a", "b") if i % 9 == 4 else ("a",) if i % 2 else ("c",) for i in range(40)]

    def batches(rank: int, start: int = 0) -> list[list[tuple[int, int]]]:
        options = {"stop": 60, "start": start, "seed": 3, "rank": rank, "world": 2}
        return list(CompleteBatches(annotated, ("a", "b", "c"), 2, **options))

    first, second = batches(0), batches(1)
    replaced = set()
    for left, right in zip(first, second, strict=True):
        step = [index for _, index in (*left, *right)]
        assert {name for index in step for name in annotated[index]} == {"a", "b", "c"}
        replaced |= {index for index in step if "b" in annotated[index]}
    assert replaced == {4, 13, 22, 31}, "all samples that have it take their turn"
    assert batches(0, start=25) == first[25:]
    assert batches(1, start=25) == second[25:]


def test_outputs_that_no_sample_has_are_refused() -> None:
    with pytest.raises(DataError, match="'b'"):
        CompleteBatches([("a",)] * 4, ("a", "b"), 2, 1)
    with pytest.raises(ConfigError, match="batch_size"):
        CompleteBatches([("a", "b")] * 4, ("a", "b"), 1, 1)


class Shown(Scenes):
    """`Scenes` with what the pictures of a run ask for."""

    def __init__(self) -> None:
        super().__init__(4, partial=True)
        self.targets: Any = {}
        self.modalities = {
            "rgb": cen.data.Modality.of("image"),
            "depth": cen.data.Modality.of("depth"),
        }

    def raw(self, index: int) -> dict[str, Any]:
        return {"rgb": np.zeros((32, 32, 3), np.uint8), "depth": np.ones((32, 32), np.float32)}


def test_panels_hold_every_kind(tmp_path: Path) -> None:
    write_panels(tmp_path, several_network(several_config(model=UNET)), Shown(), 2)
    panel = load_panel(tmp_path / "00.npz")
    kinds = {name: output.kind for name, output in panel.outputs.items()}
    assert kinds == {name: task.kind for name, task in TASKS.items()}
    shapes = {name: output.ensemble.shape for name, output in panel.outputs.items()}  # type: ignore[union-attr]
    assert shapes == {n: (32, 32, 3) if n == "normal" else (32, 32) for n in TASKS}
    lengths = np.linalg.norm(panel.outputs["normal"].streams["rgb"].astype(float), axis=-1)
    assert lengths == pytest.approx(np.ones((32, 32)), abs=2e-3)
    assert np.isnan(panel.outputs["distance"].truth).all()  # type: ignore[arg-type]


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
