"""Frames of a film in two splits: told by how alike pictures are whose names follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cen.data.readers.patterns import natural

if TYPE_CHECKING:
    from cen.data.readers.aligned import AlignedDataset

MOST_FRAMES = 50_000
"""More samples of a split than this are not compared."""

_SIZE = 8
# Neighbours that differ by less than this share of what pictures at random differ by are alike.
_ALIKE = 0.5
# Splits of whole blocks have their few borders; a split at random parts a third of all neighbours.
_PARTED = 0.1
_FEWEST = 20


def thumbnail(values: NDArray[Any]) -> NDArray[np.float32]:
    """(64,) float32: a picture made tiny and grey, missing values as 0."""
    plane = np.asarray(values, np.float32)
    plane = plane.mean(axis=2) if plane.ndim == 3 else plane
    plane = np.nan_to_num(plane, nan=0.0, posinf=0.0, neginf=0.0)
    tiny = cv2.resize(plane, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(tiny, np.float32).reshape(-1)


def parted_film(
    opened: Mapping[str, AlignedDataset], thumbnails: Mapping[str, NDArray[np.float32]]
) -> str | None:
    """What is wrong where neighbours look alike and stand in different splits.

    Returns:
        A sentence, None where nothing is.
    """
    rows = [
        (natural(dataset.name(index)), split, thumbnails[split][index])
        for split, dataset in opened.items()
        for index in range(len(dataset))
    ]
    rows.sort(key=lambda row: row[0])
    if len(rows) < _FEWEST or len(opened) < 2:
        return None
    pictures = np.stack([row[2] for row in rows])
    following = np.abs(pictures[1:] - pictures[:-1]).mean(axis=1)
    others = np.random.default_rng(0).permutation(len(pictures))
    usual = float(np.median(np.abs(pictures - pictures[others]).mean(axis=1)))
    ratio = float(np.median(following)) / usual if usual > 0 else 1.0
    parted = np.mean([one[1] != other[1] for one, other in zip(rows[1:], rows[:-1], strict=True)])
    if ratio > _ALIKE or parted < _PARTED:
        return None
    return (
        "frames whose names follow each other look alike (they differ by "
        f"{100 * ratio:.0f} % of what frames at random do), and {100 * parted:.0f} % of them are "
        "in another split than the one before: scores then tell what was remembered. Say in "
        "dataset.yaml what belongs together, such as group: '^([^_]+)_' for seq1_0001, or "
        "group: '^(.*)..$' for blocks of a hundred numbers; or give lists of whole sequences"
    )
