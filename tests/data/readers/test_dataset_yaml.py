"""What the dataset.yaml of a published layout says."""

import shutil

import pytest

from cen.data import NYUDv2Folder, describe
from cen.errors import DataError


@pytest.fixture
def root(written, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(written, tmp_path / "data")
    return tmp_path / "data"


def test_classes_come_from_the_caller_or_the_folder(root):
    assert NYUDv2Folder(root, "train").classes[0] == "floor"
    assert NYUDv2Folder(root, "train", classes=20).classes[19] == "19"
    folder = NYUDv2Folder(root, "train", classes=[f"c{n}" for n in range(20)])
    assert folder.palette.shape == (20, 3)
    assert len({tuple(colour) for colour in folder.palette}) == 20
    (root / "dataset.yaml").unlink()
    assert describe(root, ()) == {}
    with pytest.raises(DataError, match="how many classes"):
        NYUDv2Folder(root, "train")


def test_a_misspelt_key_of_the_folder_is_refused(root):
    """Its depth would be read in another unit without a word."""
    text = (root / "dataset.yaml").read_text().replace("name: rooms\n", "")
    (root / "dataset.yaml").write_text("about: {x: 1}\ndepth_units: 0.002\nclasses: 20\n")
    with pytest.raises(DataError, match=r"depth_units: is no key .*did you mean 'depth_unit'"):
        NYUDv2Folder(root, "train")
    (root / "dataset.yaml").write_text("about: {x: 1}\ndepth_unit: 0.002\nclasses: 20\n")
    NYUDv2Folder(root, "train")
    (root / "dataset.yaml").write_text(text)
    with pytest.raises(DataError, match="about for anything else"):
        NYUDv2Folder(root, "train")
