"""Convolutions of their own for single streams, or for those of an exchange group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cen.errors import ConversionError
from cen.exchange.conversion.replacement import fault_of_layer
from cen.exchange.streams import Streams, narrow, widen


def private_convolutions(
    layers: Iterable[tuple[nn.Module, Sequence[str]]], streams: Streams, by_group: bool = False
) -> dict[int, nn.Module]:
    """What takes the place of each convolution, by ``id``; kernels that two share stay shared.

    Args:
        layers: Every layer of a network, and its names.
        streams: The streams.
        by_group: The streams of an exchange group share a kernel.

    Raises:
        ConversionError: One of them is no plain convolution.
    """
    made: dict[int, nn.Module] = {}
    tied: dict[int, nn.Parameter] = {}
    for layer, names in layers:
        if not isinstance(layer, nn.Conv2d):
            continue
        kind: Any = type(layer)
        fault = fault_of_layer(layer)
        if (
            kind.forward is not nn.Conv2d.forward
            or kind._conv_forward is not nn.Conv2d._conv_forward
        ):
            fault = fault or "has a forward of its own, which would be lost"
        if fault:
            raise ConversionError(
                f"convolution={'group' if by_group else 'private'!r}: {names[0]!r} "
                f"({kind.__name__}) {fault}; or let the "
                "streams share their convolutions"
            )
        private = made[id(layer)] = StreamConv2d(layer, streams, by_group)
        for key, source in layer.named_parameters(recurse=False):
            setattr(private, key, tied.setdefault(id(source), getattr(private, key)))
    return made


class StreamConv2d(nn.Module):
    """A convolution with one kernel per stream (ablation "unshared convolution" of the paper).

    Or one per exchange group (this project's extension). On the wide view it is one grouped
    convolution. Made from a plain convolution, whose kernel every stream starts from.

    Args:
        conv: The plain convolution.
        streams: The streams of this part of the network.
        by_group: The streams of an exchange group share a kernel.

    Attributes:
        kernels: By stream, which of the K kernels it takes.
        weight: (K, O, I / groups, kh · kw); four axes, because ``.to(memory_format=channels_last)``
            takes no parameter with more. bias: (K, O) or None.
    """

    bias: nn.Parameter | None

    def __init__(self, conv: nn.Conv2d, streams: Streams, by_group: bool = False) -> None:
        super().__init__()
        self.streams = streams
        self.kernels: tuple[int, ...] = streams.every
        if by_group:
            groups = enumerate(streams.groups)
            kernel = {stream: number for number, group in groups for stream in group}
            self.kernels = tuple(kernel[stream] for stream in streams.every)
        count = max(self.kernels) + 1
        self.stride, self.dilation, self.groups = conv.stride, conv.dilation, conv.groups
        self.padding, self.padding_mode = conv.padding, conv.padding_mode
        # The border to add beforehand where the convolution itself cannot (reflect, …).
        self.border: list[int] = conv._reversed_padding_repeated_twice
        self.kernel_size = conv.kernel_size
        self.weight = _repeat(conv.weight.flatten(2), count, conv.weight.requires_grad)
        self.bias = (
            None if conv.bias is None else _repeat(conv.bias, count, conv.bias.requires_grad)
        )
        self.train(conv.training)

    def extra_repr(self) -> str:
        """What ``print(net)`` shows of the layer."""
        return f"{tuple(self.weight.shape)}, streams={list(self.streams.names)}"

    def forward(self, packed: Tensor) -> Tensor:
        """(B·S, I, H, W) → (B·S, O, H', W'), each stream by its kernel."""
        streams = len(self.streams.active)
        return narrow(self.of_wide(widen(packed, streams)), streams)

    def of_wide(self, wide: Tensor) -> Tensor:
        """(B, S·I, H, W) → (B, S·O, H', W') of the active streams."""
        active = self.streams.active
        weight, bias, padding = self.weight, self.bias, self.padding
        kernels = [self.kernels[stream] for stream in active]
        if kernels != [*range(len(weight))]:
            weight = torch.stack([weight[i] for i in kernels])  # type: ignore[assignment]
            bias = None if bias is None else torch.stack([bias[i] for i in kernels])  # type: ignore[assignment]
        if self.padding_mode != "zeros":
            wide, padding = F.pad(wide, self.border, mode=self.padding_mode), (0, 0)
        return F.conv2d(
            wide,
            weight.reshape(-1, weight.shape[2], *self.kernel_size),
            None if bias is None else bias.flatten(),
            self.stride,
            padding,
            self.dilation,
            self.groups * len(active),
        )


def _repeat(parameter: Tensor, count: int, requires_grad: bool) -> nn.Parameter:
    values = parameter.detach().expand(count, *parameter.shape).clone()
    return nn.Parameter(values, requires_grad=requires_grad)
