"""Blocks of transformers and of ConvNeXt, whose layer norms exchange channels or are plain."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cen.bench.scales import set_rate
from cen.bench.timing import Step
from cen.exchange import ExchangeRule, StreamLayerNorm, Streams, convert_layers
from cen.models.mit import HEADS, LAYOUTS, REDUCTIONS, Block

Kind = Literal["tokens", "maps"]
KINDS: tuple[Kind, ...] = ("tokens", "maps")
STREAMS = Streams(("rgb", "depth"))


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution, a norm and an MLP beside a shortcut.

    The norm sees maps (N, H, W, C).

    Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", CVPR 2022.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        inner = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        return x + cast(Tensor, self.fc2(F.gelu(self.fc1(inner)))).permute(0, 3, 1, 2)


class Blocks(nn.Module):
    """One block of each of the four stages, of a MiT-B2 (tokens) or a ConvNeXt-T (maps).

    Args:
        kind: what the norms see.
        rows: images of all streams together.
        size: height and width of the images.
        width: channels of the first stage; None: 64 for tokens, 96 for maps.
    """

    def __init__(
        self, kind: Kind, rows: int, size: tuple[int, int], width: int | None = None
    ) -> None:
        super().__init__()
        sizes = [(max(1, size[0] // s), max(1, size[1] // s)) for s in (4, 8, 16, 32)]
        self.sizes, self.kind = sizes, kind
        if kind == "tokens":
            widths = [(width or LAYOUTS[2][0]) * heads for heads in HEADS]
            blocks: list[nn.Module] = [
                Block(*options, drop_path=0.0)
                for options in zip(widths, HEADS, REDUCTIONS, strict=True)
            ]
            self.shapes: list[tuple[int, ...]] = [
                (rows, h * w, c) for (h, w), c in zip(sizes, widths, strict=True)
            ]
        else:
            widths = [(width or 96) << stage for stage in range(4)]
            blocks = [ConvNeXtBlock(width) for width in widths]
            self.shapes = [(rows, c, h, w) for (h, w), c in zip(sizes, widths, strict=True)]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """What each block makes of features of its shape."""
        pairs = zip(self.blocks, features, self.sizes, strict=True)
        if self.kind == "tokens":
            return [block(x, size) for block, x, size in pairs]
        return [block(x) for block, x, _ in pairs]


def layer_norm_blocks(
    kind: Kind, rows: int, size: tuple[int, int], width: int | None = None
) -> dict[str, Blocks]:
    """The three to compare; a tenth of the own channels of the first is exchanged.

    Tokens exchange after the norm before the MLP, maps after the one inside the branch, as the
    encoders of `cen.build` do.
    """
    plain = Blocks(kind, rows, size, width)
    where = "*.norm2" if kind == "tokens" else "*.norm"
    exchange = ExchangeRule()
    variants = {
        "exchange": convert_layers(copy.deepcopy(plain), STREAMS, where=where, exchange=exchange),
        "no exchange": convert_layers(copy.deepcopy(plain), STREAMS),
        "plain layer norm": plain,
    }
    set_rate(variants["exchange"], 0.1)
    return {name: cast(Blocks, blocks) for name, blocks in variants.items()}


def block_step(blocks: Blocks, training: bool, device: torch.device, compiled: bool) -> Step:
    """A forward pass of blocks; in training a backward pass, too."""
    blocks.to(device).train(training)
    features = [torch.randn(shape, device=device) for shape in blocks.shapes]
    forward: Callable[[list[Tensor]], list[Tensor]] = (
        torch.compile(blocks, fullgraph=True) if compiled else blocks
    )

    if not training:
        return torch.inference_mode()(lambda: forward(features))

    def train() -> None:
        outputs = forward([feature.detach().requires_grad_() for feature in features])
        torch.autograd.backward([value.sum() for value in outputs])
        for parameter in blocks.parameters():
            parameter.grad = None

    return train


def norm_step(blocks: Blocks, training: bool, device: torch.device) -> Step:
    """What the norms of blocks do in `block_step`, and nothing else, on inputs that they see there.

    A block's convolutions and products take fifty times as long and vary by more than the exchange
    costs; without them the difference between two kinds of norms is seen.
    """
    blocks.to(device).train(training)
    seen: list[tuple[nn.Module, Tensor]] = []

    def note(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append((norm, inputs[0].detach().clone()))  # laid out in memory as it is there

    norms = [m for m in blocks.modules() if isinstance(m, (nn.LayerNorm, StreamLayerNorm))]
    handles = [norm.register_forward_pre_hook(note) for norm in norms]
    with torch.no_grad():
        blocks([torch.randn(shape, device=device) for shape in blocks.shapes])
    for handle in handles:
        handle.remove()
    gradients = [torch.randn_like(norm_input) for _, norm_input in seen]

    @torch.inference_mode()
    def evaluate() -> None:
        for norm, norm_input in seen:
            norm(norm_input)

    def train() -> None:
        for (norm, norm_input), gradient in zip(seen, gradients, strict=True):
            torch.autograd.backward(norm(norm_input.requires_grad_()), gradient)
            norm_input.grad = None
        for parameter in blocks.parameters():
            parameter.grad = None

    return train if training else evaluate
