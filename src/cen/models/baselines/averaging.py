"""Fusion by averaging or summing features, which adds no parameter."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cen.exchange.streams import widen
from cen.models.baselines.fuse import Fuse


class Average(Fuse):
    """The mean of the streams that are present."""

    def forward(self, packed: Tensor, present: Sequence[int]) -> Tensor:
        """Map (B * P, C, H, W) to (B, C, H, W)."""
        return self.apart(widen(packed, len(present))).mean(1)


class Sum(Fuse):
    """The sum of the streams that are present.

    So FuseNet adds depth features to colour features (Hazirbas, Ma, Domokos, Cremers, ACCV 2016).
    """

    def forward(self, packed: Tensor, present: Sequence[int]) -> Tensor:
        """Map (B * P, C, H, W) to (B, C, H, W)."""
        return self.apart(widen(packed, len(present))).sum(1)
