"""From encoded values to the numbers that a network sees, and back."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_description import FieldDescription


def standardised(field: FieldDescription, planes: NDArray[Any]) -> NDArray[np.float32]:
    """``(values * scale - mean) / std`` of (H, W, C) values: (C, H, W), NaN where missing."""
    numbers = np.empty((field.channels, *planes.shape[:2]), dtype=np.float32)
    # Plane by plane: NumPy is slow where the last axis has a few entries.
    for channel, (mean, std) in enumerate(zip(field.mean, field.std, strict=True)):
        plane = planes[..., channel].astype(np.float32, copy=False)
        np.multiply(plane, np.float32(field.scale), out=numbers[channel])
        numbers[channel] -= np.float32(mean)
        numbers[channel] /= np.float32(std)
    return numbers


def standardised_bytes(field: FieldDescription, planes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The same for 8-bit values, from a table of all 256."""
    numbers = np.empty((field.channels, *planes.shape[:2]), dtype=np.float32)
    for channel, table in enumerate(_tables(field)):
        cv2.LUT(np.ascontiguousarray(planes[..., channel]), table, dst=numbers[channel])
    return numbers


@functools.lru_cache(maxsize=64)
def _tables(field: FieldDescription) -> NDArray[np.float32]:
    """(C, 256): what the network sees of every value of an 8-bit image."""
    values = np.arange(256, dtype=np.uint8)[None]
    colours = np.repeat(values[..., None], field.channels, axis=2)
    return standardised(field, colours)[:, 0]


def destandardised(field: FieldDescription, numbers: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W, C) encoded values of the (C, H, W) numbers of a network."""
    mean, std = np.array((field.mean, field.std), dtype=np.float32)
    values = (numbers.astype(np.float32).transpose(1, 2, 0) * std + mean) / field.scale
    return np.asarray(values, dtype=np.float32)


def rounded(values: NDArray[Any], dtype: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    """(H, W, C) values as integers, 0 where missing; (H, W) of one channel."""
    integers = np.rint(np.nan_to_num(values))
    colours = np.asarray(np.clip(integers, 0, np.iinfo(dtype).max), dtype=dtype)
    return colours[..., 0] if colours.shape[2] == 1 else colours
