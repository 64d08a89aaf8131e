import shutil
import warnings

import cv2
import numpy as np
import pytest
from tests.data.own_folder import CLASSES, COLOURS, SIZE, all_names, make_root, names, say

from cen.data.fields.modality import Modality
from cen.data.formats.pictures import write_png
from cen.data.readers.aligned_folder import AlignedFolder
from cen.data.readers.opening import open_layout
from cen.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path):
    return make_root(tmp_path)


def test_a_few_lines_are_enough(root):
    data = AlignedFolder(root, "train")
    sample = data.raw(0)
    assert list(sample) == ["rgb", "thermal", "segmentation", "name"]
    assert sample["rgb"].dtype == np.uint8
    assert sample["thermal"].dtype == np.float32
    assert 0 < sample["thermal"].mean() < 40
    assert data.classes == tuple(CLASSES)
    assert data.palette.shape == (3, 3)
    parts = all_names(root)
    assert sorted(n for part in parts.values() for n in part) == [f"{n:02d}" for n in range(10)]
    assert all(parts.values())


def test_the_yaml_file_itself_may_stand_elsewhere(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("yaml")
    say(elsewhere, at="mine.yaml", root=str(root))
    assert names(elsewhere / "mine.yaml", "train") == names(root, "train")


def test_any_number_of_fields(root):
    for name in ("near_infrared", "polarisation"):
        shutil.copytree(root / "rgb", root / name)
    more = {"near_infrared": "image", "polarisation": "continuous"}
    keys = {f"modalities__{n}": {"pattern": n + "/{id}.png", "kind": k} for n, k in more.items()}
    keys["modalities__polarisation"]["channels"] = 3
    say(root, outputs__parts={"pattern": "labels/{id}.png", "classes": 4}, **keys)
    sample = AlignedFolder(root, "train").raw(0)
    assert list(sample) == [
        *("rgb", "thermal", "near_infrared", "polarisation"),
        *("segmentation", "parts", "name"),
    ]
    some = open_layout("folder", root, "test", inputs={"polarisation": {}}, outputs={"parts": {}})
    assert list(some.raw(0)) == ["polarisation", "parts", "name"]
    assert some.classes == ("0", "1", "2", "3")


def test_formats_and_kinds(root):
    for name in ("01", "02"):
        np.save(root / f"rgb/{name}.npy", np.tile(np.float32((0, 0, -1)), (*SIZE, 1)))
        write_png(root / f"rgb/{name}_d.png", np.full(SIZE, 1500, np.uint16))
    say(
        root,
        modalities__normal={"pattern": "rgb/{id}.npy", "kind": "normal"},
        modalities__depth={"pattern": "rgb/{id}_d.png", "kind": "depth", "unit": 0.001},
        modalities__rgb={"pattern": "rgb/{id}.png"},
        missing="skip",
        splits={"test": 0.5},
    )
    wanted = {"normal": {}, "depth": {}}
    data = open_layout("folder", root, "test", inputs=wanted, outputs={})
    sample = data.raw(0)
    assert (sample["normal"] == (0, 0, -1)).all()
    np.testing.assert_allclose(sample["depth"], 1.5)
    other = {"depth": {"unit": 0.01}}
    data = open_layout("folder", root, "test", inputs=other, outputs={})
    np.testing.assert_allclose(data.raw(0)["depth"], 15)


def test_intrinsics_go_with_every_sample(root):
    say(root, intrinsics=[50, 51, 16, 12])
    expected = [[50, 0, 16], [0, 51, 12], [0, 0, 1]]
    np.testing.assert_array_equal(AlignedFolder(root, "train").raw(0)["intrinsics"], expected)
    say(root, intrinsics=[50, 51])
    with pytest.raises(ConfigError, match=r"dataset\.yaml, line \d+: intrinsics: give fx"):
        AlignedFolder(root, "train")


def test_masks_of_colours(root):
    for number in range(10):
        path = root / f"labels/{number:02d}.png"
        stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        mask = np.array(list(COLOURS.values()), np.uint8)[stored]
        mask[0, 0] = (0, 0, 0)
        write_png(path, mask)
        np.save(root / f"labels/{number:02d}.npy", stored)
    say(root, outputs__segmentation__colours={**COLOURS, "ignore": [0, 0, 0]})
    data = AlignedFolder(root, "train")
    labels = data.raw(0)["segmentation"]
    assert labels[0, 0] == 255
    true = np.load(root / f"labels/{data.name(0)}.npy")
    np.testing.assert_array_equal(labels.ravel()[1:], true.ravel()[1:])
    assert data.palette.tolist() == list(COLOURS.values())
    say(root, outputs__segmentation__colours=COLOURS)
    with pytest.raises(DataError, match=r"labels/\d\d\.png: colour \[0, 0, 0\] \(1 pixels\)"):
        AlignedFolder(root, "train").raw(0)


@pytest.mark.parametrize(
    ("colours", "message"),
    [
        (
            {"raod": [1, 2, 3]},
            r"line \d+: outputs\.segmentation\.colours\.raod: raod is no class.*road",
        ),
        ({"road": [1, 2, 3]}, "says no colour of the class person"),
        ({"road": [1, 2]}, r"\[1, 2\] is no colour"),
        ({"road": [1, 2, 300]}, r"is no colour; give \[red, green, blue\]"),
        ({"road": [1, 2, 3], "car": [1, 2, 3]}, "stands there twice"),
    ],
)
def test_wrong_colours_are_refused(root, colours, message):
    say(root, outputs__segmentation__colours=colours)
    with pytest.raises(ConfigError, match=message):
        AlignedFolder(root, "train")


def test_numbers_that_do_not_start_at_0(root):
    path = root / "labels/00.png"
    stored = np.tile(np.array([0, 1, 2, 3, 255, 9, 1, 1], np.uint8), (24, 4))
    write_png(path, stored)
    say(root, splits={"train": "a.txt", "test": "b.txt"}, outputs__segmentation__first=1)
    (root / "a.txt").write_text("00\n")
    (root / "b.txt").write_text("01\n")
    told = r"a\.txt, line 1: labels/00\.png: label 0 .*, 9 .*outside 1"
    with pytest.raises(DataError, match=told):
        AlignedFolder(root, "train", validation=0.0).raw(0)
    say(
        root,
        splits={"train": "a.txt", "test": "b.txt"},
        outputs__segmentation__first=1,
        outputs__segmentation__ignore=[0, 9],
    )
    read = AlignedFolder(root, "train", validation=0.0).raw(0)["segmentation"]
    assert read[0, :6].tolist() == [255, 0, 1, 2, 255, 255]


def test_samples_that_lack_files_are_an_error_or_skipped(root):
    for number in (2, 5, 6, 7):
        (root / f"thermal/{number:02d}.tif").unlink()
    with pytest.raises(
        DataError, match=r"\d of \d samples of the train split lack files"
    ) as raised:
        names(root, "train")
    assert "has no thermal (thermal/" in str(raised.value)
    assert "say 'missing: skip'" in str(raised.value)
    say(root, missing="skip")
    with pytest.warns(
        UserWarning, match=r"of the train split .*has no thermal \(thermal/\d\d\.tif\).*skipped"
    ):
        kept = names(root, "train")
    assert not set(kept) & {"02", "05", "06", "07"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        some = open_layout("folder", root, "train", inputs={"rgb": {}}, outputs={})
    assert len(some) > len(kept)


def test_partly_annotated_samples_need_one_of_the_outputs(root):
    shutil.copytree(root / "labels", root / "parts")
    for folder, number in (("labels", 1), ("labels", 2), ("parts", 2), ("thermal", 3)):
        next((root / folder).glob(f"{number:02d}.*")).unlink()
    say(root, outputs__parts={"pattern": "parts/{id}.png", "classes": 3}, missing="skip")
    found = {}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for split in ("train", "validation", "test"):
            data = AlignedFolder(root, split, {}, {})
            data.partial = True
            data.select()
            found |= {data.name(index): data.annotated(index) for index in range(len(data))}
            samples = {data.name(index): data.raw(index) for index in range(len(data))}
            assert all(set(found[n]) <= set(sample) for n, sample in samples.items())
    assert "has no" in str(told[0].message)
    assert set(found) == {f"{n:02d}" for n in (0, 1, 4, 5, 6, 7, 8, 9)}
    assert found["01"] == ("parts",)
    assert found["00"] == ("segmentation", "parts")


def test_what_is_kept_with_a_network_reads_labels_as_the_data_set_does(root):
    """Numbers that do not start at 0, and some that are no class."""
    options = {"ignore_index": 99, "outputs": {"segmentation": {}}, "inputs": {"rgb": {}}}
    for first, ignore in ((3, 7), (3, [7, 8]), (0, 2), (1, None)):
        say(root, outputs__segmentation__first=first, outputs__segmentation__ignore=ignore or [])
        data = open_layout("folder", root, "test", **options)
        numbers = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 3 + first
        numbers[0, :2] = (99, np.max(ignore) if ignore else 99)
        write_png(data.files(0)["segmentation"], numbers.astype(np.uint8))
        expected = numbers - first
        expected[np.isin(numbers, [*np.ravel(ignore or []), 99])] = 99
        kept = Modality.from_dict(data.targets["segmentation"].to_dict())
        np.testing.assert_array_equal(kept.read(data.files(0)["segmentation"]), expected)
        np.testing.assert_array_equal(data.raw(0)["segmentation"], expected)


def test_fields_whose_names_are_spelt_on_two_systems_belong_together(root):
    for folder, letter in (("rgb", "\u00e9"), ("thermal", "e\u0301"), ("labels", "\u00e9")):
        for path in list((root / folder).iterdir()):
            path.rename(path.with_name(letter + path.name))
    assert sum(map(len, all_names(root).values())) == 10
