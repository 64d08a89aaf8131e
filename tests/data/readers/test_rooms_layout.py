"""Rooms without files against the same scenes on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cen.data import Modality, write_rooms
from cen.data.readers.opening import open_layout
from cen.data.readers.rooms_layout import FIELDS, RoomsLayout
from cen.data.rooms.render import render_scene
from cen.errors import ConfigError, DataError

OPTIONS = {"size": [32, 48], "train": 10, "test": 3, "labels": "functions"}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_scenes_and_splits_are_those_on_disk(split: str, tmp_path: Path) -> None:
    write_rooms(tmp_path, labels="functions", size=(32, 48), train=10, test=3)
    common = {"validation": 0.3, "seed": 0}
    stored = open_layout("nyudv2", tmp_path, split, **common)  # type: ignore[arg-type]
    rendered = open_layout("rooms", "nowhere", split, options=OPTIONS, **common)  # type: ignore[arg-type]
    assert [rendered.name(i) for i in range(len(rendered))] == [
        stored.name(i) for i in range(len(stored))
    ]
    assert rendered.classes == stored.classes
    for index in range(len(stored)):
        first, second = stored.raw(index), rendered.raw(index)
        assert list(first) == list(second)
        assert np.array_equal(first["rgb"], second["rgb"])
        assert np.array_equal(first["segmentation"], second["segmentation"])
        np.testing.assert_allclose(first["depth"], second["depth"], atol=1e-6)


def test_every_field_is_that_of_the_renderer() -> None:
    inputs = {name: Modality.of(**FIELDS[name]) for name in FIELDS if name != "segmentation"}
    data = RoomsLayout("", "test", inputs, size=(32, 48), test=2, scenes=5)
    sample, scene = data.raw(1), render_scene(5, 2**31 + 1, (32, 48))
    for name in inputs:
        np.testing.assert_array_equal(sample[name], scene[name])
    np.testing.assert_array_equal(sample["segmentation"], scene["parts"])


def test_a_scene_is_rendered_once_and_stays_as_it_is() -> None:
    data = RoomsLayout("", "test", size=(32, 48), test=2)
    first = data.raw(0)["rgb"]
    assert data.raw(0)["rgb"] is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": [8, 8]}, "16 to 4096"),
        ({"labels": "things"}, r"data\.options\.labels"),
        ({"classes": 7}, "15 classes"),
        ({"sizes": [32, 48]}, "did you mean 'size'"),
        ({"annotated": {"depth": 2}}, "depth is 2; expected: 0 to 1"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    classes = options.pop("classes", None)
    with pytest.raises(ConfigError, match=message):
        open_layout("rooms", "", "train", options=options, classes=classes)
    with pytest.raises(DataError, match="split"):
        RoomsLayout("", "tests")  # type: ignore[arg-type]
