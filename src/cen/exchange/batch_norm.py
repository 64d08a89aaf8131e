"""Batch norm of streams."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cen.errors import ShapeError
from cen.exchange.compiled_batch_norm import Exchange, Rows, scaled_and_exchanged
from cen.exchange.partial_statistics import PartialStatistics
from cen.exchange.rule import ExchangeRule
from cen.exchange.streams import Streams


class StreamBatchNorm(PartialStatistics):
    """Batch norm with private γ, β and running statistics per stream (paper, equation 1).

    With one stream it computes what ``nn.BatchNorm2d`` computes. A stream that is not active keeps
    its statistics and counter.

    Args:
        num_features: C ≥ 1.
        streams: The streams of this part of the network.
        exchange: The rule, or None.
        eps: Added to the variance.
        momentum: Of the running statistics; None averages over all batches seen, per stream.
        track_running_stats: False always uses batch statistics.
        bias: False leaves out β.

    Attributes:
        frozen: True uses the running statistics also in training mode; γ and β still learn
            (released segmentation recipe).
    """

    def __init__(
        self,
        num_features: int,
        streams: Streams,
        *,
        exchange: ExchangeRule | None = None,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        track_running_stats: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, streams, exchange=exchange, bias=bias)
        self.eps, self.momentum = eps, momentum
        self.frozen = False
        self._register_statistics(track_running_stats)

    def _streamwise(self, packed: Tensor, count: int) -> Tensor:
        compiling = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
        if compiling and count > 1 and self._statistics_of_this_process():
            return self._compiled(packed, count)
        return super()._streamwise(packed, count)

    def _compiled(self, packed: Tensor, count: int) -> Tensor:
        """The same in a form of which ``torch.compile`` makes one pass."""
        rows, rule = Rows(packed, count), self._acting_rule()
        if self._uses_running_statistics():
            running = self._running_statistics()
            mean, var = (each.view(count, -1).to(rows.values.dtype) for each in running)
        else:
            self._check_count(packed.numel() // (count * self.num_features))
            mean, var = rows.moments()
            if self.running_mean is not None and self.streams.update_statistics:
                seen = rows.values.numel() // mean.numel()
                self._update(mean.detach().flatten(), var.detach().flatten() * (seen / (seen - 1)))
        factor = self._rows(self.weight) * torch.rsqrt(var + self.eps)
        summand = -mean * factor
        if self.bias is not None:
            summand = summand + self._rows(self.bias)
        exchange = None
        if rule is not None:
            exchange = Exchange(self._replaced_now(rule), self._groups_now(), rule.parts)
        return scaled_and_exchanged(rows, factor, summand, exchange).to(packed.dtype)

    def _statistics_of_this_process(self) -> bool:
        return True

    def _uses_running_statistics(self) -> bool:
        return self.running_mean is not None and (self.frozen or not self.training)

    def _check_count(self, values_per_channel: int) -> None:
        if values_per_channel == 1:
            raise ShapeError(
                f"batch norm of {self.num_features} channels got one value per channel "
                f"(B = 1 at 1×1) in training; use a larger batch or image, or frozen statistics"
            )

    def _normalise(self, wide: Tensor) -> Tensor:
        scale, shift = self._affine()
        if self._uses_running_statistics():
            running = self._running_statistics()
            return F.batch_norm(wide, *running, scale, shift, False, 0.0, self.eps)
        return self._batch_statistics(wide, scale, shift)

    def _batch_statistics(self, wide: Tensor, scale: Tensor, shift: Tensor | None) -> Tensor:
        self._check_count(wide.numel() // wide.shape[1])
        mean, var = self.running_mean, self.running_var
        if mean is None or var is None:
            return F.batch_norm(wide, None, None, scale, shift, True, 0.0, self.eps)
        update = self.streams.update_statistics
        if update and self.streams.all_active and self.momentum is not None:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            return F.batch_norm(
                wide, mean.view(-1), var.view(-1), scale, shift, True, self.momentum, self.eps
            )
        batch_mean, batch_var = torch.zeros_like(scale), torch.ones_like(scale)
        # Momentum 1 leaves the batch's own mean and unbiased variance in the two tensors.
        normalised = F.batch_norm(wide, batch_mean, batch_var, scale, shift, True, 1.0, self.eps)
        if update:
            self._update(batch_mean, batch_var)
        return normalised


def freeze_statistics(net: nn.Module, frozen: bool = True) -> None:
    """Makes every stream batch norm of a network use its running statistics also in training.

    γ and β go on learning, as in the released segmentation recipe.
    """
    for module in net.modules():
        if isinstance(module, StreamBatchNorm):
            module.frozen = frozen
