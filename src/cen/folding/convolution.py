"""Convolutions of folded tensors, put off until it is known which channels are read of them.

What is common is convolved once for all streams, what is private for each; a stream norm that
follows says which outputs a stream needs at all, and its scales and shifts go into the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cen.folding.reads import Reads, Row, Wanted, read, scaled, with_means
from cen.folding.recording import FoldedLayer, Recorded, Recorder
from cen.folding.tensor import Folded, Layout, picked


@dataclass(frozen=True)
class Convolution:
    """A convolution as it was asked for.

    Attributes:
        function: Called with input, weight, bias and ``groups``; the rest is bound.
        weight: (O, I / groups, *), or (I, O / groups, *) of a transposed one.
        bias: (O,) or None.
        groups: Groups of channels.
        transposed: Which of the two.
        stride: Product of the strides.
    """

    function: Callable[..., Any]
    weight: Tensor
    bias: Tensor | None
    groups: int = 1
    transposed: bool = False
    stride: int = 1

    @property
    def outputs(self) -> int:
        """O."""
        return self.weight.shape[1] * self.groups if self.transposed else self.weight.shape[0]

    @property
    def inputs(self) -> int:
        """I."""
        return self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups

    @property
    def taps(self) -> int:
        """Values of a kernel for one input and output."""
        return self.weight[0, 0].numel()

    @property
    def depthwise(self) -> bool:
        """Whether every output reads one input channel of its own place."""
        return self.groups > 1 and self.groups == self.outputs == self.inputs

    @cached_property
    def kernel(self) -> Tensor:
        """(O, I / groups, *) float64, of a transposed one swapped."""
        weight = self.weight.detach().double()
        return weight.transpose(0, 1) if self.transposed else weight

    def summand(self, row: Row) -> float:
        """What is added to an output: the bias, scaled and shifted."""
        bias = 0.0 if self.bias is None else float(self.bias[row.channel])
        return row.scale * bias + row.shift

    def block(self, layout: Layout, places: Sequence[int], rows: Sequence[Row]) -> Tensor:
        """The weight (rows, places, *) from some places to some outputs, these scaled."""
        at = {place: column for column, place in enumerate(places)}
        block = self.kernel.new_zeros(len(rows), len(places), *self.kernel.shape[2:])
        for stream in {row.stream for row in rows}:
            mine = [k for k, row in enumerate(rows) if row.stream == stream]
            reads = [c for c, place in enumerate(layout.index[stream]) if place in at]
            if not reads:
                continue
            part = self.kernel[[rows[k].channel for k in mine]][:, reads]
            scale = torch.tensor([rows[k].scale for k in mine], dtype=torch.float64)
            part = part * scale.to(part).view(-1, *[1] * (part.ndim - 1))
            columns = torch.tensor([at[layout.index[stream][c]] for c in reads])
            own = block.new_zeros(len(mine), *block.shape[1:])
            block[mine] = own.index_add_(1, columns.to(own.device), part)
        return block

    def run(
        self, value: Recorded, weight: Tensor, rows: Sequence[Row] | None, groups: int = 1
    ) -> Recorded:
        """Convolves with a block, and adds what the rows ask for."""
        recorder = value.recorder
        weight = weight.transpose(0, 1) if self.transposed and groups == 1 else weight
        constant = recorder.constant(weight.to(self.weight.dtype).contiguous())
        bias = None
        if rows is not None:
            summands = torch.tensor([self.summand(row) for row in rows], dtype=torch.float64)
            bias = recorder.constant(summands.to(self.weight)) if bool(summands.any()) else None
        result: Recorded = self.function(value, constant, bias, groups=groups)
        spatial = (value if self.transposed else result).value.shape[2:]
        recorder.spend(result.node, weight.numel(), math.prod(spatial))
        return result


class Deferred(Folded):
    """What a convolution will give. Whoever looks at its channels makes it compute them.

    Args:
        source: What is convolved.
        conv: How.
        reads: What a norm behind it reads; None: the outputs themselves.
    """

    def __init__(self, source: Folded, conv: Convolution, reads: Reads | None = None) -> None:
        self.source, self.conv, self.reads = source.snapshot(), conv, reads
        self._result: Folded | None = None

    @property
    def result(self) -> Folded:
        """The outputs that are read, all of them."""
        if self._result is None:
            self._result = convolved(self.source, self.conv, self.reads)
        return self._result

    @property
    def pending(self) -> bool:
        """Whether nothing has been computed yet, so that a norm may say what it needs."""
        return self._result is None and self.reads is None

    def asked_for(self, layout: Layout) -> Folded:
        """Computed in a layout that keeps the places of another apart, unless it is far wider."""
        if self._result is None and self.reads is not None:
            plain = wanted_of(self.source, self.conv, self.reads)
            apart = wanted_of(self.source, self.conv, self.reads, layout)
            if not apart.means and 4 * len(apart.rows) <= 5 * len(plain.rows):
                self._result = convolved(self.source, self.conv, self.reads, layout)
        return self.result

    @property
    def wide(self) -> Recorded:  # type: ignore[override]
        """The channels as they lie."""
        return self.result.wide

    @property
    def layout(self) -> Layout:  # type: ignore[override]
        """Which are which."""
        return self.result.layout

    @property
    def recorder(self) -> Recorder:
        """Of the graph, without computing anything."""
        return self.source.recorder

    def become(self, other: Folded) -> Folded:
        """Takes the values of another, as an operation in place does."""
        self._result = other.snapshot()
        return self

    def snapshot(self) -> Folded:
        """The outputs, which no operation in place changes any more."""
        return self.result.snapshot()


def wanted_of(x: Folded, conv: Convolution, reads: Reads, asked: Layout | None = None) -> Wanted:
    """The outputs that are read: those of streams with the same inputs are the same."""
    kinds = {row: k for k, row in enumerate(dict.fromkeys(x.layout.index))}
    alike = [kinds[row] for row in x.layout.index]
    sources = [[(kind, c) for c in range(conv.outputs)] for kind in alike]
    if conv.depthwise:
        sources = [list(zip(row, range(conv.outputs), strict=True)) for row in x.layout.index]
    return Wanted.of(reads, sources, asked)


def convolved(
    x: Folded, conv: Convolution, reads: Reads | None, asked: Layout | None = None
) -> Folded:
    """The outputs that are read, by the way that costs least.

    A block with zeros, which needs one call, may do no more multiply-adds than the convolution of
    the packed tensor.
    """
    recorder = x.recorder
    before = recorder.spent
    reads = Reads.plainly(x.streams, conv.outputs) if reads is None else reads
    if conv.groups > 1 and not conv.depthwise:
        plain, count = _grouped(x, conv), conv.outputs * x.streams
        computed, outputs = plain.wide, read(plain, reads, asked)
    else:
        wanted = wanted_of(x, conv, reads, asked)
        computed, count = _computed(x, conv, wanted), len(wanted.rows)
        outputs = with_means(computed, wanted)
    each = x.streams * conv.outputs
    computed.node.meta["gives"] = len(recorder.layers)
    recorder.outputs.append(each)
    spent = recorder.spent - before
    full = x.streams * conv.weight.numel() * recorder.positions
    common = len(x.layout.common) / conv.inputs
    name = recorder.names.get(id(conv.weight), "")
    recorder.layers.append(FoldedLayer(name, common, max(0.0, 1 - count / each), full, spent))
    return outputs


def _computed(x: Folded, conv: Convolution, wanted: Wanted) -> Recorded:
    if conv.depthwise:
        return _depthwise(x, conv, wanted)
    ways: dict[Callable[[], Recorded], float] = {}
    channels = {row.channel for row in wanted.rows}
    if len(set(x.layout.index)) == 1:
        once = _work(x, conv, x.layout.width, len(channels))
        ways[lambda: _once(x, conv, wanted.rows)] = once + 2 * _pass(x, conv, len(wanted.rows))
    else:
        _, private = x.layout.split
        streams = {row.stream for row in wanted.rows}
        if all(private[stream] for stream in streams):
            ways[lambda: _split(x, conv, wanted.rows)] = _split_cost(x, conv, wanted.rows)
        count, rest = divmod(len(wanted.rows), x.streams)
        if not rest and _side_by_side(x.layout, wanted.rows):
            each = _work(x, conv, conv.inputs, count) - _CALL
            ways[lambda: _grouped_by_stream(x, conv, wanted.rows)] = _CALL + x.streams * each
    width, unfolded = x.layout.width, x.streams * conv.inputs * conv.outputs
    if not ways or width * len(wanted.rows) <= unfolded:
        ways[lambda: _block(x, conv, wanted.rows)] = _work(x, conv, width, len(wanted.rows))
    return min(ways, key=lambda way: ways[way])()


# Nanoseconds of a call, of a multiply-add, and of a value that is read and written, on one core;
# widths are filled up to those of vector registers. Only the choice among equal results depends
# on it.
_CALL = 12_000.0
_MULTIPLY = 0.022
_PASS = 0.5
_LANES = 16


def _positions(x: Folded, conv: Convolution) -> float:
    pixels: int = math.prod(x.wide.value.shape[2:])
    return pixels / (1 if conv.transposed else conv.stride)


def _work(x: Folded, conv: Convolution, reads: int, gives: int) -> float:
    filled = [math.ceil(channels / _LANES) * _LANES for channels in (reads, gives)]
    return _CALL + _MULTIPLY * math.prod(filled) * conv.taps * _positions(x, conv)


def _pass(x: Folded, conv: Convolution, channels: int) -> float:
    return _CALL / 2 + _PASS * channels * _positions(x, conv) * (
        conv.stride if conv.transposed else 1
    )


def _split_cost(x: Folded, conv: Convolution, rows: Sequence[Row]) -> float:
    common, private = x.layout.split
    cost = _pass(x, conv, len(rows))
    for stream in {row.stream for row in rows}:
        mine = sum(row.stream == stream for row in rows)
        cost += _work(x, conv, len(private[stream]), mine)
    if common:
        cost += _work(x, conv, len(common), len({row.channel for row in rows}))
        cost += 2 * _pass(x, conv, len(rows))
    return cost


def _block(x: Folded, conv: Convolution, rows: Sequence[Row]) -> Recorded:
    """One convolution over all there is, with zeros where a stream does not read another's."""
    places = range(x.layout.width)
    return conv.run(x.wide, conv.block(x.layout, places, rows), rows)


