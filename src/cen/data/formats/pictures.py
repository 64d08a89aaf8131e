"""Reading and writing pictures: errors that name the file, no file that takes all memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.formats.containers import read_mat, read_npy, read_npz
from cen.data.formats.file_bytes import File, read_with_header
from cen.data.formats.headers import Header
from cen.data.formats.stored import Stored
from cen.errors import DataError
from cen.files import write_atomically, write_bytes

Exif = Literal["turn", "ignore"]


@dataclass(frozen=True)
class Part:
    """What of a file is read.

    Attributes:
        bands: which of its bands, from 0, in the order wanted; None: all.
        page: which of the pictures of a TIFF, from 0; None: the only one, or all of one band each
            as bands.
        variable: which array of an NPZ, MATLAB or HDF5 file; None: the only one.
        exif: of a picture whose header says that it is to be turned: ``"turn"`` does so,
            ``"ignore"`` reads the pixels as they are stored; None refuses it.
        picture: whether the values are colours or brightness, as opposed to numbers: matters to
            palettes, to Booleans and to black and white turned round in TIFF files.
    """

    bands: tuple[int, ...] | None = None
    page: int | None = None
    variable: str | None = None
    exif: Exif | None = None
    picture: bool = True


WHOLE = Part()


def read_array(path: File, part: Part = WHOLE) -> NDArray[Any]:
    """The values of `read_stored`."""
    return read_stored(path, part).values


def read_stored(path: File, part: Part = WHOLE) -> Stored:
    """Decodes a picture: (H, W), or (H, W, C) in RGB order.

    PNG, JPEG and what else OpenCV decodes; TIFF of any number of bands (`formats.tiff`); NPY
    (H, W) or (H, W, C) of numbers; an array of an NPZ, MATLAB or HDF5 file; EXR where this OpenCV
    has it.

    Args:
        path: the file; its content decides what it is, not its name.
        part: what of it.

    Raises:
        DataError: the file is missing, empty, cut short, of no known kind, larger than the limits
            of `cen.data.formats.headers`, stored turned, or has no such part.
    """
    content, header = read_with_header(path)
    check_part(header, part, path)
    if header.format == "tiff":
        # At first use: it is not needed by data of other formats.
        from cen.data.formats.tiff import read_tiff

        stored = read_tiff(content, path, part.page, part.picture)
    elif header.format == "npy":
        stored = Stored(_plain(read_npy(content, path), part.picture))
    elif header.format in ("npz", "mat"):
        read = read_npz if header.format == "npz" else read_mat
        stored = read(content, path, part.variable)
        stored = replace(stored, values=_plain(stored.values, part.picture))
    else:
        stored = Stored(decode(content, header, path))
    turned = upright(stored.values, header.orientation, part.exif, path)
    scalings = stored.scalings
    if part.bands is not None and len(scalings) > 1:
        scalings = [scalings[at] for at in part.bands if at < len(scalings)]
    return Stored(choose(turned, part.bands, path), stored.nodata, scalings)


def check_part(header: Header, part: Part, path: object) -> None:
    """Refuses what would choose nothing of a file."""
    if part.page is not None and header.format != "tiff":
        raise DataError(f"{path}: page: is for TIFF files, and this is none; leave it out")
    if part.variable is not None and header.format not in ("npz", "mat"):
        raise DataError(f"{path}: variable: is for NPZ, MATLAB and HDF5 files, and this is none")


def upright(
    values: NDArray[Any], orientation: int, exif: Exif | None, path: object
) -> NDArray[Any]:
    """A picture as its header says that it is to be shown, or as it is stored."""
    if orientation == 1 or exif == "ignore":
        return values
    if exif is None:
        raise DataError(
            f"{path}: is stored {_TURNED[orientation]} (orientation {orientation} in its EXIF "
            "header): viewers and annotation tools turn it back, sensors beside it do not. Say "
            "exif: turn if labels and the other files are aligned with what viewers show, exif: "
            "ignore if with the pixels as stored"
        )
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(values[::rows, ::columns])


def turned(path: Path) -> str:
    """The end of a message about a size that is not as expected: whether EXIF explains it."""
    try:
        orientation = read_with_header(path)[1].orientation
    except DataError:
        return ""
    if orientation < 5:
        return ""
    return (
        f"; {path.name} is stored {_TURNED[orientation]} (orientation {orientation} in its EXIF "
        "header): exif: turn reads it as viewers show it"
    )


_TURNED = {
    2: "mirrored",
    3: "upside down",
    4: "mirrored upside down",
    5: "mirrored and lying on its side",
    6: "lying on its side",
    7: "mirrored and lying on its side",
    8: "lying on its side",
}


def choose(values: NDArray[Any], bands: tuple[int, ...] | None, path: object) -> NDArray[Any]:
    """Some bands of a picture."""
    if bands is None:
        return values
    planes = np.atleast_3d(values)
    if max(bands) >= planes.shape[2]:
        raise DataError(
            f"{path}: has {planes.shape[2]} bands, counted from 0; bands: {list(bands)} asks for "
            "others"
        )
    chosen = planes[..., bands[0]] if len(bands) == 1 else planes[..., list(bands)]
    return np.ascontiguousarray(chosen)


def write_png(path: Path, values: NDArray[Any]) -> None:
    """Writes an 8-bit RGB or 8- or 16-bit grey PNG; the file is complete or not there."""
    ordered = np.ascontiguousarray(values[..., ::-1] if values.ndim == 3 else values)
    try:
        # Level 3 of 9: a tenth larger than the smallest, several times as fast.
        _, encoded = cv2.imencode(".png", ordered, (cv2.IMWRITE_PNG_COMPRESSION, 3))
    except cv2.error as error:
        kind = f"{values.shape} {values.dtype}"
        raise DataError(f"{path}: cannot encode an array of {kind} as PNG") from error
    write_bytes(path, encoded.tobytes(), DataError)


def write_npy(path: Path, values: NDArray[Any]) -> None:
    """Writes an array to a file that is complete or not there."""

    def save(temporary: Path) -> None:
        # An open file, since numpy adds .npy to names.
        with temporary.open("wb") as file:
            np.save(file, values)

    write_atomically(path, save, DataError)


def decode(content: NDArray[np.uint8], header: Header, path: object) -> NDArray[Any]:
    """What OpenCV makes of a picture, in RGB order, as it is stored."""
    if header.format == "cmyk":
        raise DataError(f"{path}: has four inks (CMYK), as for a printer; convert it to RGB")
    decoded, reason = None, ""
    try:
        decoded = cv2.imdecode(content, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
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
    if decoded.ndim == 3 and decoded.shape[2] in (3, 4):
        code = cv2.COLOR_BGR2RGB if decoded.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        decoded = cv2.cvtColor(decoded, code)
    if decoded.shape[:2] != (header.height, header.width):
        raise DataError(f"{path}: has another size than its header says; is it damaged?")
    return np.asarray(decoded)


def _plain(array: NDArray[Any], picture: bool) -> NDArray[Any]:
    """Numbers in the order and the types of this machine.

    Booleans are 0 and 1, of a picture black and white, as those of PNG and TIFF of one bit are.
    """
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255 if picture else 1)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
