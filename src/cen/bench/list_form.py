"""The list-of-tensors form of a network: what several streams cost without packing them.

The paper's own way to run S streams, written anew: a feature is a Python list of S tensors, every
shared layer is called once per stream, every stream has a norm of its own, and a replaced channel
is copied through a boolean mask. The network's code stays what it is: it is handed a `StreamList`
where it would get the packed tensor, and its stream layers are exchanged for those below.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cen.bench.stream_list import ListedStreams, StreamList
from cen.errors import ConfigError
from cen.exchange import (
    MultiStream,
    StreamBatchNorm,
    StreamConv2d,
    StreamGroupNorm,
    StreamInstanceNorm,
    StreamNorm,
    Streams,
)


class ListedNorm(nn.Module):
    """Private norms, one stock norm per stream, and exchange through boolean masks.

    Args:
        norm: The stream norm whose values the norms get.
        streams: Its streams, not packed.

    Attributes:
        norms: One per stream.
        exchange: The rule, or None.
    """

    own: Tensor
    counted: Tensor
    chosen: Tensor | None

    def __init__(self, norm: StreamNorm, streams: ListedStreams) -> None:
        super().__init__()
        self.streams, self.exchange = streams, norm.exchange
        self.norms = nn.ModuleList(_stock_norm(norm, at) for at in range(len(streams)))
        self.register_buffer("own", norm.own.clone(), persistent=False)
        self.register_buffer("counted", norm.counted().clone(), persistent=False)
        chosen = None if norm.chosen is None else norm.chosen.clone()
        self.register_buffer("chosen", chosen, persistent=False)

    def forward(self, x: Any) -> StreamList:
        """A list of (B, C, *), or a packed tensor, to a list of the same shapes."""
        active = self.streams.active
        rows = self.streams.rows_of(x)
        normed = {at: self.norms[at](row) for at, row in zip(active, rows, strict=True)}
        if self.exchange is not None and self.exchange.enabled:
            exchanged: dict[int, Tensor] = {}
            for group in self.streams.groups:
                members = [at for at in group if at in normed]
                exchanged |= {at: self._exchanged(at, members, normed) for at in members}
            normed = exchanged
        return StreamList([normed[at] for at in active], self.streams.packed_by)

    def _exchanged(self, at: int, members: Sequence[int], normed: Mapping[int, Tensor]) -> Tensor:
        """One stream, in which the mean of its partners stands where it gave way."""
        partners = [normed[other] for other in members if other != at]
        if not partners:
            return normed[at]
        mask = self._replaced(at)
        if self.exchange is not None and self.exchange.parts == "keeper":
            return self._from_keepers(at, mask, members, normed)
        out = normed[at].clone()
        donor = partners[0][:, mask]
        for partner in partners[1:]:
            donor = donor + partner[:, mask]
        out[:, mask] = donor if len(partners) == 1 else donor / len(partners)
        return out

    def _from_keepers(
        self, at: int, mask: Tensor, members: Sequence[int], normed: Mapping[int, Tensor]
    ) -> Tensor:
        """As above by keeper parts: the mean of those that kept theirs, where anybody did."""
        kept = {other: ~self._replaced(other) for other in members}
        count = torch.stack(list(kept.values())).sum(0)
        mask = mask & (count > 0)
        out = normed[at].clone()
        shape = (-1, *[1] * (out.ndim - 2))
        donors = [normed[s][:, mask] * kept[s][mask].view(shape) for s in members]
        out[:, mask] = torch.stack(donors).sum(0) / count[mask].view(shape)
        return out

    def _replaced(self, at: int) -> Tensor:
        """(C,) bool: where a stream gives way."""
        if self.chosen is not None:
            return self.chosen[at]
        assert self.exchange is not None
        scales: Any = self.norms[at].weight
        small: Tensor = scales.detach().abs() < self.exchange.threshold
        return small & self.own[at] if self.exchange.scope == "own" else small

    def penalty(self) -> Tensor:
        """Σ |γ| of the scales that the rule counts, stream by stream."""
        scales: list[Any] = [norm.weight for norm in self.norms]
        parts = [s[c].abs().sum() for s, c in zip(scales, self.counted, strict=True)]
        return torch.stack(parts).sum()


class ListedConv2d(nn.Module):
    """Private convolutions, one per stream or group of them.

    Args:
        conv: The private convolutions of streams.
        streams: Its streams, not packed.
    """

    def __init__(self, conv: StreamConv2d, streams: ListedStreams) -> None:
        super().__init__()
        self.streams = streams
        self.kernels = conv.kernels
        self.convs = nn.ModuleList(_stock_conv(conv, at) for at in range(len(conv.weight)))

    def forward(self, x: Any) -> StreamList:
        """A list of (B, I, H, W), or a packed tensor, to a list."""
        pairs = zip(self.streams.active, self.streams.rows_of(x), strict=True)
        return StreamList(
            [self.convs[self.kernels[at]](row) for at, row in pairs], self.streams.packed_by
        )


class ListForm(nn.Module):
    """A copy of a network that runs its streams one by one, as a list of tensors.

    Outputs and gradients are those of the network, up to the order of summation. It is what this
    project's speed is compared with; nothing else uses it.

    Args:
        net: What `cen.build` or `cen.load` gives.

    Attributes:
        net: The copy that is run.
        packed_by: By name, how often an operation of the network's own code was handed a packed
            tensor so far, as it works across the batch axis.

    Raises:
        ConfigError: A norm has no stock counterpart.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.packed_by: dict[str, int] = {}
        self.net = copy.deepcopy(net)
        listed_by_id: dict[int, ListedStreams] = {}

        def listed(streams: Streams) -> ListedStreams:
            return listed_by_id.setdefault(id(streams), ListedStreams.of(streams, self.packed_by))

        for module in list(self.net.modules()):
            if isinstance(module, MultiStream):
                raise ConfigError("a converted network has no list form; give one of cen.build")
            for name, child in list(module._modules.items()):
                if isinstance(child, StreamNorm):
                    module._modules[name] = ListedNorm(child, listed(child.streams))
                elif isinstance(child, StreamConv2d):
                    module._modules[name] = ListedConv2d(child, listed(child.streams))
        for module in list(self.net.modules()):
            for name, value in list(vars(module).items()):
                if type(value) is Streams:
                    setattr(module, name, listed(value))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the network's."""
        return self.net(*args, **kwargs)

    def sparsity(self) -> Tensor:
        """The penalty on the scales, as `cen.sparsity` of the network."""
        norms = [m for m in self.modules() if isinstance(m, ListedNorm) and m.counted.any()]
        return torch.stack([m.penalty() for m in norms]).sum() if norms else torch.zeros(())


