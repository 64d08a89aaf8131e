"""A short run on files of Rooms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cen.config import Config


def configuration(root: Path, **values: Any) -> Config:
    """A short run on these files; the arguments are dotted keys with ``_`` for the dot."""
    model = {"encoder": "resnet18", "width": 4, "decoder_channels": 4, "decoder_norm": "batch"}
    train = {"steps": 4, "batch_size": 2, "validate_every": 2, "log_every": 2, "accelerator": "cpu"}
    data = {
        "root": str(root),
        "transforms": {"scale": [0.8, 1.2], "crop": [32, 48], "shorter_side": 32},
    }
    base = Config.from_dict({"data": data, "model": model, "train": train}).to_dict()
    return Config.from_dict(base, {k.replace("_", ".", 1): v for k, v in values.items()})
