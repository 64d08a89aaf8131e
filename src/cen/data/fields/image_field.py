"""Colour and grey pictures, and any number of bands as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_description import IMAGENET_MEAN, IMAGENET_STD, FieldDescription
from cen.data.fields.field_kind import FieldKind, Normalisation, as_picture
from cen.data.fields.missing import measured
from cen.data.fields.normalisation import destandardised, rounded, standardised_bytes
from cen.data.formats.bands import as_channels
from cen.data.formats.stored import Stored
from cen.errors import DataError
from cen.options.augmentation_options import IMAGES

# Averages of ImageNet's over the colours.
_MEAN, _STD = 0.449, 0.226


class ImageField(FieldKind):
    """(H, W, C) or (H, W) in the file's values: RGB order, 0..255 for 8-bit files."""

    name = "image"
    described = "values of the file, red before green before blue"
    interpolation = "cubic"
    usual_channels = 3
    by_bands = True
    picture = True
    colours = True
    uneven = True
    measured = False
    changes = (*IMAGES, "noise")
    instead: ClassVar[Mapping[str, str]] = {
        "missing": "; values that were measured are kind: continuous",
        "unit": "; values that were measured are kind: continuous or kind: depth",
    }

    def normalisation(self, count: int, bits: int | None) -> Normalisation:
        """White as 1; ImageNet's mean and deviation."""
        scale = 1.0 / 65535.0 if bits == 16 else 1.0 / 255.0
        if count == 3:
            return scale, IMAGENET_MEAN, IMAGENET_STD
        return scale, (_MEAN,) * count, (_STD,) * count

    def raw_values(self, file: Stored, field: FieldDescription, source: str) -> NDArray[Any]:
        """As stored; floats with NaN where the file says that nothing was measured."""
        stored = as_channels(file.values, field.channels, source)
        # Any number of bands may be of any type; colours and grey have 8 bits unless declared.
        if field.channels in (1, 3) and stored.dtype != np.uint8 and field.bits in (None, 8):
            raise DataError(
                f"{source}: is of type {stored.dtype}, but an image has 8 bits; declare it as "
                f"kind: depth or kind: continuous, say bits: {8 * stored.dtype.itemsize}, or "
                "convert the file"
            )
        if stored.dtype.kind == "f":
            return measured(stored, field, file.nodata, 1.0)
        return stored

    def wanted_numbers(self, array: NDArray[Any], field: FieldDescription) -> str:
        """Of colours and grey 8 bits, or 16 where declared; any of other numbers of bands."""
        dtype: type[Any] = np.uint16 if field.bits == 16 else np.uint8
        if field.channels not in (1, 3) or array.dtype == dtype:
            return ""
        return f"{dtype.__name__} in 0..{np.iinfo(dtype).max}"

    def normalise(self, field: FieldDescription, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """(C, H, W) float32 as the network sees them."""
        if prepared.dtype == np.uint8:
            return standardised_bytes(field, self.planes(field, prepared))
        return super().normalise(field, prepared)

    def denormalise(self, field: FieldDescription, numbers: NDArray[Any]) -> NDArray[Any]:
        """(H, W, C), of one channel (H, W); 16 bits where declared, else 8."""
        deep = field.bits == 16
        return rounded(destandardised(field, numbers), np.uint16 if deep else np.uint8)

    def truth(self, field: FieldDescription, prepared: NDArray[Any]) -> NDArray[Any]:
        """(C, H, W) float32 in [-1, 1]."""
        integer = prepared.dtype.kind in "ui"
        white = np.iinfo(prepared.dtype).max if integer else 1.0 / field.scale
        values = super().truth(field, prepared)
        return values / np.float32(white / 2) - 1

    def from_truth(self, field: FieldDescription, values: NDArray[Any]) -> NDArray[Any]:
        """8 bits, whatever the file had."""
        return rounded(127.5 * (values.astype(np.float32).transpose(1, 2, 0) + 1), np.uint8)

    def shown(self, values: NDArray[Any]) -> NDArray[Any]:
        """Colours and grey of 8 bits as they are."""
        if values.dtype == np.uint8 and (values.ndim == 2 or values.shape[2] == 3):
            return as_picture(values)
        return super().shown(values)
