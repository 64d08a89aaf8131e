"""Edges: how strong one is at every pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_description import FieldDescription
from cen.data.fields.field_kind import FieldKind, white_of
from cen.data.fields.missing import measured
from cen.data.formats.bands import as_channels
from cen.data.formats.stored import Stored
from cen.errors import DataError

# Edges above white are rounding or a wrong unit; twice as much is no rounding.
_BRIGHTEST = 2.0


class EdgeField(FieldKind):
    """(H, W) float32 in 0..1, NaN where missing; white of an integer file is 1."""

    name = "edge"
    described = "strengths of 0 to 1; NaN is missing"
    unit = None
    network_channels = (1, 3)
    single = True
    picture = True
    bounded = True
    changes = ("noise",)
    own_options = ("missing", "unit", "clip")
    file_options = ("clip",)

    def check(self, field: FieldDescription) -> None:
        """A unit where an encoding needs one."""
        if field.encoding != "raw":
            super().check(field)

    def raw_values(self, file: Stored, field: FieldDescription, source: str) -> NDArray[Any]:
        """Strengths; those above white count as 1."""
        stored = as_channels(file.values, 1, source)
        unit = _share_of_white(stored, source) if field.unit is None else field.unit
        values = measured(stored, field, file.nodata, unit)
        highest = float(np.nanmax(values, initial=0.0))
        if field.clip is None and highest > _BRIGHTEST:
            raise DataError(
                f"{source}: an edge has a strength of 0 to 1, here up to {highest:g}; set unit to "
                "what one stored value is worth, or clip: [0, 1] where more than white is meant"
            )
        return np.clip(values, 0.0, 1.0)

    def impossible(self, values: NDArray[Any]) -> str:
        """Strengths beyond 0 and 1, and no other than 0 and the least that a file can hold."""
        low, high = np.nanmin(values, initial=0.0), np.nanmax(values, initial=1.0)
        if (low, high) != (0, 1):
            return f"edges from {low:.4g} to {high:.4g}, not in 0..1"
        brightest = float(np.nanmax(values, initial=0.0))
        for bits in (8, 16):
            if math.isclose(brightest, 1 / (2**bits - 1), rel_tol=1e-5):
                return (
                    f"no edge is stronger than {brightest:.2g}, which is 1 in a file of {bits} "
                    "bits, whose white is 1; where a stored 1 means an edge say unit: 1"
                )
        return ""


def _share_of_white(stored: NDArray[Any], source: str) -> float:
    """What one stored value is worth where nobody says it: floats are strengths already."""
    if stored.dtype.kind not in "ui":
        return 1.0
    if (white := white_of(stored)) is None:
        raise DataError(
            f"{source}: holds {stored.dtype}, of which nothing says what white is; set unit to "
            "what one stored value is worth (1 where 1 is an edge, 0.00392157 where 255 is one), "
            "or save 8 or 16 bits without a sign"
        )
    return 1.0 / white
