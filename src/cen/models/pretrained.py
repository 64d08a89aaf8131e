"""Weights of plain ResNets and MiTs: from the web, from a file, and out of a trained network."""

from __future__ import annotations

import hashlib
import os
import re
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cen.errors import CheckpointError, ConfigError, StreamError, described, did_you_mean
from cen.files import write_atomically
from cen.models.baselines import FusedNetwork
from cen.models.foreign_weights import fill, read_tensors, require_fit
from cen.models.mit import MiT, renamed
from cen.models.network import ChannelExchangeNetwork
from cen.models.resnet import ResNet

IMAGENET = {
    18: "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    34: "https://download.pytorch.org/models/resnet34-b627a593.pth",
    50: "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    101: "https://download.pytorch.org/models/resnet101-63fe2227.pth",
    152: "https://download.pytorch.org/models/resnet152-394f9c45.pth",
}
"""PyTorch's own ImageNet weights (torchvision's ``IMAGENET1K_V1``), by depth."""


GIVE_WEIGHTS = (
    "give the file: --model.weights FILE (model.weights in a configuration, weights= in Python); "
    "or start from random weights: --model.weights null (in Python without weights)"
)
"""How a file of weights is named, for messages."""

# How torch.hub is told the start of a file's SHA-256. Shorter numbers are versions or depths, which
# it would take for one, too: resnet-50.pth.
_HASHED = re.compile(r"-([0-9a-f]{8,})\.[^/]*$")


def load_pretrained(encoder: nn.Module, weights: str | Path) -> None:
    """Load pretrained weights into a plain ResNet or MiT, in place.

    Args:
        encoder: a `ResNet` or `MiT`, of its usual width for ``"imagenet"``.
        weights: ``"imagenet"`` for PyTorch's own weights of a ResNet, a URL, or a local ``.pth`` or
            ``.safetensors`` file with the keys of torchvision's ResNet, such as `save_encoder`
            writes, or of the authors' MiT. The classifier is left out.
    """
    if not isinstance(weights, str | os.PathLike):
        raise ConfigError(
            f"weights is 'imagenet' or the path of a file, not {described(weights)}; load what is "
            "in memory with load_state_dict"
        )
    if isinstance(encoder, MiT):
        _load_mit(encoder, str(weights))
        return
    if not isinstance(encoder, ResNet):
        raise ConfigError(
            "weights are those of ResNets or MiTs, and this encoder is none; leave them out, or "
            "load them with load_state_dict"
        )
    name = f"ResNet-{encoder.depth}"
    if str(weights) == "imagenet" and encoder.width != 64:
        raise CheckpointError(
            f"weights='imagenet' cannot be loaded into a {name} of width {encoder.width}: they "
            "exist for width 64 alone; leave out width or weights, or give a file of that width"
        )
    source = IMAGENET[encoder.depth] if str(weights) == "imagenet" else str(weights)
    state = read_weights(source, name)
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    fill(encoder, state, f"{source} does not hold a {name} of width {encoder.width}")


def read_weights(source: str, name: str) -> dict[str, Tensor]:
    """The weights of an encoder in a file or at a URL."""
    fetched = source.startswith(("http://", "https://"))
    state = download(source, GIVE_WEIGHTS) if fetched else read_tensors(source)
    if any(key.startswith("encoder.") for key in state):
        raise CheckpointError(
            f"{source} holds a whole network, not the weights of a {name}. To train it on, also "
            "with other classes or inputs: cen train --from RUN (docs/training.md), in Python "
            "cen.finetune(cen.load(FILE), outputs=...); for its encoder alone, write that with "
            "cen.save_encoder(net, FILE, stream) and give the file"
        )
    return state


def _load_mit(encoder: MiT, weights: str) -> None:
    name = f"MiT-B{encoder.number}"
    if weights == "imagenet":
        raise CheckpointError(
            f"the ImageNet weights of {name} are under a licence of their own (NVIDIA's, not for "
            f"commercial use) and are not fetched; download mit_b{encoder.number}.pth of the "
            f"authors (github.com/NVlabs/SegFormer) and {GIVE_WEIGHTS}"
        )
    state = renamed(read_weights(weights, name))
    fill(encoder, state, f"{weights} does not hold a {name} of width {encoder.width}")


def save_encoder(net: ChannelExchangeNetwork, path: str | Path, stream: str) -> None:
    """Write what one stream's encoder is as a plain ResNet, for ``weights=`` of `cen.build`.

    This project's extension: an encoder pretrained on one's own data, of any width. The file has
    the keys of torchvision's ResNet without the classifier, so other programs read it, too. What
    the stream got from others by exchange is not in it.

    Args:
        net: a trained network with a ResNet.
        path: the ``.safetensors`` file to write; it appears in one step.
        stream: the input whose norms (scales, shifts, statistics) are taken; its convolutions,
            too, where they are private.

    Raises:
        StreamError: if the network has no such input.
        CheckpointError: if the network has no plain ResNet for it (a U-Net, fused features, a
            first convolution that does not take three channels), or the file cannot be written.
    """
    if stream not in net.inputs:
        names = ", ".join(net.inputs)
        raise StreamError(f"no input {stream!r}{did_you_mean(stream, net.inputs)}; inputs: {names}")
    if not isinstance(net.encoder, ResNet) or isinstance(net, FusedNetwork):
        kind = net.config["fusion"] if isinstance(net, FusedNetwork) else net.config["encoder"]
        raise CheckpointError(
            f"the encoder of this network ({kind}) holds no plain ResNet of {stream!r}; save that "
            "of a network with a ResNet and streams of their own (fusion exchange or ensemble)"
        )
    plain = ResNet(net.encoder.depth, net.encoder.width).state_dict()
    state = net.encoder.state_dict()
    if stream in net.stems:
        state["conv1.weight"] = stem = net.stems[stream].state_dict()["weight"]
        if stem.shape[1] != 3:
            raise CheckpointError(
                f"the first convolution of {stream!r} takes {stem.shape[1]} channels, that of a "
                "plain ResNet 3; save another stream"
            )
    row = list(net.inputs).index(stream)
    # A layer that is private to the streams holds one row of its own shape for each.
    kept = {
        key: state[key] if state[key].shape == like.shape else state[key][row].reshape(like.shape)
        for key, like in plain.items()
        if key in state
    }
    require_fit(kept, plain, f"the encoder of {stream!r} is no plain ResNet")
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in kept.items()}
    write_atomically(path, partial(save_file, tensors), CheckpointError)


def download(url: str, give: str) -> dict[str, Tensor]:
    """Tensors of a ``.pth`` or ``.safetensors`` file on the web, cached by ``torch.hub``.

    For a URL that a person gave; nothing that stands in a file is fetched. What was fetched is read
    as any file of others is: no code in it is run. Where the name ends in the start of the file's
    SHA-256, as in ``resnet18-f37072fd.pth``, what was fetched must have it.

    Args:
        url: the address.
        give: how a file is named in its place, for the message where it cannot be fetched.

    Raises:
        CheckpointError: it could not be fetched, or holds no weights.
    """
    name = Path(urlsplit(url).path).name
    hashed = _HASHED.search(url)
    # Without a hash the same name may be another file at another place.
    name = name if hashed else f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name}"
    file = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not file.is_file():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            prefix = hashed[1] if hashed else None
            torch.hub.download_url_to_file(url, str(file), prefix, progress=False)
        except Exception as error:
            raise CheckpointError(
                f"{url} could not be fetched ({error}); download it on a machine that has a "
                f"network and {give}"
            ) from error
    return read_tensors(file)
