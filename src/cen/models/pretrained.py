"""ImageNet weights of ResNet encoders, from the web or from a local file."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from cen.errors import CheckpointError
from cen.models.files import read_tensors, require_fit
from cen.models.resnet import ResNet

IMAGENET = {
    18: "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    34: "https://download.pytorch.org/models/resnet34-b627a593.pth",
    50: "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    101: "https://download.pytorch.org/models/resnet101-63fe2227.pth",
    152: "https://download.pytorch.org/models/resnet152-394f9c45.pth",
}
"""PyTorch's own ImageNet weights (torchvision's ``IMAGENET1K_V1``), by depth."""


# How torch.hub is told the start of a file's SHA-256. Shorter numbers are versions or depths, which
# it would take for one, too: resnet-50.pth.
_HASHED = re.compile(r"-[0-9a-f]{8,}\.[^/]*$")


def load_pretrained(encoder: ResNet, weights: str | Path) -> None:
    """Load ImageNet weights into a plain ResNet, in place.

    Args:
        encoder: a ResNet of width 64.
        weights: ``"imagenet"`` for PyTorch's own weights, a URL, or a local ``.pth`` or
            ``.safetensors`` file with the keys of torchvision's ResNet. The classifier (``fc``)
            is left out.

    Raises:
        CheckpointError: if the width is not the pretrained one, the file cannot be fetched or
            read, or its keys or shapes are those of another network.
    """
    name = f"ResNet-{encoder.depth}"
    if encoder.width != 64:
        raise CheckpointError(
            f"weights={str(weights)!r} cannot be loaded into a {name} of width {encoder.width}: "
            "ImageNet weights exist for width 64 alone; leave out width or weights"
        )
    source = IMAGENET[encoder.depth] if str(weights) == "imagenet" else str(weights)
    state = download(source) if source.startswith(("http://", "https://")) else read_tensors(source)
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    # Weights saved before PyTorch 0.4.1 hold no batch counters; nothing reads them here.
    counters = {k: v for k, v in encoder.state_dict().items() if k.endswith("num_batches_tracked")}
    state = {**counters, **state}
    require_fit(state, encoder.state_dict(), f"{source} does not hold a {name}")
    encoder.load_state_dict(state)


def download(url: str) -> dict[str, Tensor]:
    """Tensors of a ``.pth`` file on the web, kept in the cache of ``torch.hub``.

    Where the name ends in the start of the file's SHA-256, as in ``resnet18-f37072fd.pth``, what
    was fetched must have it.

    Raises:
        CheckpointError: if it cannot be fetched or read, or has another hash than its name says.
    """
    try:
        state = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=bool(_HASHED.search(url))
        )
    except Exception as error:
        raise CheckpointError(
            f"{url} could not be fetched ({error}); download it elsewhere and give weights= the "
            "path of the file"
        ) from error
    return {key: value for key, value in state.items() if isinstance(value, Tensor)}
