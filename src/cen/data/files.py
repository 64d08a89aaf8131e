"""Reading and writing pictures: errors that name the file, no file that takes all memory."""

from __future__ import annotations

import errno
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.headers import BYTE_LIMIT, Header, read_header
from cen.errors import DataError
from cen.files import write_bytes

# Compressions of TIFF that tifffile decodes without further packages: none, and two of zlib's.
_PLAIN_TIFF = (1, 8, 32946)


@dataclass(frozen=True)
class Held:
    """A file whose bytes are in memory: a member of a shard.

    Attributes:
        name: what messages call it.
        content: its bytes.
    """

    name: str
    content: NDArray[np.uint8]

    def __str__(self) -> str:
        return self.name


File = str | Path | Held


def read_array(path: File, flags: int = cv2.IMREAD_UNCHANGED) -> NDArray[Any]:
    """Decodes a picture, turned as it is stored: (H, W), or (H, W, C) in RGB order.

    PNG, JPEG and what else OpenCV decodes; TIFF of 8 to 64 bits, integer or float, with any number
    of bands (its first picture); NPY (H, W) or (H, W, C) of numbers; EXR where this OpenCV has it.

    Args:
        path: the file; its content decides what it is, not its name.
        flags: of ``cv2.imdecode``: colour, grey or as stored.

    Raises:
        DataError: the file is missing, empty, cut short, of no known kind, or larger than
            the limits of `cen.data.headers`.
    """
    content = read_content(path)
    header = read_header(content.data, path)
    if header.format == "npy":
        return _as_flagged(_numbers(content, path), flags)
    if header.format == "tiff" and (header.channels not in (1, 3) or header.planar):
        return _as_flagged(_bands(content, header, path), flags)
    decoded = _decode(content, header, path, flags)
    if decoded.ndim == 3 and decoded.shape[2] in (3, 4):
        code = cv2.COLOR_BGR2RGB if decoded.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        decoded = cv2.cvtColor(decoded, code)
    return np.asarray(decoded)


def write_png(path: Path, values: NDArray[Any]) -> None:
    """Writes an 8-bit RGB or 8- or 16-bit grey PNG; the file is complete or not there.

    Raises:
        DataError: the values cannot be encoded.
    """
    ordered = np.ascontiguousarray(values[..., ::-1] if values.ndim == 3 else values)
    try:
        # Level 3 of 9: a tenth larger than the smallest, several times as fast.
        _, encoded = cv2.imencode(".png", ordered, (cv2.IMWRITE_PNG_COMPRESSION, 3))
    except cv2.error as error:
        kind = f"{values.shape} {values.dtype}"
        raise DataError(f"{path}: cannot encode an array of {kind} as PNG") from error
    write_bytes(path, encoded.tobytes(), DataError)


def ordinary(path: str | Path) -> Path:
    """The path of a file that can be read to its end.

    Raises:
        OSError: it is missing, or a folder, a pipe or a device, which one could wait for for ever.
    """
    path = Path(path)
    if path.stat() and not path.is_file():
        raise OSError(errno.EINVAL, "it is a folder or no ordinary file", str(path))
    return path


