"""Batch norm and exchange as plain arithmetic, for ``torch.compile`` to make one pass of.

Run as it is, a norm is one kernel of PyTorch on the wide view (B, S·C, *). Compiled, that view is
in the way: convolutions then work on channels-last maps, of which it is a copy, and channels chosen
by an index are not fused with what is around. Here the streams keep an axis of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cen.exchange.functional import (
    Groups,
    Parts,
    are_pairs,
    donors,
    exchange_masked,
    replaced_in_pairs,
)


@dataclass(frozen=True)
class Exchange:
    """What is replaced behind a norm.

    Attributes:
        replaced: (S, C) bool, of the streams that are present.
        groups: Their positions by group.
        kind: Of the parts.
    """

    replaced: Tensor
    groups: Groups
    kind: Parts


class Rows:
    """The rows of a packed tensor by stream, in the precision of statistics.

    Args:
        packed: (B·S, C, *).
        streams: S.

    Attributes:
        values: (B, S, *, C) on a CPU, where compiled convolutions lay maps out so and what is kept
            between passes then lies alike; elsewhere (B, S, C, *).
    """

    def __init__(self, packed: Tensor, streams: int) -> None:
        rows = torch.unflatten(packed, 0, (-1, streams))
        rows = rows.to(torch.promote_types(packed.dtype, torch.float32))
        self._axis = -1 if packed.device.type == "cpu" else 2
        self.values = rows.movedim(2, self._axis)

    def fitted(self, per_channel: Tensor) -> Tensor:
        """(S, C) in a shape that stretches to that of the values."""
        ones = [1] * (self.values.ndim - 3)
        streams, channels = per_channel.shape
        shape = [streams, *ones, channels] if self._axis == -1 else [streams, channels, *ones]
        return per_channel.view(1, *shape)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance (not corrected) over samples and places, (S, C) each."""
        kept = (1, self._axis % self.values.ndim)
        over = [dim for dim in range(self.values.ndim) if dim not in kept]
        var, mean = torch.var_mean(self.values, over, correction=0)
        return mean, var

    def packed(self, values: Tensor) -> Tensor:
        """Values of this shape as a packed tensor (B·S, C, *) again."""
        return values.movedim(self._axis, 2).flatten(0, 1)


def scaled_and_exchanged(
    rows: Rows, factor: Tensor, summand: Tensor, exchange: Exchange | None
) -> Tensor:
    """Gives x · factor + summand, then the exchange (paper, equations 1 and 2).

    Args:
        rows: x.
        factor: γ / σ, (S, C).
        summand: β − μ γ / σ, (S, C).
        exchange: What is replaced, or None.

    Returns:
        (B·S, C, *).
    """
    fitted, values = rows.fitted, rows.values
    if exchange is not None and are_pairs(exchange.groups) and not torch.is_grad_enabled():
        # The donor's values by the donor's scales: nothing is stored between norm and exchange.
        groups = exchange.groups
        replaced = replaced_in_pairs(exchange.replaced, groups, exchange.kind)
        values = torch.where(fitted(replaced), donors(values, groups), values)
        factor = torch.where(replaced, donors(factor[None], groups)[0], factor)
        summand = torch.where(replaced, donors(summand[None], groups)[0], summand)
        exchange = None
    values = values * fitted(factor) + fitted(summand)
    if exchange is not None:
        mask = fitted(exchange.replaced)
        values = exchange_masked(values, mask, exchange.groups, exchange.kind)
    return rows.packed(values)
