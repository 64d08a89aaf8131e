"""What a network takes of a batch, what it is to predict of it, and a batch in pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from cen.errors import ConfigError, ShapeError
from cen.models import ChannelExchangeNetwork, Output

Batch = Mapping[str, Any]


def targets_of(net: ChannelExchangeNetwork, batch: Batch) -> dict[str, Tensor]:
    """The ground truth in a batch, by output."""
    images = {name: batch[name].shape[-2:] for name in net.inputs if name in batch}
    targets = {}
    for name in net.outputs:
        if name not in batch:
            raise ConfigError(
                f"the samples have no ground truth {name!r}, which the network predicts; they have"
                f" {', '.join(batch)}"
            )
        target: Tensor = batch[name]
        for input_name, size in images.items():
            if target.shape[-2:] != size:
                (h, w), (height, width) = target.shape[-2:], size
                raise ShapeError(
                    f"the ground truth {name!r} is {h} × {w} pixels (height × width), but the input"
                    f" {input_name!r} is {height} × {width}; resample one of them first"
                )
        targets[name] = target
    return targets


def inputs_of(
    net: ChannelExchangeNetwork, batch: Batch, present: Sequence[str]
) -> dict[str, Tensor]:
    """What a network is given of a batch."""
    for name in present:
        if name not in batch:
            raise ConfigError(
                f"the samples have no input {name!r}, which the network takes; they have"
                f" {', '.join(batch)}"
            )
    return {name: net.enter(name, batch[name]) for name in present}


def prediction_streams(net: ChannelExchangeNetwork) -> tuple[str, ...]:
    """Names of the streams that give a prediction each; none for a network that fuses them."""
    return tuple(net.inputs) if len(net.alpha) else ()


def predict(net: ChannelExchangeNetwork, batch: Batch, present: Sequence[str]) -> dict[str, Output]:
    """Runs the network on some modalities of a batch, at the size of the labels (bicubic)."""
    outputs: dict[str, Output] = net(inputs_of(net, batch, present), size=label_size(net, batch))
    return outputs


def label_size(net: ChannelExchangeNetwork, batch: Batch) -> tuple[int, int]:
    """Height and width of the ground truth in a batch."""
    height, width = batch[next(iter(net.outputs))].shape[-2:]
    return int(height), int(width)


def cut(batch: Batch, pieces: int) -> list[dict[str, Any]]:
    """A batch in pieces of as many samples each: tensors and lists of names alike."""
    samples = len(next(iter(batch.values())))
    size = samples // pieces
    return [
        {name: values[first : first + size] for name, values in batch.items()}
        for first in range(0, samples, size)
    ]
