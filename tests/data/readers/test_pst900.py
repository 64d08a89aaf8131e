"""PST900's own layout: a folder for training and one for testing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.readers.made_up import pst900, write

from cen.data.readers.opening import open_layout
from cen.data.readers.pst900 import PST900
from cen.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return pst900(tmp_path / "PST900_RGBT_Dataset")


def stored(root: Path, folder: str, name: str) -> np.ndarray:
    with Image.open(root / folder / f"{name}.png") as image:
        return np.array(image)


def test_every_field_is_what_is_stored_in_its_unit(root: Path) -> None:
    fields = {name: {} for name in ("rgb", "thermal", "thermal_raw", "depth")}
    data = open_layout("pst900", root, "test", inputs=fields, outputs={"segmentation": {}})
    sample, part = data.raw(0), root / "test"
    for field, worth in (("thermal", 255), ("thermal_raw", 65535), ("depth", 2560)):
        numbers = stored(part, field, sample["name"])
        expected = np.where(numbers == 0, np.nan, numbers / worth)
        np.testing.assert_allclose(sample[field], expected, rtol=1e-6)
        assert sample[field].dtype == np.float32
    assert np.isnan(sample["thermal"]).any()
    np.testing.assert_array_equal(sample["rgb"], stored(part, "rgb", sample["name"]))
    np.testing.assert_array_equal(sample["segmentation"], stored(part, "labels", sample["name"]))
    assert data.classes == (
        "background",
        "fire_extinguisher",
        "backpack",
        "hand_drill",
        "rescue_randy",
    )


def test_validation_takes_whole_recordings(root: Path) -> None:
    train, held = (PST900(root, split, validation=0.3) for split in ("train", "validation"))
    recordings = [{data.group(n) for n in range(len(data))} for data in (train, held)]
    assert (len(train), len(held), len(PST900(root, "test"))) == (4, 2, 2)
    assert not recordings[0] & recordings[1]


def test_raw_values_of_8_bits_and_a_missing_folder_are_refused(root: Path) -> None:
    write(root / "test/thermal_raw/9_bag_rect_rgb_frame0000000000.png", np.ones((32, 48), np.uint8))
    data = open_layout("pst900", root, "test", inputs={"thermal_raw": {}}, outputs={})
    with pytest.raises(DataError, match="holds values of 8 bits, not of 16"):
        data.raw(0)
    with pytest.raises(DataError, match=r"labels: no \*\.png"):
        PST900(root / "test", "test")
