"""Scores of streams, ensemble and subsets against a plain loop; distances of images."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from tests.predict.local import local_network
from tests.training.generation.pictures import Pictures, network, translation
from tests.training.toy import Blocks, Scenes, several_config, several_network, toy_network
from torch import nn
from torch.utils.data import Dataset, Subset

import cen
from cen.data import Modality
from cen.errors import ConfigError
from cen.metrics import (
    Features,
    confusion_matrix,
    depth_scores,
    depth_sums,
    frechet_distance,
    segmentation_scores,
    to_bytes,
)
from cen.models import Task
from cen.training import generating
from cen.training.scoring_pass import score_network


class Moments(nn.Module):
    """The mean colour, in place of a trained network."""

    num_features = 3

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().mean((2, 3))


def test_distances_of_the_streams_and_the_ensemble() -> None:
    net, data = network(translation()), Pictures(4, missing=True)
    options: dict[str, Any] = {"accelerator": "cpu", "batch_size": 3}
    scores = score_network(net, data, features=Features("moments", Moments()), **options)
    entry = scores["shade+texture"]["rgb"]
    columns = {"ensemble": entry["ensemble"], **entry["streams"]}
    assert list(columns) == ["ensemble", "shade", "texture"]
    assert "frechet_moments" not in scores["shade"]["rgb"]["ensemble"]
    made: dict[str, list[torch.Tensor]] = {name: [] for name in (*columns, "truth")}
    with torch.no_grad(), generating(net, "eval"):
        for index in range(4):
            sample = data[index]
            out = net({name: sample[name][None] for name in net.inputs}, size=(32, 32))["rgb"]
            images = {"ensemble": out.ensemble, **out.streams, "truth": sample["rgb"][None]}
            for name, image in images.items():
                # Where nothing is known, both are black.
                known = torch.where(torch.isfinite(sample["rgb"]), image, -1)
                made[name].append(to_bytes(known).float().mean((2, 3)))
    for name, values in columns.items():
        expected = frechet_distance(torch.cat(made["truth"]), torch.cat(made[name])).item()
        assert values["frechet_moments"] == pytest.approx(expected, rel=1e-3, abs=1e-3)
        assert values["kernel_moments"] is not None


class Partly(Pictures):
    """Pictures of which some samples have none; their inputs alone are there."""

    lacking: ClassVar = {1, 2}

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        sample = super().__getitem__(key)
        index = key[1] if isinstance(key, tuple) else key
        if index in self.lacking:
            sample["rgb"] = torch.full_like(sample["rgb"], torch.nan)
        return sample


@pytest.mark.parametrize("batch_size", [1, 3])
def test_samples_without_a_picture_have_no_part_in_the_distances(batch_size: int) -> None:
    """Two pictures that are black all over would be equal."""
    net, options = network(translation()), {"accelerator": "cpu", "batch_size": batch_size}
    features = Features("moments", Moments())
    found, expected = (
        score_network(net, data, features=features, **options)["shade+texture"]["rgb"]["ensemble"]
        for data in (Partly(5), Subset(Pictures(5), [0, 3, 4]))
    )
    assert found["images"] == expected["images"] == 3
    for name in ("frechet_moments", "kernel_moments"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6)


@pytest.mark.parametrize("mode", ["eval", "instance", "released"])
def test_what_is_frozen_stays_frozen(mode: Any) -> None:
    """Of a loop of one's own: the encoder is in evaluation mode while the rest learns."""
    net, data = network(translation()), Pictures(2)
    net.train()
    net.encoder.eval()
    modes = [module.training for module in net.modules()]
    score_network(net, data, generator_mode=mode, accelerator="cpu")
    assert [module.training for module in net.modules()] == modes


def test_evaluation_runs_as_asked() -> None:
    config = translation()
    net, data = network(config), Pictures(3)
    options: dict[str, Any] = {"accelerator": "cpu", "batch_size": 2}
    found = {
        mode: score_network(net, data, generator_mode=mode, **options)
        for mode in ("eval", "instance")
    }
    both = [scores["shade+texture"]["rgb"]["ensemble"] for scores in found.values()]
    assert both[0]["mae"] != both[1]["mae"]
    assert both[0]["images"] == 3
    assert set(found["eval"]) == {"shade+texture", "shade", "texture"}


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


def test_scores_in_tiles_are_those_of_the_whole_pictures() -> None:
    """Counted band by band; the network sees 8 pixels far, a quarter of what tiles overlap."""
    net, data = local_network(8), Large()
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
        score_network(local_network(8), Large(), tile=96, generator_mode="instance")


class Large(Dataset[dict[str, torch.Tensor]]):
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
