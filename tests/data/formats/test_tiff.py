"""TIFF files as cameras, drones and satellites have them: right values, or the cause in a line."""

import io
import struct
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from cen.data import Modality
from cen.data.formats.label_maps import read_labels
from cen.data.formats.pictures import Part, read_array, read_stored
from cen.data.formats.tiff import read_tiff
from cen.errors import DataError

rng = np.random.default_rng(0)
NUMBERS = Part(picture=False)


def write(path, values, **options):
    options = {"metadata": None, "photometric": "minisblack", **options}
    tifffile.imwrite(path, values, **options)
    return path


@pytest.mark.parametrize("compression", [None, "lzw", "packbits", "zstd", "zlib", "lzma"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("layout", ["contig", "separate", "pages", "tiles"])
def test_every_compression_with_any_number_of_bands(tmp_path, compression, bands, layout):
    values = rng.integers(0, 4000, (36, 50, bands)).astype(np.uint16)
    options = {"compression": compression}
    if compression in ("lzw", "zstd", "zlib"):
        options["predictor"] = True
    if layout == "tiles":
        options["tile"] = (16, 32)
    path = tmp_path / "a.tif"
    if bands == 1:
        write(path, values[..., 0], **options)
    elif layout == "pages":
        write(path, np.moveaxis(values, 2, 0), **options)
        with tifffile.TiffFile(path) as file:
            assert len(file.pages) == bands
    else:
        planar = "separate" if layout == "separate" else "contig"
        stored = np.moveaxis(values, 2, 0) if planar == "separate" else values
        write(path, stored, planarconfig=planar, **options)
    read = Modality.of("continuous", bands).read(path)
    np.testing.assert_array_equal(read, (values[..., 0] if bands == 1 else values).astype("f4"))


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}])
def test_every_type_and_byte_order(tmp_path, kind, options):
    values = (100 * rng.random((9, 16))).astype(kind)
    for compression in (None, "zstd"):
        write(tmp_path / "a.tif", values, compression=compression, **options)
        read = Modality.of("continuous").read(tmp_path / "a.tif")
        np.testing.assert_array_equal(read, values.astype(np.float32))


def test_floats_that_were_predicted(tmp_path):
    values = rng.random((20, 30)).astype(np.float32)
    write(tmp_path / "a.tif", values, compression="zlib", predictor=3)
    np.testing.assert_array_equal(read_array(tmp_path / "a.tif"), values)


def test_pages_are_bands_of_one_picture_or_chosen(tmp_path):
    bands = rng.random((3, 8, 9)).astype(np.float32)
    write(tmp_path / "a.tif", bands)
    with pytest.raises(DataError, match=r"a\.tif: 3 channels, .* with 1; choose with bands: \[0\]"):
        Modality.of("continuous").read(tmp_path / "a.tif")
    for options in ({"page": 2}, {"bands": [2]}):
        read = Modality.of("continuous", **options).read(tmp_path / "a.tif")
        np.testing.assert_array_equal(read, bands[2])
    with pytest.raises(DataError, match=r"page 3 is asked for, but the last of its 3"):
        Modality.of("continuous", page=3).read(tmp_path / "a.tif")
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        for size in ((8, 9), (4, 5)):
            file.write(np.ones(size, np.uint8), metadata=None)
    with pytest.raises(DataError, match=r"2 pages \(8 × 9, 4 × 5\).*choose one with page: 0"):
        read_array(tmp_path / "b.tif")
    with pytest.raises(DataError, match="2 pages"):
        read_labels(tmp_path / "b.tif")
    assert read_array(tmp_path / "b.tif", Part(page=1)).shape == (4, 5)


def test_overviews_and_masks_are_no_pages(tmp_path):
    values = rng.random((8, 10)).astype(np.float32)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(values, metadata=None)
        file.write(values[::2, ::2], metadata=None, subfiletype=1)
        file.write(np.ones((8, 10), bool), photometric="mask", metadata=None, subfiletype=4)
    np.testing.assert_array_equal(read_array(tmp_path / "a.tif"), values)