def _once(x: Folded, conv: Convolution, rows: Sequence[Row]) -> Recorded:
    """All streams have the same inputs: their outputs once, scaled and shifted for each."""
    channels = sorted({row.channel for row in rows})
    plain = [Row((0, c), 0, c, 1.0, 0.0, 0) for c in channels]
    outputs = _block(x, conv, plain)
    at = {channel: place for place, channel in enumerate(channels)}
    return scaled(picked(outputs, [at[row.channel] for row in rows]), rows)


def _split(x: Folded, conv: Convolution, rows: Sequence[Row]) -> Recorded:
    """What is common once, what is private for each stream, added where they meet."""
    common, private = x.layout.split
    streams = sorted({row.stream for row in rows})
    pieces, order = [], []
    for stream in streams:
        mine = [k for k, row in enumerate(rows) if row.stream == stream]
        own = [rows[k] for k in mine]
        weight = conv.block(x.layout, private[stream], own)
        pieces.append(conv.run(picked(x.wide, private[stream]), weight, own))
        order += mine
    result: Any = torch.cat(pieces, 1) if len(pieces) > 1 else pieces[0]  # type: ignore[arg-type]
    at = {k: place for place, k in enumerate(order)}
    result = picked(result, [at[k] for k in range(len(rows))])
    if common:
        channels = sorted({row.channel for row in rows})
        plain = [Row((0, c), streams[0], c, 1.0, 0.0, 0) for c in channels]
        shared = conv.run(picked(x.wide, common), conv.block(x.layout, common, plain), None)
        column = {channel: place for place, channel in enumerate(channels)}
        result = scaled(picked(shared, [column[row.channel] for row in rows]), rows, result)
    return result  # type: ignore[no-any-return]


