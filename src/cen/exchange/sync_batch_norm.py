"""Batch norm whose statistics are shared by all processes of a distributed run."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cen.exchange.batch_norm import StreamBatchNorm


class _AllReduce(torch.autograd.Function):
    """Sum over the processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, group: Any) -> Tensor:
        ctx.group = group
        total = values.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return _all_reduce(gradients[0].contiguous(), ctx.group), None


def _all_reduce(values: Tensor, group: Any) -> Tensor:
    total: Tensor = _AllReduce.apply(values, group)  # type: ignore[no-untyped-call]
    return total


class StreamSyncBatchNorm(StreamBatchNorm):
    """:class:`StreamBatchNorm` with batch statistics over all processes, on CPU and GPU.

    ``convert_sync_batchnorm`` of PyTorch does not know stream norms; :func:`synchronise` is its
    counterpart. Without a process group, or with one process, it is the plain stream batch norm.
    All processes must have the same streams active.

    Attributes:
        process_group: The group to synchronise in; None is the default group.
    """

    process_group: Any = None

    def _statistics_of_this_process(self) -> bool:
        if not dist.is_available() or not dist.is_initialized():
            return True
        return dist.get_world_size(self.process_group) == 1

    def _batch_statistics(self, wide: Tensor, scale: Tensor, shift: Tensor | None) -> Tensor:
        if self._statistics_of_this_process():
            return super()._batch_statistics(wide, scale, shift)
        # Half precision is too coarse for sums over a batch.
        values = wide.to(torch.promote_types(wide.dtype, torch.float32))
        dims = [0, *range(2, wide.ndim)]
        count = values.new_full((1,), values.numel() / values.shape[1])
        packed = _all_reduce(torch.cat([values.sum(dims), count]), self.process_group)
        total = packed[-1]
        mean = packed[:-1] / total
        shape = [1, -1, *[1] * (wide.ndim - 2)]
        centred = values - mean.view(shape)
        # A second reduction of centred squares: E[x²] - E[x]² cancels for large means.
        var = _all_reduce(centred.square().sum(dims), self.process_group) / total
        factor = scale * torch.rsqrt(var + self.eps)
        if self.running_mean is not None and self.streams.update_statistics:
            unbiased = var.detach() * total / (total - 1)
            self._update(mean.detach(), unbiased)
        normalised: Tensor = centred * factor.view(shape)
        if shift is not None:
            normalised = normalised + shift.view(shape)
        return normalised.to(wide.dtype)


def synchronise(net: nn.Module, process_group: Any = None) -> nn.Module:
    """Makes every stream batch norm of ``net`` synchronise its batch statistics.

    In place: parameters, optimiser references and names stay what they were.

    Args:
        net: Any network with stream norms.
        process_group: The group to synchronise in; None is the default group.

    Returns:
        ``net``.
    """
    for module in net.modules():
        if type(module) is StreamBatchNorm:
            module.__class__ = StreamSyncBatchNorm
        if isinstance(module, StreamSyncBatchNorm):
            module.process_group = process_group
    return net
