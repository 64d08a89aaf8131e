"""Generators and discriminators in the layout of the released CEN code (arXiv 2011.05005).

The released image translation keeps each network as a flat state dict (``checkpoint-gen.pkl`` and
``checkpoint-dis.pkl``). Its blocks bear a norm also where none is used: in the first and the last
convolution of either half. Such norms do not exist here; they are recreated, as they were drawn,
where a checkpoint is written in the released layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from cen.errors import CheckpointError
from cen.exchange import ExchangeRule, StreamNorm, exchange_layers
from cen.models.builders import build
from cen.models.network import ChannelExchangeNetwork
from cen.models.patchgan import PatchGAN
from cen.models.released_layout import NORM, Entry, drawn, filled, written

OUTPUT = "image"
"""Name of the output of a generator read from a released checkpoint."""

THRESHOLD = 1e-2
"""θ of the released translation; it is not in the checkpoint."""


def is_generator(state: Mapping[str, Tensor]) -> bool:
    """Whether a flat state dict is that of a released generator."""
    return "deconv1.deconv.module.weight" in state


def is_discriminator(state: Mapping[str, Tensor]) -> bool:
    """Whether a flat state dict is that of a released discriminator."""
    return "conv1.insnorm.module.weight" in state


def exchanges(net: ChannelExchangeNetwork) -> bool:
    """Whether any layer of a network replaces channels."""
    rules = [layer.exchange for layer in exchange_layers(net).values()]
    return any(rule is not None and rule.enabled for rule in rules)


def load_generator(
    state: Mapping[str, Tensor], inputs: Mapping[str, int], threshold: float, where: str
) -> ChannelExchangeNetwork:
    """The network of a released generator, in eval mode, with one output ``"image"``.

    Args:
        state: flat state dict without prefixes.
        inputs: channels of each stream by name, as many as the checkpoint has.
        threshold: scales below it are replaced, in any channel (scope ``"any"``), as released.
        where: what error messages call the checkpoint.
    """
    depth = len({m[1] for key in state if (m := re.match(r"conv(\d+)\.conv\.", key))})
    last = f"deconv{depth}.deconv.module.bias"
    for key in ("conv1.conv.module.weight", last):
        if key not in state:
            raise CheckpointError(f"{where} is no released generator: {key} is missing")
    filters = state["conv1.conv.module.weight"].shape[:1].numel()
    make = partial(
        build,
        "unet",
        encoder=f"unet{depth}",
        inputs=inputs,
        outputs={OUTPUT: {"kind": "image", "channels": state[last].numel()}},
        width=None if filters == 64 else filters,
        exchange=ExchangeRule(threshold, "any"),
    )
    return filled(make, _generator, state, f"{where} does not have the released layout")


def generator_state_dict(net: ChannelExchangeNetwork) -> dict[str, Tensor]:
    """The weights of a U-Net under the released names.

    The layout does not say which channels may be replaced: the released code replaces any below
    the threshold. So a network of scope ``"own"`` is written, but read back with scope ``"any"``.
    """
    options = net.config
    generated = [task.rules.generated for task in net.outputs.values()]
    if (
        options["name"] != "unet"
        or generated != [True]
        or (options["norm"], options["convolution"]) != ("private", "shared")
        or options["statistics"] != "running"
        or options.get("first_norm") is not None
        or options["decoder_exchange"]
        or options["fusion"] not in ("exchange", "ensemble")
        or options["exchange_stages"] is not None
        or options["exchange"]["guide"] != "scale"
        or (len(net.inputs) > 1 and not exchanges(net))
        or len(net.stems) > 0
    ):
        raise CheckpointError(
            "the released layout holds a U-Net with one image as output, inputs of 1 or 3 "
            "channels, shared convolutions, private norms with running statistics, exchange by "
            "scales in every stage of the encoder and none in the decoder; save this network with "
            "cen.save"
        )
    return _generator(net)


def _generator(net: ChannelExchangeNetwork) -> dict[str, Tensor]:
    return written(net, _generator_entries(net)) | drawn(_unused_generator_norms(net))


def load_discriminator(state: Mapping[str, Tensor], where: str) -> PatchGAN:
    """The released discriminator, in eval mode; it returns logits, not probabilities."""
    count = len({m[1] for key in state if (m := re.match(r"conv(\d+)\.conv\.", key))})
    first = state.get("conv1.conv.module.weight")
    if first is None or first.ndim != 4 or count < 4:
        raise CheckpointError(f"{where} is no released discriminator: its convolutions are missing")
    make = partial(PatchGAN, first.shape[1], first.shape[0], layers=count - 2)
    return filled(make, _discriminator, state, f"{where} does not have the released layout")


def discriminator_state_dict(net: PatchGAN) -> dict[str, Tensor]:
    """The weights of a discriminator under the released names."""
    if net.config["statistics"] != "running":
        raise CheckpointError(
            "the norms of a released discriminator keep running statistics; this one has none"
        )
    return _discriminator(net)


def _discriminator(net: PatchGAN) -> dict[str, Tensor]:
    return written(net, _discriminator_entries(net)) | drawn(_unused_discriminator_norms(net))


def _generator_entries(net: ChannelExchangeNetwork) -> Iterator[Entry]:
    output, depth = next(iter(net.outputs)), _depth(net)
    yield "alpha", f"alpha.{output}", None
    halves = [("conv1", "conv", "encoder.conv1")]
    for level in range(depth - 1):
        halves.append((f"conv{level + 2}", "conv", f"encoder.downs.{level}.conv"))
        halves.append((f"deconv{level + 1}", "deconv", f"decoder.ups.{level}.conv"))
    halves.append((f"deconv{depth}", "deconv", f"heads.{output}.conv"))
    norms = {name for name, layer in net.named_modules() if isinstance(layer, StreamNorm)}
    for block, word, conv in halves:
        for tensor in ("weight", "bias"):
            yield f"{block}.{word}.module.{tensor}", f"{conv}.{tensor}", None
        norm = conv.removesuffix("conv") + "norm"
        if norm in norms:
            for stream in range(len(net.inputs)):
                for tensor in NORM:
                    released = f"{block}.insnorm_{word}.insnorm_{stream}.{tensor}"
                    yield released, f"{norm}.{tensor}", stream


def _unused_generator_norms(net: ChannelExchangeNetwork) -> dict[str, int]:
    """Channels of the norms that the released layout holds and nothing uses, by prefix."""
    depth = _depth(net)
    encoder: Any = net.encoder
    widths = encoder.channels
    blocks = {
        "conv1.insnorm_conv": widths[0],
        f"conv{depth}.insnorm_conv": widths[-1],
        f"deconv{depth}.insnorm_deconv": next(iter(net.outputs.values())).channels,
    }
    return {
        f"{block}.insnorm_{stream}": channels
        for block, channels in blocks.items()
        for stream in range(len(net.inputs))
    }


def _discriminator_entries(net: PatchGAN) -> Iterator[Entry]:
    for number in range(len(net.convs)):
        for tensor in ("weight", "bias"):
            yield f"conv{number + 1}.conv.module.{tensor}", f"convs.{number}.{tensor}", None
    for number in range(len(net.norms)):
        for tensor in NORM:
            yield f"conv{number + 2}.insnorm.module.{tensor}", f"norms.{number}.{tensor}", None


def _unused_discriminator_norms(net: PatchGAN) -> dict[str, int]:
    first: Any = net.convs[0]
    return {
        "conv1.insnorm.module": int(first.out_channels),
        f"conv{len(net.convs)}.insnorm.module": 1,
    }


def _depth(net: ChannelExchangeNetwork) -> int:
    encoder: Any = net.encoder
    return int(encoder.depth)
