"""Figures show what is read: the band, the page, the turn and the class that are meant."""

import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.data.own_folder import SIZE, make_root, say

from cen.data.fields.modality import Modality
from cen.data.formats.pictures import write_png
from cen.data.plotting import plot_sample
from cen.data.readers.aligned_folder import AlignedFolder
from cen.data.readers.dataset_yaml import Classes
from cen.report.contact_sheet import contact_sheet

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
RGB.reshape(-1)[:2] = 0, 255
HEAT = RNG.integers(0, 256, SIZE).astype(np.uint8)
MASK = RNG.integers(0, 3, SIZE).astype(np.uint8)


@pytest.fixture
def plain(tmp_path):
    return plain_root(tmp_path)


def plain_root(folder):
    """One file for each picture, nothing to choose or to turn."""
    (folder / "plain").mkdir()
    root = make_root(folder / "plain")
    for path in (root / "rgb").iterdir():
        write_png(path, RGB)
        write_png(root / "labels" / path.name, MASK)
        tifffile.imwrite(root / "thermal" / f"{path.stem}.tif", HEAT)
    return root


@pytest.fixture
def parts(tmp_path):
    """The same in other files: bands of one, pages of one, upside down, other numbers."""
    (tmp_path / "parts").mkdir()
    root = make_root(tmp_path / "parts")
    header = Image.Exif()
    header[274] = 3
    for path in (root / "rgb").iterdir():
        bands = np.dstack([RGB, HEAT])[::-1, ::-1]
        Image.fromarray(np.ascontiguousarray(bands), "RGBA").save(path, exif=header)
        write_png(root / "labels" / path.name, np.array([0, 255, 7], np.uint8)[MASK])
        with tifffile.TiffWriter(root / "thermal" / f"{path.stem}.tif") as file:
            file.write(RGB, photometric="rgb")
            file.write(HEAT, photometric="minisblack")
    values = {0: "road", 255: "person", 7: "car"}
    say(
        root,
        modalities__rgb={"pattern": "rgb/{id}.png", "bands": [0, 1, 2], "exif": "turn"},
        modalities__thermal={"pattern": "thermal/{id}.tif", "kind": "continuous", "page": 1},
        outputs__segmentation={"pattern": "labels/{id}.png", "values": values},
    )
    return root


def sheet(root, tmp_path):
    """The pixels of a contact sheet."""
    with Image.open(contact_sheet(AlignedFolder(root, "test"), [0], tmp_path / "s.png")) as image:
        return np.array(image)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The contact sheet of the plain files."""
    folder = tmp_path_factory.mktemp("sheet")
    return sheet(plain_root(folder), folder)


def test_a_sheet_of_parts_is_that_of_the_plain_files(parts, expected, tmp_path):
    np.testing.assert_array_equal(sheet(parts, tmp_path), expected)


def test_a_figure_of_parts_is_that_of_the_plain_files(plain, parts):
    shown = []
    for root in (plain, parts):
        data = AlignedFolder(root, "test")
        axes = data.plot(data.raw(0)).axes
        shown.append({a.get_title(): a.images[0].get_array() for a in axes if a.get_title()})
    assert list(shown[0]) == ["rgb", "thermal", "segmentation"]
    for name in shown[0]:
        np.testing.assert_array_equal(shown[1][name], shown[0][name], err_msg=name)
    np.testing.assert_array_equal(shown[1]["rgb"], RGB)
    np.testing.assert_array_equal(shown[1]["thermal"], HEAT)


def test_a_grey_band_is_shown_as_grey_and_not_as_classes(parts):
    grey = {"heat": Modality.of("image", 1, bands=[3], exif="turn")}
    say(parts, modalities__heat={"pattern": "rgb/{id}.png", "bands": [3], "exif": "turn"})
    data = AlignedFolder(parts, "test", grey, {})
    (axis,) = [axis for axis in data.plot(data.raw(0)).axes if axis.get_title() == "heat"]
    np.testing.assert_array_equal(axis.images[0].get_array(), HEAT)
    assert axis.images[0].get_cmap().name == "gray"


@pytest.mark.parametrize("kind", ["deep", "floats"])
def test_a_sheet_shows_colours_of_any_type(plain, expected, tmp_path, kind):
    """16-bit colours and three continuous bands are no normals."""
    said = {"pattern": "rgb/{id}.npy", "kind": "continuous", "channels": 3}
    stored = {"deep": RGB * np.uint16(257), "floats": RGB / np.float32(255)}[kind]
    if kind == "deep":
        said = {"pattern": "rgb/{id}.npy", "bits": 16}
    for path in (plain / "rgb").iterdir():
        np.save(path.with_suffix(".npy"), stored)
    say(plain, modalities__rgb=said)
    np.testing.assert_array_equal(sheet(plain, tmp_path), expected)


def test_a_sheet_with_a_sample_that_cannot_be_read_tells_its_message_alone(plain, tmp_path):
    """Not that of the library that lays out the figure, which the message left no room."""
    for path in (plain / "labels").iterdir():
        path.write_bytes(b"no picture")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sheet(plain, tmp_path).shape[2] >= 3


def test_every_label_field_has_the_colours_of_its_classes():
    """The second, too; what is ignored is black."""
    colours = {name: RNG.integers(1, 256, (3, 3)).astype(np.uint8) for name in ("first", "second")}
    labels = {name: Classes(("a", "b", "c"), palette) for name, palette in colours.items()}
    values = np.array([[0, 1], [2, 255]], np.uint8)
    targets = dict.fromkeys(labels, Modality.of("label"))
    figure = plot_sample(dict.fromkeys(labels, values), {}, targets, labels)
    for name, axis in zip(labels, figure.axes, strict=False):
        expected = [[colours[name][0], colours[name][1]], [colours[name][2], [0, 0, 0]]]
        np.testing.assert_array_equal(axis.images[0].get_array(), expected)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