def test_white_that_is_zero(tmp_path):
    """Brightness is turned round, numbers are as stored."""
    values = rng.integers(0, 256, (5, 8)).astype(np.uint8)
    write(tmp_path / "a.tif", values, photometric="miniswhite")
    np.testing.assert_array_equal(Modality.of("image", 1).read(tmp_path / "a.tif"), 255 - values)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), values)
    np.testing.assert_array_equal(Modality.of("continuous").read(tmp_path / "a.tif"), values)


@pytest.mark.parametrize("mode", ["LAB", "YCbCr"])
def test_colours_that_are_no_rgb_are_refused(tmp_path, mode):
    """They were read as if they were; as numbers they are what is stored."""
    picture = Image.fromarray(rng.integers(0, 255, (8, 9, 3)).astype(np.uint8)).convert(mode)
    picture.save(tmp_path / "a.tif", compression="raw")
    with pytest.raises(DataError, match=r"a\.tif: a TIFF whose colours are .*; convert it to RGB"):
        Modality.of("image").read(tmp_path / "a.tif")
    assert Modality.of("continuous", 3).read(tmp_path / "a.tif").shape == (8, 9, 3)


def test_a_file_that_scales_its_own_numbers_is_refused(tmp_path):
    """As rasterio and GDAL, reading gives stored numbers; they would be taken for what they are."""
    items = (
        '<Item name="SCALE" sample="1" role="scale">0.01</Item>'
        '<Item name="OFFSET" sample="1" role="offset">-273.15</Item>'
        '<Item name="SCALE" sample="2" role="scale">0.5</Item>'
    )
    text = f"<GDALMetadata>{items}</GDALMetadata>\0".encode()
    values = rng.integers(0, 9, (8, 9, 3)).astype(np.uint16)
    file = tmp_path / "a.tif"
    write(file, values, extratags=[(42112, 2, len(text), text, True)], planarconfig="contig")
    refused = r"a\.tif: says .* multiplied by 0\.01, and -273\.15 added, .* unit: 1\. .*-unscale"
    with pytest.raises(DataError, match=refused):
        Modality.of("continuous", 3).read(file)
    with pytest.raises(DataError, match=r"multiplied by 0\.5, and 0 added, .* unit: 0\.001"):
        Modality.of("depth", bands=[2]).read(file)
    read = Modality.of("continuous", bands=[0]).read(file)
    np.testing.assert_array_equal(read, values[..., 0])
    read = Modality.of("continuous", bands=[2], unit=0.5).read(file)
    np.testing.assert_array_equal(read, values[..., 2] * 0.5)
    # Pictures are as stored, whatever their numbers are worth.
    np.testing.assert_array_equal(Modality.of("image", 3, bits=16).read(file), values)


def test_one_bit_a_pixel(tmp_path):
    values = rng.integers(0, 2, (8, 24)).astype(bool)
    write(tmp_path / "a.tif", values)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), values.astype(np.uint8))
    image = Modality.of("image", 1).read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image, values * np.uint8(255))


