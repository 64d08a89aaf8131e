"""What is wrong with a folder or its YAML is told by file, key and line."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.data.own_folder import make_root, say

from cen.config import Config
from cen.data.formats.pictures import write_png
from cen.data.readers.aligned_folder import AlignedFolder
from cen.data.readers.opening import DatasetRecipe, open_layout
from cen.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path):
    return make_root(tmp_path)


@pytest.mark.parametrize("self_made", [False, True])
def test_a_yaml_that_would_fill_the_memory_is_refused(root, self_made):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    bomb = ["about: &a [*a]"] if self_made else [*lines, "about: *a8"]
    with (root / "dataset.yaml").open("a") as file:
        file.write("\n".join(bomb))
    with pytest.raises(DataError, match=r"dataset\.yaml, line \d+: (means|\*a holds itself)"):
        AlignedFolder(root, "train")


def test_a_check_goes_on_where_files_are_missing(root):
    (root / "thermal/02.tif").unlink()
    with contextlib.suppress(DataError):
        for split in ("train", "validation", "test"):
            data = AlignedFolder(root, split, {}, {})
            data.select(None, None)
    missing = [path for i in range(len(data)) for path in data.files(i).values()]
    assert root / "thermal/02.tif" in missing


def test_a_check_tells_what_leaves_no_sample(root):
    shutil.move(root / "labels", root / "masks")
    for split in ("train", "validation", "test"):
        with pytest.raises(DataError, match=r"no file matches labels"):
            DatasetRecipe("folder", str(root)).open(split, tolerant=True)


def test_names_that_do_not_match_are_shown(root):
    for file in sorted((root / "thermal").glob("*")):
        file.rename(file.with_name(f"heat_{file.name}"))
    found = r"rgb such as '\d\d', thermal such as 'heat_\d\d'"
    with pytest.raises(DataError, match=found + r".*the part that they share: '\{id\}_\*\.png'"):
        AlignedFolder(root, "train")


def test_files_that_are_not_there_are_told_with_those_that_are(root):
    shutil.rmtree(root / "labels")
    with pytest.raises(DataError, match=r"no file matches labels/\{id\}\.png .*no folder .*labels"):
        AlignedFolder(root, "train")
    say(root, modalities__thermal__pattern="thermal/{id}.tiff")
    with pytest.raises(DataError, match=r"matches thermal/\{id\}\.tiff .*thermal holds 00\.tif"):
        AlignedFolder(root, "train")


def test_wrong_files_are_named_when_read(root):
    say(root, modalities__depth={"pattern": "rgb/{id}.png", "kind": "depth"})
    data = open_layout("folder", root, "test", inputs={"depth": {}}, outputs={})
    with pytest.raises(DataError, match=r"rgb/\d\d\.png: 3 channels; depth is a file of one"):
        data.raw(0)
    say(root)
    data = AlignedFolder(root, "test")
    write_png(root / f"rgb/{data.name(0)}.png", np.zeros((12, 16, 3), np.uint8))
    with pytest.raises(DataError, match=r"sizes differ: .*rgb/\d\d\.png 12 x 16"):
        AlignedFolder(root, "test").raw(0)


def test_files_of_other_bits_or_swapped_patterns_are_named(root):
    depth = {"pattern": "labels/{id}.png", "kind": "depth", "unit": 0.001, "bits": 16}
    say(root, modalities__depth=depth)
    data = open_layout("folder", root, "test", inputs={"depth": {}}, outputs={})
    with pytest.raises(DataError, match=r"labels/\d\d\.png: holds values of 8 bits, not of 16"):
        data.raw(0)
    say(
        root,
        modalities__rgb__pattern="labels/{id}.png",
        outputs__segmentation__pattern="rgb/{id}.png",
    )
    with pytest.raises(DataError, match=r"rgb/\d\d\.png: a label image has one integer"):
        AlignedFolder(root, "test").raw(0)


def test_a_plot_shows_every_picture(root):
    say(root, intrinsics=[50, 51, 16, 12])
    data = AlignedFolder(root, "train")
    figure = data.plot(data.raw(0))
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["rgb", "thermal", "segmentation"]


def test_what_is_looked_for_in_a_configuration_is_told_where_it_stands():
    for key in ("values", "first", "ignore", "colours"):
        with pytest.raises(ConfigError, match=rf"{key}: is no key.*dataset\.yaml.* says it"):
            Config.from_dict({"data": {"modalities": {"segmentation": {key: {0: "road"}}}}})


def test_the_configuration_may_name_the_classes(root):
    data = AlignedFolder(root, "train", classes=["a", "b", "c", "d"])
    assert data.classes == ("a", "b", "c", "d")
    assert Path(data.files(0)["segmentation"]).parent.name == "labels"


def test_a_split_without_labels_is_told_as_that(root):
    """Not that names differ: they do not."""
    (root / "train.txt").write_text("\n".join(f"{n:02d}" for n in range(8)))
    (root / "test.txt").write_text("08\n09")
    for name in ("08", "09"):
        (root / f"labels/{name}.png").unlink()
    say(root, splits={"train": "train.txt", "test": "test.txt"})
    AlignedFolder(root, "train")
    told = (
        r"none of the 2 samples of the test split has segmentation \(no file such as "
        r"labels/08\.png\); without ground truth nothing is learnt or measured"
    )
    with pytest.raises(DataError, match=told):
        AlignedFolder(root, "test")


def test_what_is_said_of_a_field_that_there_is_not_is_refused(root):
    """``thermel: {unit: 0.01}`` would leave the unit of thermal what it was, without a word."""
    with pytest.raises(ConfigError, match=r"data\.modalities\.thermel: no field .*'thermal'"):
        DatasetRecipe("folder", str(root), given={"thermel": {"unit": 0.01}}).open("train")
    DatasetRecipe("folder", str(root), given={"thermal": {"unit": 0.01}}).open("train")
