"""Channels that are exchanged at random, not for their scales (this project's ablation)."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from cen.exchange.functional import Groups


def random_parts(own: Tensor, groups: Groups, rate: float, key: str) -> Tensor:
    """Own channels drawn at random, the same for the same key (ablation: exchange unguided).

    A part of n channels gives ``rate · n`` of them in the mean: the fraction is rounded up or down
    at random, so that the rate over many layers is the one asked for. A stream that is alone in its
    group gives none.

    Args:
        own: (S, C) bool on the CPU, the parts.
        groups: Stream indices per group; together 0..S-1.
        rate: Share of the own channels, in 0..1.
        key: What the draw follows from.

    Returns:
        (S, C) bool.
    """
    draw = random.Random(key)  # by the text itself, on every machine and device alike
    chosen = [[False] * len(row) for row in own]
    for group in groups:
        for stream in group:
            part = own[stream].nonzero().flatten().tolist()
            count = int(rate * len(part) + draw.random()) if len(group) > 1 else 0
            for channel in draw.sample(part, min(count, len(part))):
                chosen[stream][channel] = True
    return torch.tensor(chosen)
