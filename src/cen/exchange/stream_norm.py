"""A normalisation layer that knows about streams: private γ and β, and the exchange behind it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from cen.errors import ShapeError
from cen.exchange.functional import exchange_wide, group_parts, replaced_channels
from cen.exchange.rule import ExchangeRule
from cen.exchange.streams import Streams, narrow, widen


class StreamNorm(nn.Module):
    """Base of the stream norms: per-stream scales γ and shifts β, and the exchange after them.

    Takes the packed tensor (B·S, C, *) of the active streams, with any number of spatial
    dimensions, and returns one of the same shape, dtype and memory format. A subclass normalises
    the wide view (B, S·C, *).

    Args:
        num_features: C ≥ 1.
        streams: The streams of this part of the network, shared by its layers.
        exchange: The rule, or None for a norm that never exchanges and is never penalised.

    Attributes:
        weight: γ, (S, C). bias: β, (S, C).
        own: (S, C) bool, the parts.
        chosen: (S, C) bool, what guide "random" replaces, saved with the weights; else None.
    """

    weight: nn.Parameter
    bias: nn.Parameter
    own: Tensor
    chosen: Tensor | None
    partnered: Tensor
    owned: Tensor
    per_stream: tuple[str, ...] = ("weight", "bias")

    def __init__(
        self, num_features: int, streams: Streams, *, exchange: ExchangeRule | None = None
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.streams = streams
        self.exchange = exchange
        self.weight = nn.Parameter(torch.ones(len(streams), num_features))
        self.bias = nn.Parameter(torch.zeros(len(streams), num_features))
        partnered = torch.zeros(len(streams), 1, dtype=torch.bool)
        for group in streams.groups:
            partnered[list(group)] = len(group) > 1
        # Derived from the arguments: not saved, but moved along with the module.
        own = group_parts(num_features, streams.groups)
        self.register_buffer("own", own, persistent=False)
        self.register_buffer("partnered", partnered, persistent=False)
        self.register_buffer("owned", own & partnered, persistent=False)
        chosen = None if exchange is None else exchange.chosen(num_features, streams.groups)
        self.register_buffer("chosen", chosen)

    def extra_repr(self) -> str:
        """What ``print(net)`` shows of the layer."""
        return f"{self.num_features}, streams={list(self.streams.names)}, exchange={self.exchange}"

    def forward(self, packed: Tensor) -> Tensor:
        """Normalises, then exchanges; (B·S, C, *) → (B·S, C, *).

        Raises:
            ShapeError: Wrong number of channels or of rows, or too few values for statistics.
        """
        if packed.ndim < 2 or packed.shape[1] != self.num_features:
            raise ShapeError(
                f"expected (rows, {self.num_features}, …) with {len(self.streams.active)} "
                f"active streams, got {tuple(packed.shape)}"
            )
        active, _, rows = self.streams.running
        count = len(active)
        if rows is not None and packed.shape[0] != rows:
            raise ShapeError(
                f"a stream norm of {self.num_features} channels got {packed.shape[0]} rows where "
                f"{rows} ride through the network ({rows // count} samples of {count} streams): "
                "frames, windows or tokens were folded into the batch, and rows of several "
                "streams would be mixed; leave this norm out of the conversion"
            )
        wide = self._normalise(widen(packed, count))
        rule = self.exchange
        if rule is not None and rule.enabled and self._has_partners():
            wide = self._exchange(wide, rule)
        return narrow(wide, count)

    def _normalise(self, wide: Tensor) -> Tensor:
        raise NotImplementedError

    def _has_partners(self) -> bool:
        """Whether any two active streams share a group; static, decided without the device."""
        active = self.streams.active
        return any(sum(i in group for i in active) > 1 for group in self.streams.groups)

    def _exchange(self, wide: Tensor, rule: ExchangeRule) -> Tensor:
        active = self.streams.active
        if self.chosen is not None:
            replaced = self._rows(self.chosen)
        else:
            own = self._rows(self.own) if rule.scope == "own" else None
            replaced = replaced_channels(self._rows(self.weight), rule.threshold, own)
        # Positions among the active streams; one whose partners are all absent is alone and keeps
        # its own values.
        places = {stream: place for place, stream in enumerate(active)}
        present = [[places[i] for i in g if i in places] for g in self.streams.groups]
        return exchange_wide(wide, replaced, [group for group in present if group])

    def _rows(self, per_stream: Tensor) -> Tensor:
        """The rows of the active streams; the tensor itself when all are."""
        if self.streams.all_active:
            return per_stream
        # Static indexing per stream: an index tensor would be copied from the host.
        return torch.stack([per_stream[i] for i in self.streams.active])

    def _affine(self) -> tuple[Tensor, Tensor]:
        """γ and β of the active streams side by side, (S·C,) each."""
        return self._rows(self.weight).flatten(), self._rows(self.bias).flatten()

    def replaced(self) -> Tensor:
        """(S, C) bool: the channels that give way at present, all streams being active."""
        if self.exchange is None or not self.exchange.enabled:
            return torch.zeros_like(self.own)
        if self.chosen is not None:
            return self.chosen & self.partnered
        own = self.own if self.exchange.scope == "own" else None
        return replaced_channels(self.weight, self.exchange.threshold, own) & self.partnered

    def counted(self, streams: Collection[str] | None = None) -> Tensor:
        """(S, C) bool: the scales that the rule penalises, of ``streams`` (default: all).

        Streams without a partner in their group are not penalised: they have nobody to take from.

        Raises:
            StreamError: A name in ``streams`` is unknown.
        """
        indices = range(len(self.streams)) if streams is None else self.streams.indices(streams)
        rule = self.exchange
        if rule is None or rule.penalty == "none":
            return torch.zeros_like(self.own)
        counted = self.owned if rule.penalty == "own" else self.partnered.expand_as(self.own)
        if len(set(indices)) == len(self.streams):
            return counted
        rows = [row if i in indices else torch.zeros_like(row) for i, row in enumerate(counted)]
        return torch.stack(rows)

    def load_plain(self, norm: nn.Module) -> None:
        """Gives every stream a copy of a plain norm's parameters, statistics and dtype/device."""
        for name in self.per_stream:
            source = getattr(norm, name)
            if source is None or getattr(self, name) is None:
                continue
            values = source.detach().expand(getattr(self, name).shape).clone()
            if isinstance(source, nn.Parameter):
                setattr(self, name, nn.Parameter(values, requires_grad=source.requires_grad))
            else:
                setattr(self, name, values)
        for name in ("own", "partnered", "owned", "chosen"):
            buffer = getattr(self, name)
            setattr(self, name, None if buffer is None else buffer.to(self.weight.device))
        self.train(norm.training)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Accepts the entries of a plain norm: each stream starts from them."""
        for name in self.per_stream:
            value, target = state_dict.get(prefix + name), getattr(self, name)
            if value is not None and target is not None and value.shape == target.shape[1:]:
                state_dict[prefix + name] = value.expand(target.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)
