"""The stream layers of a network that is folded: norms that say what is read, private kernels.

In eval mode with running statistics a stream norm is, for stream s and channel c, the affine map
y = a z + b. Exchange then takes y of another stream, so that after it a channel may be *common*:
of two streams one gave way, and both now hold the other's; and z of a channel that gave way is
*read* by nobody, unless a third stream takes its share of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from cen.exchange import (
    StreamBatchNorm,
    StreamConv2d,
    StreamGroupNorm,
    StreamInstanceNorm,
    StreamNorm,
    Streams,
)
from cen.exchange.functional import exchange_wide
from cen.folding.convolution import Deferred
from cen.folding.reads import Reads, read
from cen.folding.recording import Recorded, packed
from cen.folding.tensor import Folded, Layout


class FoldedStreams(Streams):
    """Streams whose packed tensors are folded."""

    @classmethod
    def of(cls, streams: Streams) -> FoldedStreams:
        """The same streams."""
        folded = cls.__new__(cls)
        folded.__dict__ |= streams.__dict__
        return folded

    def pack(self, features: Mapping[str, Any]) -> Any:
        """A folded tensor of the active streams; what several have of one tensor is there once."""
        streams = [folded(features[self.names[i]], 1) for i in self.active]
        begins: dict[fx.Node, int] = {}
        pieces: list[Any] = []
        width = 0
        for stream in streams:
            if stream.wide.node not in begins:
                begins[stream.wide.node] = width
                pieces.append(stream.wide)
                width += stream.wide.value.shape[1]
        rows = []
        for stream in streams:
            begin = begins[stream.wide.node]
            rows.append(tuple(begin + place for place in stream.layout.index[0]))
        joined: Any = torch.cat(pieces, 1) if len(pieces) > 1 else pieces[0]
        return Folded(joined, Layout(tuple(rows), width)).compact()

    def unpack(self, packed: Any) -> dict[str, Any]:
        """A folded tensor of each stream, which shares what is common with the others."""
        rows = folded(packed, len(self.active))
        return {
            self.names[i]: Folded(rows.wide, Layout((rows.layout.index[k],), rows.layout.width))
            for k, i in enumerate(self.active)
        }

    def replayed(self, packed: Any) -> Any:
        """Nothing is recomputed here."""
        return packed


class FoldedNorm(nn.Module):
    """A stream norm on folded tensors; packed ones are taken apart first."""

    def __init__(self, norm: StreamNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Any) -> Any:
        """(B·S, C, *), folded or packed, to a folded tensor of the same shape.

        What normalises over the channels of each position, or gets windows as rows of their own,
        gives a packed tensor.
        """
        norm = self.norm
        running = norm.streams.running
        active = list(running.active)
        other_rows = isinstance(x, Recorded) and running.rows is not None
        per_channel = isinstance(norm, StreamBatchNorm | StreamInstanceNorm | StreamGroupNorm)
        if not per_channel or (other_rows and x.shape[0] != running.rows):
            return norm(packed(x))
        x = folded(x, len(active))
        gamma = norm.weight.detach()[active].double()
        beta = torch.zeros_like(gamma) if norm.bias is None else norm.bias.detach()[active].double()
        if getattr(norm, "running_mean", None) is not None:
            mean, var = (v.view_as(gamma).double() for v in norm._running_statistics())  # type: ignore[operator]
            gamma = gamma / torch.sqrt(var + norm.eps)
            beta = beta - mean * gamma
        else:
            x = _standardised(x, norm)
        return behind(x, Reads(gamma.cpu(), beta.cpu(), exchanged(norm)))


class FoldedConv2d(nn.Module):
    """Private convolutions: every stream by its own kernel; what they give is private."""

    def __init__(self, conv: StreamConv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Any) -> Folded:
        """(B·S, I, H, W), folded or packed, to a folded tensor."""
        conv, streams = self.conv, len(self.conv.streams.active)
        result: Any = conv.of_wide(folded(x, streams).apart())  # type: ignore[arg-type]
        return Folded(result, Layout.apart(streams, conv.weight.shape[1]))


def folded(x: Any, streams: int) -> Folded:
    """A folded tensor as it is, a packed one taken apart."""
    return x if isinstance(x, Folded) else Folded.of_packed(x, streams)


def behind(x: Folded, reads: Reads) -> Folded:
    """What a norm reads of a convolution that has not been computed yet, or of what there is."""
    if isinstance(x, Deferred) and x.pending:
        return Deferred(x.source, x.conv, reads)
    return read(x, reads)


def exchanged(norm: StreamNorm) -> Tensor:
    """What a norm takes from which of the active streams, (S, C, S) float64.

    Asked of the exchange itself: the unit vectors of the streams ride through it.
    """
    active = norm.streams.active
    streams, channels = len(active), norm.num_features
    units = torch.eye(streams, dtype=torch.float64)[:, :, None].expand(-1, -1, channels)
    wide = units.flatten(1).contiguous()
    rule = norm._acting_rule()
    if rule is not None:
        replaced = norm._replaced_now(rule).cpu()
        wide = exchange_wide(wide, replaced, norm._groups_now(), rule.parts)
    return torch.unflatten(wide, 1, (streams, channels)).permute(1, 2, 0).contiguous()


def _standardised(x: Folded, norm: StreamNorm) -> Folded:
    """Normalised with statistics of the values at hand, without scales and shifts."""
    wide: Any = x.wide
    eps: float = norm.eps  # type: ignore[assignment]
    if isinstance(norm, StreamGroupNorm):
        if len(set(x.layout.index)) == 1:
            once = F.group_norm(x.of_stream(0), norm.num_groups, eps=eps)  # type: ignore[arg-type]
            return Folded(once, Layout.once(x.streams, norm.num_features))  # type: ignore[arg-type]
        apart = F.group_norm(x.apart(), norm.num_groups * x.streams, eps=eps)  # type: ignore[arg-type]
        return Folded(apart, Layout.apart(x.streams, norm.num_features))  # type: ignore[arg-type]
    if hasattr(norm, "frozen"):  # batch norm, of the batch at hand
        return Folded(F.batch_norm(wide, None, None, training=True, eps=eps), x.layout)  # type: ignore[arg-type]
    return Folded(F.instance_norm(wide, eps=eps), x.layout)  # type: ignore[arg-type]
