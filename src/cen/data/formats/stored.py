"""What a file holds, and what it says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Scalings = Sequence[tuple[float, float]]
"""By band, or one for all, what a stored number is multiplied by, and what is added, to give what
it is worth."""


@dataclass(frozen=True)
class Stored:
    """What a file holds.

    Attributes:
        values: (H, W), or (H, W, C) in RGB order.
        nodata: the value that the file itself calls no data (GDAL_NODATA of a TIFF, _FillValue of
            an array in HDF5).
        scalings: by band the scale and the offset that the file itself says (GDAL_METADATA of a
            TIFF, scale_factor and add_offset in HDF5); they are not applied.
    """

    values: NDArray[Any]
    nodata: float | None = None
    scalings: Scalings = ()
