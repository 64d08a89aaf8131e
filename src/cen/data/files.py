"""Reading and writing pictures: errors that name the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cen.errors import DataError
from cen.files import write_bytes


def read_array(path: str | Path, flags: int) -> NDArray[Any]:
    """Decodes an image with OpenCV, turned as it is stored: (H, W), or (H, W, C) in RGB order.

    Raises:
        DataError: the file is missing or cannot be decoded.
    """
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        # A rotation noted in a photo's header would tear it from its depth and mask.
        decoded = cv2.imdecode(content, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DataError(f"{path}: not an image that OpenCV can decode ({error.err})") from error
    if decoded is None:
        raise DataError(
            f"{path}: not an image that OpenCV can decode ({content.size} bytes); "
            "is it cut short, or of another type than its name says?"
        )
    if decoded.ndim == 3 and decoded.shape[2] in (3, 4):
        code = cv2.COLOR_BGR2RGB if decoded.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        decoded = cv2.cvtColor(decoded, code)
    return np.asarray(decoded)


def read_labels(path: str | Path) -> NDArray[Any]:
    """Reads a label map: (H, W) integers; of a palette PNG the indices, not the colours.

    Raises:
        DataError: the file is missing, cannot be decoded, or holds colours.
    """
    try:
        # Pillow, because OpenCV turns palette indices into colours.
        with Image.open(path) as image:
            labels = np.array(image)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a label image that can be decoded ({error})") from error
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{path}: a label image has one integer per pixel, this has shape {labels.shape} "
            f"and type {labels.dtype}; save class numbers, not colours"
        )
    return labels


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
