"""Scores of generated images: distances, and ways to run a generator."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from tests.training.generation.pictures import Pictures, network, translation
from torch import nn
from torch.utils.data import Subset

from cen.metrics import Features, frechet_distance, to_bytes
from cen.training import generating, score_network


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
