"""Label maps: the numbers of every format, as they are stored."""

import numpy as np
import pytest
from PIL import Image

from cen.data.fields.modality import Modality
from cen.data.formats.label_maps import read_labels
from cen.data.formats.pictures import write_png
from cen.errors import DataError


def test_masks_of_truth_values_are_0_and_1(tmp_path):
    truth = np.random.default_rng(0).integers(0, 2, (6, 9)).astype(bool)
    np.save(tmp_path / "a.npy", truth)
    for name in ("a.png", "a.tif", "a.bmp"):
        Image.fromarray(truth).save(tmp_path / name)
    for path in tmp_path.iterdir():
        read = read_labels(path)
        assert read.dtype == np.uint8, path
        np.testing.assert_array_equal(read, truth, err_msg=str(path))


def _grey_png(values, bits):
    """A grey PNG of a few bits, which Pillow does not write."""
    import struct
    import zlib

    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b""
    for row in values:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows += b"\0" + bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))
    height, width = values.shape
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_numbers_of_a_few_bits_are_not_spread_as_greys(tmp_path, bits):
    values = np.random.default_rng(0).integers(0, 2**bits, (5, 7))
    (tmp_path / "a.png").write_bytes(_grey_png(values, bits))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), values)


def test_labels_of_several_pictures_are_refused(tmp_path):
    pages = [Image.fromarray(np.full((4, 5), n, np.uint8)) for n in (0, 1)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"several bands or pages.*page: 0"):
        read_labels(tmp_path / "a.tif")


def palette_png(path, bits=8):
    image = Image.fromarray(np.tile(np.array([[0, 1], [2, 3]], np.uint8), (4, 4)), "P")
    image.putpalette([0, 0, 0, 200, 10, 10, 10, 200, 10, 9, 9, 9])
    image.save(path, bits=bits)
    return np.tile([[0, 1], [2, 3]], (4, 4))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_bands_of_a_palette_are_its_indices(tmp_path, bits):
    """Not the red of its colours, which OpenCV makes of it."""
    meant = palette_png(tmp_path / "a.png", bits)
    modality = Modality.of("label", bands=[0])
    np.testing.assert_array_equal(modality.read(tmp_path / "a.png"), meant)


def test_bands_of_a_mask_of_one_bit_are_0_and_1(tmp_path):
    mask = np.tile([[True, False], [False, True]], (4, 4))
    Image.fromarray(mask).save(tmp_path / "a.png")
    read = Modality.of("label", bands=[0]).read(tmp_path / "a.png")
    np.testing.assert_array_equal(read, mask.astype(int))


def test_a_band_of_a_picture_is_read_in_its_own_bits(tmp_path):
    deep = np.arange(4 * 4 * 3, dtype=np.uint16).reshape(4, 4, 3) * 1000
    write_png(tmp_path / "a.png", deep)
    for band in range(3):
        read = Modality.of("label", bands=[band]).read(tmp_path / "a.png")
        np.testing.assert_array_equal(read, deep[..., band])


@pytest.mark.parametrize(("part", "told"), [({"page": 0}, "page"), ({"variable": "x"}, "variable")])
def test_what_would_choose_nothing_of_a_label_file_is_refused(tmp_path, part, told):
    """As of any other file: the same key twice, once obeyed and once not, is a trap."""
    write_png(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=rf"a\.png: {told}: is for"):
        Modality.of("label", **part).read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros((4, 4)), r"type float64; save the class numbers as integers"),
        (np.zeros((4, 4, 3), np.uint8), r"several bands or pages; .*not colours.* page: 0"),
        (np.zeros((4, 4, 2), np.uint8), r"several bands or pages; .*bands: \[0\]"),
    ],
)
def test_what_is_no_label_map_is_told_by_its_own_cause(tmp_path, values, told):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(DataError, match=told):
        read_labels(tmp_path / "a.npy")
