"""The stream norms: batch, instance and group norm with private parameters per stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cen.errors import ShapeError
from cen.exchange.norm import ExchangeRule, StreamNorm
from cen.exchange.streams import Streams, keep_format

PARTIAL_STATISTICS = ("partial_mean", "partial_var", "partial_batches")
"""Names of the buffers of :func:`keep_partial_statistics`."""


class TrackingNorm(StreamNorm):
    """A stream norm that can keep running statistics, private per stream.

    Attributes:
        running_mean: (S, C), or None where statistics are not tracked.
        running_var: (S, C), or None.
        num_batches_tracked: (S,), or None.
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    per_stream = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

    def _register_statistics(self, tracked: bool) -> None:
        self.track_running_stats = tracked
        shape = self.weight.shape
        self.register_buffer("running_mean", torch.zeros(shape) if tracked else None)
        self.register_buffer("running_var", torch.ones(shape) if tracked else None)
        counts = torch.zeros(shape[0], dtype=torch.long) if tracked else None
        self.register_buffer("num_batches_tracked", counts)


class StreamBatchNorm(TrackingNorm):
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

    Attributes:
        frozen: True uses the running statistics also in training mode; γ and β still learn
            (released segmentation recipe).
        partial_mean: (S - 1, S, C), running means while only n of the S streams are active, in
            row n - 1; None unless :func:`keep_partial_statistics` was called.
        partial_var: The same of the variances.
        partial_batches: (S - 1, S), how many batches each has seen.
    """

    partial_mean: Tensor | None
    partial_var: Tensor | None
    partial_batches: Tensor | None

    def __init__(
        self,
        num_features: int,
        streams: Streams,
        *,
        exchange: ExchangeRule | None = None,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__(num_features, streams, exchange=exchange)
        self.eps, self.momentum = eps, momentum
        self.frozen = False
        self._register_statistics(track_running_stats)
        for name in PARTIAL_STATISTICS:
            self.register_buffer(name, None)

    def keep_partial_statistics(self) -> None:
        """Adds statistics of their own for passes in which streams are absent."""
        mean = self.running_mean
        if mean is None or len(mean) == 1 or self.partial_mean is not None:
            return
        shape = (len(mean) - 1, *mean.shape)
        self.partial_mean = mean.new_zeros(shape)
        self.partial_var = mean.new_ones(shape)
        self.partial_batches = torch.zeros(shape[:2], dtype=torch.long, device=mean.device)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        if prefix + PARTIAL_STATISTICS[0] in state_dict:
            self.keep_partial_statistics()
        elif self.partial_mean is not None:  # a run from before there were any goes on
            own = {prefix + name: getattr(self, name) for name in PARTIAL_STATISTICS}
            state_dict.update(own)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _normalise(self, wide: Tensor) -> Tensor:
        scale, shift = self._affine()
        if self.running_mean is not None and (self.frozen or not self.training):
            running = self._running_statistics()
            return F.batch_norm(wide, *running, scale, shift, False, 0.0, self.eps)
        return self._batch_statistics(wide, scale, shift)

    def _running_statistics(self) -> tuple[Tensor, Tensor]:
        """Means and variances of the active streams, (S·C,) each, for just so many of them."""
        assert self.running_mean is not None
        assert self.running_var is not None
        mean, var = self._rows(self.running_mean), self._rows(self.running_var)
        if self.partial_batches is not None and not self.streams.all_active:
            assert self.partial_mean is not None
            assert self.partial_var is not None
            n = len(self.streams.active) - 1
            # Never seen so: the statistics of full passes are the best guess. No copy to the host.
            seen = self._rows(self.partial_batches[n]).unsqueeze(1) > 0
            mean = torch.where(seen, self._rows(self.partial_mean[n]), mean)
            var = torch.where(seen, self._rows(self.partial_var[n]), var)
        return mean.flatten(), var.flatten()

    def _batch_statistics(self, wide: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        if wide.numel() == wide.shape[1]:
            raise ShapeError(
                f"batch norm of {self.num_features} channels got one value per channel "
                f"(B = 1 at 1×1) in training; use a larger batch or image, or frozen statistics"
            )
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

    @torch.no_grad()
    def _update(self, batch_mean: Tensor, batch_var: Tensor) -> None:
        """Moves the running statistics of the active streams towards the batch's, (S·C,) each."""
        mean, var, counts = self.running_mean, self.running_var, self.num_batches_tracked
        partial = self.partial_mean is not None and not self.streams.all_active
        if partial:
            n = len(self.streams.active) - 1
            kept = self.partial_mean, self.partial_var, self.partial_batches
            mean, var, counts = (None if values is None else values[n] for values in kept)
        assert mean is not None
        assert var is not None
        assert counts is not None
        new_mean, new_var = batch_mean.view(-1, mean.shape[1]), batch_var.view(-1, var.shape[1])
        for k, i in enumerate(self.streams.active):
            counts[i] += 1
            if self.momentum is None:
                step = counts[i].reciprocal().to(mean.dtype)
            else:
                step = torch.full((), self.momentum, dtype=mean.dtype, device=mean.device)
                if partial:
                    # Such passes are rare; their first batches count as an average of all so far.
                    step = torch.maximum(step, counts[i].reciprocal().to(mean.dtype))
            # .data: an earlier forward pass may still want to go backward. As in the plain norm's
            # kernel, this update must not count as a change of what that pass has saved.
            mean.data[i].lerp_(new_mean[k].to(mean.dtype), step)
            var.data[i].lerp_(new_var[k].to(var.dtype), step)


