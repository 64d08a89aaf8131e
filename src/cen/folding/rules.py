"""How equality of channels travels through the operations of a network: the table.

===================================================  ==========================================
operation                                            common channels of the result
===================================================  ==========================================
pointwise function, pooling, resizing, padding       those of the operand
adding, multiplying, … two tensors                   those that are common in both
a number, or one value per channel                   those of the operand
joining, cutting channels                            joined, cut
convolution                                          all where all it reads are, else none
depthwise convolution, plain norm in eval mode       those of the operand
stream norm with exchange                            see `cen.folding.layers`
everything else                                      none: it gets the packed tensor
===================================================  ==========================================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cen.folding.convolution import Convolution, Deferred
from cen.folding.tensor import Folded, Layout, picked

TABLE: dict[Any, Callable[..., Any]] = {}
"""What is done with folded tensors, by function of torch."""


def rule(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a function the rule of some functions of torch; it may return NotImplemented."""

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            TABLE[function] = partial(handler, function)
        return handler

    return register


def methods(*names: str) -> list[Any]:
    """Methods of a tensor and the functions of torch of the same name."""
    found = [getattr(where, name, None) for name in names for where in (Tensor, torch, F)]
    return [function for function in dict.fromkeys(found) if function is not None]


POINTWISE = (
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "sigmoid",
    "tanh",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "softplus",
    "softsign",
    "logsigmoid",
    "dropout",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_dropout",
    "abs",
    "neg",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "square",
    "clamp",
    "clip",
    "erf",
    "sin",
    "cos",
    "float",
    "double",
    "half",
    "bfloat16",
    "to",
    "clone",
    "detach",
    "contiguous",
    "type_as",
    "nan_to_num",
    "reciprocal",
    "sign",
    "round",
    "floor",
    "ceil",
    "threshold",
)
SPATIAL = (
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "interpolate",
    "upsample",
    "lp_pool2d",
)
IN_PLACE = (
    "relu_",
    "relu6_",
    "leaky_relu_",
    "elu_",
    "selu_",
    "celu_",
    "hardtanh_",
    "clamp_",
    "sigmoid_",
    "tanh_",
    "threshold_",
    "dropout_",
    "abs_",
    "neg_",
    "exp_",
)


