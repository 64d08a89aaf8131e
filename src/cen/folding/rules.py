"""How equality of channels travels through the operations of a network: the table.

===================================================  ==========================================
operation                                            common channels of the result
===================================================  ==========================================
pointwise function, pooling, resizing, padding       those of the operand
adding, multiplying, … two tensors                   those that are common in both
a number, or one value per channel                   those of the operand
joining, cutting, repeating channels                 joined, cut, repeated
convolution, linear layer                            all where all it reads are, else none
depthwise convolution, plain norm in eval mode       those of the operand
stream norm with exchange                            see `cen.folding.layers`
everything else                                      none: it gets the packed tensor
===================================================  ==========================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cen.folding.alike import BINARY, BINARY_IN_PLACE, IN_PLACE, POINTWISE, SPATIAL, methods
from cen.folding.convolution import Convolution, Deferred
from cen.folding.layers import behind
from cen.folding.reads import Reads
from cen.folding.recording import Recorded, recordable
from cen.folding.tensor import Folded, Layout, picked

TABLE: dict[Any, Callable[..., Any]] = {}
"""What is done with folded tensors, by function of torch."""


def rule(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a function the rule of some functions of torch; it may return NotImplemented."""

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            TABLE[function] = partial(handler, recordable(function))
        return handler

    return register


