import numpy as np
import pytest
from PIL import Image, ImageOps

from cen.data import Modality
from cen.data.formats.label_maps import read_labels
from cen.data.formats.pictures import Part, read_array, write_png
from cen.errors import DataError


@pytest.mark.parametrize(
    "values",
    [
        np.arange(24, dtype=np.uint8).reshape(4, 6),
        np.arange(72, dtype=np.uint8).reshape(4, 6, 3),
        np.arange(0, 48000, 2000, dtype=np.uint16).reshape(4, 6),
    ],
    ids=["grey", "rgb", "16 bit"],
)
def test_what_is_written_is_read(tmp_path, values):
    write_png(tmp_path / "a.png", values)
    read = read_array(tmp_path / "a.png")
    np.testing.assert_array_equal(read, values)
    assert read.dtype == values.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_colours_are_in_rgb_order(tmp_path):
    red = np.zeros((2, 2, 3), dtype=np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(tmp_path / "red.png")
    np.testing.assert_array_equal(read_array(tmp_path / "red.png"), red)


SHOWN = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)


def turned(path, orientation, values=SHOWN):
    """A picture that viewers show as ``values``, stored turned as its EXIF header says."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # of Image.Transpose, the inverse
    Image.fromarray(values).transpose(back[orientation]).save(path, exif=exif)
    with Image.open(path) as image:
        np.testing.assert_allclose(np.array(ImageOps.exif_transpose(image)), values, atol=9)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_what_is_stored_turned_is_refused_or_read_as_is_said(tmp_path, name, orientation):
    turned(tmp_path / name, orientation)
    image = Modality.of("image")
    with pytest.raises(DataError, match=rf"{name}: is stored .*orientation {orientation}.*turn"):
        image.read(tmp_path / name)
    upright = Modality.of("image", exif="turn").read(tmp_path / name)
    np.testing.assert_array_equal(upright, SHOWN)
    stored = Modality.of("image", exif="ignore").read(tmp_path / name)
    size = (6, 4) if orientation >= 5 else (4, 6)
    assert stored.shape == (*size, 3)
    if size == (4, 6):
        assert not np.array_equal(stored, SHOWN)


def test_a_turned_photo_and_turned_labels(tmp_path):
    turned(tmp_path / "a.jpg", 6, np.full((40, 60, 3), 90, np.uint8))
    with pytest.raises(DataError, match=r"lying on its side \(orientation 6"):
        read_array(tmp_path / "a.jpg")
    assert read_array(tmp_path / "a.jpg", Part(exif="turn")).shape == (40, 60, 3)
    turned(tmp_path / "l.png", 3, SHOWN[..., 0])
    with pytest.raises(DataError, match="upside down"):
        read_labels(tmp_path / "l.png")
    labels = Modality.of("label", exif="turn").read(tmp_path / "l.png")
    np.testing.assert_array_equal(labels, SHOWN[..., 0])


def test_labels_in_a_palette_file_are_its_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 255]], dtype=np.uint8), mode="P")
    image.putpalette([255 - k for k in range(256) for _ in range(3)])
    image.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "p.png"), [[0, 1], [2, 255]])


def test_unusable_files_are_named(tmp_path):
    write_png(
        tmp_path / "whole.png", np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype("u1")
    )
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:200])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    for name in ("gone.png", "empty.png", "text.png"):
        with pytest.raises(DataError, match=name):
            read_array(tmp_path / name)
    for name in ("gone.png", "cut.png", "empty.png", "text.png"):
        with pytest.raises(DataError, match=name):
            read_labels(tmp_path / name)
    with pytest.raises(DataError, match=r"whole\.png.*not colours"):
        read_labels(tmp_path / "whole.png")


def test_a_failed_write_leaves_nothing(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(DataError, match=r"a\.png cannot be written"):
        write_png(tmp_path / "a.png", np.zeros((4, 4), dtype=np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(DataError, match="cannot encode"):
        write_png(tmp_path / "b.png", np.zeros((0, 4), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["L", "I;16", "P", "1"])
def test_labels_are_those_that_pillow_reads(tmp_path, kind):
    """Of any kind of PNG; grey ones are decoded by OpenCV, which is faster."""
    values = np.random.default_rng(0).integers(0, 2, (5, 7))
    values = values.astype(bool) if kind == "1" else (values * 9).astype(np.uint8)
    image = Image.fromarray(values.astype(np.uint16) if kind == "I;16" else values)
    if kind == "P":
        image.putpalette(list(range(30, 60)))
    image.save(tmp_path / "a.png", transparency=9 if kind in ("L", "P") else None)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), values)
