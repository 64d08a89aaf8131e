"""Pictures to translate, and a small network and configuration that translate them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from cen.config import Config
from cen.models import ChannelExchangeNetwork, Task
from cen.training.setup import build_network


class Pictures(Dataset[dict[str, Any]]):
    """Colours that follow from their brightness and a stripe pattern, each seen alone."""

    def __init__(self, length: int, seed: int = 0, missing: bool = False) -> None:
        self.length, self.seed, self.missing = length, seed, missing

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng((self.seed, index))
        shade = np.kron(rng.uniform(-1, 1, (1, 4, 4)), np.ones((1, 8, 8)))
        texture = np.kron(rng.choice([-1.0, 1.0], (3, 8, 8)), np.ones((1, 4, 4)))
        rgb = np.clip(0.6 * shade + 0.4 * texture, -1, 1)
        if self.missing:
            rgb[:, :9] = np.nan
        noise = np.random.default_rng((self.seed, index, epoch)).normal(0, 0.05, shade.shape)
        fields = {"shade": shade + noise, "texture": texture, "rgb": rgb}
        return {k: torch.from_numpy(v.astype(np.float32)) for k, v in fields.items()} | {
            "name": str(index)
        }


def translation(model: dict[str, Any] | None = None, **train: Any) -> Config:
    """A configuration of the released recipe, small."""
    small: dict[str, Any] = {
        "name": "unet",
        "encoder": "unet3",
        "width": 4,
        "inputs": {"shade": 1, "texture": 3},
        "outputs": {"rgb": {"kind": "image"}},
        "threshold": 1e-2,
        "dropout": 0.0,
        "discriminator_width": 4,
        "discriminator_layers": 1,
    }
    recipe: dict[str, Any] = {
        "steps": 6,
        "batch_size": 2,
        "optimizer": "adam",
        "momentum": 0.5,
        "encoder_lr": 2e-4,
        "decoder_lr": 2e-4,
        "schedule": "constant",
        "adversarial": "bce",
        "log_every": 1,
        "validate_every": 3,
        "checkpoint_every": 2,
        "accelerator": "cpu",
    }
    return Config.from_dict({"model": small | (model or {}), "train": recipe | train})


def network(config: Config) -> ChannelExchangeNetwork:
    torch.manual_seed(0)
    return build_network(config, {"rgb": Task("image", 3)})
