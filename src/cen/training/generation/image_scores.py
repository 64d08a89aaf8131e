"""What the scores of generated images are made with, and what is said of that."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cen.errors import CheckpointError, ConfigError
from cen.metrics import Features, load_features
from cen.metrics.frechet import Protocol
from cen.models import ChannelExchangeNetwork
from cen.training.generator_statistics import GeneratorMode


def refuse_image_options(
    net: ChannelExchangeNetwork,
    features: str | None,
    weights: str | Path | None,
    protocol: Protocol,
    mode: GeneratorMode | None,
) -> None:
    """Refuses options that are about generated images, where the network makes none."""
    if net.generated:
        return
    asked = {
        "features": features not in (None, "auto"),
        "features_weights": weights is not None,
        "protocol": protocol != "clean",
        "generator_mode": mode is not None,
    }
    if names := [name for name, is_given in asked.items() if is_given]:
        raise ConfigError(
            f"{', '.join(names)}: for outputs of kind image, but the run predicts "
            f"{', '.join(net.outputs)} alone; leave out what is not for them"
        )


def feature_network(
    name: str | None, weights: str | Path | None, compared: Collection[str]
) -> Features | None:
    """The feature network asked for; "auto" is none where there are no outputs to be compared."""
    if name is None:
        return None
    if name != "auto":
        return load_features(name, weights)
    if not compared:
        return None
    try:
        return load_features("efficientnet_lite0", weights)
    except CheckpointError as error:
        warnings.warn(f"no Fréchet distance: {error}", stacklevel=3)
        return None


def image_facts(
    net: ChannelExchangeNetwork, mode: GeneratorMode, features: Features | None, protocol: Protocol
) -> dict[str, Any]:
    """How figures of generated images came about."""
    if not net.generated:
        return {}
    facts: dict[str, Any] = {"generator_mode": mode}
    if features is not None:
        facts |= {"features": features.name, "protocol": protocol}
    return facts
