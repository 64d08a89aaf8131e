"""What labels say as a whole: classes without a pixel, numbers that nobody declared, blur."""

import cv2
import numpy as np
import pytest
from tests.data.own_folder import SIZE, make_root, say

from cen.config import Config
from cen.data.formats.pictures import write_png
from cen.data.readers.aligned_folder import AlignedFolder
from cen.data.readers.opening import DatasetRecipe
from cen.data.readers.shards import Shards
from cen.data.tools.checking import check_data
from cen.data.tools.label_facts import blurred, label_doubts, outlines
from cen.data.tools.sharding import write_shards
from cen.errors import ConfigError
from cen.training.setup import data_source, open_dataset


@pytest.fixture
def root(tmp_path):
    return make_root(tmp_path)


def fill(root, *values, share=0.5):
    """Masks whose right part has another value than the left."""
    mask = np.full(SIZE, values[0], np.uint8)
    mask[:, : int(share * SIZE[1])] = values[-1]
    for path in (root / "labels").iterdir():
        write_png(path, mask)


def told(root, **common):
    report = check_data(DatasetRecipe("folder", str(root), common=common))
    return [f.text for f in report.errors if f.kind == "label"]


def warned(root, **options):
    return list(label_doubts(AlignedFolder(root, "train", **options)))


def test_masks_of_0_and_255_are_told_with_the_way_out(root):
    """Their object counts as ignored: without a word every score would be 100 %."""
    say(root, outputs__segmentation__classes=["background", "object"])
    fill(root, 0, 255)
    (text,) = told(root)
    assert "class object (1) without a pixel" in text
    assert "255 covers 50.0 % of the pixels and counts as no label" in text
    assert "values: {0: background, 255: object}" in text
    assert warned(root)[0].startswith(text)
    # The way out that the message names.
    field = {"pattern": "labels/{id}.png", "values": {0: "background", 255: "object"}}
    say(root, outputs__segmentation=field)
    assert told(root) == warned(root) == []


def test_a_first_class_without_a_pixel_may_be_labels_counted_from_1(root):
    say(root, outputs__segmentation__classes=["road", "person", "car"])
    fill(root, 1, 2)
    (text,) = told(root)
    assert "class road (0) without a pixel" in text
    assert text.endswith("where labels are counted from 1, say first: 1 in dataset.yaml")


def test_a_class_without_a_pixel_is_told(root):
    say(root, outputs__segmentation__classes=["road", "person", "car", "ghost"])
    (text,) = told(root)
    assert "class ghost (3) without a pixel in the training split" in text
    assert "counted from 1" not in text
    assert warned(root)[0].startswith(text)
    say(root, outputs__segmentation__classes=[f"c{n}" for n in range(20)])
    assert "c3 (3), c4 (4), c5 (5), c6 (6), c7 (7) and 12 more" in told(root)[0]


def hide_half(root):
    """Labels of two classes, and 255 in half of the pixels, of which nothing is said."""
    say(root, outputs__segmentation__classes=["a", "b"])
    mask = np.repeat([[0, 1, 255, 255]], 6, axis=0).repeat(8, axis=1).repeat(4, axis=0)
    for path in (root / "labels").iterdir():
        write_png(path, mask.astype(np.uint8))


@pytest.mark.parametrize("declared", ["yaml", "user"])
def test_an_ignored_value_that_covers_much_must_be_declared(root, declared):
    hide_half(root)
    (text,) = told(root)
    assert "255 covers 50.0 %" in text
    assert "ignore: 255" in text
    assert warned(root)[0].startswith(text)
    if declared == "yaml":
        say(root, outputs__segmentation__classes=["a", "b"], outputs__segmentation__ignore=255)
        assert told(root) == warned(root) == []
    else:
        assert told(root, ignore_index=255) == warned(root, ignore_index=255) == []


def ignoring(root, ignore, last):
    """Labels of which a quarter each is 0, 1, 2 and ``last``, and what is said to be ignored."""
    mask = np.repeat([[0, 1, 2, last]], 6, axis=0).repeat(8, axis=1).repeat(4, axis=0)
    for path in (root / "labels").iterdir():
        write_png(path, mask.astype(np.uint8))
    said = {"classes": ["a", "b"], "first": 1, "ignore": ignore}
    say(root, **{f"outputs__segmentation__{key}": value for key, value in said.items()})


@pytest.mark.parametrize("ignore", [0, [0]])
def test_an_ignored_value_of_another_number_is_a_declaration(root, ignore):
    ignoring(root, ignore, last=2)
    assert told(root) == warned(root) == []  # a quarter of the pixels is 0, which is said


