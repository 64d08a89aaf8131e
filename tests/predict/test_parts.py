"""Predictions from what of a file is meant: bands, pages, turned pictures, mapped labels."""

import json

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from tests.predict.scene import CLASSES

from cen import cli
from cen.data import Modality
from cen.errors import CenWarning, DataError
from cen.models import Task, build, save
from cen.predict.predictor import Predictor

RGB = np.random.default_rng(0).integers(0, 255, (45, 61, 3), dtype=np.uint8)
DEPTH = np.random.default_rng(1).integers(50, 250, (45, 61), dtype=np.uint8)
UNIT = 0.02


def predictor(net, **changes):
    """With keys of the modalities changed: ``rgb__bands=[0, 1, 2]``."""
    said = {"rgb": {}, "depth": {"unit": UNIT}}
    for key, value in changes.items():
        name, _, option = key.partition("__")
        said[name][option] = value
    modalities = {"rgb": Modality.of("image", **said["rgb"])}
    modalities["depth"] = Modality.of("depth", **said["depth"])
    return Predictor(net, preprocessing=modalities)


@pytest.fixture
def expected(net):
    """The prediction from one array per modality."""
    return predictor(net)({"rgb": RGB, "depth": (DEPTH * np.float64(UNIT)).astype(np.float32)})


def four_bands(folder, form):
    path = folder / f"frame.{form}"
    bands = np.dstack([RGB, DEPTH])
    if form == "png":
        Image.fromarray(bands, "RGBA").save(path)
    elif form == "npy":
        np.save(path, bands)
    else:
        tifffile.imwrite(path, np.moveaxis(bands, 2, 0), photometric="minisblack")
    return path


@pytest.mark.parametrize("form", ["png", "npy", "tif"])
def test_bands_of_one_file_are_two_modalities(net, expected, tmp_path, form):
    both = predictor(net, rgb__bands=[0, 1, 2], depth__bands=[3])
    path = four_bands(tmp_path, form)
    made = both({"rgb": path, "depth": path})
    np.testing.assert_array_equal(made.labels, expected.labels)
    np.testing.assert_array_equal(made.picture, RGB)
    swapped = predictor(net, rgb__bands=[2, 1, 0], depth__bands=[3])({"rgb": path, "depth": path})
    np.testing.assert_array_equal(swapped.picture, RGB[..., ::-1])
    with pytest.raises(DataError, match=r"frame.*has 4 bands.*bands: \[4\] asks for others"):
        predictor(net, depth__bands=[4])({"depth": path})


def test_pages_of_one_file_are_two_modalities(net, expected, tmp_path):
    path = tmp_path / "frame.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(RGB, photometric="rgb")
        file.write(DEPTH, photometric="minisblack")
    both = predictor(net, rgb__page=0, depth__page=1)
    np.testing.assert_array_equal(both({"rgb": path, "depth": path}).labels, expected.labels)
    with pytest.raises(DataError, match="page 2 is asked for"):
        predictor(net, depth__page=2)({"depth": path})


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_turned_photos_are_read_as_in_training(net, expected, tmp_path, orientation):
    back = {3: 2, 6: 1, 8: 3}[orientation]
    header = Image.Exif()
    header[274] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(np.ascontiguousarray(np.rot90(RGB, back))).save(path, exif=header)
    depth = (DEPTH * np.float64(UNIT)).astype(np.float32)
    with pytest.raises(DataError, match=rf"a\.png: is stored .*orientation {orientation}"):
        predictor(net)({"rgb": path, "depth": depth})
    turned = predictor(net, rgb__exif="turn")({"rgb": path, "depth": depth})
    np.testing.assert_array_equal(turned.labels, expected.labels)
    np.testing.assert_array_equal(turned.picture, RGB)
    as_stored = predictor(net, rgb__exif="ignore")({"rgb": path})
    np.testing.assert_array_equal(as_stored.picture, np.rot90(RGB, back))


def test_labels_as_an_input_are_mapped_as_in_training(tmp_path):
    torch.manual_seed(0)
    net = build(
        "refinenet", encoder="resnet18", inputs={"rgb": 3, "mask": 2}, width=4,
        outputs={"segmentation": Task("segmentation", 4, CLASSES)}, decoder_channels=8,
    )  # fmt: skip
    mask = Modality.of("label", 2, values=((0, 0), (255, 1), (7, 1)), ignore=(9,), ignore_index=99)
    net.metadata = {"preprocessing": {"rgb": Modality.of().to_dict(), "mask": mask.to_dict()}}
    save(net, tmp_path / "run" / "best.safetensors")
    stored = np.random.default_rng(2).choice([0, 255, 7, 9], size=(45, 61)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "m.png"), stored)
    kept = Predictor(tmp_path / "run")
    made = kept({"rgb": RGB, "mask": tmp_path / "m.png"})
    meant = np.select([stored == 0, stored == 9], [0, 99], 1)
    as_array = kept({"rgb": RGB, "mask": meant})
    np.testing.assert_array_equal(made.labels, as_array.labels)
    other = kept({"rgb": RGB, "mask": 1 - np.clip(meant, 0, 1)})
    assert not np.array_equal(other.streams["mask"], made.streams["mask"])
    stored[0, 0] = 5
    cv2.imwrite(str(tmp_path / "m.png"), stored)
    with pytest.raises(DataError, match=r"m\.png: label 5 \(1 pixels\) is not listed"):
        kept({"rgb": RGB, "mask": tmp_path / "m.png"})


def test_the_command_reads_bands_and_turned_photos(net, expected, tmp_path, capsys):
    said = {
        "rgb": Modality.of("image", bands=[0, 1, 2], exif="turn"),
        "depth": Modality.of("depth", unit=UNIT, bands=[3], exif="turn"),
    }
    kept = net.metadata
    net.metadata = {**kept, "preprocessing": {name: m.to_dict() for name, m in said.items()}}
    try:
        save(net, tmp_path / "run" / "best.safetensors")
    finally:
        net.metadata = kept
    header = Image.Exif()
    header[274] = 3
    path = tmp_path / "frame.png"
    bands = np.ascontiguousarray(np.dstack([RGB, DEPTH])[::-1, ::-1])
    Image.fromarray(bands, "RGBA").save(path, exif=header)
    words = [
        "predict",
        str(tmp_path / "run" / "best.safetensors"),
        "--rgb",
        str(path),
        "--depth",
        str(path),
    ]
    assert cli.main([*words, "-o", str(tmp_path / "out"), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    np.testing.assert_array_equal(cv2.imread(files["labels"], -1), expected.labels)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ({}, "takes colours"),
        ({"rgb": {"grey": 0.0}}, "has seen colours"),
        ({"rgb": {"grey": 1}}, ""),
    ],
)
def test_a_grey_file_for_colours_is_warned_of(net, tmp_path, recwarn, capsys, seen, told):
    """Another sensor's file, unless the pictures of training were grey, too."""
    kept = net.metadata
    net.metadata = {**kept, "seen": seen, "modality_dropout": 0.5}
    try:
        save(net, tmp_path / "run" / "best.safetensors")
    finally:
        net.metadata = kept
    cv2.imwrite(str(tmp_path / "grey.png"), RGB[..., 0])
    words = [
        "predict",
        str(tmp_path / "run" / "best.safetensors"),
        "--rgb",
        str(tmp_path / "grey.png"),
    ]
    assert cli.main([*words, "-o", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().err
    assert ("grey.png: is grey, read as three equal channels" in shown) == bool(told)
    assert told in shown
    Predictor(tmp_path / "run")({"rgb": RGB})
    assert not [w for w in recwarn if issubclass(w.category, CenWarning)]
