"""Any other measured values: temperature, reshading, curvature, heights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_description import FieldDescription
from cen.data.fields.field_kind import FieldKind
from cen.data.fields.missing import measured
from cen.data.formats.bands import wrong_channels
from cen.data.formats.stored import Stored
from cen.errors import DataError


class ContinuousField(FieldKind):
    """(H, W) or (H, W, C) float32, NaN where missing."""

    name = "continuous"
    described = "values in the unit of the data; NaN is missing"
    by_bands = True
    open_range = True
    changes = ("noise", "holes")
    own_options = ("missing", "unit", "clip")

    def raw_values(self, file: Stored, field: FieldDescription, source: str) -> NDArray[Any]:
        """Stored values times their unit."""
        channels = self.stored_channels(field)
        if np.atleast_3d(file.values).shape[2] != channels:
            raise DataError(f"{source}: {wrong_channels(file.values, channels)}")
        return measured(file.values, field, file.nodata, field.unit_or_one)

    def wanted_numbers(self, array: NDArray[Any], field: FieldDescription) -> str:
        """Floats, in the unit of the data."""
        requirement = super().wanted_numbers(array, field)
        unit = field.unit_or_one
        return (
            f"{requirement}, stored values times their unit ({unit:g})"
            if requirement and unit != 1
            else requirement
        )

    def truth(self, field: FieldDescription, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """Encoded and normalised like an input."""
        return self.normalise(field, prepared)

    def from_truth(self, field: FieldDescription, values: NDArray[Any]) -> NDArray[Any]:
        """Decoded like an input."""
        return self.denormalise(field, values)
