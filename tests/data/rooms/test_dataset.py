import numpy as np
import pytest
import torch

from cen.data import Rooms, eval_transform, train_transform
from cen.data.rooms.labels import label_set


def test_a_sample_holds_what_was_asked_for():
    rooms = Rooms("validation", size=(24, 32), labels="functions", domains=("rgb", "normal"))
    sample = rooms[3]
    assert set(sample) == {"rgb", "normal", "segmentation", "name"}
    assert sample["name"] == "validation_00003"
    assert sample["segmentation"].max() < len(rooms.classes) == 6


def test_splits_share_no_scene():
    pictures = {
        split: [Rooms(split, size=(16, 16))[i]["rgb"].tobytes() for i in range(5)]
        for split in ("train", "validation", "test")
    }
    everything = [picture for part in pictures.values() for picture in part]
    assert len(set(everything)) == 15


def test_lengths_and_bounds():
    rooms = Rooms("test", length=2, size=(16, 16))
    assert len(rooms) == 2
    with pytest.raises(IndexError):
        rooms[2]


def test_the_epoch_of_a_key_changes_the_transform_only():
    plain = Rooms("train", size=(24, 32))
    moved = Rooms(
        "train",
        size=(24, 32),
        transform=train_transform(plain.modalities, shorter_side=20, crop=(24, 32)),
    )
    first, again, later = moved[(0, 1)], moved[1], moved[(1, 1)]
    assert torch.equal(first["rgb"], again["rgb"])
    assert not torch.equal(first["rgb"], later["rgb"])
    np.testing.assert_array_equal(plain[(0, 1)]["rgb"], plain[(1, 1)]["rgb"])


def test_plot_shows_raw_and_transformed_samples():
    rooms = Rooms("train", size=(24, 32))
    for transform in (None, eval_transform(rooms.modalities)):
        rooms.transform = transform
        figure = rooms.plot(rooms[0])
        titles = [axis.get_title() for axis in figure.axes]
        assert titles[:3] == ["rgb", "depth", "segmentation"]
        texts = {text.get_text() for text in figure.legends[0].get_texts()}
        assert texts <= set(rooms.classes)
        assert "floor" in texts


def test_unknown_split_and_labels_are_refused():
    with pytest.raises(ValueError, match="no split 'val'"):
        Rooms("val")
    with pytest.raises(ValueError, match="no label set 'shapes'"):
        Rooms("train", labels="shapes")


def test_label_sets():
    parts, functions = label_set("parts"), label_set("functions")
    assert len(parts.classes) == len(parts.palette) == len(set(parts.palette)) == 15
    assert len(functions.classes) == len(set(functions.palette)) == 6
    assert parts.classes[:3] == functions.classes[:3]