@rule(*POINTWISE, *SPATIAL)
def each_channel(function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """What is done to every channel alike keeps equal channels equal."""
    if not isinstance(x, Folded) or _foreign(*args, *kwargs.values()):
        return NotImplemented
    inplace = kwargs.pop("inplace", False)
    result = x.map(lambda value: function(value, *args, **kwargs))
    return x.become(result) if inplace else result


@rule(*IN_PLACE)
def each_channel_in_place(function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """As above, in place: whoever holds the tensor sees it changed."""
    if not isinstance(x, Folded) or _foreign(*args, *kwargs.values()):
        return NotImplemented
    # On a copy: pieces may be views of what others hold.
    return x.become(x.map(lambda value: function(value.clone(), *args, **kwargs)))


@rule(*methods("pad"))
def padding(function: Any, x: Any, pad: Any, *args: Any, **kwargs: Any) -> Any:
    """Borders in space only."""
    if not isinstance(x, Folded) or len(pad) > 2 * (x.ndim - 2):
        return NotImplemented
    return x.map(lambda value: function(value, pad, *args, **kwargs))


@rule(*methods("mean sum amax amin std var"))
def over_space(function: Any, x: Any, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
    """Reductions over axes of space."""
    if not isinstance(x, Folded) or dim is None:
        return NotImplemented
    axes = [axis % x.ndim for axis in ([dim] if isinstance(dim, int) else dim)]
    if any(axis < 2 for axis in axes):
        return NotImplemented
    return x.map(lambda value: function(value, axes, keepdim, **kwargs))


@rule(*methods("flip"))
def flipping(function: Any, x: Any, *dims: Any) -> Any:
    """Mirroring in space."""
    axes = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    if not isinstance(x, Folded) or any(axis % x.ndim < 2 for axis in axes):
        return NotImplemented
    return x.map(lambda value: value.flip(tuple(axes)))


@rule(*BINARY)
def combined(function: Any, x: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
    """Two tensors: what is common in both. A number or one value per channel: what was."""
    if _foreign(*args, *kwargs.values()):
        return NotImplemented
    if isinstance(x, Folded) and isinstance(y, Folded):
        if x is y:
            return x.map(lambda value: function(value, value, *args, **kwargs))
        if x.streams != y.streams or x.ndim != y.ndim:
            return NotImplemented
        if x.layout.channels != y.layout.channels:
            return NotImplemented
        one, other, layout = _met(x, y)
        return Folded(function(one, other, *args, **kwargs), layout)
    if isinstance(x, Folded):
        return _with_values(x, y, lambda value, other: function(value, other, *args, **kwargs))
    return _with_values(y, x, lambda value, other: function(other, value, *args, **kwargs))


@rule(*BINARY_IN_PLACE)
def combined_in_place(function: Any, x: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
    """As above, in place."""
    if not isinstance(x, Folded):
        return NotImplemented
    name: str = function.__name__
    plain = name.replace("__i", "__", 1) if name.startswith("__i") else name.removesuffix("_")
    result = combined(recordable(getattr(Tensor, plain)), x, y, *args, **kwargs)
    return result if result is NotImplemented else x.become(result)


@rule(*methods("cat concat concatenate"))
def joined(function: Any, tensors: Any, dim: Any = 0, **kwargs: Any) -> Any:
    """Joins channels."""
    axis = kwargs.pop("axis", dim)
    if kwargs or not isinstance(axis, int) or not all(isinstance(x, Folded) for x in tensors):
        return NotImplemented
    first = tensors[0]
    if axis % first.ndim != 1 or any(x.streams != first.streams for x in tensors):
        return NotImplemented
    pieces: list[Any] = []
    rows: list[tuple[int, ...]] = [()] * first.streams
    for x in tensors:
        compact = x.compact()
        before = sum(int(piece.value.shape[1]) for piece in pieces)
        pieces.append(compact.wide)
        rows = [
            (*row, *(before + place for place in own))
            for row, own in zip(rows, compact.layout.index, strict=True)
        ]
    width = sum(int(piece.value.shape[1]) for piece in pieces)
    return Folded(torch.cat(pieces, 1), Layout(tuple(rows), width))  # type: ignore[arg-type]


@rule(*methods("expand"))
def expanded(function: Any, x: Any, *sizes: Any) -> Any:
    """One channel as several."""
    if len(sizes) == 1 and isinstance(sizes[0], list | tuple):
        sizes = tuple(sizes[0])
    if not isinstance(x, Folded) or x.layout.channels != 1 or len(sizes) != x.ndim:
        return NotImplemented
    if (
        not isinstance(sizes[1], int)
        or sizes[1] < 1
        or [*sizes[:1], *sizes[2:]] != [-1] * (x.ndim - 1)
    ):
        return NotImplemented
    return x.chosen([0] * sizes[1])


@rule(*methods("chunk split tensor_split"))
def cut(function: Any, x: Any, size: Any, dim: int = 0) -> Any:
    """Cuts channels into runs."""
    if not isinstance(x, Folded) or dim % x.ndim != 1:
        return NotImplemented
    # How torch cuts is asked of torch itself.
    runs = function(torch.arange(x.layout.channels), size)
    return tuple(x.chosen(run.tolist()).compact() for run in runs)


@rule(Tensor.__getitem__)
def indexed(function: Any, x: Any, index: Any) -> Any:
    """Slices of channels and of space; anything else is not known."""
    index = index if isinstance(index, tuple) else (index,)
    if not isinstance(x, Folded) or any(item is None for item in index):
        return NotImplemented
    if Ellipsis in index:
        at = index.index(Ellipsis)
        missing = x.ndim - (len(index) - 1)
        index = index[:at] + (slice(None),) * missing + index[at + 1 :]
    if not all(isinstance(item, slice) for item in index) or index[0] != slice(None):
        return NotImplemented
    picked_channels = x
    if len(index) > 1 and index[1] != slice(None):
        picked_channels = x.chosen(range(x.layout.channels)[index[1]]).compact()
    rest = index[2:]
    if not rest:
        return picked_channels
    return picked_channels.map(lambda value: value[(slice(None), slice(None), *rest)])


@rule(torch.conv1d, torch.conv2d, torch.conv3d)
def convolution(
    function: Any,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Put off until it is known which of its channels are read."""
    how = partial(function, stride=stride, padding=padding, dilation=dilation)
    return _put_off(how, input, weight, bias, groups)


@rule(torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)
def transposed_convolution(
    function: Any,
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """As above."""
    how = partial(
        function, stride=stride, padding=padding, output_padding=output_padding, dilation=dilation
    )
    return _put_off(how, input, weight, bias, groups, transposed=True)


def _put_off(
    how: partial[Any],
    input: Any,
    weight: Any,
    bias: Any,
    groups: int,
    *,
    transposed: bool = False,
) -> Any:
    """The convolution of a folded tensor by a kernel that is the same whatever the input."""
    if not isinstance(input, Folded) or isinstance(weight, Folded | Recorded):
        return NotImplemented
    stride = how.keywords["stride"]
    steps = stride if isinstance(stride, list | tuple) else [stride] * (input.ndim - 2)
    kernel = Convolution(how, weight, bias, groups, transposed=transposed, stride=math.prod(steps))
    return Deferred(input, kernel)


@rule(F.linear)
def linear(function: Any, input: Any, weight: Any, bias: Any = None) -> Any:
    """A convolution of one pixel, where the channels are the last axis."""
    if not isinstance(input, Folded) or isinstance(weight, Folded | Recorded) or input.ndim != 2:
        return NotImplemented

    def of_one_group(value: Any, weight: Any, bias: Any, groups: int) -> Any:
        return function(value, weight, bias)

    return Deferred(input, Convolution(of_one_group, weight, bias))


@rule(F.batch_norm, torch.batch_norm)
def plain_batch_norm(function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """A norm that all streams share, with running statistics: the same in every stream."""
    names = ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    arguments = dict(zip(names, args, strict=False)) | kwargs
    mean, var = arguments.get("running_mean"), arguments.get("running_var")
    if not isinstance(x, Folded) or arguments.get("training") or mean is None or var is None:
        return NotImplemented
    scale = (var.double() + arguments.get("eps", 1e-5)).rsqrt()
    if arguments.get("weight") is not None:
        scale = scale * arguments["weight"].detach().double()
    shift = -mean.double() * scale
    if arguments.get("bias") is not None:
        shift = shift + arguments["bias"].detach().double()
    return behind(x, Reads.without_exchange(scale.repeat(x.streams, 1), shift.repeat(x.streams, 1)))


@rule(*methods("size"))
def size(function: Any, x: Any, dim: Any = None) -> Any:
    """Of the packed tensor."""
    return x.shape if dim is None else x.shape[dim]


@rule(*methods("dim ndimension numel is_contiguous is_floating_point is_complex"))
def asked(function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Questions whose answer is that of any piece."""
    if getattr(function, "__name__", "") == "numel":
        return math.prod(x.shape)
    return function(x.wide.value, *args, **kwargs)


def _foreign(*values: Any) -> bool:
    """Whether further operands are folded, too, which only rules for two know about."""
    return any(isinstance(value, Folded) for value in values)


def _met(x: Folded, y: Folded) -> tuple[Recorded, Recorded, Layout]:
    """Two tensors in one layout, whose common channels are those that are common in both."""
    if isinstance(y, Deferred):
        y = y.asked_for(x.layout)
    elif isinstance(x, Deferred):
        x = x.asked_for(y.layout)
    one, other = x.layout, y.layout
    places: dict[tuple[int, int], int] = {}
    order = [*zip(one.index, other.index, strict=True)]
    pairs = [pair for rows in order for pair in zip(*rows, strict=True)]
    lead = max((0, 1), key=lambda k: (one, other)[k].width)
    met: set[int] = set()
    doubled = {}
    for pair in sorted(dict.fromkeys(pairs), key=lambda pair: pair[lead]):
        doubled[pair] = pair[lead] in met
        met.add(pair[lead])
    for pair in sorted(doubled, key=lambda pair: (doubled[pair], pair[lead])):
        places[pair] = len(places)
    index = tuple(tuple(places[pair] for pair in zip(*rows, strict=True)) for rows in order)
    layout = Layout(index, len(places))
    return picked(x.wide, [p for p, _ in places]), picked(y.wide, [q for _, q in places]), layout


def _with_values(x: Folded, value: Any, function: Callable[[Any, Any], Any]) -> Any:
    """Each channel with a number, or with its own entry of a tensor of one value per channel."""
    if isinstance(value, Recorded):
        if isinstance(value.value, Tensor) and value.value.ndim:
            return NotImplemented
        return x.map(lambda wide: function(wide, value))
    if not isinstance(value, Tensor) or value.numel() == 1:
        return x.map(lambda wide: function(wide, value))
    # (C, 1, …) or (1, C, 1, …): one value per channel, where the last axes are of size 1.
    channels, rest = x.layout.channels, x.ndim - 2
    if value.numel() != channels or value.ndim < 1 + rest or value.shape[-1 - rest] != channels:
        return NotImplemented
    entries = value.detach().reshape(channels)
    pairs = [(p, c) for row in x.layout.index for c, p in enumerate(row)]
    places = {pair: place for place, pair in enumerate(sorted(dict.fromkeys(pairs)))}
    rows = tuple(tuple(places[p, c] for c, p in enumerate(row)) for row in x.layout.index)
    wide = picked(x.wide, [p for p, _ in places])
    own = entries[[c for _, c in places]].view(1, -1, *[1] * rest)
    return Folded(function(wide, own), Layout(rows, len(places)))
