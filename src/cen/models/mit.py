"""The Mix Transformer (MiT), encoder of SegFormer, written as a plain single-stream network.

Xie, Wang, Yu, Anandkumar, Alvarez, Luo, "SegFormer: Simple and Efficient Design for Semantic
Segmentation with Transformers", NeurIPS 2021. Weights with the names of the authors' files load.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cen.errors import ConfigError
from cen.models.resnet import stage_maps

HEADS = (1, 2, 5, 8)
"""Heads of the attention of each stage, and its channels as multiples of the width."""

REDUCTIONS = (8, 4, 2, 1)
"""By how much keys and values are shrunk in each stage, along height and width."""

LAYOUTS: dict[int, tuple[int, tuple[int, int, int, int]]] = {
    0: (32, (2, 2, 2, 2)),
    1: (64, (2, 2, 2, 2)),
    2: (64, (3, 4, 6, 3)),
    3: (64, (3, 4, 18, 3)),
    4: (64, (3, 8, 27, 3)),
    5: (64, (3, 6, 40, 3)),
}
"""Width and number of blocks in each of the four stages, by the number of the MiT."""

_EXPANSION = 4
_NAMES = (
    (r"^patch_embed1\.proj\.", "conv1."),
    (r"^patch_embed(\d)\.proj\.", r"stage\1.embed."),
    (r"^patch_embed(\d)\.norm\.", r"stage\1.embed_norm."),
    (r"^block(\d)\.", r"stage\1.blocks."),
    (r"^norm(\d)\.", r"stage\1.norm."),
    (r"\.dwconv\.dwconv\.", ".dwconv."),
)


class Attention(nn.Module):
    """Self-attention whose keys and values are those of a coarser map."""

    sees_whole = "attention"

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.sr: nn.Module | None = None
        if reduction > 1:
            self.sr = nn.Conv2d(channels, channels, reduction, reduction)
            self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens (N, H·W, C) of a map of ``size`` to the same shape."""
        coarse = x
        if self.sr is not None:
            coarse = self.norm(tokens(self.sr(as_map(x, size))))
        query = self._split(self.q(x), 1)[0]
        key, value = self._split(self.kv(coarse), 2)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return cast(Tensor, self.proj(mixed.transpose(1, 2).flatten(2)))

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(N, L, parts · C) as ``parts`` tensors (N, heads, L, C / heads)."""
        return torch.unflatten(x, 2, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)


class MixMLP(nn.Module):
    """Two linear layers with a depthwise 3x3 convolution between, which tells positions apart."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels * _EXPANSION
        self.fc1 = nn.Linear(channels, inner)
        self.dwconv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.fc2 = nn.Linear(inner, channels)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens (N, H·W, C) of a map of ``size`` to the same shape."""
        inner = tokens(self.dwconv(as_map(self.fc1(x), size)))
        return cast(Tensor, self.fc2(F.gelu(inner)))


class Block(nn.Module):
    """Attention and an MLP, each behind a layer norm and beside a shortcut.

    Args:
        channels: C.
        heads: heads of the attention.
        reduction: see `REDUCTIONS`.
        drop_path: probability with which a branch of a row is left out in training.
    """

    def __init__(self, channels: int, heads: int, reduction: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = Attention(channels, heads, reduction)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = MixMLP(channels)
        self.drop_path = drop_path

    def forward(self, x: Tensor, size: tuple[int, int], fusion: nn.Module | None = None) -> Tensor:
        """Map tokens (N, H·W, C) of a map of ``size`` to the same shape; see `Stage.fusion`."""
        mixed = self.attn(self.norm1(x), size)
        if fusion is not None:
            mixed = fusion(as_map(x, size), mixed)
        x = x + self._sometimes(mixed)
        return x + self._sometimes(self.mlp(self.norm2(x), size))

    def _sometimes(self, branch: Tensor) -> Tensor:
        """The branch of some rows, enlarged so that the mean stays (stochastic depth)."""
        if not self.training or not self.drop_path:
            return branch
        keep = 1 - self.drop_path
        kept = torch.rand(len(branch), 1, 1, device=branch.device) < keep
        return branch * (kept.to(branch.dtype) / keep)


class Stage(nn.Module):
    """Overlapping patches, blocks, and a norm: from one feature map to the next.

    The convolution of the first stage is the encoder's ``conv1``.

    Attributes:
        fusion: what is done with the tokens that each attention gives, called with the map that its
            block was given and these; None: nothing.
    """

    fusion: nn.Module | None

    def __init__(
        self, before: int | None, channels: int, heads: int, reduction: int, drops: list[float]
    ) -> None:
        super().__init__()
        self.embed = nn.Identity() if before is None else nn.Conv2d(before, channels, 3, 2, 1)
        self.embed_norm = nn.LayerNorm(channels)
        self.blocks = nn.ModuleList(Block(channels, heads, reduction, drop) for drop in drops)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.fusion = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, before, H, W) to (N, channels, ceil(H / 2), ceil(W / 2)); first stage: (H, W)."""
        x = self.embed(x)
        size = (x.shape[-2], x.shape[-1])
        x = self.embed_norm(tokens(x))
        for block in self.blocks:
            x = block(x, size, self.fusion)
        return as_map(self.norm(x), size)


