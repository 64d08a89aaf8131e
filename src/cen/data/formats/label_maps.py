"""Label files: maps of one number per pixel, and masks of colours."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cen.data.formats.bands import as_channels
from cen.data.formats.file_bytes import File, read_with_header
from cen.data.formats.headers import Header
from cen.data.formats.lossy import refuse_lossy
from cen.data.formats.pictures import WHOLE, Part, check_part, choose, decode, read_array, upright
from cen.errors import DataError

# Greys of a few bits, which Pillow spreads over 0..255: what it multiplies them by.
_SPREAD = {2: 85, 4: 17}
# Types of PNG: brightness, and indices of colours.
_GREY, _PALETTE = 0, 3
# More values than this that are no class are hardly a forgotten class or two.
_MANY = 8


def read_labels(path: File, part: Part = WHOLE) -> NDArray[Any]:
    """Reads a label map: (H, W) integers; of a palette PNG the indices, not the colours.

    Masks of one bit, and Booleans of NPY files, are 0 and 1.
    """
    content, header = read_with_header(path)
    refuse_lossy(content.data, header, path)
    if header.format in ("npy", "npz", "mat", "tiff"):
        labels = read_array(path, replace(part, picture=False))
    else:
        check_part(header, part, path)
        stored = _decoded(content, header, part, path)
        labels = choose(upright(stored, header.orientation, part.exif, path), part.bands, path)
    check_integers(labels, path)
    return labels


def check_integers(labels: NDArray[Any], path: object) -> None:
    """Refuses what is no label map."""
    if labels.ndim == 2 and np.issubdtype(labels.dtype, np.integer):
        return
    problem = f"{path}: a label image has one integer per pixel, this has shape {labels.shape}"
    if labels.ndim == 2:
        raise DataError(
            f"{problem} and type {labels.dtype}; save the class numbers as integers, such as "
            "labels.astype('uint8')"
        )
    raise DataError(
        f"{problem}: several bands or pages; save class numbers, not colours (in a folder of own "
        "files 'colours:' says which colour is which class), or choose what holds the numbers with "
        "bands: [0], counted from 0, or of a TIFF with page: 0"
    )


def read_colours(path: File, part: Part = WHOLE) -> NDArray[np.int64]:
    """Reads a mask of colours: (H, W) of 65536 red + 256 green + blue."""
    content, header = read_with_header(path)
    refuse_lossy(content.data, header, path)
    image = as_channels(read_array(path, part), 3, str(path))
    if image.dtype != np.uint8 or image.ndim != 3:
        raise DataError(f"{path}: a mask of colours has 3 channels of 8 bits, not {image.dtype}")
    wide = image.astype(np.int64)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2])


def no_classes(labels: NDArray[Any], classes: int, ignore_index: int, first: int = 0) -> str:
    """What is wrong where a label is neither a class nor ``ignore_index``, else empty.

    Args:
        labels: class numbers from 0.
        classes: how many there are.
        ignore_index: the number of pixels without a class.
        first: the stored number of the first class; the message names numbers as they are stored.
    """
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != ignore_index)]
    if not wrong.size:
        return ""
    listed, smoothed = strange_values(wrong + first)
    named = (
        "set it to a number that 'ignore' names" if first else f"set it to {ignore_index} (ignore)"
    )
    counted = "" if first else "first: 1 where classes are counted from 1, or "
    return (
        f"label {listed} outside {first}..{first + classes - 1}; {named}, name more classes, or "
        f"say what the numbers mean ({counted}values: in the dataset.yaml of layout folder)"
        f"{smoothed}"
    )


def strange_values(
    strange: NDArray[Any], show: Callable[[int], object] = str, most: int = 5
) -> tuple[str, str]:
    """Some of the values that are no class, with their pixels; and what so many mean, if many."""
    values, counts = np.unique(strange, return_counts=True)
    pairs = zip(values[:most].tolist(), counts[:most].tolist(), strict=True)
    listed = ", ".join(f"{show(value)} ({count} pixels)" for value, count in pairs)
    if len(values) > most:
        listed += f" and {len(values) - most} more"
    if len(values) < _MANY:
        return listed, ""
    text = "; so many strange values come of resizing masks smoothly: resize them by nearest only"
    return listed, text


def _decoded(content: NDArray[np.uint8], header: Header, part: Part, path: object) -> NDArray[Any]:
    """The numbers of a picture before it is turned and bands of it are chosen."""
    grey = header.colour_type == _GREY
    if grey and header.bits >= 8:
        try:
            # In half the time that Pillow takes, which says more of a damaged one.
            decoded = cv2.imdecode(content, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            decoded = None
        if decoded is not None and decoded.ndim == 2:
            return np.asarray(decoded)
    # Decoders of pictures turn these numbers into colours or spread them over 0..255.
    few_values = header.colour_type == _PALETTE or (grey and header.bits < 8)
    if part.bands is not None and not few_values:
        return decode(content, header, path)
    return _stored_numbers(content, header, path)


def _stored_numbers(content: NDArray[np.uint8], header: Header, path: object) -> NDArray[Any]:
    """The numbers of a picture, of a palette its indices: OpenCV turns these into colours."""
    try:
        with Image.open(io.BytesIO(content.data)) as image:
            labels = np.array(image)
    # Of a damaged TIFF Pillow says TypeError, of a damaged PNG SyntaxError.
    except (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a label image that can be decoded ({error})") from error
    labels = labels.astype(np.uint8) if labels.dtype == np.bool_ else labels
    if header.colour_type == _GREY:
        labels = labels // _SPREAD.get(header.bits, 1)
    return labels