@pytest.mark.parametrize("ignore", [0, [0]])
def test_an_ignored_value_beside_others_is_told_until_it_is_named(root, ignore):
    ignoring(root, ignore, last=255)
    report = check_data(DatasetRecipe("folder", str(root)))
    assert not report.errors
    (text,) = (f.text for f in report.findings if f.kind == "label")
    assert "1920 pixels (25 %) in all splits are stored as 255, which ignore: [0] does not" in text
    (warning,) = warned(root)
    assert "(25 %) in the training split are stored as 255" in warning
    assert "write ignore: [0, 255] in dataset.yaml" in warning
    ignoring(root, [0, 255], last=255)
    assert warned(root) == []
    assert not [
        f for f in check_data(DatasetRecipe("folder", str(root))).findings if f.kind == "label"
    ]


@pytest.mark.parametrize("part", ["undeclared", "half_declared"])
def test_shards_know_what_nobody_declared(root, tmp_path, part):
    if part == "half_declared":
        ignoring(root, [0], last=255)
    else:
        hide_half(root)
    shards = tmp_path / "shards"
    write_shards(DatasetRecipe("folder", str(root)), shards)
    assert getattr(Shards(shards, "train"), part) == {"segmentation"}
    (expected,) = warned(root)
    assert list(label_doubts(Shards(shards, "train"))) == [expected]
    assert list(label_doubts(Shards(shards, "train", ignore_index=255))) == []


def test_what_the_configuration_says_is_a_declaration(root):
    fill(root, 0, 255)
    values = {"layout": "folder", "root": str(root)}
    model = {"inputs": {"rgb": 3}}
    silent = Config.from_dict({"data": values, "model": model})
    assert open_dataset(silent, "train").undeclared == {"segmentation"}
    assert "ignore_index" not in data_source(silent).common
    for number in (255, 65535):
        said = Config.from_dict({"data": {**values, "ignore_index": number}, "model": model})
        data = open_dataset(said, "train")
        assert data.undeclared == frozenset()
        assert data.ignore_index == number


def test_a_look_that_has_no_time_says_how_much_it_saw(root):
    say(root, outputs__segmentation__classes=["road", "person", "car", "ghost"])
    data = AlignedFolder(root, "train")
    (text,) = label_doubts(data, seconds=0.0)
    assert f"the 1 of {len(data)} training samples" in text


def test_more_classes_than_255_need_another_ignored_value(root):
    say(root, outputs__segmentation__classes=300)
    with pytest.raises(ConfigError, match=r"255 is one of the 300 classes .* such as 65535"):
        AlignedFolder(root, "train")
    for path in (root / "labels").iterdir():
        labels = np.arange(SIZE[0] * SIZE[1], dtype=np.uint16).reshape(SIZE) % 300
        labels[0, 0] = 65535
        write_png(path, labels)
    sample = AlignedFolder(root, "train", ignore_index=65535).raw(0)
    assert sample["segmentation"][0, 0] == 65535
    assert sample["segmentation"].max(initial=0, where=sample["segmentation"] < 65535) == 299


@pytest.mark.parametrize("how", ["INTER_LINEAR", "INTER_CUBIC", "INTER_AREA", "INTER_NEAREST"])
def test_outlines_that_were_blended_are_seen(how):
    small = np.zeros((60, 80), np.uint8)
    cv2.circle(small, (30, 30), 20, 10, -1)
    cv2.rectangle(small, (50, 10), (70, 40), 20, -1)
    size = (55, 41) if how == "INTER_AREA" else (203, 151)
    resized = cv2.resize(small, size, interpolation=getattr(cv2, how))
    assert blurred(*outlines(resized, 255)) == (how != "INTER_NEAREST")


def test_noise_and_stripes_are_not_taken_for_blur():
    rng = np.random.default_rng(0)
    assert not blurred(*outlines(rng.integers(0, 40, (100, 100)), 255))
    stripes = np.tile([0, 0, 0, 1, 1, 2, 2, 2, 5, 5], (50, 10))
    assert not blurred(*outlines(stripes, 255))


def test_blended_outlines_are_a_note_of_check(root):
    say(root, outputs__segmentation__classes=21)
    for path in (root / "labels").iterdir():
        small = np.zeros((12, 16), np.uint8)
        cv2.circle(small, (8, 6), 4, 20, -1)
        write_png(path, cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_LINEAR))
    report = check_data(DatasetRecipe("folder", str(root)))
    assert any("resized smoothly" in f.text for f in report.findings if f.severity == "note")
