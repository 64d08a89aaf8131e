"""Normalisation layers that know about streams: private γ, β and statistics, and the exchange."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from cen.arguments import choice, number, whole
from cen.errors import ConfigError, ShapeError, described
from cen.exchange.functional import (
    Scope,
    group_parts,
    mix_wide,
    random_parts,
    replaced_channels,
)
from cen.exchange.streams import Streams, narrow, widen

Penalty = Literal["own", "all", "none"]
Guide = Literal["scale", "random"]


@dataclass(frozen=True)
class ExchangeRule:
    """How a norm layer exchanges channels.

    Attributes:
        threshold: θ; a channel with |γ| below it is replaced. Paper: 2e-2 for segmentation, 1e-2
            for translation.
        scope: "own": a stream gives way in its own part only (paper); "any": in every channel
            (released code).
        penalty: Which scales :func:`cen.sparsity` counts: the stream's own part (paper), all
            channels, or none (both ablations of the paper).
        enabled: False keeps the penalty but replaces nothing (ablation of the paper).
        guide: "scale": γ says which channels are replaced (paper). "random": a fixed share of each
            own part is replaced from the start, whatever its scales are (this project's ablation).
        rate: The share that guide "random" replaces, in 0..1.
        seed: The draw of guide "random"; every layer draws for itself.

    Raises:
        ConfigError: A value is out of range, or the values do not go together.
    """

    threshold: float = 2e-2
    scope: Scope = "own"
    penalty: Penalty = "own"
    enabled: bool = True
    guide: Guide = "scale"
    rate: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        def keep(name: str, value: float) -> None:
            object.__setattr__(self, name, value)  # plain numbers, which a checkpoint can hold

        keep("threshold", number("threshold", self.threshold, what="a number of at least 0"))
        choice("scope", self.scope, get_args(Scope))
        choice("penalty", self.penalty, get_args(Penalty))
        choice("enabled", self.enabled, (True, False))
        choice("guide", self.guide, get_args(Guide))
        keep("rate", number("rate", self.rate, what="a share between 0 and 1", high=1))
        keep("seed", whole("seed", self.seed, -(2**63)))
        if self.guide == "random" and self.scope != "own":
            raise ConfigError(
                "guide 'random' draws from each stream's own part, so that no channel is taken "
                "from every stream; it needs scope 'own'"
            )
        if self.guide == "random" and not self.rate:
            raise ConfigError("guide 'random' needs a rate above 0, the share that it replaces")
        if self.guide == "scale" and self.rate:
            raise ConfigError(
                f"rate is the share that guide 'random' replaces, got {self.rate!r} with guide "
                f"'scale'; leave it out, or set guide='random'"
            )


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
        self.register_buffer("chosen", None)
        self.draw("")

    def draw(self, key: str) -> None:
        """Draws what guide "random" replaces; with another guide there is nothing to draw.

        Args:
            key: Tells the layers of a network apart: the layer's qualified name.
        """
        rule = self.exchange
        if rule is not None and rule.guide == "random":
            groups = self.streams.groups
            chosen = random_parts(self.num_features, groups, rule.rate, f"{rule.seed}/{key}")
            self.chosen = chosen.to(self.weight.device)

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
        return mix_wide(wide, replaced, [group for group in present if group])

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

    def penalty(self, streams: Collection[str] | None = None) -> Tensor:
        """Σ |γ| over the channels the rule penalises, of ``streams`` (default: all); a scalar.

        Streams without a partner in their group are not penalised: they have nobody to take from.
        """
        return total_penalty([(self, streams)], self.weight.device)

    def counted(self, streams: Collection[str] | None = None) -> Tensor:
        """(S, C) bool: the scales that the rule penalises, of ``streams`` (default: all).

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


def exchange_layers(net: nn.Module) -> dict[str, StreamNorm]:
    """The norms of a network that have an exchange rule, by qualified name, each once.

    Raises:
        ConfigError: ``net`` is no network.
    """
    if not isinstance(net, nn.Module):
        raise ConfigError(f"exchange is read off a network (nn.Module), not {described(net)}")
    return {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, StreamNorm) and module.exchange is not None
    }


def sparsity(net: nn.Module, streams: Collection[str] | None = None) -> Tensor:
    """The penalty Σ_l Σ_s Σ_{c in part s} |γ_{s,l,c}| (paper, equation 4), counted once.

    Multiply by λ and add it to the task loss inside the training step, so that DDP sees it. The
    released code adds the term once per output; here a layer used in several places or a network
    with several outputs still counts it once.

    Args:
        net: Any network with stream norms.
        streams: Count these streams only (those present in the step); default: all.

    Returns:
        A scalar; 0 for a network that exchanges nothing.

    Raises:
        ConfigError: ``net`` is no network.
        StreamError: A name in ``streams`` is unknown to a layer.
    """
    layers = exchange_layers(net).values()
    device = next((p.device for p in net.parameters()), None)
    return total_penalty([(layer, streams) for layer in layers], device)


def total_penalty(
    layers: Sequence[tuple[StreamNorm, Collection[str] | None]], device: torch.device | None
) -> Tensor:
    """The penalty of several layers, each with the streams that count in it (None: all).

    All scales at once: on a GPU, a sum per layer costs more launches than the layer itself.

    Args:
        layers: Layers and names of streams.
        device: Where the scalar lies if no layer is penalised.

    Raises:
        StreamError: A name is unknown to its layer.
    """
    counted = [layer.counted(streams).flatten() for layer, streams in layers]
    if not counted:
        return torch.zeros((), device=device)
    scales = torch.cat([layer.weight.flatten() for layer, _ in layers])
    return torch.where(torch.cat(counted), scales.abs(), 0).sum()


def exchange_rate(net: nn.Module) -> Tensor:
    """Share of the own channels that are replaced, over all exchanging layers and streams.

    Streams without a partner do not count. A scalar in [0, 1] on the network's device (no
    synchronisation); 0 for a network that exchanges nothing.
    """
    layers = list(exchange_layers(net).values())
    if not layers:
        device = next((p.device for p in net.parameters()), None)
        return torch.zeros((), device=device)
    own = torch.stack([layer.owned.sum() for layer in layers]).sum()
    gone = torch.stack([(layer.own & layer.replaced()).sum() for layer in layers]).sum()
    return gone / own.clamp(min=1)
