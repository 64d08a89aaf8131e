"""A network, data and configuration small enough to train in a test, on one core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from cen.config import Config
from cen.models import ChannelExchangeNetwork, Task
from cen.options.network_options import OutputConfig
from cen.training.setup import build_network

CLASSES = ("left", "middle", "right")


class Blocks(Dataset[dict[str, Any]]):
    """Label maps of 8x8 blocks; colours and depth follow the labels with noise.

    The noise of a sample depends on the epoch, so a repeated or skipped epoch shows.
    """

    def __init__(self, length: int, seed: int = 0, ignored: bool = False) -> None:
        self.length, self.seed, self.ignored = length, seed, ignored

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        labels = np.random.default_rng((self.seed, index)).integers(0, 3, (4, 4))
        labels = np.kron(labels, np.ones((8, 8), dtype=np.int64))
        rng = np.random.default_rng((self.seed, index, epoch, 1))
        colours = np.stack([labels == c for c in range(3)]) + rng.normal(0, 0.5, (3, 32, 32))
        depth = labels[None] * 0.5 + rng.normal(0, 0.5, (1, 32, 32))
        if self.ignored:
            labels[: 3 * index % 32] = 255
        return {
            "rgb": torch.from_numpy(colours.astype(np.float32)),
            "depth": torch.from_numpy(depth.astype(np.float32)),
            "segmentation": torch.from_numpy(labels),
            "name": str(index),
        }


TASKS = {
    "segmentation": Task("segmentation", 3, CLASSES),
    "distance": Task("depth", 1),
    "normal": Task("normal", 3),
    "edge": Task("edge", 1),
}


class Scenes(Blocks):
    """`Blocks` with further ground truth: a distance, normals and edges, with pixels missing.

    With ``partial`` every third sample lacks the distance, and every fourth the normals.
    """

    def __init__(self, length: int, seed: int = 0, partial: bool = False) -> None:
        super().__init__(length, seed)
        self.partial, self.targets = partial, tuple(TASKS)

    def annotated(self, index: int) -> tuple[str, ...]:
        """The targets of a sample."""
        lacking = {"distance": index % 3 == 0, "normal": index % 4 == 1}
        return tuple(n for n in TASKS if not (self.partial and lacking.get(n, False)))

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        sample = super().__getitem__(key)
        labels = sample["segmentation"].float()
        distance = 1 + labels[None]
        distance[:, 3:5] = torch.nan
        normal = torch.stack([labels - 1, torch.ones_like(labels), -torch.ones_like(labels)])
        normal = torch.nn.functional.normalize(normal, dim=0)
        normal[:, :, : key[1] if isinstance(key, tuple) else key] = torch.nan
        edge = (labels != labels.roll(1, 1)).float()[None]
        sample |= {"distance": distance, "normal": normal, "edge": edge}
        index = key[1] if isinstance(key, tuple) else key
        return {k: v for k, v in sample.items() if k not in TASKS or k in self.annotated(index)}


UNET = {"name": "unet", "encoder": "unet4", "width": 4, "dropout": 0.1}
"""The network that is trained soonest, for what does not depend on the network."""

RESNET = {
    "name": "segformer",  # the decoder of fewest layers
    "encoder": "resnet18",
    "width": 4,
    "decoder_channels": 8,
    "decoder_norm": "batch",
    "dropout": 0.1,
}
"""A network with batch norms and dropout, for what depends on these."""


def several_config(
    names: Sequence[str] = tuple(TASKS), model: Mapping[str, Any] = RESNET, **train: Any
) -> Config:
    """`toy_config` with several outputs, named as in `TASKS`."""
    config = toy_config(model, **train)
    config.model.outputs = {name: OutputConfig(TASKS[name].kind) for name in names}
    if model is RESNET:
        config.model.decoder_exchange = True
    return config


def several_network(config: Config) -> ChannelExchangeNetwork:
    """The network of such a configuration, the same every time."""
    torch.manual_seed(0)
    return build_network(config, {name: TASKS[name] for name in config.model.outputs})


def toy_config(model: Mapping[str, Any] = UNET, **train: Any) -> Config:
    """A configuration; the further arguments are keys of ``train``."""
    defaults = {
        "steps": 12,
        "batch_size": 4,
        "log_every": 2,
        "validate_every": 5,
        "checkpoint_every": 4,
        "accelerator": "cpu",
    }
    if "stages" in train:
        del defaults["steps"]
    return Config.from_dict({"model": dict(model), "train": defaults | train})


def toy_network(config: Config | None = None) -> ChannelExchangeNetwork:
    """The network of a toy configuration, the same every time."""
    torch.manual_seed(0)
    return build_network(
        config or toy_config(RESNET), {"segmentation": Task("segmentation", 3, CLASSES)}
    )


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """What a .safetensors file holds."""
    from safetensors.torch import load_file

    return load_file(path)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether two state dicts are equal bit for bit."""
    assert first.keys() == second.keys()
    return all(torch.equal(first[key], second[key]) for key in first)
