"""The discriminators of adversarial training: made for a generator, or read from a run."""

from __future__ import annotations

from pathlib import Path

import torch

from cen.config import Config
from cen.errors import CheckpointError
from cen.models import ChannelExchangeNetwork, PatchGAN, load
from cen.models.foreign_weights import require_fit, tensors_of
from cen.models.stems import TILED
from cen.models.unet import Statistics
from cen.options.network_options import ModelConfig
from cen.training.resume import LAST, read_checkpoint


def make_discriminators(
    net: ChannelExchangeNetwork,
    *,
    width: int | None = None,
    layers: int = 3,
    statistics: Statistics = "running",
) -> dict[str, PatchGAN]:
    """A discriminator for each image output of a network, shared by its streams.

    Args:
        net: the generator.
        width: channels after the first convolution; None for the released 64.
        layers: convolutions that halve; 3 as released.
        statistics: as for the generator.
    """
    channels = [3 if count in TILED else count for count in net.inputs.values()]
    seen = max(channels) if len(net.alpha) else sum(channels)
    return {
        name: PatchGAN(
            seen + net.outputs[name].channels, 64 if width is None else width, layers=layers,
            statistics=statistics,
        )
        for name in net.generated
    }  # fmt: skip


def configured_discriminators(
    net: ChannelExchangeNetwork, model: ModelConfig
) -> dict[str, PatchGAN]:
    """The discriminators that a configuration asks for."""
    return make_discriminators(
        net,
        width=model.discriminator_width,
        layers=model.discriminator_layers,
        statistics=model.statistics,
    )


def load_discriminators(run: str | Path) -> dict[str, PatchGAN]:
    """The discriminators of a run as its last checkpoint has them, in eval mode, on the CPU.

    Called with an input image as the network sees it and an image to be judged, in [-1, 1], they
    return logits, (N, 1, h, w); see `PatchGAN`.

    Args:
        run: the run folder. They lie in ``checkpoints/last.ckpt``, from which training goes on.

    Returns:
        One per image output, by name.

    Raises:
        CheckpointError: the run was trained without discriminators, or its checkpoint is missing
            or cannot be read.
    """
    run = Path(run)
    file = run / LAST
    if not (run / "config.yaml").exists() or not file.exists():
        raise CheckpointError(
            f"{run} holds no checkpoint with discriminators; config.yaml or"
            " checkpoints/last.ckpt is missing"
        )
    weights = tensors_of(read_checkpoint(run)["state_dict"], str(file))
    prefix = "discriminators."
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    if not own:
        raise CheckpointError(
            f"{run} was trained without discriminators (train.adversarial: none); there are none"
            " to load"
        )
    model = Config.load(run / "config.yaml", of_run=True).model
    discriminators = configured_discriminators(load(run / "last.safetensors"), model)
    modules = torch.nn.ModuleDict(dict(discriminators))
    require_fit(own, modules.state_dict(), f"{file} does not fit {run / 'config.yaml'}")
    modules.load_state_dict(own)
    return {name: net.eval() for name, net in discriminators.items()}