def test_a_palette_is_colours_or_numbers(tmp_path):
    labels = rng.integers(0, 3, (8, 9)).astype(np.uint8)
    picture = Image.fromarray(labels, mode="P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)
    colours = (np.eye(3) * 255).astype(np.uint8)[labels]
    np.testing.assert_array_equal(Modality.of("image").read(tmp_path / "a.tif"), colours)


def nodata_tag(text: str) -> tuple:
    return (42113, 2, len(text) + 1, text, True)


def test_tiles_that_are_left_out_have_no_data(tmp_path, caplog):
    def tiles():
        yield np.full((16, 16), 3.0, np.float32)
        yield None

    lowest = "-3.4028234663852886e+38"
    tifffile.imwrite(
        tmp_path / "a.tif",
        tiles(),
        shape=(16, 32),
        dtype=np.float32,
        tile=(16, 16),
        metadata=None,
        extratags=[nodata_tag(lowest)],
    )
    stored = read_stored(tmp_path / "a.tif")
    assert stored.nodata == float(lowest)
    assert stored.values[0, 0] == 3.0
    assert stored.values[0, 16] == np.float32(lowest)
    read = Modality.of("continuous").read(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.isnan(read[0]), np.arange(32) >= 16)
    assert not caplog.records


def test_tags_of_geotiff_make_no_noise(tmp_path, capfd, caplog):
    scale = (33550, 12, 3, (1.0, 1.0, 0.0), True)
    write(tmp_path / "a.tif", np.zeros((8, 9), np.float32), extratags=[scale, nodata_tag("none")])
    assert read_stored(tmp_path / "a.tif").nodata is None
    assert not "".join(capfd.readouterr())
    assert not caplog.records


def test_jpeg_within(tmp_path):
    values = np.full((32, 48, 3), (200, 90, 30), np.uint8)
    write(tmp_path / "a.tif", values, photometric="rgb", compression="jpeg")
    read = Modality.of("image").read(tmp_path / "a.tif")
    assert np.abs(read.astype(int) - values).max() < 12
    content = bytearray((tmp_path / "a.tif").read_bytes())
    at = content.index(b"\xff\xc0")
    struct.pack_into(">HH", content, at + 5, 65500, 65500)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DataError, match="claims 65500 × 65500 pixels, the file 32 × 48"):
        read_array(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.ones((8, 9), np.complex64), {}, "complex64, which are no real numbers"),
        (np.ones((16, 16), np.float32), {"compression": "lerc"}, "LERC, which is not decoded"),
        (np.ones((8, 9, 4), np.uint8), {"photometric": "separated"}, "four inks"),
        (np.ones((4, 16, 16), np.uint8), {"volumetric": True, "tile": (16, 16, 16)}, "slices"),
    ],
)
def test_what_is_not_read_tells_its_cause(tmp_path, values, options, message):
    write(tmp_path / "a.tif", values, **options)
    with pytest.raises(DataError, match=message):
        read_array(tmp_path / "a.tif")


def test_what_lacks_imagecodecs_says_so(tmp_path, monkeypatch):
    write(tmp_path / "a.tif", np.ones((8, 9), np.uint8), compression="lzw")
    monkeypatch.setattr("cen.data.formats.tiff.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"compression LZW.*imagecodecs; pip install 'cen\[data\]'"):
        read_array(tmp_path / "a.tif")


def test_a_tile_of_many_bands_is_refused_before_it_is_allocated(tmp_path):
    write(
        tmp_path / "a.tif", np.ones((16, 16, 100), np.uint8), planarconfig="contig", tile=(16, 16)
    )
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        places = [file.pages.first.tags[tag].offset for tag in (322, 323)]
    for at, tag in zip(places, (322, 323), strict=True):
        struct.pack_into("<HHII", content, at, tag, 4, 1, 8000)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DataError, match="tiles of 8000 × 8000"):
        read_array(tmp_path / "a.tif")


def test_zstd_that_inflates_without_end_is_refused(tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs")
    resource = pytest.importorskip("resource")
    write(tmp_path / "a.tif", np.ones((8, 9), np.float32), compression="zstd")
    bomb = imagecodecs.zstd_encode(bytes(2**28))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = file.pages.first.tags
        places = [(tags[tag].valueoffset, tags[tag].dtype) for tag in (273, 279)]
    content = bytearray((tmp_path / "a.tif").read_bytes())
    for (at, kind), value in zip(places, (len(content), len(bomb)), strict=True):
        struct.pack_into("<I" if kind == 4 else "<H", content, at, value)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"a\.tif"):
        read_tiff(np.frombuffer(bytes(content) + bomb, np.uint8), "a.tif")
    if sys.platform == "linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # 128 MiB


def test_pages_without_end(tmp_path):
    """A list of pages that closes on itself."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.ones((4, 4), np.uint8), metadata=None)
    content = bytearray(stream.getvalue())
    first = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, first)[0]
    struct.pack_into("<I", content, first + 2 + 12 * count, first)
    (tmp_path / "a.tif").write_bytes(content)
    assert read_array(tmp_path / "a.tif").shape == (4, 4)
