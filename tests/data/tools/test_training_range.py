"""The range of depth that a checkpoint keeps, and what is said of pictures far from it."""

import json

import numpy as np
import pytest
from tests.data.own_folder import make_root

from cen.data import Modality, NYUDv2Folder, train_transform
from cen.data.readers.aligned_folder import AlignedFolder
from cen.data.tools.training_range import (
    crop_doubt,
    far_from,
    seen_range,
    with_camera,
    without_colours,
)

DEPTH = Modality.of("depth")
WARMTH = Modality.of("continuous", unit=0.01)


def test_the_range_of_a_data_set(written):
    data = NYUDv2Folder(written, "train", validation=0)
    seen = seen_range(data)
    assert list(seen) == ["rgb", "depth"]
    assert json.loads(json.dumps(seen)) == seen
    every = [data.raw(i)["depth"] for i in range(len(data))]
    values = np.concatenate([v[np.isfinite(v)] for v in every])
    assert seen["depth"]["low"] == pytest.approx(np.percentile(values, 2))
    assert seen["depth"]["high"] == pytest.approx(np.percentile(values, 98))
    medians = [float(np.nanmedian(v)) for v in every]
    assert seen["depth"]["medians"] == pytest.approx([min(medians), max(medians)])
    for frame in every:
        assert far_from(frame, DEPTH, seen["depth"]) is None


def test_frames_that_cannot_be_read_are_left_out(written, tmp_path):
    data = NYUDv2Folder(written, "train", validation=0)

    class Broken:
        """The same data set with one damaged file."""

        modalities = data.modalities

        def __len__(self):
            return len(data)

        def read(self, field, index, modality):
            if index == 0:
                (tmp_path / "d.png").write_bytes(b"no picture")
                return Modality.of("depth").read(tmp_path / "d.png")
            return data.read(field, index, modality)

    found = seen_range(Broken())["depth"]
    whole = seen_range(data)["depth"]
    assert found != whole
    assert found["low"] == pytest.approx(whole["low"], rel=0.3)


@pytest.mark.parametrize(
    ("factor", "strange"),
    [(1, False), (1.8, False), (0.6, False), (5, True), (10, True), (1000, True), (0.001, True)],
)
def test_other_units_are_strange_and_other_rooms_are_not(factor, strange):
    seen = {"low": 1.0, "high": 6.0, "medians": [2.0, 4.0]}
    depth = np.linspace(1, 5, 100, dtype=np.float32).reshape(10, 10) * np.float32(factor)
    depth[0] = np.nan
    assert (far_from(depth, DEPTH, seen) is not None) == strange


@pytest.mark.parametrize(
    ("crop", "scale", "resize", "warned"),
    [
        ((24, 32), None, None, None),
        ((24, 33), None, None, "24 x 32"),
        ((48, 48), (0.5, 2.0), None, None),
        ((49, 49), (0.5, 2.0), None, "48 x 64"),
        ((48, 48), None, (48, 64), None),
        (None, None, None, None),
    ],
)
def test_a_crop_that_no_picture_fills_is_warned_of_once(written, crop, scale, resize, warned):
    """The pictures have 24 x 32 pixels."""
    data = NYUDv2Folder(written, "train", validation=0)
    how = {"crop": crop, "scale": scale, "resize": resize, "shorter_side": None}
    data.transform = train_transform(data.modalities, targets=data.targets, **how)
    text = crop_doubt(data)
    assert (text is not None) == (warned is not None)
    assert text is None or ("data.transforms.crop" in text and warned in text)


def test_without_any_depth():
    seen = {"low": 1.0, "high": 6.0, "medians": [2.0, 4.0]}
    nothing = np.full((3, 3), np.nan)
    assert far_from(nothing, DEPTH, seen) == "no depth was measured at all"
    assert far_from(nothing, WARMTH, seen) == "no value was measured at all"


@pytest.mark.parametrize(
    ("values", "strange"),
    [
        (20.0, False),
        (-8.0, False),  # colder than any, and no other unit
        (2000.0, True),  # stored values of an array that somebody forgot to multiply
        (293.0, True),  # kelvin for degrees
        (0.2, False),
    ],
)
@pytest.mark.parametrize("of_file", [True, False])
def test_other_values_are_far_where_they_lie_outside_by_more_than_the_range(
    values, strange, of_file
):
    seen = {"low": -5.0, "high": 35.0, "medians": [8.0, 22.0]}
    told = far_from(np.full((4, 4), values), WARMTH, seen, of_file)
    assert (told is not None) == strange
    if told is not None:
        asked = "unit of the file another" if of_file else "stored values times their unit (0.01)"
        assert f"below {values:.3g}, while in training that was 8 to 22" in told
        assert asked in told


def test_what_is_constant_says_nothing_of_other_values():
    seen = {"low": 3.0, "high": 3.0, "medians": [3.0, 3.0]}
    assert far_from(np.full((2, 2), 700.0), WARMTH, seen) is None


def test_the_range_of_other_measurements_is_kept(tmp_path):
    data = AlignedFolder(make_root(tmp_path), "train")
    seen = seen_range(data)["thermal"]
    every = np.stack([data.raw(index)["thermal"] for index in range(len(data))])
    assert [seen["low"], seen["high"]] == pytest.approx(np.percentile(every, [2, 98]))
    medians = np.median(every, axis=(1, 2))
    assert seen["medians"] == pytest.approx([medians.min(), medians.max()])


CAMERA = np.array([[30.0, 0, 15.5], [0, 31.0, 11.5], [0, 0, 1]])


def with_cameras(root, cameras):
    """A data set whose frames have these cameras, one after the other."""

    class Taken(NYUDv2Folder):
        def extra(self, index):
            return {"intrinsics": cameras[index % len(cameras)]} if cameras else {}

    hha = {"rgb": Modality.of("image"), "depth": Modality.of("depth", 3, encoding="hha")}
    return Taken(root, "train", hha, validation=0)


def test_one_camera_is_kept_with_the_network(written):
    kept = with_camera(with_cameras(written, [CAMERA]))
    assert kept["depth"].intrinsics == (30.0, 31.0, 15.5, 11.5)
    assert kept["rgb"].intrinsics is None
    other = CAMERA * 1.1
    other[2, 2] = 1
    for cameras in ([CAMERA, other], []):
        data = with_cameras(written, cameras)
        assert with_camera(data) == data.modalities
    own = with_cameras(written, [CAMERA])
    own.modalities["depth"] = Modality.of("depth", 3, encoding="hha", intrinsics=(1, 2, 3, 4))
    assert with_camera(own)["depth"].intrinsics == (1, 2, 3, 4)


def test_whether_pictures_have_colours_is_kept(written):
    data = NYUDv2Folder(written, "train", {"rgb": Modality.of()}, validation=0)
    assert seen_range(data) == {"rgb": {"grey": 0.0}}
    grey = Modality.of("image", bands=[0, 0, 0])
    seen = seen_range(NYUDv2Folder(written, "train", {"rgb": grey}, validation=0))
    assert seen == {"rgb": {"grey": 1.0}}
    picture = np.full((4, 4, 3), 7, np.uint8)
    assert without_colours(picture, grey, seen["rgb"]) is None
    assert "is grey" in str(without_colours(picture, Modality.of(), {"grey": 0.0}))
    picture[0, 0, 1] = 8
    assert without_colours(picture, Modality.of(), {"grey": 0.0}) is None