def is_file(path: Path) -> bool:
    """Whether there is a file; no error of a name that cannot be one."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_content(path: File) -> NDArray[np.uint8]:
    """The bytes of a file.

    Raises:
        DataError: it is missing, no ordinary file, or larger than ``BYTE_LIMIT``.
    """
    if isinstance(path, Held):
        return path.content
    try:
        path = ordinary(path)
        size = path.stat().st_size
        if size > BYTE_LIMIT:
            raise DataError(f"{path}: has {size} bytes, the limit is {BYTE_LIMIT}; cut it up")
        return np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _decode(content: NDArray[np.uint8], header: Header, path: File, flags: int) -> NDArray[Any]:
    """What OpenCV makes of a file, in its own order of colours."""
    decoded, reason = None, ""
    try:
        # A rotation noted in a photo's header would tear it from its depth and mask.
        decoded = cv2.imdecode(content, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        reason = f"; {error.err}"
    if decoded is None and header.format == "exr":
        raise DataError(
            f"{path}: is an EXR file that this OpenCV cannot decode. It is damaged, or OpenCV has "
            "no OpenEXR: builds with it need the environment variable OPENCV_IO_ENABLE_OPENEXR=1 "
            "before Python starts; the wheels of opencv-python have none since version 5. Convert "
            "to TIFF (float) or NPY"
        )
    if decoded is None:
        raise DataError(
            f"{path}: not an image that OpenCV can decode ({content.size} bytes{reason}); "
            "is it cut short, or of another type than its name says?"
        )
    bits = 8 * decoded.dtype.itemsize
    if header.format == "tiff" and header.bits > 8 and bits != header.bits:
        raise DataError(
            f"{path}: a TIFF of {header.bits} bits, of which OpenCV makes {bits}; write it as "
            "8- or 16-bit integers or as 32-bit floats"
        )
    return np.asarray(decoded)


def _numbers(content: NDArray[np.uint8], path: File) -> NDArray[Any]:
    """The array of an NPY file whose header is sound; pickled objects are never loaded."""
    try:
        array = np.load(io.BytesIO(content.data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: not an NPY file that can be loaded ({error})") from error
    if array.dtype == np.bool_ or array.dtype == np.float16:
        array = array.astype(np.uint8 if array.dtype == np.bool_ else np.float32)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _bands(content: NDArray[np.uint8], header: Header, path: File) -> NDArray[Any]:
    """A TIFF of other than 1 or 3 bands, or with one band after the other, as (H, W, C).

    OpenCV refuses more than four bands and bands one after the other, and makes a grey picture of
    two and of some with four.
    """
    try:
        import tifffile
    except ImportError as error:
        raise DataError(
            f"{path}: a TIFF of {header.channels} bands needs the package tifffile; "
            "pip install 'cen[data]'"
        ) from error
    if header.compression not in _PLAIN_TIFF:
        raise DataError(
            f"{path}: a TIFF of {header.channels} bands with compression {header.compression}, "
            "which is not decoded here; write it uncompressed or with 'deflate'"
        )
    try:
        with tifffile.TiffFile(io.BytesIO(content.data)) as file:
            page = file.pages.first
            _check_inflated(content, page)
            array = page.asarray(maxworkers=1)
            axes = page.axes
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # damaged files end in exceptions of many types there
        raise DataError(f"{path}: not a TIFF that can be decoded ({error})") from error
    array = np.moveaxis(array, 0, -1) if axes == "SYX" else array
    if array.shape != (header.height, header.width, header.channels):
        raise DataError(f"{path}: a TIFF of shape {array.shape} ({axes}); is it cut short?")
    return np.ascontiguousarray(array)


def _check_inflated(content: NDArray[np.uint8], page: Any) -> None:
    """Refuses compressed parts that are larger than they say, which would be decoded all the same.

    Raises:
        DataError: naming the part.
    """
    if page.compression == 1:
        return
    whole = int(np.prod(page.shape)) * page.dtype.itemsize
    part = min(int(np.prod(page.chunks)) * page.dtype.itemsize, whole)
    for number, (at, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        inflated = zlib.decompressobj().decompress(content[at : at + size].data, part + 1)
        if len(inflated) > part:
            raise DataError(f"strip or tile {number} holds more than the {part} bytes of a part")


def _as_flagged(array: NDArray[Any], flags: int) -> NDArray[Any]:
    """What OpenCV's flags would have made of a picture that it did not decode itself."""
    channels = 1 if array.ndim == 2 else array.shape[2]
    if flags == cv2.IMREAD_UNCHANGED:
        return array
    if flags & cv2.IMREAD_COLOR:
        if channels == 1:
            return np.repeat(array[..., None], 3, axis=2)
        return np.ascontiguousarray(array[..., :3]) if channels == 4 else array
    if channels in (3, 4) and array.dtype in (np.uint8, np.uint16, np.float32):
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(array[..., :3]), cv2.COLOR_RGB2GRAY))
    return array
