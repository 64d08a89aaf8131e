"""What a file says of its picture before it is decoded: no header claims all memory."""

from __future__ import annotations

import io
import logging
import struct
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from cen.errors import DataError

PIXEL_LIMIT = 2**26
"""Most pixels (height × width) of a picture that is decoded: 8192 × 8192."""

VALUE_LIMIT = 2**28
"""Most values (pixels × channels) of a picture that is decoded: 1 GiB of float32."""

BYTE_LIMIT = 2**31
"""Most bytes of a file that is read: 2 GiB."""

_PNG, _NPY = b"\x89PNG\r\n\x1a\n", b"\x93NUMPY"
_ZIP, HDF5 = b"PK\3\4", b"\x89HDF\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_EXR, _WINDOW = b"\x76\x2f\x31\x01", b"dataWindow\0box2i\0\x10\0\0\0"
_ORIENTATION = 274

# Of tags that it does not understand it warns once a file; what matters ends in an error.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Header:
    """What a file says of its picture.

    Attributes:
        format: ``"png"``, ``"tiff"``, ``"npy"``, ``"exr"``, ``"npz"``, ``"mat"``,
            ``"cmyk"`` (a picture of four inks), or ``"other"`` (JPEG, WebP, BMP ...).
        height, width: in pixels, as stored; 0 of npz and mat, which hold several arrays.
        channels: of the stored values; 0 where not looked for.
        bits, colour_type: of a PNG, the latter as its standard counts (0 grey, 3 indices of a
            palette); 0 and -1 of others.
        compression: the tag of a TIFF, else 1 (none).
        orientation: how the picture is to be turned to be upright, 1 to 8 as in EXIF; 1: not.
        pictures: how many a film in a GIF, WebP or PNG has; 1 of others.
    """

    format: str
    height: int
    width: int
    channels: int = 0
    bits: int = 0
    colour_type: int = -1
    compression: int = 1
    orientation: int = 1
    pictures: int = 1


def read_header(content: bytes | memoryview, path: object) -> Header:
    """Reads the header of a file; refuses films, and pictures that are too large to be meant."""
    start = bytes(content[:64])
    if not start:
        raise DataError(f"{path}: is empty (0 bytes)")
    try:
        if start.startswith(_PNG):
            header = _png(content)
        elif start.startswith(_NPY):
            header = _npy(content)
        elif start.startswith(_TIFF):
            header = _tiff(content)
        elif start.startswith(_EXR):
            header = _exr(content)
        elif start.startswith(_ZIP):
            header = Header("npz", 0, 0)
        elif start.startswith((HDF5, b"MATLAB ")):
            header = Header("mat", 0, 0)
        else:
            header = _other(content)
    except (struct.error, ValueError, KeyError, OverflowError) as error:
        raise DataError(
            f"{path}: its header cannot be read ({error}; {len(content)} bytes); is it cut short, "
            "or of another type than its name says?"
        ) from error
    check_size(header.height, header.width, header.channels, path)
    if header.pictures > 1:
        raise DataError(
            f"{path}: holds {header.pictures} pictures, a film; write the one that is meant into a "
            "file of its own"
        )
    return header


def check_size(height: int, width: int, channels: int, path: object) -> None:
    """Refuses a picture that is too large to be meant."""
    pixels = height * width
    if pixels > PIXEL_LIMIT or pixels * channels > VALUE_LIMIT:
        more = f" × {channels}" if channels > 1 else ""
        raise DataError(
            f"{path}: its header claims {height} × {width}{more} pixels, the "
            f"limit is {PIXEL_LIMIT} pixels and {VALUE_LIMIT} values; cut it into tiles"
        )


def array_header(stream: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type at the start of an NPY file."""
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(stream)
    except Exception as error:  # it is Python text, and so are the errors: of many types
        raise ValueError(f"no NPY header: {error}") from error
    return shape, dtype


def whole_array(content: bytes | memoryview) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an NPY file, which must hold as many bytes as they need."""
    stream = io.BytesIO(content)
    shape, dtype = array_header(stream)
    needed, available = prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if available < needed:
        raise ValueError(f"{available} bytes of values for a shape {shape} that needs {needed}")
    return shape, dtype


def check_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuses an array that is no picture."""
    if len(shape) not in (2, 3) or dtype.kind not in "uifb":
        raise ValueError(f"an array of shape {shape} and type {dtype}, not numbers (H, W[, C])")


def _png(content: bytes | memoryview) -> Header:
    """The size of a PNG all of whose chunks are there: a false length takes gigabytes to decode."""
    width, height, bits, colour_type = struct.unpack_from(">IIBB", content, 16)
    at, orientation, pictures = len(_PNG), 1, 1
    while True:
        length, name = struct.unpack_from(">I4s", content, at)
        if name == b"eXIf":
            orientation = _orientation(bytes(content[at + 8 : at + 8 + length]))
        if name == b"acTL":
            (pictures,) = struct.unpack_from(">I", content, at + 8)
        at += 12 + length
        if at > len(content):
            raise ValueError(f"chunk {name!r} reaches beyond the end")
        if name == b"IEND":
            return Header(
                "png",
                height,
                width,
                bits=bits,
                colour_type=colour_type,
                orientation=orientation,
                pictures=pictures,
            )


def _orientation(content: bytes) -> int:
    """What an EXIF block says of it; 1 where it says nothing that can be understood."""
    exif = Image.Exif()
    try:
        exif.load(content)
        return _known_orientation(exif.get(_ORIENTATION))
    except Exception:  # a damaged block makes Pillow raise errors of many types
        return 1


def _known_orientation(value: object) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _exr(content: bytes | memoryview) -> Header:
    """The data window of an EXR."""
    start = bytes(content[:65536])
    at = start.index(_WINDOW) + len(_WINDOW)
    left, top, right, bottom = struct.unpack_from("<4i", start, at)
    return Header("exr", max(bottom - top + 1, 0), max(right - left + 1, 0))


def _npy(content: bytes | memoryview) -> Header:
    shape, dtype = whole_array(content)
    check_array(shape, dtype)
    channels = shape[2] if len(shape) == 3 else 1
    return Header("npy", shape[0], shape[1], channels)


def _tiff(content: bytes | memoryview) -> Header:
    """The first picture of a TIFF or BigTIFF."""
    # At first use: it is not needed by data of other formats.
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            page: Any = file.pages.first
            turned = _known_orientation(page.tags.valueof(_ORIENTATION, default=1))
            size = (int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel))
            if page.tilelength * page.tilewidth > PIXEL_LIMIT or prod(page.chunks) > VALUE_LIMIT:
                raise ValueError(f"tiles of {' × '.join(map(str, page.chunks))} values")
            return Header("tiff", *size, compression=int(page.compression), orientation=turned)
    except Exception as error:  # damaged files end in exceptions of many types there
        raise ValueError(str(error)) from error


def _other(content: bytes | memoryview) -> Header:
    """The size of any other picture that Pillow knows."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return Header(
                "cmyk" if image.mode == "CMYK" else "other",
                image.height,
                image.width,
                orientation=_known_orientation(_exif_of(image)),
                # The further pictures of a photograph (MPO) are previews of it.
                pictures=1 if image.format == "MPO" else getattr(image, "n_frames", 1),
            )
    except Image.DecompressionBombError as error:
        raise ValueError(f"beyond the limit of {PIXEL_LIMIT} pixels: {error}") from error
    except (OSError, SyntaxError) as error:
        raise ValueError("no picture of a known kind") from error


def _exif_of(image: Image.Image) -> object:
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # a damaged block makes Pillow raise errors of many types
        return 1
