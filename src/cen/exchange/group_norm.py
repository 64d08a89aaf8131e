"""Group norm of streams."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from cen.errors import ShapeError
from cen.exchange.rule import ExchangeRule
from cen.exchange.stream_norm import StreamNorm
from cen.exchange.streams import Streams, keep_format


class StreamGroupNorm(StreamNorm):
    """Group norm with private γ and β per stream (this project's extension).

    Args:
        num_groups: Groups of channels within a stream; divides ``num_features``.
        num_features: C ≥ 1.
        streams: The streams of this part of the network.
        exchange: The rule, or None.
        eps: Added to the variance.
        bias: False leaves out β.

    Raises:
        ShapeError: ``num_features`` is not a multiple of ``num_groups``.
    """

    def __init__(
        self,
        num_groups: int,
        num_features: int,
        streams: Streams,
        *,
        exchange: ExchangeRule | None = None,
        eps: float = 1e-5,
        bias: bool = True,
    ) -> None:
        if num_features % num_groups:
            raise ShapeError(f"{num_features} channels do not divide into {num_groups} groups")
        super().__init__(num_features, streams, exchange=exchange, bias=bias)
        self.num_groups, self.eps = num_groups, eps

    def _normalise(self, wide: Tensor) -> Tensor:
        groups = self.num_groups * len(self.streams.active)
        return keep_format(F.group_norm(wide, groups, *self._affine(), self.eps), wide)
