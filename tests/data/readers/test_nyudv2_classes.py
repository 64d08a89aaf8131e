"""The classes of NYUDv2, by the mapping files of its authors."""

import shutil

import numpy as np
import pytest

from cen.data.readers.nyudv2_mat import NYUDv2Mat
from cen.data.rooms.matlab import cell, save_v5
from cen.errors import ConfigError, DataError


@pytest.fixture
def root(mat, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(mat, tmp_path / "data")
    return tmp_path / "data"


def test_classes_are_chosen_by_their_number(mat):
    fifteen = NYUDv2Mat(mat, "test")
    seven = NYUDv2Mat(mat, "test", classes=7)
    own = NYUDv2Mat(mat, "test", classes=894, ignore_index=65535)
    assert seven.classes == ("floor", "wall", "ceiling", "box", "sphere", "cylinder", "cone")
    coarse = np.array([seven.classes.index(name.split()[-1]) for name in fifteen.classes])
    for index in range(4):
        fine = fifteen[index]["segmentation"]
        np.testing.assert_array_equal(seven[index]["segmentation"], coarse[fine])
        np.testing.assert_array_equal(own[index]["segmentation"] % 15, fine)
    assert own.classes[15] == "floor 2"
    renamed = NYUDv2Mat(mat, "test", classes=[f"c{n}" for n in range(7)])
    assert renamed.classes[0] == "c0"
    np.testing.assert_array_equal(renamed[0]["segmentation"], seven[0]["segmentation"])
    with pytest.raises(DataError, match="no mapping to 41 classes; there are 7, 15, 894"):
        NYUDv2Mat(mat, "test", classes=41)
    with pytest.raises(ConfigError, match=r"ignore_index: 255 is one of the 894"):
        NYUDv2Mat(mat, "test", classes=894)


def test_the_other_form_of_the_13_classes_is_read(root):
    (root / "class13Mapping.mat").unlink()
    save_v5(
        root / "classMapping13.mat",
        {"mapClass": np.arange(894)[None] % 2.0 + 1.0, "className": cell(["even", "odd"])},
    )
    two = NYUDv2Mat(root, "test", classes=2)
    own = NYUDv2Mat(root, "test", classes=894, ignore_index=-1)
    np.testing.assert_array_equal(two[1]["segmentation"], own[1]["segmentation"] % 2)


def test_a_damaged_13_class_file_matters_only_where_it_is_used(root):
    save_v5(root / "class13Mapping.mat", {"classMapping13": {"labels13": np.ones((1, 15))}})
    assert len(NYUDv2Mat(root, "test").classes) == 15
    with pytest.raises(DataError, match=r"class13Mapping\.mat: classMapping13 is no struct"):
        NYUDv2Mat(root, "test", classes=13)
