"""Headers that claim more than memory holds are refused before anything is decoded."""

import io
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from cen.data import Modality
from cen.data.formats.headers import PIXEL_LIMIT, read_header
from cen.data.formats.label_maps import read_labels
from cen.data.formats.pictures import read_array
from cen.errors import DataError

BMP = cv2.imencode(".bmp", np.zeros((4, 4, 3), np.uint8))[1].tobytes()


def png_bomb(height: int, width: int) -> bytes:
    """A PNG of a few bytes whose header claims a huge picture."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def tiff_bomb(height: int, width: int, bands: int = 1, order: str = "<") -> bytes:
    """A TIFF that has only tags, which claim a huge picture."""
    tags = {
        256: width,
        257: height,
        258: 8,
        259: 1,
        262: 1,
        273: 8,
        277: bands,
        278: height,
        279: 1,
    }
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, v) for tag, v in tags.items())
    mark = b"II" if order == "<" else b"MM"
    start = mark + struct.pack(f"{order}HI", 42, 8) + struct.pack(f"{order}H", len(tags))
    return start + entries + bytes(4)


def npy_bomb(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue() + bytes(100)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", png_bomb(20_000, 20_000)),
        ("a.tif", tiff_bomb(20_000, 20_000)),
        ("big.tif", tiff_bomb(20_000, 20_000, order=">")),
        ("bands.tif", tiff_bomb(8_000, 8_000, 200)),
        ("a.npy", npy_bomb((20_000, 20_000))),
        ("a.exr", b"\x76\x2f\x31\x01\x02\0\0\0dataWindow\0box2i\0\x10\0\0\0"
         + struct.pack("<4i", 0, 0, 19_999, 19_999)),
        ("bands.npy", npy_bomb((1000, 1000, 10**9))),
        ("a.bmp", BMP[:18] + struct.pack("<ii", 20_000, 20_000) + BMP[26:]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["image", "depth", "label", "continuous"])
def test_headers_that_claim_too_much_are_refused_before_decoding(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    modality = Modality.of(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=name) as caught:
            modality.read(tmp_path / name)
    assert "limit" in str(caught.value) or "header cannot be read" in str(caught.value)


def test_the_limit_is_just_above_8192_by_8192():
    assert PIXEL_LIMIT == 8192 * 8192
    assert read_header(png_bomb(8192, 8192), "a.png").width == 8192
    with pytest.raises(DataError, match="8193 × 8192"):
        read_header(png_bomb(8193, 8192), "a.png")


def film(path, pictures, mode="RGB", **options):
    """A file of so many pictures, each of one brightness."""
    images = [Image.new(mode, (6, 4), (8 * at,) * len(mode)) for at in range(1, pictures + 1)]
    images[0].save(path, save_all=True, append_images=images[1:], **options)
    return path


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_a_film_is_no_picture(tmp_path, name):
    """Its first picture was taken for all of it."""
    path = film(tmp_path / name, 3)
    with pytest.raises(DataError, match=r"holds 3 pictures, a film"):
        read_array(path)
    assert read_array(film(path, 1)).shape[:2] == (4, 6)


def test_a_film_is_no_label_map(tmp_path):
    path = film(tmp_path / "a.png", 2, "L")
    with pytest.raises(DataError, match=r"a\.png: holds 2 pictures"):
        read_labels(path)


def test_a_photograph_with_a_preview_is_a_picture(tmp_path):
    """Telephones write these as JPEG: MPO, whose first picture is the photograph."""
    assert read_array(film(tmp_path / "a.jpg", 2, format="MPO")).shape == (4, 6, 3)