@rule(*methods(*POINTWISE, *SPATIAL))
def each_channel(function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """What is done to every channel alike keeps equal channels equal."""
    if not isinstance(x, Folded) or _foreign(*args, *kwargs.values()):
        return NotImplemented
    inplace = kwargs.pop("inplace", False)
    result = x.map(lambda value: function(value, *args, **kwargs))
    return x.become(result) if inplace else result


@rule(*methods(*IN_PLACE))
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


@rule(*methods("mean", "sum", "amax", "amin", "std", "var"))
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


BINARY = (
    *methods("add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide"),
    *methods("maximum", "minimum", "pow"),
    *(getattr(Tensor, f"__{stem}__") for stem in ("add", "sub", "mul", "truediv", "pow")),
    *(getattr(Tensor, f"__r{stem}__") for stem in ("add", "sub", "mul", "truediv")),
)
BINARY_IN_PLACE = (
    *methods("add_", "sub_", "mul_", "div_"),
    *(getattr(Tensor, f"__i{stem}__") for stem in ("add", "sub", "mul", "truediv")),
)
_PLAIN = {
    getattr(Tensor, f"__i{stem}__"): getattr(Tensor, f"__{stem}__")
    for stem in ("add", "sub", "mul", "truediv")
} | {getattr(Tensor, f"{stem}_"): getattr(Tensor, stem) for stem in ("add", "sub", "mul", "div")}


@rule(*BINARY)
def combined(function: Any, x: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
    """Two tensors: what is common in both. A number or one value per channel: what was."""
    if _foreign(*args, *kwargs.values()):
        return NotImplemented
    if isinstance(x, Folded) and isinstance(y, Folded):
        if x.streams != y.streams or x.ndim != y.ndim or x.places.channels != y.places.channels:
            return NotImplemented
        where = _shared_places(x.places, y.places)
        result = function(x.relaid(where).wide, y.relaid(where).wide, *args, **kwargs)
        return Folded(result, where, x.streams, x.trace)
    if isinstance(x, Folded):
        return _with_values(x, y, lambda value, other: function(value, other, *args, **kwargs))
    return _with_values(y, x, lambda value, other: function(other, value, *args, **kwargs))


@rule(*BINARY_IN_PLACE)
def combined_in_place(function: Any, x: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
    """As above, in place."""
    if not isinstance(x, Folded):
        return NotImplemented
    result = combined(_PLAIN[function], x, y, *args, **kwargs)
    return result if result is NotImplemented else x.become(result)


@rule(*methods("cat", "concat", "concatenate"))
def joined(function: Any, tensors: Any, dim: Any = 0, **kwargs: Any) -> Any:
    """Joins channels."""
    axis = kwargs.pop("axis", dim)
    if kwargs or not isinstance(axis, int) or not all(isinstance(x, Folded) for x in tensors):
        return NotImplemented
    first = tensors[0]
    if axis % first.ndim != 1 or any(x.streams != first.streams for x in tensors):
        return NotImplemented
    common_ids, private_ids, before = [], [], 0
    for x in tensors:
        common_ids += [before + channel for channel in x.places.common]
        private_ids += [before + channel for channel in x.places.private]
        before += x.places.channels
    pieces = [x.common() for x in tensors if x.places.common]
    pieces += [x.private(s) for s in range(first.streams) for x in tensors if x.places.private]
    places = Layout(tuple(common_ids), tuple(private_ids))
    return Folded(torch.cat(pieces, 1), places, first.streams, first.trace)


@rule(*methods("chunk", "split", "tensor_split"))
def cut(function: Any, x: Any, size: Any, dim: int = 0) -> Any:
    """Cuts channels into runs."""
    if not isinstance(x, Folded) or dim % x.ndim != 1:
        return NotImplemented
    # How torch cuts is asked of torch itself.
    runs = function(torch.arange(x.places.channels), size)
    return tuple(_channels(x, run.tolist()) for run in runs)


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
        picked_channels = _channels(x, list(range(x.places.channels))[index[1]])
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
    if not isinstance(input, Folded) or isinstance(weight, Folded):
        return NotImplemented
    how = partial(function, stride=stride, padding=padding, dilation=dilation)
    return Deferred(input, Convolution(how, weight, bias, groups, transposed=False))


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
    if not isinstance(input, Folded) or isinstance(weight, Folded):
        return NotImplemented
    how = partial(
        function, stride=stride, padding=padding, output_padding=output_padding, dilation=dilation
    )
    return Deferred(input, Convolution(how, weight, bias, groups, transposed=True))


@rule(F.batch_norm, torch.batch_norm)
def plain_batch_norm(function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """A norm that all streams share, with running statistics: the same in every stream."""
    names = ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    given = dict(zip(names, args, strict=False)) | kwargs
    mean, var = given.get("running_mean"), given.get("running_var")
    if not isinstance(x, Folded) or given.get("training") or mean is None or var is None:
        return NotImplemented
    scale = (var + given.get("eps", 1e-5)).rsqrt()
    if given.get("weight") is not None:
        scale = scale * given["weight"]
    shift = -mean * scale if given.get("bias") is None else given["bias"] - mean * scale
    shape = (1, -1, *[1] * (x.ndim - 2))
    return x * scale.view(shape) + shift.view(shape)


@rule(*methods("size"))
def size(function: Any, x: Any, dim: Any = None) -> Any:
    """Of the packed tensor."""
    return x.shape if dim is None else x.shape[dim]


@rule(*methods("dim", "ndimension", "numel", "is_contiguous", "is_floating_point", "is_complex"))
def asked(function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Questions whose answer is that of any piece."""
    if function is Tensor.numel or function is torch.numel:
        return x.shape.numel()
    return function(x.wide, *args, **kwargs)


def _foreign(*values: Any) -> bool:
    """Whether further operands are folded, too, which only rules for two know about."""
    return any(isinstance(value, Folded) for value in values)


def _shared_places(one: Layout, other: Layout) -> Layout:
    """The layout of what two tensors are made to before they meet: common where both are."""
    if one == other:
        return one
    both = set(one.common) & set(other.common)
    # The order of one of them, so that at least that one need not be laid anew.
    base = one if len(one.common) <= len(other.common) else other
    common = tuple(channel for channel in base.common if channel in both)
    rest = tuple(c for c in base.private if c not in both)
    moved = tuple(c for c in base.common if c not in both)
    return Layout(common, tuple(sorted(moved + rest)) if moved else rest)


def _with_values(x: Folded, value: Any, function: Callable[[Tensor, Any], Tensor]) -> Any:
    """Each channel with a number, or with its own entry of a tensor of one value per channel."""
    if not isinstance(value, Tensor) or value.numel() == 1:
        return x.map(lambda piece: function(piece, value))
    # (C, 1, …) or (1, C, 1, …): one value per channel, where the last axes are of size 1.
    channels, rest = x.places.channels, x.ndim - 2
    if value.numel() != channels or value.ndim < 1 + rest or value.shape[-1 - rest] != channels:
        return NotImplemented
    order = [*x.places.common, *x.places.private * x.streams]
    entries = picked(value.reshape(1, channels, *[1] * rest), order)
    return x.map(lambda piece: function(piece, entries))


def _channels(x: Folded, wanted: list[int]) -> Folded:
    """Some channels of it, in the order wanted."""
    new = {channel: at for at, channel in enumerate(wanted)}
    common_at = [at for at, c in enumerate(x.places.common) if c in new]
    private_at = [at for at, c in enumerate(x.places.private) if c in new]
    places = Layout(
        tuple(new[x.places.common[at]] for at in common_at),
        tuple(new[x.places.private[at]] for at in private_at),
    )
    wide = x.at(0, [x.places.common[at] for at in common_at])
    kept = [x.places.private[at] for at in private_at]
    wide += [at for s in range(x.streams) for at in x.at(s, kept)]
    return Folded(picked(x.wide, wide), places, x.streams, x.trace)
