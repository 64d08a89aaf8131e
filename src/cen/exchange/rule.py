"""How a norm layer exchanges: the threshold, where channels are replaced, what is penalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from cen.arguments import choice, number, whole
from cen.errors import ConfigError
from cen.exchange.functional import Groups, Parts, Scope, group_parts
from cen.exchange.random_guidance import random_parts

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
        parts: Of scope "own". "paper": each of S streams may give way in 1/S of the channels.
            "keeper" (this project's extension): each channel has one stream that keeps it, and all
            the others may give way there, to the mean of those that have not; so more than two
            streams become equal where they exchange, too. Of two streams that is the same.

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
    parts: Parts = "paper"

    def __post_init__(self) -> None:
        def keep(name: str, value: float) -> None:
            object.__setattr__(self, name, value)  # plain numbers, which a checkpoint can hold

        keep("threshold", number("threshold", self.threshold, what="a number of at least 0"))
        choice("scope", self.scope, get_args(Scope))
        choice("parts", self.parts, get_args(Parts))
        if self.parts == "keeper" and self.scope != "own":
            raise ConfigError(
                "parts 'keeper' say where a stream may give way, which scope 'any' does not heed; "
                "set scope='own'"
            )
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

    def chosen(self, channels: int, groups: Groups, key: str = "") -> Tensor | None:
        """The channels that guide "random" replaces; None where the scales say which.

        Args:
            channels: Number of channels C ≥ 1.
            groups: Stream indices per group; together 0..S-1.
            key: Tells the layers of a network apart: the layer's qualified name.

        Returns:
            (S, C) bool on the CPU, or None.
        """
        if self.guide == "scale":
            return None
        with torch.device("cpu"):  # also where a network is built without values
            own = group_parts(channels, groups, self.parts)
        return random_parts(own, groups, self.rate, f"{self.seed}/{key}")
