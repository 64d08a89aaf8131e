"""The stream layers of a folded network: norms that say what is read, private convolutions.

In eval mode with running statistics a stream norm is, for stream s and channel c, the affine map
y = a z + b. Exchange then takes y of another stream, so that after it a channel is *common* (S = 2:
one of the two gave way, and both now hold the other's), or *private*; and z of a channel that gave
way is *read* by nobody, unless a third stream takes its share of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cen.exchange import StreamConv2d, StreamNorm
from cen.exchange.functional import donors
from cen.exchange.streams import widen
from cen.folding.convolution import Deferred, Wanted, convolved
from cen.folding.tensor import Folded, Layout, Trace, picked


@dataclass(frozen=True)
class Plan:
    """What an exchange among the streams at hand takes from where; static once θ is compared.

    Attributes:
        places: Layout behind the exchange.
        source: By common channel, the stream that it is taken from.
        mixed: (S, C) bool: private channels that become the mean of their group's other streams.
        groups: Positions of the streams, by group.
        mixing: Whether there are any.
    """

    places: Layout
    source: tuple[int, ...]
    mixed: Tensor
    groups: tuple[tuple[int, ...], ...]
    mixing: bool

    @classmethod
    def of(cls, replaced: Tensor, groups: Sequence[Sequence[int]]) -> Plan:
        """The plan of what is replaced.

        Args:
            replaced: (S, C) bool, channels that give way, of the streams at hand.
            groups: Positions of these streams, by group.
        """
        streams, channels = replaced.shape
        gone = replaced.clone()
        for group in groups:
            if len(group) == 1:
                gone[list(group)] = False
        every = tuple(range(channels))
        members = tuple(tuple(group) for group in groups)
        if streams == 1:
            return cls(Layout(every, ()), (0,) * channels, gone, members, False)
        if streams == 2 and len(groups) == 1:
            first, second = gone.tolist()
            given = [c for c in every if second[c] and not first[c]]
            taken = [c for c in every if first[c] and not second[c]]
            rest = tuple(c for c in every if first[c] == second[c])
            source = (0,) * len(given) + (1,) * len(taken)
            both = gone & gone.flip(0)
            return cls(Layout((*given, *taken), rest), source, both, members, bool(both.any()))
        return cls(Layout((), every), (), gone, members, bool(gone.any()))

    def worth_reading_ahead(self, source: Folded) -> bool:
        """Whether a convolution should compute just what is read.

        What it gives of common inputs is common: unless most of it is given away, computing it once
        for all and mapping it for each stream costs less than a row of weights for each.
        """
        kept = len(self.places.private)
        return bool(source.places.private) or kept <= len(self.places.common)

    def owners(self, streams: int) -> list[tuple[int, int]]:
        """Whose channel lies at each place of the wide tensor: stream and channel."""
        found = list(zip(self.source, self.places.common, strict=True))
        return found + [(s, c) for s in range(streams) for c in self.places.private]


class FoldedNorm(nn.Module):
    """A stream norm on folded tensors; packed ones are taken apart first.

    Args:
        norm: The stream norm.
        trace: Of the network.
    """

    def __init__(self, norm: StreamNorm, trace: Trace) -> None:
        super().__init__()
        self.norm, self.trace = norm, trace

    def forward(self, x: Any) -> Any:
        """(B·S, C, *), folded or packed, to a folded tensor of the same shape.

        What normalises over the channels of each position, or gets windows as rows of their own,
        gives a packed tensor.
        """
        norm = self.norm
        active, _, riding, _ = norm.streams.running
        if norm.channel_axis != 1 or (riding is not None and x.shape[0] != riding):
            return norm(x.packed() if isinstance(x, Folded) else x)
        if isinstance(x, Tensor):
            x = Folded.of_packed(x, len(active), self.trace)
        key = (id(norm), active)
        plan = self.trace.kept(("plan", key), lambda: exchange_plan(norm))
        if norm.training or getattr(norm, "running_mean", None) is None:
            # With the image's own statistics a norm is no affine map that could be known before.
            wide = norm._normalise(widen(x.packed(), len(active)))
            every = Layout.apart(norm.num_features) if len(active) > 1 else plan.places
            return mixed(exchanged(Folded(wide, every, len(active), self.trace), plan), plan)
        scale, shift = self.trace.kept(("affine", key), lambda: affine_of(norm))
        if isinstance(x, Deferred) and x.pending and plan.worth_reading_ahead(x.source):
            wanted = Wanted(plan.places, plan.source, scale, shift)
            return mixed(convolved(x.source, x.conv, wanted, key), plan)
        return mixed(affine(x, plan, scale, shift, key), plan)


class FoldedConv2d(nn.Module):
    """Private convolutions: every stream by its own kernel; what they give is private."""

    def __init__(self, conv: StreamConv2d, trace: Trace) -> None:
        super().__init__()
        self.conv, self.trace = conv, trace

    def forward(self, x: Any) -> Any:
        """(B·S, I, H, W), folded or packed, to a folded tensor."""
        packed = x.packed() if isinstance(x, Folded) else x
        values = _streams(self.conv(packed), len(self.conv.streams.active))
        return Folded.of_streams(values, self.trace)


def exchange_plan(norm: StreamNorm) -> Plan:
    """What a norm exchanges among the streams that are active now."""
    active = norm.streams.active
    places = {stream: place for place, stream in enumerate(active)}
    present = [tuple(places[i] for i in g if i in places) for g in norm.streams.groups]
    groups = [group for group in present if group]
    rows = norm.replaced()[list(active)].cpu()
    return Plan.of(rows, groups)


def affine_of(norm: StreamNorm) -> tuple[Tensor, Tensor]:
    """A and b of the active streams of a norm with running statistics, (S, C) float64 each."""
    active = list(norm.streams.active)
    gamma = norm.weight.detach()[active].double()
    beta = torch.zeros_like(gamma) if norm.bias is None else norm.bias.detach()[active].double()
    read = getattr(norm, "_running_statistics", None)
    if read is not None:
        mean, var = (value.view_as(gamma).double() for value in read())
    else:
        mean, var = norm.running_mean[active].double(), norm.running_var[active].double()  # type: ignore[index]
    scale = gamma / torch.sqrt(var + norm.eps)
    return scale, beta - mean * scale


def affine(x: Folded, plan: Plan, scale: Tensor, shift: Tensor, key: object) -> Folded:
    """A z + b of the channels that anybody reads, in the plan's layout."""

    def make() -> tuple[Tensor, Tensor]:
        shape = (1, -1, *[1] * (x.ndim - 2))
        owners = plan.owners(x.streams)
        rows = [[values[s, c] for s, c in owners] for values in (scale, shift)]
        a, b = (torch.stack(row).to(x.wide).view(shape) for row in rows)
        return a, b

    a, b = x.trace.kept(("affine of", key), make)
    read = exchanged(x, plan)
    return Folded(torch.addcmul(b, read.wide, a), read.places, x.streams, x.trace)


def exchanged(x: Folded, plan: Plan) -> Folded:
    """The channels that anybody reads, in the plan's layout; means of others are not yet taken."""
    wanted = [x.places.at(stream, [channel])[0] for stream, channel in plan.owners(x.streams)]
    return Folded(picked(x.wide, wanted), plan.places, x.streams, x.trace)


def mixed(x: Folded, plan: Plan) -> Folded:
    """Channels that become the mean of a group's other streams, of more than two or of both."""
    if not plan.mixing:
        return x
    rows = torch.stack([x.private(s) for s in range(x.streams)], 1)
    mask = plan.mixed[:, list(plan.places.private)].to(rows.device)
    mask = mask.view(1, *mask.shape, *[1] * (rows.ndim - 3))
    result = torch.where(mask, donors(rows, plan.groups), rows).flatten(1, 2)
    if plan.places.common:
        result = torch.cat([x.common(), result], 1)
    return Folded(result, x.places, x.streams, x.trace)


def _streams(packed: Tensor, streams: int) -> list[Tensor]:
    """(B·S, …) to (B, …) for each stream."""
    return list(torch.unflatten(packed, 0, (-1, streams)).unbind(1))
