"""Which training a network gets, by what it is and what the configuration asks for."""

from __future__ import annotations

from cen.config import Config
from cen.models import ChannelExchangeNetwork
from cen.training.generation.cycle_fusion import CycleFusion, CycleTranslation
from cen.training.generation.discriminators import make_discriminators
from cen.training.generation.translation import Translation
from cen.training.module import DensePrediction


def training_module(config: Config, net: ChannelExchangeNetwork) -> DensePrediction:
    """The training module for a network: plain, of cycle fusion, adversarial, or both."""
    how, seed = config.train, config.seed
    cycles, weights = net.cyclic, _weights(config, net)
    if how.adversarial == "none":
        kind = CycleFusion if cycles else DensePrediction
        return kind(net, how, weights=weights, seed=seed)
    model = config.model
    return (CycleTranslation if cycles else Translation)(
        net,
        make_discriminators(
            net,
            width=model.discriminator_width,
            layers=model.discriminator_layers,
            statistics=model.statistics,
        ),
        how,
        weights=weights,
        seed=seed,
    )


def _weights(config: Config, net: ChannelExchangeNetwork) -> dict[str, float]:
    """The weight of each output; 1 where a network of one's own has others than configured."""
    configured = config.model.outputs
    return {name: configured[name].weight if name in configured else 1.0 for name in net.outputs}
