"""A configuration whose network takes milliseconds."""

import pytest

from cen.bench import bench_model, model_steps
from cen.cli.sources import load_config
from cen.config import Config

SMALL = {"model.encoder": "resnet18", "model.width": 4, "model.decoder_channels": 4}
FEW_LAYERS = {"model__name": "segformer"}
"""For `tiny`: with another decoder than RefineNet, of whose convolutions each takes its time."""


def tiny(name: str = "rooms-demo", **more: object) -> Config:
    """A shipped configuration, narrow; ``train__batch_size=2`` for a key with a dot."""
    small = {"model.width": 4} if "cycle" in name else SMALL
    return load_config(name, {**small, **{k.replace("__", "."): v for k, v in more.items()}})


def small_matmul(patch: pytest.MonkeyPatch) -> None:
    """The product of matrices that stands for the machine's peak takes a millisecond."""
    for module in (bench_model, model_steps):
        patch.setattr(module, "MATMUL", 256)
