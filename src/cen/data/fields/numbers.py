"""From raw values to the numbers of a network and of ground truth, and back; see `Modality`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.errors import DataError

if TYPE_CHECKING:
    from cen.data.fields.modality import Modality


def normalised(modality: Modality, prepared: NDArray[Any]) -> NDArray[np.float32]:
    """(C, H, W) float32, NaN where missing."""
    if modality.kind == "label":
        return _one_hot(prepared, modality.channels)
    if modality.kind == "image" and prepared.dtype == np.uint8:
        return _looked_up(modality, prepared)
    if modality.encoding != "raw" and not modality.early:
        values = np.asarray(prepared, np.float32)
        return _computed(modality, modality.encoded_by.encode(values, modality, None))
    return _computed(modality, prepared)


def denormalised(modality: Modality, numbers: NDArray[Any]) -> NDArray[Any]:
    """Raw values of what `normalised` gives, or what an encoding without inverse shows."""
    if modality.kind == "label":
        return np.asarray(numbers.argmax(axis=0))
    mean, std = np.array((modality.mean, modality.std), dtype=np.float32)
    values = (numbers.astype(np.float32).transpose(1, 2, 0) * std + mean) / modality.scale
    if modality.kind == "image" or modality.encoding in ("jet", "hha"):
        deep = modality.kind == "image" and modality.bits == 16
        return _colours(values, np.uint16 if deep else np.uint8)
    if modality.vectors:
        return np.asarray(values, dtype=np.float32)
    # One channel shown as three holds three times the same.
    values = values[..., 0] if modality.stored_channels == 1 else values
    values = np.asarray(values, dtype=np.float32)
    decode = modality.encoded_by.decode
    return decode(values, modality) if decode else values


def truth(modality: Modality, prepared: NDArray[Any]) -> NDArray[Any]:
    """Ground truth of raw values (continuous ones: prepared)."""
    if modality.kind == "label":
        return prepared.astype(np.int64)
    if modality.kind == "continuous":
        return normalised(modality, prepared)
    planes = (prepared[..., None] if prepared.ndim == 2 else prepared).astype(np.float32)
    if modality.kind == "image":
        integer = prepared.dtype.kind in "ui"
        white = np.iinfo(prepared.dtype).max if integer else 1.0 / modality.scale
        planes = planes / np.float32(white / 2) - 1
    return np.ascontiguousarray(planes.transpose(2, 0, 1))


def from_truth(modality: Modality, values: NDArray[Any]) -> NDArray[Any]:
    """Raw values of what `truth` gives; images with 8 bits."""
    if modality.kind == "label":
        return values
    if modality.kind == "continuous":
        return denormalised(modality, values)
    planes = values.astype(np.float32).transpose(1, 2, 0)
    if modality.kind == "image":
        return _colours(127.5 * (planes + 1), np.uint8)
    return planes[..., 0] if planes.shape[2] == 1 else planes


def _computed(modality: Modality, encoded: NDArray[Any]) -> NDArray[np.float32]:
    planes = _planes(modality, encoded)
    numbers = np.empty((modality.channels, *planes.shape[:2]), dtype=np.float32)
    # Plane by plane: NumPy is slow where the last axis has a few entries.
    for channel, (mean, std) in enumerate(zip(modality.mean, modality.std, strict=True)):
        plane = planes[..., channel].astype(np.float32, copy=False)
        np.multiply(plane, np.float32(modality.scale), out=numbers[channel])
        numbers[channel] -= np.float32(mean)
        numbers[channel] /= np.float32(std)
    return numbers


def _looked_up(modality: Modality, image: NDArray[Any]) -> NDArray[np.float32]:
    """The same for 8-bit images, from a table of the 256 values."""
    planes = _planes(modality, image)
    numbers = np.empty((modality.channels, *planes.shape[:2]), dtype=np.float32)
    for channel, table in enumerate(_tables(modality)):
        cv2.LUT(np.ascontiguousarray(planes[..., channel]), table, dst=numbers[channel])
    return numbers


@functools.lru_cache(maxsize=64)
def _tables(modality: Modality) -> NDArray[np.float32]:
    """(C, 256): what the network sees of every value of an 8-bit image."""
    values = np.arange(256, dtype=np.uint8)[None]
    colours = np.repeat(values[..., None], modality.channels, axis=2)
    return _computed(modality, colours)[:, 0]


def _planes(modality: Modality, values: NDArray[Any]) -> NDArray[Any]:
    """(H, W, C) with the channels of this modality.

    Raises:
        DataError: the values have others.
    """
    planes = values[..., None] if values.ndim == 2 else values
    if planes.shape[2] == 1 and modality.stored_channels == 1:
        planes = np.broadcast_to(planes, (*planes.shape[:2], modality.channels))
    if planes.shape[2] != modality.channels:
        raise DataError(f"{planes.shape[2]} channels, but this modality has {modality.channels}")
    return planes


def _one_hot(labels: NDArray[Any], channels: int) -> NDArray[np.float32]:
    """A label as an input: a channel per class; all 0 where it is ignored."""
    if channels < 2:
        raise DataError(
            "a label as an input needs as many channels as there are classes; set "
            "model.inputs.<name>"
        )
    classes = np.arange(channels)[:, None, None]
    return np.asarray(labels == classes, dtype=np.float32)


def _colours(values: NDArray[Any], kind: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    """(H, W, C) numbers rounded to integers, 0 where missing; (H, W) of one channel."""
    rounded = np.rint(np.nan_to_num(values))
    colours = np.asarray(np.clip(rounded, 0, np.iinfo(kind).max), dtype=kind)
    return colours[..., 0] if colours.shape[2] == 1 else colours
