"""MFNet's own layout: four channels in one file, three lists."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.readers.made_up import mfnet, write

from cen.data.readers.mfnet import MFNet
from cen.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return mfnet(tmp_path / "MF")


def test_colour_and_thermal_are_channels_of_one_file(root: Path) -> None:
    data = MFNet(root, "train")
    sample = data.raw(0)
    with Image.open(root / "images" / f"{sample['name']}.png") as image:
        stored = np.array(image)
    np.testing.assert_array_equal(sample["rgb"], stored[..., :3])
    np.testing.assert_array_equal(sample["thermal"], stored[..., 3])
    assert sample["rgb"].dtype == sample["thermal"].dtype == np.uint8
    with Image.open(root / "labels" / f"{sample['name']}.png") as image:
        np.testing.assert_array_equal(sample["segmentation"], np.array(image))
    assert (data.classes[0], data.classes[8], len(data.classes)) == ("unlabelled", "bump", 9)
    assert data.palette[1].tolist() == [64, 0, 128]


def test_the_splits_are_the_lists_without_mirrored_copies(root: Path) -> None:
    names = {split: MFNet(root, split) for split in ("train", "validation", "test")}
    assert [len(data) for data in names.values()] == [6, 2, 2]
    assert names["validation"].name(0) == "val0000D"


def test_the_unlabelled_can_be_ignored(root: Path) -> None:
    every, some = MFNet(root, "test"), MFNet(root, "test", unlabelled="ignore")
    stored, read = every.raw(0)["segmentation"], some.raw(0)["segmentation"]
    np.testing.assert_array_equal(read, np.where(stored == 0, 255, stored.astype(int) - 1))
    assert some.classes == every.classes[1:]


def test_a_name_in_two_lists_and_a_picture_without_thermal_are_refused(root: Path) -> None:
    write(root / "images" / "train0002D.png", np.zeros((32, 48, 3), np.uint8))
    with pytest.raises(DataError, match=r"train\.txt, line 3: .*train0002D\.png: has 3 bands"):
        MFNet(root, "train").raw(2)
    with (root / "test.txt").open("a") as file:
        file.write("train0002D\n")
    with pytest.raises(DataError, match=r"test\.txt, line 3: train0002D is also in .*train\.txt"):
        MFNet(root, "train")