def _side_by_side(layout: Layout, rows: Sequence[Row]) -> bool:
    """Whether nothing is common and all streams give as many outputs, one stream after another."""
    order = [row.stream for row in rows]
    each = len(rows) // layout.streams
    apart = layout == Layout.apart(layout.streams, layout.channels)
    return apart and order == [stream for stream in range(layout.streams) for _ in range(each)]


def _grouped_by_stream(x: Folded, conv: Convolution, rows: Sequence[Row]) -> Recorded:
    """Nothing is common: one convolution whose groups are the streams."""
    each = len(rows) // x.streams
    blocks = []
    for stream, places in enumerate(x.layout.index):
        block = conv.block(x.layout, places, rows[stream * each : (stream + 1) * each])
        blocks.append(block.transpose(0, 1) if conv.transposed else block)
    return conv.run(x.wide, torch.cat(blocks), rows, groups=x.streams)


def _depthwise(x: Folded, conv: Convolution, wanted: Wanted) -> Recorded:
    """Every output reads the channel of its own place, so that equality stays."""
    rows = wanted.rows
    value = picked(x.wide, [x.layout.index[row.stream][row.channel] for row in rows])
    kernel = conv.weight.detach().double()
    scale = torch.tensor([row.scale for row in rows], dtype=torch.float64).to(kernel)
    weight = kernel[[row.channel for row in rows]] * scale.view(-1, *[1] * (kernel.ndim - 1))
    return conv.run(value, weight, rows, groups=len(rows))


def _grouped(x: Folded, conv: Convolution) -> Folded:
    """Once where all streams have the same inputs, else side by side."""
    alike = len(set(x.layout.index)) == 1
    copies = 1 if alike else x.streams
    value = x.of_stream(0) if alike else x.apart()
    rows = [Row((s, c), s, c, 1.0, 0.0, 0) for s in range(copies) for c in range(conv.outputs)]
    weight = torch.cat([conv.weight.detach()] * copies)
    result = conv.run(value, weight, rows, groups=conv.groups * copies)
    if alike:
        return Folded(result, Layout.once(x.streams, conv.outputs))
    return Folded(result, Layout.apart(x.streams, conv.outputs))
