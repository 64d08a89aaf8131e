"""Starting a run from the network of another one, with other classes, inputs or outputs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from cen.data import AlignedDataset
from cen.errors import CenWarning, ConfigError
from cen.exchange import exchange_layers
from cen.models import ChannelExchangeNetwork, load
from cen.training.setup import check_normals

_ALIKE = ("name", "encoder", "width", "decoder_channels", "convolution")
"""Keys of ``model`` by which the layers of two networks are the same."""


def start_from(net: ChannelExchangeNetwork, start: str, train: AlignedDataset) -> None:
    """Gives a new network every weight that fits of another one, by the rules of `cen.finetune`.

    Args:
        net: the network; changed in place.
        start: a run folder or a file of `cen.save`.
        train: the data that it is to be trained on.

    Raises:
        CheckpointError: the file cannot be used.
        ConfigError: the networks are of different layers, or its normals were read otherwise.
    """
    old = load(Path(start))
    check_normals(old.metadata, train)
    for key in _ALIKE:
        theirs, ours = old.config.get(key), net.config.get(key)
        if theirs != ours:
            raise ConfigError(
                f"model.{key}: {ours}, but the network in {start} has {theirs}; say "
                f"--model.{key} {theirs}, or leave train.start out"
            )
    _warn_of_order(net, old, start)
    with torch.no_grad():
        left = net.take_over(old)
    if left:
        _warn_of_new(left, start, old, net)


def _warn_of_order(net: ChannelExchangeNetwork, old: ChannelExchangeNetwork, start: str) -> None:
    """Says that the inputs of two networks that exchange stand in another order.

    Which part of the channels a stream may give up follows from its place, so that the same
    weights are another function then.
    """
    before = [name for name in old.inputs if name in net.inputs]
    after = [name for name in net.inputs if name in old.inputs]
    if before != after and exchange_layers(net):
        warnings.warn(
            f"model.inputs: {', '.join(after)} stand in another order than in {start} "
            f"({', '.join(before)}), and exchanging channels are dealt out by it: training starts "
            "from another network than that one; name them in its order",
            CenWarning,
            stacklevel=4,
        )


def _warn_of_new(
    left: Sequence[str], start: str, old: ChannelExchangeNetwork, net: ChannelExchangeNetwork
) -> None:
    """Tells of the weights ``left`` that a network did not get from the one it starts from."""
    keys = [key for key, value in net.config.items() if old.config.get(key) != value]
    others = ", ".join(f"model.{key}" for key in keys if key not in ("inputs", "outputs"))
    warnings.warn(
        f"{start}: has no {', '.join(left[:3])}{', …' if len(left) > 3 else ''}: {len(left)} "
        "weights beside those of classifiers begin as in a new network, among layers that were "
        f"trained without them ({others or 'the outputs are others'})",
        CenWarning,
        stacklevel=4,
    )
