"""A batch in pieces, where the whole does not fit into memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def cut(batch: Mapping[str, Any], pieces: int) -> list[dict[str, Any]]:
    """A batch in pieces of as many samples each: tensors and lists of names alike."""
    samples = len(next(iter(batch.values())))
    size = samples // pieces
    return [
        {name: values[first : first + size] for name, values in batch.items()}
        for first in range(0, samples, size)
    ]


def mean_of(noted: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of every figure over the pieces that have it."""
    names = dict.fromkeys(name for figures in reversed(noted) for name in figures)
    return {
        name: torch.stack([figures[name] for figures in noted if name in figures]).mean()
        for name in names
    }