def tokens(x: Tensor) -> Tensor:
    """(N, C, H, W) as (N, H·W, C)."""
    return x.flatten(2).transpose(1, 2)


def as_map(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, H·W, C) as (N, C, H, W)."""
    return torch.unflatten(x.transpose(1, 2), 2, size)


class MiT(nn.Module):
    """A Mix Transformer: four feature maps at strides 4, 8, 16 and 32.

    Args:
        number: 0 to 5, as in MiT-B0.
        width: channels of the first stage; None: 32 for MiT-B0, 64 for the others.
        drop_path: stochastic depth of the last block, falling to 0 in the first; 0.1 in the paper.

    Attributes:
        channels: channels of the four feature maps, finest first.
        exchanging: pattern of the names of the norms after which channels are exchanged: those
            before an MLP (this project's extension).
        stages: names of the modules that give the feature maps, which follow one another.

    Raises:
        ConfigError: there is no such MiT, or the width is below 1.
    """

    stages = ("stage1", "stage2", "stage3", "stage4")
    exchanging = "stage*.blocks.*.norm2"

    def __init__(self, number: int, width: int | None = None, drop_path: float = 0.1) -> None:
        super().__init__()
        if number not in LAYOUTS:
            raise ConfigError(f"there is no MiT-B{number}; there are B0 to B{max(LAYOUTS)}")
        usual, counts = LAYOUTS[number]
        self.number = number
        self.width = usual if width is None else width
        if self.width < 1:
            raise ConfigError(f"the width of a MiT is at least 1, not {width}")
        self.channels = tuple(self.width * heads for heads in HEADS)
        self.conv1 = nn.Conv2d(3, self.width, 7, 4, 3)
        last = max(1, sum(counts) - 1)
        drops = [drop_path * index / last for index in range(sum(counts))]
        for index, name in enumerate(self.stages):
            before = None if index == 0 else self.channels[index - 1]
            here, drops = drops[: counts[index]], drops[counts[index] :]
            stage = Stage(before, self.channels[index], HEADS[index], REDUCTIONS[index], here)
            setattr(self, name, stage)
        for module in self.modules():
            _draw(module)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map an image (N, 3, H, W) to its feature maps at strides 4, 8, 16 and 32."""
        return self.body(self.conv1(x))

    def body(self, x: Tensor, after: Callable[[int, Tensor], Tensor] | None = None) -> list[Tensor]:
        """Map what the first convolution gave, (N, width, H/4, W/4); see `ResNet.body`."""
        return stage_maps(self, self.stages, x, after)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the authors' files with the names of `MiT`, without the classifier."""
    weights = {}
    for key, value in state.items():
        for pattern, name in _NAMES:
            key = re.sub(pattern, name, key)
        if not key.startswith("head."):
            weights[key] = value
    return weights


def _draw(module: nn.Module) -> None:
    """Draws initial weights as the authors do."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Conv2d):
        outputs = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, 0.0, (2 / (outputs // module.groups)) ** 0.5)
    if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
        nn.init.zeros_(module.bias)
