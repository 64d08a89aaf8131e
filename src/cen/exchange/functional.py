"""Channel exchange as pure functions (paper, equations 2 and 3 of docs/method.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from cen.arguments import number
from cen.errors import ShapeError, StreamError, described
from cen.exchange.streams import keep_format, narrow, widen

Scope = Literal["own", "any"]
Parts = Literal["paper", "keeper"]
Groups = Sequence[Sequence[int]]


def parts(channels: int, streams: int) -> Tensor:
    """Cuts the channels into one part per stream.

    The parts are runs of neighbouring channels, disjoint and covering; their sizes differ by at
    most 1, so ``channels`` need not be divisible by ``streams`` (paper, sub-parts; the uneven case
    is this project's extension). With fewer channels than streams some parts are empty.

    Returns:
        (streams, channels) bool, true where a channel belongs to a stream's own part.

    Raises:
        ShapeError: ``channels`` or ``streams`` is below 1.
    """
    if channels < 1 or streams < 1:
        raise ShapeError(f"parts need channels ≥ 1 and streams ≥ 1, got {channels} and {streams}")
    own = torch.zeros(streams, channels, dtype=torch.bool)
    for s in range(streams):
        own[s, s * channels // streams : (s + 1) * channels // streams] = True
    return own


def group_parts(channels: int, groups: Groups, kind: Parts = "paper") -> Tensor:
    """Own parts of all streams where each exchange group is cut on its own.

    Args:
        channels: Number of channels C ≥ 1.
        groups: Stream indices per group; together 0..S-1.
        kind: "paper": one of :func:`parts` each. "keeper" (this project's extension): each of them
            has one stream that keeps it and is in the own part of all the others of the group. Of
            two streams that is the same.

    Returns:
        (S, C) bool.
    """
    own = torch.zeros(sum(len(group) for group in groups), channels, dtype=torch.bool)
    for group in groups:
        own_parts = parts(channels, len(group))
        if kind == "keeper" and len(group) > 1:
            own_parts = ~own_parts.roll(1, 0)
        own[list(group)] = own_parts
    return own


def is_sharded(values: Tensor) -> bool:
    """Whether this process holds a part of a tensor (FSDP2); told without loading what shards."""
    return hasattr(values, "full_tensor")


def whole(values: Tensor) -> Tensor:
    """A tensor that is sharded over processes (FSDP2) put together, which all of them have to do.

    Any other is handed back. Gradients go back to the shards.
    """
    if torch.compiler.is_compiling():
        return values
    gather: Callable[[], Tensor] | None = getattr(values, "full_tensor", None)
    return values if gather is None else gather()


def own_part(values: Tensor) -> Tensor:
    """The part of a tensor that this process holds, where it is sharded (FSDP2); else all of it."""
    local: Callable[[], Tensor] | None = getattr(values, "to_local", None)
    return values if local is None else local()


def replaced_channels(scale: Tensor, threshold: float, own: Tensor | None = None) -> Tensor:
    """Which channels give way: |γ| < θ, inside the own part if ``own`` is given (paper, eq. 2).

    Args:
        scale: γ, (S, C).
        threshold: θ ≥ 0.
        own: (S, C) bool for scope "own" (paper); None for scope "any" (released code).

    Returns:
        (S, C) bool. No gradient flows through it.
    """
    small = scale.detach().abs() < threshold
    return small if own is None else small & own


def exchange_wide(wide: Tensor, replaced: Tensor, groups: Groups, kind: Parts = "paper") -> Tensor:
    """Equation 2 of the paper on the wide view: y' = y, but the mean of the others where replaced.

    What the norms of maps (B·S, C, *) call, and :func:`exchange`.

    Args:
        wide: (B, S·C, *) features of the streams that are present, before the exchange.
        replaced: (S, C) bool, see :func:`replaced_channels`. Without effect for a stream that is
            alone in its group.
        groups: Positions of the streams per group; together 0..S-1. Static, so that nothing is
            copied from the host on the hot path.
        kind: Of the parts, see :func:`exchange_masked`.

    Returns:
        (B, S·C, *), the same dtype and memory layout.
    """
    if are_pairs(groups):
        # One pass over the values and one back, where a mask needs five and eight.
        return keep_format(wide.index_select(1, _sources(replaced, groups, kind)), wide)
    features = torch.unflatten(wide, 1, tuple(replaced.shape))
    mask = replaced.view(1, *replaced.shape, *[1] * (wide.ndim - 2))
    return keep_format(exchange_masked(features, mask, groups, kind).flatten(1, 2), wide)


def _sources(replaced: Tensor, groups: Groups, kind: Parts) -> Tensor:
    """Which of the S·C channels each is read from, (S·C,), where groups hold at most two streams.

    The mean of the others is then the partner itself, so that exchange is a choice of channels.
    """
    places = torch.arange(replaced.numel(), device=replaced.device).view(replaced.shape)
    partners = donors(places[None], groups)[0]
    return torch.where(replaced_in_pairs(replaced, groups, kind), partners, places).flatten()


def are_pairs(groups: Groups) -> bool:
    """Whether a channel is replaced by that of one other stream, never by a mean of several."""
    return all(len(group) <= 2 for group in groups)


def replaced_in_pairs(replaced: Tensor, groups: Groups, kind: Parts) -> Tensor:
    """What is replaced, (S, C), where :func:`are_pairs`.

    With keeper parts the keeper of a channel, a third stream, may be absent; both keep theirs then.
    """
    if kind == "paper":
        return replaced
    return replaced & ~donors(replaced[None], groups)[0]


def exchange_masked(
    features: Tensor, mask: Tensor, groups: Groups, kind: Parts = "paper"
) -> Tensor:
    """Equation 2 of the paper where the streams have an axis of their own; what all norms call.

    Args:
        features: (B, S, *) of the streams that are present, before the exchange.
        mask: What is replaced; bool, of a shape that stretches to that of ``features``.
        groups: Positions of the streams per group, see :func:`exchange_wide`.
        kind: Of the parts. "keeper": a replaced channel takes the mean of those of the group that
            are not replaced there; where all are, as their keeper is absent, all keep theirs.

    Returns:
        (B, S, *).
    """
    if kind == "keeper":
        return _exchange_with_keepers(features, mask, groups)
    return torch.where(mask, donors(features, groups), features)


def _exchange_with_keepers(features: Tensor, mask: Tensor, groups: Groups) -> Tensor:
    replaced = mask.view(*[1] * (features.ndim - mask.ndim), *mask.shape)
    rows_by_stream: dict[int, Tensor] = {}
    for group in groups:
        rows = torch.stack([features[:, s] for s in group], 1)
        gone = torch.stack([replaced[:, s] for s in group], 1)
        kept = (~gone).sum(1, keepdim=True)
        total = torch.where(gone, 0, rows).sum(1, keepdim=True)
        mean = (total / kept.clamp(min=1)).to(rows.dtype)
        rows = torch.where(gone & (kept > 0), mean, rows)
        rows_by_stream |= {s: rows[:, position] for position, s in enumerate(group)}
    return torch.stack([rows_by_stream[s] for s in range(len(rows_by_stream))], 1)


def donors(features: Tensor, groups: Groups) -> Tensor:
    """The mean over the other streams of every stream's group, (B, S, *) like ``features``.

    Group by group: one product with all S streams would cost S² and multiply those of other groups
    with 0, which makes NaN of an overflow that is none of this group's business.
    """
    size = len(groups[0])
    if [s for group in groups for s in group] == list(range(len(groups) * size)) and all(
        len(group) == size for group in groups
    ):
        blocks = torch.unflatten(features, 1, (len(groups), size))
        return _mean_of_others(blocks, size).flatten(1, 2)
    donors: dict[int, Tensor] = {}
    for group in groups:
        block = torch.stack([features[:, s] for s in group], 1)
        means = _mean_of_others(block[:, None], len(group))[:, 0]
        donors |= {s: means[:, position] for position, s in enumerate(group)}
    return torch.stack([donors[s] for s in range(len(donors))], 1)


def _mean_of_others(blocks: Tensor, count: int) -> Tensor:
    """(B, groups, n = count, *): for each stream the mean of the n - 1 others, itself where n is 1.

    The donor of one of two is the other itself, exactly. Of more it is a weighted sum, in which a
    stream's own values count 0 times: an infinite one makes its own donor NaN.
    """
    if count <= 2:
        return blocks.flip(2)
    with _full_precision(blocks.device.type):
        weights = torch.ones(count, count, dtype=blocks.dtype, device=blocks.device)
        weights = (weights - torch.eye(count, dtype=blocks.dtype, device=blocks.device)) / (
            count - 1
        )
        return torch.einsum("st,bgt...->bgs...", weights, blocks)


def _full_precision(device: str) -> AbstractContextManager[object]:
    """Keeps autocast from rounding the features in a matrix product, where there is autocast."""
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


def exchange(
    features: Tensor,
    scale: Tensor,
    threshold: float,
    *,
    scope: Scope = "own",
    parts: Parts = "paper",
    groups: Groups | None = None,
) -> Tensor:
    """Replaces weak channels by the mean of the same channel in the group's other streams.

    Paper, equation 2: y'_{s,c} = y_{s,c} if |γ_{s,c}| ≥ θ, else the mean over the other streams of
    the group of y_{·,c}. All streams are read before any is replaced. The gradient of a replaced
    channel flows to its donors; γ gets none from here.

    Args:
        features: Normalised features y, packed sample-major: (B·S, C, *).
        scale: γ, (S, C).
        threshold: θ ≥ 0; 2e-2 for segmentation and 1e-2 for translation in the paper.
        scope: "own": only a stream's own part can be replaced (paper). "any": every channel can
            (released code).
        parts: Of scope "own", see :func:`group_parts` and :func:`exchange_masked`.
        groups: Exchange groups as lists of stream indices. Default: one group of all streams. A
            stream that is alone in its group keeps all its channels.

    Returns:
        (B·S, C, *), a new tensor.

    Raises:
        ConfigError: ``threshold`` is no number of at least 0.
        ShapeError: ``features`` does not fit ``scale``.
        StreamError: ``groups`` do not hold each stream once, ``scope`` or ``parts`` is unknown, or
            they do not go together.
    """
    threshold = number("threshold", threshold, what="a number of at least 0")
    if scale.ndim != 2 or features.ndim < 2 or features.shape[1] != scale.shape[1]:
        raise ShapeError(
            f"features (B·S, C, *) and scale (S, C) do not fit: "
            f"{tuple(features.shape)} and {tuple(scale.shape)}"
        )
    if scope not in ("own", "any"):
        raise StreamError(f"scope is 'own' or 'any', not {described(scope)}")
    if parts not in ("paper", "keeper") or (parts == "keeper" and scope == "any"):
        raise StreamError(
            f"parts are 'paper', or 'keeper' with scope 'own', not {described(parts)} with "
            f"{scope!r}"
        )
    streams, channels = scale.shape
    groups = [range(streams)] if groups is None else [group for group in groups if len(group)]
    if sorted(s for group in groups for s in group) != list(range(streams)):
        raise StreamError(f"groups {groups} must hold each of the {streams} streams exactly once")
    own = group_parts(channels, groups, parts).to(scale.device) if scope == "own" else None
    replaced = replaced_channels(scale, threshold, own)
    members = [list(group) for group in groups]
    return narrow(exchange_wide(widen(features, streams), replaced, members, parts), streams)