class StreamInstanceNorm(TrackingNorm):
    """Instance norm with private γ and β per stream (paper, equation 1, image translation).

    With one stream it computes what ``nn.InstanceNorm2d(affine=True)`` computes.

    Args:
        num_features: C ≥ 1.
        streams: The streams of this part of the network.
        exchange: The rule, or None.
        eps: Added to the variance.
        momentum: Of the running statistics, where tracked.
        track_running_stats: True keeps statistics and uses them in eval mode (released code).
    """

    def __init__(
        self,
        num_features: int,
        streams: Streams,
        *,
        exchange: ExchangeRule | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        track_running_stats: bool = False,
    ) -> None:
        super().__init__(num_features, streams, exchange=exchange)
        self.eps, self.momentum = eps, momentum
        self._register_statistics(track_running_stats)

    def _normalise(self, wide: Tensor) -> Tensor:
        scale, shift = self._affine()
        mean, var = self.running_mean, self.running_var
        own_statistics = self.training or mean is None
        if own_statistics and wide[0, 0].numel() == 1:
            raise ShapeError(
                f"instance norm of {self.num_features} channels got one pixel; use a larger image"
            )
        if mean is None or var is None:
            normalised = F.instance_norm(wide, None, None, scale, shift, True, 0.0, self.eps)
        else:
            update = own_statistics and self.streams.update_statistics
            rows = self._rows(mean).flatten(), self._rows(var).flatten()
            if own_statistics:
                rows = rows[0].clone(), rows[1].clone()
            normalised = F.instance_norm(
                wide, *rows, scale, shift, own_statistics, self.momentum, self.eps
            )
            if update:
                with torch.no_grad():
                    for k, i in enumerate(self.streams.active):
                        mean[i] = rows[0].view(-1, mean.shape[1])[k]
                        var[i] = rows[1].view(-1, var.shape[1])[k]
        return keep_format(normalised, wide)


class StreamGroupNorm(StreamNorm):
    """Group norm with private γ and β per stream (this project's extension).

    Args:
        num_groups: Groups of channels within a stream; divides ``num_features``.
        num_features: C ≥ 1.
        streams: The streams of this part of the network.
        exchange: The rule, or None.
        eps: Added to the variance.

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
    ) -> None:
        if num_features % num_groups:
            raise ShapeError(f"{num_features} channels do not divide into {num_groups} groups")
        super().__init__(num_features, streams, exchange=exchange)
        self.num_groups, self.eps = num_groups, eps

    def _normalise(self, wide: Tensor) -> Tensor:
        groups = self.num_groups * len(self.streams.active)
        return keep_format(F.group_norm(wide, groups, *self._affine(), self.eps), wide)


def keep_partial_statistics(net: nn.Module) -> None:
    """Lets every stream batch norm keep further running statistics for absent streams.

    This project's extension, in the way of switchable batch norm (Yu et al., "Slimmable Neural
    Networks", ICLR 2019). A stream whose partners are absent keeps its own channels instead of
    getting theirs, so what the layers behind see is distributed otherwise; one average over
    passes with and without the partners fits neither. Training with modality dropout needs this
    for its evaluation. There is one set of statistics per number of active streams; for two
    streams that is exact. A state dict that holds such statistics makes them when it is loaded.
    """
    for module in net.modules():
        if isinstance(module, StreamBatchNorm):
            module.keep_partial_statistics()


def freeze_statistics(net: nn.Module, frozen: bool = True) -> None:
    """Makes every stream batch norm of a network use its running statistics also in training.

    γ and β go on learning, as in the released segmentation recipe.
    """
    for module in net.modules():
        if isinstance(module, StreamBatchNorm):
            module.frozen = frozen


@contextmanager
def instance_statistics(net: nn.Module) -> Iterator[None]:
    """Lets every instance norm of a network use the statistics of the image at hand in eval mode.

    Inside the context the running statistics are neither used nor changed. The released
    translation code is never put in eval mode and so evaluates with such statistics.
    """
    norms = [
        module
        for module in net.modules()
        if isinstance(module, StreamInstanceNorm | nn.modules.instancenorm._InstanceNorm)
    ]
    names = ("running_mean", "running_var", "track_running_stats")
    kept = [{name: getattr(module, name) for name in names} for module in norms]
    try:
        for module in norms:
            module.running_mean = module.running_var = None
            module.track_running_stats = False
        yield
    finally:
        for module, values in zip(norms, kept, strict=True):
            for name, value in values.items():
                setattr(module, name, value)
