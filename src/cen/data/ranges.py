"""The range of depth that a network was trained with, and whether a picture lies far from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cen.errors import DataError

if TYPE_CHECKING:
    from cen.data.base import AlignedDataset

# A picture whose median is this many times below or above those of training is far from them.
# Rooms of one data set differ by less; wrong units differ by 5, 8, 10 or 1000.
_FACTOR = 2.5
_PERCENTILES = (2.0, 98.0)


def seen_range(dataset: AlignedDataset, frames: int = 16) -> dict[str, dict[str, Any]]:
    """How far away things are in a data set, for the metadata of a checkpoint.

    Some frames, evenly spaced, are read; frames that cannot be, or that have no depth, are left
    out (training itself says what is wrong with them).

    Args:
        dataset: as opened for training.
        frames: how many to read at most.

    Returns:
        By name of the modalities of kind depth: ``low`` and ``high`` (2nd and 98th percentile of
        all values, metres) and ``medians`` (smallest and largest median of a frame). Names of
        which nothing is known are left out.
    """
    places = np.unique(np.linspace(0, len(dataset) - 1, min(frames, len(dataset))).round())
    found = {}
    for name, modality in dataset.modalities.items():
        if modality.kind != "depth":
            continue
        known = []
        for index in places:
            try:
                values = dataset.read(name, int(index), modality)
            except DataError:
                continue
            values = values[np.isfinite(values)]
            if values.size:
                known.append(values)
        if known:
            low, high = np.percentile(np.concatenate(known), _PERCENTILES).tolist()
            medians = [float(np.median(values)) for values in known]
            found[name] = {"low": low, "high": high, "medians": [min(medians), max(medians)]}
    return found


def far_from(values: NDArray[Any], seen: Mapping[str, Any]) -> str | None:
    """What is strange about a depth map, for a network trained with the range ``seen``.

    Args:
        values: (H, W) metres, NaN where missing.
        seen: one entry of `seen_range`.

    Returns:
        A sentence for a warning, None where nothing is strange.
    """
    low, high = seen["medians"]
    known = values[np.isfinite(values)]
    if not known.size:
        return "no depth was measured at all"
    median = float(np.median(known))
    if low / _FACTOR <= median <= high * _FACTOR:
        return None
    return (
        f"half of the depths lie below {median:.3g} m, while in training that was {low:.3g} to "
        f"{high:.3g} m in every picture (2 % lie below {seen['low']:.3g} m, 2 % above "
        f"{seen['high']:.3g} m). Is the unit of the file another one?"
    )
