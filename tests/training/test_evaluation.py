"""Scores of streams, ensemble and subsets against a plain loop."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from tests.predict.local import local_network
from tests.training.toy import Blocks, toy_network
from torch.utils.data import Dataset

import cen
from cen.data import Modality
from cen.errors import ConfigError, DataError
from cen.metrics import confusion_matrix, segmentation_scores
from cen.models import Output, Task
from cen.scores import mean_headline
from cen.tasks import KINDS
from cen.training.fusion_scores import FusionScores, subsets
from cen.training.scoring_pass import score_network


def test_subsets_of_three() -> None:
    found = subsets(("a", "b", "c"))
    assert found[0] == ("a", "b", "c")
    assert len(found) == len(set(found)) == 7
    assert ("a", "c") in found


def test_scores_are_those_of_one_confusion_matrix() -> None:
    net, data = toy_network(), Blocks(5, ignored=True)
    scores = score_network(net, data, batch_size=2, accelerator="cpu")
    assert list(scores) == ["rgb+depth", "rgb", "depth"]
    net.eval()
    for subset, entry in scores.items():
        matrices = {column: torch.zeros(3, 3, dtype=torch.long) for column in ("e", "rgb", "depth")}
        for index in range(5):
            sample = data[index]
            images = {name: sample[name][None] for name in subset.split("+")}
            with torch.no_grad():
                output = net(images)["segmentation"]
            for column, logits in {"e": output.ensemble, **output.streams}.items():
                big = F.interpolate(logits, (32, 32), mode="bicubic", align_corners=False)
                matrices[column] += confusion_matrix(big.argmax(1)[0], sample["segmentation"], 3)
        found = entry["segmentation"]
        wanted = segmentation_scores(matrices["e"]).to_dict()
        assert found["ensemble"]["pixels"] == wanted["pixels"]
        assert found["ensemble"]["mean_iou"] == pytest.approx(wanted["mean_iou"])
        assert list(found["streams"]) == subset.split("+")
        for name, values in found["streams"].items():
            wanted = segmentation_scores(matrices[name]).to_dict()
            assert values["mean_iou"] == pytest.approx(wanted["mean_iou"])
        assert sum(found["alpha"].values()) == pytest.approx(1)


def test_several_scales_and_flipping_average_probabilities() -> None:
    """Against a plain loop; a network is not symmetric, so flipping changes the scores."""
    net, data = toy_network().eval(), Blocks(3)
    options = {"which": [("rgb",)], "batch_size": 3, "accelerator": "cpu"}
    scores = score_network(net, data, scales=(1.0, 1.5), flip=True, **options)  # type: ignore[arg-type]
    batch = torch.utils.data.default_collate([data[i] for i in range(3)])
    total = torch.zeros(3, 3, 32, 32)
    for size in (32, 48):
        for flip in (False, True):
            image = F.interpolate(batch["rgb"], (size, size), mode="bilinear")
            with torch.no_grad():
                output = net({"rgb": image.flip(-1) if flip else image}, size=(32, 32))
            shares = output["segmentation"].ensemble.softmax(1)
            total += shares.flip(-1) if flip else shares
    matrix = confusion_matrix(total.argmax(1), batch["segmentation"], 3)
    wanted = segmentation_scores(matrix).to_dict()
    found = scores["rgb"]["segmentation"]["ensemble"]
    assert found["iou"] == pytest.approx(wanted["iou"])
    plain = score_network(net, data, **options)["rgb"]["segmentation"]["ensemble"]  # type: ignore[arg-type]
    assert plain["iou"] != pytest.approx(wanted["iou"], abs=1e-6)


def test_normals_predicted_as_an_image_are_mirrored_as_vectors() -> None:
    """With flipping, the scores are those in a mirrored world, where x points the other way."""

    class Vectors(Blocks):
        modalities: ClassVar = {"rgb": Modality.of("image")}
        targets: ClassVar = {"normal": Modality.of("normal")}
        mirrored = False

        def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
            sample = super().__getitem__(key)
            rgb, normal = sample["rgb"], F.normalize(sample["rgb"] - 0.3, dim=0)
            if self.mirrored:
                rgb, normal = rgb.flip(-1), normal.flip(-1)
                normal[0] *= -1
            return {"rgb": rgb, "normal": normal, "name": sample["name"]}

    torch.manual_seed(0)
    net = cen.build(
        "unet", encoder="unet3", width=4, inputs={"rgb": 3}, outputs={"normal": Task("image", 3)},
        statistics="instance",
    )  # fmt: skip
    plain, mirrored = Vectors(2), Vectors(2)
    mirrored.mirrored = True
    one, other = (
        score_network(net, data, flip=True, accelerator="cpu")["rgb"]["normal"]["ensemble"]
        for data in (plain, mirrored)
    )
    assert one["mae"] == pytest.approx(other["mae"], rel=1e-5)
    assert one["rmse"] == pytest.approx(other["rmse"], rel=1e-5)


def test_the_network_is_left_in_the_mode_it_was_in() -> None:
    net = toy_network().train()
    score_network(net, Blocks(2), which=[("rgb",)], accelerator="cpu")
    assert net.training
    assert all(module.training for module in net.modules())


def test_mean_iou_averages_outputs_and_skips_unknown() -> None:
    def entry(value: float | None) -> dict[str, object]:
        return {"ensemble": {"mean_iou": value}, "streams": {}}

    assert mean_headline({"a": entry(0.2), "b": entry(0.4)}) == pytest.approx(0.3)
    assert mean_headline({"a": entry(0.2), "b": entry(None)}) == pytest.approx(0.2)
    assert mean_headline({"a": entry(None)}) is None


def test_a_prediction_that_is_not_finite_is_refused() -> None:
    """The greatest of logits that are all NaN would be class 0, and a score."""
    net = toy_network()
    with torch.no_grad():
        net.heads["segmentation"].bias.fill_(torch.nan)  # type: ignore[union-attr,operator]
    with pytest.raises(DataError, match=r"prediction of 'segmentation' \(.*holds NaN or infinity"):
        score_network(net, Blocks(2), batch_size=2, accelerator="cpu")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_scores_of_what_is_not_finite(
    kind: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of validation, too: at once on the CPU, elsewhere when they are read."""
    channels = {"segmentation": 3, "depth": 1, "normal": 3, "edge": 1, "image": 2}[kind]
    tasks = {"out": Task(kind, channels)}  # type: ignore[arg-type]
    truth = torch.ones(1, channels, 8, 8) / channels**0.5
    target = torch.zeros(1, 8, 8).long() if kind == "segmentation" else truth
    guess = truth.clone()
    guess[0, 0, 2, 2] = value
    wrong = {"out": Output({"rgb": guess}, truth, torch.ones(1))}
    scores = FusionScores(["rgb"], tasks)
    with pytest.raises(DataError, match=r"'out' \(stream rgb\).*in 1 values"):
        scores.update(wrong, {"out": target})
    monkeypatch.setattr("cen.training.fusion_scores.looks", lambda values: False)
    monkeypatch.setattr("cen.tasks.pairs.looks", lambda values: False)
    scores.update(wrong, {"out": target})
    with pytest.raises(DataError, match=r"'out' \(stream rgb\).*in 1 values"):
        scores.compute()
    scores.reset()
    scores.update({"out": Output({"rgb": truth}, truth, torch.ones(1))}, {"out": target})
    assert scores.compute()["out"]["ensemble"]


