"""How many bands a file has, and how many are wanted: nothing is left out that says something."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.errors import DataError


def as_channels(stored: NDArray[Any], channels: int, told: str) -> NDArray[Any]:
    """A picture with as many channels as are wanted, where that loses and invents nothing.

    Grey becomes three equal channels; three equal channels become grey; an alpha channel that is
    opaque everywhere goes. Whatever else is refused: which band is meant, or how colours become
    grey, is for the user to say.

    Args:
        stored: (H, W) or (H, W, C), colours in RGB order.
        channels: 1 gives (H, W), others (H, W, C).
        told: how messages name the file.
    """
    planes = np.atleast_3d(stored)
    bands = planes.shape[2]
    if bands != channels and bands in (2, 4) and channels in (1, 3) and _opaque(planes):
        planes = planes[..., :-1]
    if channels == 1 and planes.shape[2] == 3 and is_grey(planes):
        planes = planes[..., :1]
    if channels == 3 and planes.shape[2] == 1:
        planes = np.repeat(planes, 3, axis=2)
    if planes.shape[2] != channels:
        raise DataError(f"{told}: {wrong_channels(stored, channels)}")
    return planes[..., 0] if channels == 1 else planes


def wrong_channels(stored: NDArray[Any], channels: int) -> str:
    """What a message says of a file with another number of bands than are wanted."""
    bands = np.atleast_3d(stored).shape[2]
    text = f"{bands} channel{'s' * (bands != 1)}, but this modality is declared with {channels}"
    if bands < channels:
        return text
    if stored.ndim == 3 and stored.shape[0] == channels and bands > channels:
        return f"{text}; is it stored as (C, H, W)? Save it as (H, W, C)"
    if stored.ndim == 3 and stored.shape[1] == channels:
        height, width = stored.shape[:2]
        return (
            f"{text}; are {bands} pages of {height} × {width} an array of {bands} × {height} × "
            f"{width}? Write it as one page: tifffile.imwrite(path, array, "
            "photometric='minisblack', planarconfig='contig')"
        )
    if bands == 4 and channels in (1, 3):
        text += ", and the fourth (alpha) is not opaque everywhere"
    some = list(range(channels)) if channels < bands else [0]
    return f"{text}; choose with bands: {some} (counted from 0) in dataset.yaml or data.modalities"


def _opaque(planes: NDArray[Any]) -> bool:
    """Whether the last channel can be alpha that hides nothing."""
    if planes.dtype.kind != "u":
        return False
    return bool((planes[..., -1] == np.iinfo(planes.dtype).max).all())


def is_grey(planes: NDArray[Any]) -> bool:
    """Whether (H, W, 3) colours are three times the same."""
    return bool(
        np.array_equal(planes[..., 0], planes[..., 1])
        and np.array_equal(planes[..., 0], planes[..., 2])
    )
