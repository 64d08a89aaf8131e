"""Checking how a file, such as the header of a checkpoint, describes a modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cen import schema
from cen.errors import ConfigError

MOST_ENTRIES = 2**16
"""Most channels, and most entries of any list, of a modality that a file describes."""


def from_file(values: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a modality as plain values, of the right types and of bearable sizes.

    Args:
        values: What the file says; lists stand for tuples, and numbers may be NumPy's.
        hints: The type of each argument.

    Raises:
        ConfigError: A key is unknown, or its value has another type or too many entries.
    """
    plain = {key: _plain(value) for key, value in values.items()}
    # NaN is a value: as `missing` it says that none is.
    schema.check_arguments(plain, hints, "modality", ConfigError, finite=False)
    sizes = {key: len(value) for key, value in plain.items() if isinstance(value, list)}
    for key, size in {"channels": plain.get("channels") or 0, **sizes}.items():
        if size > MOST_ENTRIES:
            raise ConfigError(f"modality.{key}: {size} is too much; at most {MOST_ENTRIES}")
    return plain


def _plain(value: Any) -> Any:
    """A value as a file holds it: numbers and lists, nothing of NumPy."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