class _FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that uses its running statistics also in training."""

    def train(self, mode: bool = True) -> _FrozenBatchNorm2d:
        super().train(False)
        return self


def _stock_norm(norm: StreamNorm, at: int) -> nn.Module:
    """The norm of PyTorch that does what a stream norm does to one stream."""
    channels = norm.num_features
    stock: nn.Module
    tracked = getattr(norm, "running_mean", None) is not None
    if isinstance(norm, StreamGroupNorm):
        stock = nn.GroupNorm(norm.num_groups, channels, norm.eps)
    elif isinstance(norm, StreamInstanceNorm):
        stock = nn.InstanceNorm2d(channels, norm.eps, norm.momentum, True, tracked)
    elif isinstance(norm, StreamBatchNorm):
        kind = _FrozenBatchNorm2d if norm.frozen else nn.BatchNorm2d
        stock = kind(channels, norm.eps, norm.momentum, True, tracked)
    else:
        raise ConfigError(f"a {type(norm).__name__} has no stock norm for a single stream")
    stock.to(norm.weight)
    with torch.no_grad():
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            target, source = getattr(stock, name, None), getattr(norm, name, None)
            if target is not None and source is not None:
                target.copy_(source[at])
    return stock.train(norm.training)


def _stock_conv(conv: StreamConv2d, at: int) -> nn.Conv2d:
    """The convolution of one kernel."""
    _, outputs, inputs, _ = conv.weight.shape
    stock = nn.Conv2d(
        inputs * conv.groups,
        outputs,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        conv.groups,
        conv.bias is not None,
        conv.padding_mode,
    ).to(conv.weight)
    with torch.no_grad():
        stock.weight.copy_(conv.weight[at].view_as(stock.weight))
        if conv.bias is not None and stock.bias is not None:
            stock.bias.copy_(conv.bias[at])
    return stock
