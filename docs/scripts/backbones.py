"""Prints the table of encoders of docs/backbones.md: ``python docs/scripts/backbones.py``.

Built without values, so that it takes seconds; timm has to be installed.
"""

import re
import sys
from collections import Counter

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cen.exchange import StreamNorm, exchange_layers
from cen.models import build
from cen.models.foreign_weights import shadow_copy

ENCODERS = (
    "resnet18",
    "resnet50",
    "resnet101",
    "mit_b0",
    "mit_b2",
    "mit_b3",
    "timm/convnext_atto",
    "timm/convnext_tiny",
    "timm/swin_tiny_patch4_window7_224",
    "timm/tf_efficientnet_lite0",
    "timm/vit_small_patch14_dinov2",
)
SIZE = (480, 640)
SHORT = {"StreamBatchNorm": "batch", "StreamLayerNorm": "layer"}


def row(name: str) -> str:
    """The line of one encoder."""
    net = build("segformer", encoder=name, inputs={"a": 3, "b": 3}, outputs={"s": 2}).eval()
    norms = [m for m in net.encoder.modules() if isinstance(m, StreamNorm)]
    own = sum(p.numel() for norm in norms for p in norm.parameters()) // 2
    count = sum(p.numel() for p in net.encoder.parameters()) - own
    shadow = shadow_copy(net).eval()
    image = torch.empty(1, 3, *sides(net.multiple), device="meta")
    with (
        torch.no_grad(),
        shadow.encoder_streams.activate(["a"]),
        FlopCounterMode(display=False) as counter,
    ):
        shadow._encode({"a": image}, ("a",))
    kinds = Counter(SHORT[type(norm).__name__] for norm in norms)
    said = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return (
        f"| `{name}` | {count / 1e6:.1f} | {counter.get_total_flops() / 2e9:.1f} | {said} | "
        f"{len(exchange_layers(net.encoder))} | {places(net)} | {net.multiple} |"
    )


def places(net: nn.Module) -> str:
    """After which norms of the encoder channels are exchanged, as patterns of their names."""
    exchanging = exchange_layers(net.encoder)
    if len(exchanging) == sum(isinstance(m, StreamNorm) for m in net.encoder.modules()):
        return "all"
    # The number of a stage or block, not the 2 of bn2; what stands before the first says nothing.
    patterns = (re.sub(r"(?<!bn)(?<!norm)\d+", "*", name) for name in exchanging)
    short = (re.sub(r"^[^*]*\*(\.\*)*", "*", pattern) for pattern in patterns)
    return ", ".join(f"`{pattern}`" for pattern in dict.fromkeys(short))


def sides(multiple: int) -> tuple[int, int]:
    """The size of an image, made a multiple as a network does."""
    height, width = (-(-side // multiple) * multiple for side in SIZE)
    return height, width


def table() -> str:
    """All lines."""
    head = "| encoder | params (M) | MACs (G) | norms | of them exchange | after | sizes |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *map(row, ENCODERS)])


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