def test_scores_in_tiles_are_those_of_the_whole_pictures() -> None:
    """Counted band by band; the network sees 8 pixels far, a quarter of what tiles overlap."""
    net, data = local_network(8), Pictures()
    whole, tiled = (
        score_network(net, data, tile=tile, scales=(1.0, 1.5), flip=True, accelerator="cpu")
        for tile in (None, 96)
    )
    for subset, entry in whole.items():
        for column, scores in (
            ("ensemble", entry["out"]["ensemble"]),
            *entry["out"]["streams"].items(),
        ):
            other = tiled[subset]["out"]
            theirs = other["ensemble"] if column == "ensemble" else other["streams"][column]
            assert theirs["mean_iou"] == pytest.approx(scores["mean_iou"], abs=1e-3)
            assert theirs["pixels"] == scores["pixels"]


def test_tiles_have_no_statistics_of_the_whole_picture() -> None:
    with pytest.raises(ConfigError, match="generator mode instance"):
        score_network(local_network(8), Pictures(), tile=96, generator_mode="instance")


class Pictures(Dataset[dict[str, torch.Tensor]]):
    """Two samples of 200 × 150 pixels."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(index)
        return {
            "rgb": torch.rand(3, 200, 150),
            "depth": torch.rand(1, 200, 150),
            "out": torch.randint(4, (200, 150)),
        }
