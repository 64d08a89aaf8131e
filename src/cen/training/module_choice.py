"""Which training a network gets, by what it is and what the configuration asks for."""

from __future__ import annotations

from typing import Any

from cen.config import Config
from cen.models import ChannelExchangeNetwork
from cen.training.generation.cycle_fusion import CycleFusion, CycleTranslation
from cen.training.generation.discriminators import configured_discriminators
from cen.training.generation.translation import Translation
from cen.training.module import DensePrediction


def training_module(config: Config, net: ChannelExchangeNetwork) -> DensePrediction:
    """The training module for a network: plain, of cycle fusion, adversarial, or both."""
    how, configured = config.train, config.model.outputs
    # A network of one's own may have other outputs than those configured.
    weights = {n: configured[n].weight if n in configured else 1.0 for n in net.outputs}
    options: dict[str, Any] = {"weights": weights, "seed": config.seed}
    if how.adversarial == "none":
        return (CycleFusion if net.cyclic else DensePrediction)(net, how, **options)
    kind = CycleTranslation if net.cyclic else Translation
    return kind(net, configured_discriminators(net, config.model), how, **options)
