"""Parts of a resized picture, without the rest: what `torch.nn.functional.interpolate` gives."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Mode = Literal["bilinear", "bicubic"]

_SHARPNESS = -0.75
"""Of the cubic of Keys (1981) in PyTorch and OpenCV."""


class Taps(NamedTuple):
    """Which entries of an axis are mixed to some entries of the resized one.

    Attributes:
        first: the first entry that is needed of the axis.
        stop: one behind the last.
        places: for each resized entry those that are mixed, (N, T), counted from ``first``.
        weights: theirs, (N, T), which sum to 1.
    """

    first: int
    stop: int
    places: Tensor
    weights: Tensor


def taps(start: int, stop: int, length: int, resized: int, mode: Mode) -> Taps:
    """The taps of entries from ``start`` to before ``stop`` of an axis that is resized.

    It has ``length`` entries and becomes ``resized`` long, as with align_corners=False.
    """
    at = (torch.arange(start, stop, dtype=torch.float64) + 0.5) * (length / resized) - 0.5
    if mode == "bilinear":
        at = at.clamp(min=0)
    below = at.floor()
    share = at - below
    if mode == "bilinear":
        offsets, weights = torch.arange(0, 2), torch.stack([1 - share, share], 1)
    else:
        offsets = torch.arange(-1, 3)
        weights = _cubic(share[:, None] - offsets)
    places = (below[:, None].long() + offsets).clamp(0, length - 1)
    first, last = int(places.min()), int(places.max())
    return Taps(first, last + 1, places - first, weights)


def _cubic(distance: Tensor) -> Tensor:
    """The weight of entries at a distance of 0 to 2."""
    d, a = distance.abs(), _SHARPNESS
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return torch.where(d <= 1, near, far)


def mixed(values: Tensor, which: Taps, dim: int) -> Tensor:
    """Mixes entries of one axis: ``values`` holds those from ``which.first`` to ``which.stop``."""
    shape = [1] * values.ndim
    shape[dim] = -1
    total: Tensor | None = None
    for places, weights in zip(
        which.places.to(values.device).T, which.weights.to(values).T, strict=True
    ):
        part = values.index_select(dim, places).mul_(weights.view(shape))
        total = part if total is None else total.add_(part)
    assert total is not None
    return total
