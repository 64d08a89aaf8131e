"""Checkpoints in the layout of the released CEN code (arXiv 2011.05005).

There every convolution sits in a wrapper (``conv1.module.weight``), the norms of stream s are
named ``bn_s``, and the decoder has the names of the original RefineNet code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import Tensor

from cen.errors import CheckpointError, StreamError
from cen.exchange import ExchangeRule, StreamNorm, partial_statistics
from cen.files import write_atomically
from cen.models.builders import build
from cen.models.foreign_weights import read_pickle, tensors_of
from cen.models.network import ChannelExchangeNetwork
from cen.models.patchgan import PatchGAN
from cen.models.released_layout import Entry, count_streams, filled, written
from cen.models.released_unet import (
    THRESHOLD,
    discriminator_state_dict,
    exchanges,
    generator_state_dict,
    is_discriminator,
    is_generator,
    load_discriminator,
    load_generator,
)
from cen.models.resnet import LAYOUTS, BasicBlock

BASIC = ("resnet18", "resnet34")
"""Encoders of basic blocks, in which the released code never exchanges."""

OUTPUT = "segmentation"
"""Name of the output of a network read from a released checkpoint."""


Part = Literal["network", "discriminator"]


@overload
def load_released(
    source: str | Path | Mapping[str, Any],
    inputs: Sequence[str] | Mapping[str, int] = ...,
    threshold: float | None = ...,
    part: Literal["network"] = ...,
) -> ChannelExchangeNetwork: ...


@overload
def load_released(
    source: str | Path | Mapping[str, Any],
    inputs: Sequence[str] | Mapping[str, int] = ...,
    threshold: float | None = ...,
    *,
    part: Literal["discriminator"],
) -> PatchGAN: ...


def load_released(
    source: str | Path | Mapping[str, Any],
    inputs: Sequence[str] | Mapping[str, int] | None = None,
    threshold: float | None = None,
    part: Part = "network",
) -> ChannelExchangeNetwork | PatchGAN:
    """Build a network from a checkpoint of the released segmentation or translation code.

    Depth, widths, number of streams and classes are read off the keys and shapes, and so is
    whether it is a RefineNet or a U-Net generator. The released code replaces any channel below
    the threshold (scope ``"any"``). Files are read without running code: beside tensors they may
    hold plain values and NumPy numbers (``best_val``).

    Args:
        source: a file of ``torch.save``, or what it holds: a state dict, with or without the
            ``module.`` prefix of DataParallel, alone or as the entry ``"segmenter"``.
        inputs: names of the streams in the order of the checkpoint, for three channels each, or
            the channels of each, 1 or 3, by name. None for ``"rgb"`` and ``"depth"``, or for a
            generator ``"input0"``, ``"input1"``, ... as many as it has.
        threshold: scales below it are replaced. It is not in the checkpoint; None for the released
            values, 2e-2 for segmentation and 1e-2 for translation.
        part: ``"discriminator"`` to read a discriminator of the translation code; it takes neither
            names nor a threshold and returns logits, not probabilities.

    Returns:
        The network, in eval mode, with one output: ``"segmentation"``, or ``"image"`` for a
        generator.

    Raises:
        CheckpointError: if the file is missing, damaged or unsafe, or the keys or shapes are not
            those of a released RefineNet, generator or discriminator.
        StreamError: if the number of names is not the number of streams.
    """
    where = str(source) if isinstance(source, str | Path) else "the state dict"
    content = read_pickle(source) if isinstance(source, str | Path) else source
    state = _flatten(content, where)
    if is_discriminator(state) != (part == "discriminator"):
        content_kind = "a discriminator" if is_discriminator(state) else "no discriminator"
        part = "discriminator" if is_discriminator(state) else "network"
        raise CheckpointError(f"{where} holds {content_kind}; read it with part={part!r}")
    if part == "discriminator":
        return load_discriminator(state, where)
    if is_generator(state):
        norm = "conv2.insnorm_conv.insnorm_"
        streams = count_streams(state, norm, f"{where} is no released generator")
        if inputs is None:
            inputs = [f"input{number}" for number in range(streams)]
        names = _name_streams(inputs, streams, where)
        return load_generator(state, names, THRESHOLD if threshold is None else threshold, where)
    streams = count_streams(state, "bn1.bn_", f"{where} is no released RefineNet")
    names = _name_streams(inputs or ("rgb", "depth"), streams, where)
    return _load_refinenet(state, names, 2e-2 if threshold is None else threshold, where)


def _name_streams(
    inputs: Sequence[str] | Mapping[str, int], streams: int, where: str
) -> dict[str, int]:
    """Channels of every stream, by name."""
    names = dict(inputs) if isinstance(inputs, Mapping) else dict.fromkeys(inputs, 3)
    if len(names) != streams:
        raise StreamError(
            f"{where} holds {streams} streams but inputs names {len(names)} "
            f"({', '.join(names)}); give one name per stream, in order"
        )
    if any(channels not in (1, 3) for channels in names.values()):
        raise StreamError(f"released streams take 1 or 3 channels, not {names}")
    return names


def _load_refinenet(
    state: dict[str, Tensor], names: Mapping[str, int], threshold: float, where: str
) -> ChannelExchangeNetwork:
    architecture = _architecture(state, where)
    # The released code exchanges in bottlenecks alone, so a ResNet-18 or 34 of its never does.
    basic = architecture["encoder"] in BASIC
    rule = ExchangeRule(threshold, "any", "none" if basic else "own", enabled=not basic)
    make = partial(build, "refinenet", **architecture, inputs=names, exchange=rule)
    return filled(make, released_state_dict, state, f"{where} is no released RefineNet")


def released_state_dict(net: ChannelExchangeNetwork | PatchGAN) -> dict[str, Tensor]:
    """The weights of a network under the released names, without the ``module.`` prefix.

    Norms that the released layout holds although nothing uses them are written as first drawn.

    Raises:
        CheckpointError: if the released code has no such network: several outputs, norms in the
            decoder (but for a U-Net), private stems or convolutions, shared norms, another fusion,
            or another exchange than by scales wherever the released code exchanges.
    """
    if isinstance(net, PatchGAN):
        return discriminator_state_dict(net)
    if net.config["name"] == "unet":
        return generator_state_dict(net)
    return written(net, _entries(net))


def save_released(net: ChannelExchangeNetwork | PatchGAN, path: str | Path) -> None:
    """Write a network as a checkpoint that the released code loads.

    A segmentation network gives the file of ``torch.save({"segmenter": state dict})``, with the
    ``module.`` prefix; a generator or discriminator that of ``torch.save(state dict)``.

    The file holds no exchange rule. The released code, and `load_released`, replace any channel
    below the threshold (scope ``"any"``); so a network of scope ``"own"`` gives other outputs there
    where a scale is that small in a part that is not the stream's own.

    Raises:
        CheckpointError: if the released code has no such network or the file cannot be written.
    """
    state = {key: value.detach().cpu().clone() for key, value in released_state_dict(net).items()}
    content: dict[str, Any] = dict(state)
    if not isinstance(net, PatchGAN) and net.config["name"] != "unet":
        content = {"segmenter": {f"module.{key}": value for key, value in state.items()}}
    write_atomically(path, partial(torch.save, content), CheckpointError)


def _flatten(content: Any, where: str) -> dict[str, Tensor]:
    """The state dict inside a checkpoint, without prefixes."""
    if isinstance(content, Mapping) and isinstance(content.get("segmenter"), Mapping):
        content = content["segmenter"]
    tensors = tensors_of(content, where)
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def _architecture(state: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """Arguments of `build` that follow from the keys and shapes."""
    blocks = [
        len({m[1] for key in state if (m := re.match(rf"layer{stage}\.(\d+)\.", key))})
        for stage in range(1, 5)
    ]
    basic = not any(".conv3." in key for key in state)
    layouts = {depth: (block is BasicBlock, counts) for depth, (block, counts) in LAYOUTS.items()}
    depths = [depth for depth, layout in layouts.items() if layout == (basic, tuple(blocks))]
    if not depths:
        raise CheckpointError(f"{where} is of no known ResNet: its stages have {blocks} blocks")
    for key in ("conv1.module.weight", "clf_conv.module.weight", "clf_conv.module.bias"):
        if key not in state:
            raise CheckpointError(f"{where} is no released RefineNet: {key} is missing")
        if state[key].ndim != (1 if key.endswith("bias") else 4):
            shape = tuple(state[key].shape)
            raise CheckpointError(f"{where} is no released RefineNet: {key} has shape {shape}")
    classes, channels = state["clf_conv.module.weight"].shape[:2]
    width = state["conv1.module.weight"].shape[0]
    return {
        "encoder": f"resnet{depths[0]}",
        "outputs": {OUTPUT: classes},
        "width": None if width == 64 else width,
        "decoder_channels": None if channels == 256 else channels,
    }


def _entries(net: ChannelExchangeNetwork) -> Iterator[Entry]:
    """The layout of a RefineNet; refuses networks that the released code does not have."""
    norms = {name for name, layer in net.named_modules() if isinstance(layer, StreamNorm)}
    options = net.config
    if (
        options["name"] != "refinenet"
        or list(net.outputs) != [OUTPUT]
        or options["decoder_norm"] != "none"
        or options["norm"] != "private"
        or options["convolution"] != "shared"
        or options["fusion"] not in ("exchange", "ensemble")
        or options["exchange_stages"] is not None
        or options["exchange"]["guide"] != "scale"
        or len(net.stems) > 0
        or (options["encoder"] in BASIC and len(net.inputs) > 1 and exchanges(net))
    ):
        raise CheckpointError(
            "the released layout holds a RefineNet with the one output 'segmentation', inputs of "
            "1 or 3 channels, shared convolutions, private norms, none in the decoder, exchange "
            "by scales in every stage or, with ResNet-18 or 34, in none; save this network with "
            "cen.save"
        )
    for key in net.state_dict():
        layer, _, tensor = key.rpartition(".")
        if tensor in partial_statistics.NAMES:
            continue  # the released code runs with all streams
        if layer in norms:
            released = layer.removeprefix("encoder.")
            for stream in range(len(net.inputs)):
                yield f"{released}.bn_{stream}.{tensor}", key, stream
        elif layer == "alpha":
            yield "alpha", key, None
        elif layer.startswith("heads."):
            yield f"clf_conv.module.{tensor}", key, None
        elif layer.startswith("encoder."):
            yield f"{layer.removeprefix('encoder.')}.module.{tensor}", key, None
        else:
            yield f"{_decoder_name(layer)}.module.{tensor}", key, None


_DECODER_NAMES = (
    (r"reduce", "p_ims1d2_outl{level}_dimred"),
    (r"adapt\.(\d)\.conv1", "adapt_stage{level}_b.0.{block}_conv"),
    (r"adapt\.(\d)\.conv2", "adapt_stage{level}_b.0.{block}_conv_relu_varout_dimred"),
    (r"merge", "adapt_stage{level}_b2_joint_varout_dimred"),
    (r"pool\.convs\.(\d)", "mflow_conv_g{level}_pool.0.{block}_outvar_dimred"),
    (r"refine\.(\d)\.conv1", "mflow_conv_g{level}_b.0.{block}_conv"),
    (r"refine\.(\d)\.conv2", "mflow_conv_g{level}_b.0.{block}_conv_relu_varout_dimred"),
    (r"project", "mflow_conv_g{level}_b3_joint_varout_dimred"),
)
"""Released name of every convolution of a decoder level; levels and blocks are counted from 1."""


def _decoder_name(layer: str) -> str:
    for pattern, released in _DECODER_NAMES:
        if match := re.fullmatch(rf"decoder\.levels\.(\d)\.{pattern}\.conv", layer):
            numbers = [int(group) + 1 for group in match.groups()]
            return released.format(level=numbers[0], block=numbers[-1])
    raise CheckpointError(f"{layer} has no counterpart in the released layout")
