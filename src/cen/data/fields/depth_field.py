"""Depth: distances in metres."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_description import FieldDescription
from cen.data.fields.field_kind import FieldKind, Normalisation
from cen.data.fields.missing import measured
from cen.data.formats.stored import Stored
from cen.errors import ConfigError, DataError

# Indoor scenes: Rooms has 3.1 +- 1.1 m, NYUDv2 2.8 +- 1.3 m. Round numbers in between.
_MEAN, _STD = 3.0, 1.25


class DepthField(FieldKind):
    """(H, W) float32 in metres, NaN where nothing was measured."""

    name = "depth"
    described = "metres; NaN, infinity and what is not above 0 are missing"
    unit = 0.001
    missing = 0.0
    # Blending would invent surfaces between an object and the wall behind it.
    interpolation = "nearest"
    network_channels = (1, 3)
    single = True
    metres = True
    uneven = True
    changes = ("noise", "holes")
    own_options = (
        *("missing", "unit", "clip", "fill_holes", "intrinsics"),
        *("bit_rotation", "farthest", "beyond"),
    )
    file_options = ("bit_rotation", "farthest", "beyond")

    def normalisation(self, count: int, bits: int | None) -> Normalisation:
        """That of indoor scenes, in metres."""
        return 1.0, (_MEAN,) * count, (_STD,) * count

    def check(self, field: FieldDescription) -> None:
        """A unit, and a distance that is one."""
        super().check(field)
        if field.farthest is not None and field.farthest <= 0:
            raise ConfigError(f"farthest: {field.farthest} is no distance")

    def raw_values(self, file: Stored, field: FieldDescription, source: str) -> NDArray[Any]:
        """Metres."""
        stored, turned = file.values, field.bit_rotation
        if turned and (stored.ndim != 2 or stored.dtype != np.uint16):
            raise DataError(
                f"{source}: is {stored.shape} {stored.dtype}; depth whose bits are rotated, as in "
                "SUN RGB-D, is 16-bit grey"
            )
        if stored.ndim != 2:
            raise DataError(
                f"{source}: {stored.shape[2]} channels; depth is a file of one (16-bit or float), "
                "or bands: [0] says which it is"
            )
        if turned:
            stored = stored >> turned | stored << (16 - turned)
        metres = measured(stored, field, file.nodata, field.unit_or_one)
        if field.farthest is not None:
            far = metres > field.farthest
            metres[far] = field.farthest if field.beyond == "clip" else np.nan
        return metres

    def check_array(self, name: str, array: NDArray[Any], field: FieldDescription) -> None:
        """Metres of one channel."""
        if array.ndim != 2 or self.wanted_numbers(array, field):
            raise DataError(
                f"depth array {name!r} must be metres as float of shape (H, W), got "
                f"{array.dtype} {array.shape}; multiply stored values by their unit"
            )

    def shown(self, values: NDArray[Any]) -> NDArray[Any]:
        """Metres, for whoever paints them by a scale."""
        return values
