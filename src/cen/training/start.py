"""Starting a run from the network of another one, with other classes, inputs or outputs."""

from __future__ import annotations

from pathlib import Path

import torch

from cen.data import AlignedDataset
from cen.errors import ConfigError
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
    with torch.no_grad():
        net.take_over(old)
