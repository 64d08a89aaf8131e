"""DeLiVER's own layout: a folder per sensor, weather, split and scene."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.readers.made_up import deliver

from cen.data.readers.deliver import DELIVER
from cen.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return deliver(tmp_path / "DELIVER")


def test_labels_count_from_1_and_0_and_255_are_none(root: Path) -> None:
    data = DELIVER(root, "train")
    sample = data.raw(0)
    with Image.open(data.files(0)["segmentation"]) as image:
        stored = np.array(image)[..., 0].astype(int)
    expected = np.where((stored == 0) | (stored == 255), 255, stored - 1)
    np.testing.assert_array_equal(sample["segmentation"], expected)
    assert (sample["segmentation"] == 24).any()
    assert (len(data.classes), data.classes[24], data.palette[24].tolist()) == (
        25,
        "Truck",
        [0, 0, 70],
    )
    with Image.open(root / "hha/rain/train/MAP_1_point1/000001_depth_front.png") as image:
        np.testing.assert_array_equal(sample["hha"], np.array(image))
    assert sample["name"] == "rain-MAP_1_point1-000001_front"


def test_events_of_a_lower_resolution_get_the_size_of_the_colours(root: Path) -> None:
    data = DELIVER(root, "train")
    index = next(n for n in range(len(data)) if "eventlowres" in data.name(n))
    with Image.open(data.files(index)["event"]) as image:
        small = np.array(image)
    assert small.shape == (24, 24, 3)
    np.testing.assert_array_equal(data.raw(index)["event"], small.repeat(2, 0).repeat(2, 1))


def test_a_case_is_a_weather_or_a_failure(root: Path) -> None:
    assert [len(DELIVER(root, s)) for s in ("train", "validation", "test")] == [6, 2, 2]
    assert len(DELIVER(root, "train", case="rain")) == 3
    assert len(DELIVER(root, "train", case="eventlowres")) == 2
    with pytest.raises(DataError, match="of fog"):
        DELIVER(root, "train", case="fog")
    with pytest.raises(ConfigError, match=r"data\.options\.case.*did you mean 'rain'"):
        DELIVER(root, "train", case="rian")
