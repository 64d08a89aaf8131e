"""Every file format: what is read back, and what damaged and hostile files end in."""

import io
import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from cen.data import Modality
from cen.data.formats.label_maps import read_labels
from cen.data.formats.pictures import read_array
from cen.errors import DataError

rng = np.random.default_rng(0)


def tiff(values: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, metadata=None, **options)
    return stream.getvalue()


def npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def encoded(suffix: str, values: np.ndarray) -> bytes:
    return cv2.imencode(suffix, values)[1].tobytes()


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 7, 12])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_of_any_number_of_bands(tmp_path, bands, kind, planar):
    values = (250 * rng.random((20, 30, bands))).astype(kind)
    stored = values if planar == "contig" else np.moveaxis(values, 2, 0)
    if bands == 1:
        values = stored = values[..., 0]
    colour = "rgb" if bands == 3 and kind != np.float32 else "minisblack"
    path = tmp_path / "a.tif"
    options = {} if bands == 1 else {"planarconfig": planar}
    path.write_bytes(tiff(stored, photometric=colour, compression="zlib", **options))
    read = Modality.of("continuous", bands).read(path)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values.astype(np.float32))
    if bands not in (1, 3):
        image = Modality.of("image", bands).read(path)
        assert image.dtype == kind
        np.testing.assert_array_equal(image, values)


@pytest.mark.parametrize("bits", [8, 16])
def test_what_opencv_and_tifffile_write_is_the_same_picture(tmp_path, bits):
    values = rng.integers(0, 2**bits, (20, 30, 3)).astype(f"uint{bits}")
    (tmp_path / "a.tif").write_bytes(encoded(".tiff", values[..., ::-1]))
    (tmp_path / "b.tif").write_bytes(tiff(values, photometric="rgb"))
    for name in ("a.tif", "b.tif"):
        modality = Modality.of("image", bits=bits)
        np.testing.assert_array_equal(modality.read(tmp_path / name), values)


SMOOTH = cv2.resize(rng.integers(0, 256, (6, 6, 3)).astype(np.uint8), (70, 50))
DEEP = SMOOTH[..., 0].astype(np.uint16) * 200
WHOLE = {
    "a.png": encoded(".png", SMOOTH),
    "deep.png": encoded(".png", DEEP),
    "a.jpg": encoded(".jpg", SMOOTH),
    "a.tif": tiff(DEEP),
    "zip.tif": tiff(DEEP, compression="zlib"),
    "lzw.tif": encoded(".tiff", DEEP),
    "bands.tif": tiff(
        np.repeat(DEEP[..., None], 5, axis=2), photometric="minisblack", planarconfig="contig"
    ),
    "a.npy": npy(DEEP),
    "a.bmp": encoded(".bmp", SMOOTH),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("share", [0.0, 0.002, 0.05, 0.3, 0.6, 0.9, 0.99])
def test_files_cut_short_are_named(tmp_path, name, share):
    path = tmp_path / name
    path.write_bytes(WHOLE[name][: int(share * len(WHOLE[name]))])
    with pytest.raises(DataError, match=name):
        read_array(path)
    path.write_bytes(WHOLE[name])
    assert read_array(path).shape[:2] == (50, 70)


@pytest.mark.parametrize("name", ["deep.png", "a.npy", "a.tif", "zip.tif"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.98])
def test_labels_cut_short_are_named(tmp_path, name, share):
    path = tmp_path / name
    path.write_bytes(WHOLE[name][: int(share * len(WHOLE[name]))])
    with pytest.raises(DataError, match=name):
        read_labels(path)
    path.write_bytes(WHOLE[name])
    np.testing.assert_array_equal(read_labels(path), DEEP)


def test_bytes_at_random_end_in_a_result_or_a_typed_error(tmp_path):
    """Whatever a file holds, nothing but DataError comes out of reading it."""
    generator = np.random.default_rng(1)
    refused = 0
    for name, content in WHOLE.items():
        for _ in range(25):
            damaged = bytearray(content)
            # Headers are where a wrong byte does most.
            for at in generator.integers(0, min(len(damaged), 400), 4):
                damaged[at] = generator.integers(256)
            path = tmp_path / name
            path.write_bytes(damaged)
            try:
                read_array(path)
            except DataError:
                refused += 1
    assert refused > 100


def test_a_strip_that_inflates_without_end_is_refused(tmp_path, monkeypatch):
    """Forty megabytes of zeros in forty kilobytes, where the header promises 360 bytes."""
    content = tiff(np.zeros((8, 9, 5), np.uint8), planarconfig="contig", compression="zlib")
    offset, count = (
        content.index(struct.pack("<HHI", tag, kind, 1)) + 8
        for tag, kind in ((273, tifffile_type(content, 273)), (279, tifffile_type(content, 279)))
    )
    bomb = zlib.compress(bytes(40_000_000))
    damaged = bytearray(content) + bomb
    struct.pack_into("<I", damaged, offset, len(content))
    struct.pack_into("<I", damaged, count, len(bomb))
    (tmp_path / "a.tif").write_bytes(damaged)
    with pytest.raises(DataError, match=r"a\.tif: not a TIFF .*INSUFFICIENT_SPACE"):
        read_array(tmp_path / "a.tif")
    monkeypatch.setattr("cen.data.formats.tiff.find_spec", lambda name: None)  # without imagecodecs
    with pytest.raises(DataError, match=r"a\.tif: strip or tile 0 holds more than the 360 bytes"):
        read_array(tmp_path / "a.tif")


def tifffile_type(content: bytes, tag: int) -> int:
    """The type code of a tag, for finding its entry in the bytes."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        return int(file.pages[0].tags[tag].dtype)


def test_exr_says_what_is_needed(tmp_path):
    window = b"dataWindow\0box2i\0\x10\0\0\0"
    start = b"\x76\x2f\x31\x01\x02\0\0\0" + window
    (tmp_path / "a.exr").write_bytes(start + struct.pack("<4i", 0, 0, 8, 7) + bytes(100))
    with pytest.raises(DataError, match=r"a\.exr: is an EXR file.*OPENCV_IO_ENABLE_OPENEXR"):
        Modality.of("depth").read(tmp_path / "a.exr")


WITH_EXR = """
import sys, cv2, numpy
from cen.data import Modality
values = numpy.random.default_rng(0).normal(size=(9, 8, 3)).astype("f4")
for name, array in (("depth", values[..., 0] ** 2 + 1), ("continuous", values)):
    stored = array[..., ::-1] if array.ndim == 3 else array
    open("a.exr", "wb").write(cv2.imencode(".exr", stored)[1])
    field = Modality.of(name, 1 if array.ndim == 2 else 3, unit=1.0)
    assert numpy.array_equal(field.read("a.exr"), array), name
"""


@pytest.mark.skipif(
    any("OpenEXR" in line and "NO" in line for line in cv2.getBuildInformation().splitlines()),
    reason="this OpenCV has no OpenEXR",
)
def test_exr_where_opencv_has_it(tmp_path):
    environment = {**os.environ, "OPENCV_IO_ENABLE_OPENEXR": "1"}
    subprocess.run([sys.executable, "-c", WITH_EXR], cwd=tmp_path, env=environment, check=True)


def test_a_palette_of_labels_in_a_tiff_is_indices(tmp_path):
    labels = rng.integers(0, 5, (8, 9)).astype(np.uint8)
    picture = Image.fromarray(labels, mode="P")
    picture.putpalette(list(range(15)))
    picture.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)
