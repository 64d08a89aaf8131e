"""`fold`: a network that computes once what its streams have in common."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cen.exchange import FirstPass, StreamConv2d, StreamNorm, Streams
from cen.folding.layers import FoldedConv2d, FoldedNorm
from cen.folding.rules import TABLE
from cen.folding.tensor import Folded, Trace


class FoldedStreams(Streams):
    """Streams whose packed tensors are folded."""

    trace: Trace

    @classmethod
    def of(cls, streams: Streams, trace: Trace) -> FoldedStreams:
        """The same streams."""
        made = cls.__new__(cls)
        made.__dict__ |= {**streams.__dict__, "trace": trace}
        return made

    def pack(self, features: Mapping[str, Tensor]) -> Any:
        """A folded tensor of the active streams; errors as of `Streams.pack`."""
        packed = super().pack(features)
        return Folded.of_packed(packed, len(self.active), self.trace)

    def unpack(self, packed: Any) -> dict[str, Tensor]:
        """The tensors of the streams."""
        if not isinstance(packed, Folded):
            return super().unpack(packed)
        return {self.names[i]: packed.of_stream(k) for k, i in enumerate(self.active)}

    def replayed(self, packed: Any) -> Any:
        """Nothing is recomputed here."""
        return packed


class FoldedNetwork(nn.Module):
    """A network in eval mode that gives the same outputs with fewer operations; see `fold`.

    Any subset of the streams may be given; what is computed once is worked out for each at its
    first pass. It cannot be trained, and later changes of the original's weights do not reach it.

    Attributes:
        net: The copy of the network that is run.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self._trace = Trace(TABLE)
        self.net = _folded(net, self._trace)
        self.train(False)

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the network's."""
        return self.net(*args, **kwargs)

    @property
    def unfolded(self) -> dict[str, int]:
        """Operations that no rule knew, by name, and how often: they got packed tensors so far."""
        return dict(self._trace.unfolded)

    def train(self, mode: bool = True) -> FoldedNetwork:
        """Stays in eval mode: with statistics of the batch nothing could be folded."""
        super().train(False)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FoldedNetwork:
        """Moves to another device or dtype; slices of weights are made anew."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._trace.slices.clear()
        return self


def fold(net: nn.Module) -> FoldedNetwork:
    """Folds a network: the same outputs in eval mode, computed once where streams became equal.

    This project's extension. A channel that is exchanged holds the same numbers in both of two
    streams, so what is convolved of such channels alone is convolved once, outputs that an exchange
    throws away are not computed, and the scales and shifts of norms with running statistics go into
    the weights. Outputs agree up to the order of summation (about 1e-6 relative in float32).

    With more than two streams a replaced channel is the mean of the others, which these do not
    have: then only what is thrown away is saved.

    Args:
        net: What `cen.build`, `cen.load` or `cen.convert` gives. It is copied.

    Returns:
        A network that is called as the original is. ``torch.export`` makes a graph of plain
        operations of it, without streams.
    """
    return FoldedNetwork(net)


def _folded(net: nn.Module, trace: Trace) -> nn.Module:
    """A copy whose stream layers and streams are folded."""
    made = copy.deepcopy(net).requires_grad_(False).eval()
    known: dict[int, FoldedStreams] = {}

    def folded(streams: Streams) -> FoldedStreams:
        return known.setdefault(id(streams), FoldedStreams.of(streams, trace))

    for module in list(made.modules()):
        for name, value in list(vars(module).items()):
            if isinstance(value, Streams):
                setattr(module, name, folded(value))
            if isinstance(value, FirstPass):
                value.follows = False
    layers: dict[int, nn.Module] = {}
    for module in list(made.modules()):
        for name, child in list(module._modules.items()):
            if isinstance(child, StreamNorm):
                module._modules[name] = layers.setdefault(id(child), FoldedNorm(child, trace))
            elif isinstance(child, StreamConv2d):
                module._modules[name] = layers.setdefault(id(child), FoldedConv2d(child, trace))
    return made
