"""Which channels of a recorded graph its results read.

This project's extension. From the results backwards it is asked which channels an operation reads
of its operands to give those that are read of it:

============================================  ================================================
operation                                     channels read of its operands
============================================  ================================================
pointwise function, pooling, resizing         those that are read of the result
adding, multiplying, … tensors                those that are read of the result
joining, cutting, choosing channels           joined, cut, chosen
convolution, linear layer                     those with a weight to an output that is read
a size but that of the channels               none
everything else                               all
============================================  ================================================
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from cen.folding.alike import BINARY, POINTWISE, SPATIAL
from cen.folding.recording import Recorder, needed_for_itself


class Kernel(NamedTuple):
    """What is left of the kernel of a convolution.

    Attributes:
        outputs: The channels that it gives: those that are read, and what comes with them.
        inputs: The channels that it reads.
        weight: From the ones to the others.
        bias: Of the outputs, or None.
        groups: Groups of channels.
    """

    outputs: list[int]
    inputs: list[int]
    weight: Tensor
    bias: Tensor | None
    groups: int


class Liveness:
    """Which channels are read of each node of a graph.

    Attributes:
        masks: By node that is needed (W,) bool, of what has no channels (1,).
    """

    def __init__(self, recorder: Recorder, results: Sequence[fx.Node]) -> None:
        self.recorder = recorder
        self.masks: dict[fx.Node, Tensor] = {}
        self._asked: set[fx.Node] = set()
        for node in results:
            self.all_of(node)
        for node in reversed(recorder.graph.nodes):
            if node.op == "placeholder" or needed_for_itself(node):
                self.all_of(node)
            if node in self._asked and node not in self.masks:
                self.some_of(node, [0])  # it has to be there for its size
            if node in self.masks:
                self._operands(node)

    @property
    def everything(self) -> bool:
        """Whether all convolutions are needed, and all channels of what is needed are read."""
        nodes = self.recorder.graph.nodes
        unread = any("work" in node.meta and node not in self.masks for node in nodes)
        return not unread and all(bool(mask.all()) for mask in self.masks.values())

    def of(self, node: fx.Node) -> list[int]:
        """The channels that are read."""
        return [int(c) for c in self.masks[node].nonzero()]

    def all_of(self, node: fx.Node) -> None:
        """All channels are read."""
        self.masks[node] = torch.ones(max(width(node), 1), dtype=torch.bool)

    def some_of(self, node: fx.Node, channels: Sequence[int]) -> None:
        """These channels are read, too."""
        mask = self.masks.setdefault(node, torch.zeros(width(node), dtype=torch.bool))
        mask[list(channels)] = True

    def _operands(self, node: fx.Node) -> None:
        channels = self.of(node)
        if is_channelwise(node):
            for operand in node.all_input_nodes:
                if width(operand) == width(node):
                    self.some_of(operand, channels)
                else:
                    self.all_of(operand)
        elif is_join(node):
            for piece, mine in pieces_of(node, channels):
                self.some_of(piece, mine)
        elif (chosen := chosen_by(self.recorder, node)) is not None:
            self.some_of(as_node(node.args[0]), [chosen[c] for c in channels])
            for operand in node.all_input_nodes[1:]:
                self.all_of(operand)
        elif (kernel := self.kernel(node)) is not None:
            self.some_of(as_node(node.args[0]), kernel.inputs)
        elif is_size(node):
            self._asked.add(as_node(node.args[0]))
        else:
            for operand in node.all_input_nodes:
                self.all_of(operand)

    def kernel(self, node: fx.Node) -> Kernel | None:
        """What is left of a convolution whose kernel the graph holds; None: it is none."""
        if node.target not in _CONVOLUTIONS or len(node.args) != 3 or not width(node):
            return None
        source, held, summand = node.args
        fixed = all(isinstance(x, fx.Node) and x.op == "get_attr" for x in (held, summand or held))
        if not fixed or _value(as_node(source)).ndim != _CONVOLUTIONS[node.target]:
            return None
        whole = weight = self.recorder.held(as_node(held))
        bias = None if summand is None else self.recorder.held(as_node(summand))
        options: dict[str, Any] = dict(node.kwargs)
        groups = int(options.get("groups", 1))
        channels = self.of(node)
        if node.target in TRANSPOSED:
            if groups > 1:
                return None
            weight = weight.transpose(0, 1)
        if groups == 1:
            rows, part = channels, weight[channels]
            inputs = _with_weight(part)
            weight = part[:, inputs]
        else:
            rows, left = _whole_groups(channels, weight.shape[0] // groups)
            each = weight.shape[1]
            inputs = [group * each + k for group in left for k in range(each)]
            weight, groups = weight[rows], len(left)
        if node.target in TRANSPOSED:
            weight = weight.transpose(0, 1)
        if weight.shape == whole.shape:
            weight = whole  # the graph holds it once, however often it is used
        return Kernel(rows, inputs, weight, None if bias is None else bias[rows], groups)


TRANSPOSED = {
    torch.conv_transpose1d: 3,
    torch.conv_transpose2d: 4,
    torch.conv_transpose3d: 5,
}
"""Transposed convolutions, and how many axes their inputs have where these are batches."""
_CONVOLUTIONS: dict[Any, int] = {
    F.linear: 2,
    **dict(zip((torch.conv1d, torch.conv2d, torch.conv3d), (3, 4, 5), strict=True)),
    **TRANSPOSED,
}
_OPERATORS = (operator.add, operator.sub, operator.mul, operator.truediv, operator.neg)
_POINTWISE = {*POINTWISE, *BINARY, *_OPERATORS, torch.addcmul}
_SPATIAL = {f for f in SPATIAL if not f.__name__.endswith(("1d", "3d"))}
_METHODS = {function.__name__ for function in (*POINTWISE, *BINARY) if callable(function)}


def _value(node: fx.Node) -> Any:
    return node.meta["value"]


def as_node(argument: Any) -> fx.Node:
    """An argument of a call that is a node."""
    assert isinstance(argument, fx.Node)
    return argument


def width(node: fx.Node) -> int:
    """Its channels; 0 of what is no tensor of several axes."""
    value = _value(node)
    return int(value.shape[1]) if isinstance(value, Tensor) and value.ndim >= 2 else 0


def is_channelwise(node: fx.Node) -> bool:
    """Whether each channel of the result is made of that channel of the operands."""
    if node.op == "call_method":
        known = node.target in _METHODS
    else:
        known = node.target in _POINTWISE or (node.target in _SPATIAL and _value(node).ndim == 4)
    if not known or not width(node):
        return False
    result = _value(node)
    for operand in node.all_input_nodes:
        value = _value(operand)
        if not isinstance(value, Tensor) or value.numel() == 1:
            continue
        if value.ndim != result.ndim or value.shape[1] not in (1, result.shape[1]):
            return False
    return True


def is_join(node: fx.Node) -> bool:
    """Whether channels are joined."""
    if node.target is not torch.cat or len(node.args) != 2 or not width(node):
        return False
    return node.args[1] in (1, 1 - _value(node).ndim)


def pieces_of(node: fx.Node, channels: Sequence[int]) -> list[tuple[fx.Node, list[int]]]:
    """What of a join some of its channels lie in, and which of its own these are."""
    pieces, start = [], 0
    for piece in map(as_node, node.args[0]):  # type: ignore[arg-type]
        mine = [c - start for c in channels if 0 <= c - start < width(piece)]
        if mine:
            pieces.append((piece, mine))
        start += width(piece)
    return pieces


def chosen_by(recorder: Recorder, node: fx.Node) -> list[int] | None:
    """The channels of its operand that a node chooses; None: it does something else."""
    if not node.args or not isinstance(node.args[0], fx.Node) or not width(node.args[0]):
        return None
    every = [*range(width(node.args[0]))]
    if node.target == "index_select" and node.args[1] == 1:
        return _places(recorder, as_node(node.args[2]))
    index = node.args[1] if node.target is operator.getitem else None
    if not isinstance(index, tuple) or len(index) < 2:
        return None
    if not all(isinstance(item, slice) for item in index) or index[0] != slice(None):
        return None
    ends = (index[1].start, index[1].stop, index[1].step)
    if not all(end is None or isinstance(end, int) for end in ends):
        return None
    return every[slice(*ends)]


def _with_weight(kernel: Tensor) -> list[int]:
    """The input channels of which a kernel reads; one at least, as none is no convolution's."""
    if kernel.is_meta:
        return [*range(kernel.shape[1])]
    read = kernel.reshape(*kernel.shape[:2], -1).ne(0).any(2).any(0)
    return [int(c) for c in read.nonzero()] or [0]


def _places(recorder: Recorder, node: fx.Node) -> list[int] | None:
    """The channels that a constant of the graph holds."""
    places: list[int] | None = node.meta.get("places")
    if places is None and node.op == "get_attr" and not recorder.held(node).is_meta:
        return [int(c) for c in recorder.held(node)]
    return places


def is_size(node: fx.Node) -> bool:
    """Whether it asks for a size that channels have nothing to do with."""
    if node.target != "size" or len(node.args) != 2 or not width(as_node(node.args[0])):
        return False
    axis = node.args[1]
    return isinstance(axis, int) and axis % _value(as_node(node.args[0])).ndim != 1


def _whole_groups(channels: Sequence[int], each: int) -> tuple[list[int], list[int]]:
    """Outputs of a grouped convolution such that all groups give as many, and the groups."""
    by_group: dict[int, list[int]] = {}
    for channel in channels:
        by_group.setdefault(channel // each, []).append(channel)
    groups = sorted(by_group)
    if len({len(mine) for mine in by_group.values()}) > 1:
        return [group * each + k for group in groups for k in range(each)], groups
    return [*channels], groups
