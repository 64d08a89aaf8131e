"""Which stored values mean that nothing was measured, and what the others are worth."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_description import FieldDescription
from cen.errors import ConfigError

# Of sentinels: nothing that is measured is as large; how near a rounded one is.
_NOTHING, _NEAR = 1e30, 1e-3


def missing_values(missing: float | Sequence[float] | None) -> tuple[float, ...] | None:
    """Stored values that are missing, of one or several numbers; NaN is missing anyway."""
    if missing is None:
        return None
    values = missing if isinstance(missing, Sequence) else [missing]
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        raise ConfigError(f"missing: {missing!r} is no number, and no list of numbers") from None
    return tuple(dict.fromkeys(number for number in numbers if math.isfinite(number)))


def missing_in_file(field: FieldDescription, nodata: float | None) -> tuple[float, ...]:
    """What is missing in a file that itself calls ``nodata`` so."""
    if nodata is None or not math.isfinite(nodata) or field.missing == ():
        return field.missing or ()
    return tuple(dict.fromkeys((*(field.missing or ()), nodata)))


def equal_to(stored: NDArray[Any], value: float) -> NDArray[np.bool_]:
    """Where a file holds a value, in the file's own type.

    The number nearest to the value in a file of 32-bit floats is meant, so that -3.4028235e38 is
    found; beyond 1e30, where nothing is measured, any within a thousandth of it, so that -3.4e38
    is, too. Integers cannot be what is no integer or beyond their range.
    """
    if stored.dtype.kind == "f":
        with np.errstate(over="ignore"):
            if abs(value) > _NOTHING:
                return np.asarray(np.abs(stored / value - 1) < _NEAR)
            return np.asarray(stored == stored.dtype.type(value))
    limits = np.iinfo(stored.dtype)
    if value != int(value) or not limits.min <= value <= limits.max:
        return np.zeros(stored.shape, dtype=bool)
    return np.asarray(stored == int(value))


def measured(
    stored: NDArray[Any], field: FieldDescription, nodata: float | None, unit: float
) -> NDArray[np.float32]:
    """Stored values times their unit; NaN where one that is missing, or no finite number, is."""
    missing = missing_in_file(field, nodata)
    if stored.dtype == np.uint16 and stored.size > 2**16:
        return np.asarray(_table(unit, missing).take(stored))
    return _times_unit(stored, missing, np.float64(unit))


@functools.lru_cache(maxsize=16)
def _table(unit: float, missing: tuple[float, ...]) -> NDArray[np.float32]:
    """What every 16-bit value means; looking it up is faster than to compute it."""
    return _times_unit(np.arange(2**16, dtype=np.uint16), missing, np.float64(unit))


def _times_unit(
    stored: NDArray[Any], missing: tuple[float, ...], unit: np.float64
) -> NDArray[np.float32]:
    # A sentinel times its unit may be infinite, and is missing all the same.
    with np.errstate(over="ignore"):
        values = np.asarray(stored * unit).astype(np.float32)
    nothing = ~np.isfinite(stored)
    for value in missing:
        nothing |= equal_to(stored, value)
    values[nothing] = np.nan
    return values
