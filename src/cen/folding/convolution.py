"""Convolutions of folded tensors, put off until it is known which channels are read of them.

What is common is convolved once for all streams, what is private for each; a stream norm that
follows says which outputs a stream needs at all, and its scales and shifts go into the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cen.folding.tensor import Folded, Layout, picked


class Wanted(NamedTuple):
    """The outputs that are wanted of a convolution, in the order of the wide result.

    Attributes:
        places: Layout of the result.
        source: By common channel, the stream that it is taken from; None where all have the same.
        scale: a, (S, C) float64, of the norm that follows; None without one.
        shift: b likewise.
    """

    places: Layout
    source: tuple[int | None, ...]
    scale: Tensor | None
    shift: Tensor | None


@dataclass(frozen=True)
class Convolution:
    """A convolution as it was asked for.

    Attributes:
        function: Called with input, weight, bias and ``groups``; the rest is bound.
        weight: (O, I / groups, *), or (I, O / groups, *) of a transposed one.
        bias: (O,) or None.
        groups: Groups of channels.
        transposed: Which of the two.
    """

    function: Callable[..., Tensor]
    weight: Tensor
    bias: Tensor | None
    groups: int
    transposed: bool

    @property
    def outputs(self) -> int:
        """O."""
        return self.weight.shape[1] * self.groups if self.transposed else self.weight.shape[0]

    @property
    def inputs(self) -> int:
        """I."""
        return self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups

    @property
    def depthwise(self) -> bool:
        """Whether every output reads one input channel of its own place."""
        return self.groups > 1 and self.groups == self.outputs == self.inputs

    def slice(
        self, reads: Sequence[int], gives: Sequence[int], scale: Tensor | None = None
    ) -> Tensor:
        """The weight (gives, reads, *) from some inputs to some outputs, these scaled; groups = 1.

        A transposed one is handed out with its first two axes swapped, like the other.
        """
        weight = self.weight.detach()
        weight = weight.transpose(0, 1) if self.transposed else weight
        found = weight[list(gives)][:, list(reads)].double()
        if scale is not None:
            found = found * scale[list(gives)].view(-1, *[1] * (found.ndim - 1))
        return found

    def offset(
        self, gives: Sequence[int], scale: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """The bias of some outputs, scaled and shifted; (gives,) float64."""
        index = list(gives)
        found = torch.zeros(len(index), dtype=torch.float64, device=self.weight.device)
        if self.bias is not None:
            found = self.bias.detach()[index].double()
        if scale is not None:
            found = found * scale[index]
        return found if shift is None else found + shift[index]

    def run(self, value: Tensor, weight: Tensor, bias: Tensor | None, groups: int = 1) -> Tensor:
        """Convolves with a slice that `finished` has made ready."""
        return self.function(value, weight, bias, groups=groups)

    def finished(self, weight: Tensor) -> Tensor:
        """A slice in the dtype and the order of axes that the function takes."""
        weight = weight.transpose(0, 1) if self.transposed else weight
        return weight.to(self.weight.dtype).contiguous()


class Deferred(Folded):
    """What a convolution will give. Whoever looks at its channels makes it compute them."""

    def __init__(self, source: Folded, conv: Convolution) -> None:
        self.source, self.conv = source.snapshot(), conv
        self.streams, self.trace = source.streams, source.trace
        self._result: Folded | None = None

    @property
    def result(self) -> Folded:
        """The outputs, all of them."""
        if self._result is None:
            self._result = all_outputs(self.source, self.conv)
        return self._result

    @property
    def pending(self) -> bool:
        """Whether nothing has been computed yet, so that a norm may say what it needs."""
        return self._result is None and self.conv.groups == 1

    @property
    def wide(self) -> Tensor:  # type: ignore[override]
        """The channels as they lie."""
        return self.result.wide

    @property
    def places(self) -> Layout:  # type: ignore[override]
        """Which are which."""
        return self.result.places

    def become(self, other: Folded) -> Folded:
        """Takes the values of another, as an operation in place does."""
        self._result = other.snapshot()
        return self

    def snapshot(self) -> Folded:
        """The outputs, which no operation in place changes any more."""
        return self.result.snapshot()


def all_outputs(x: Folded, conv: Convolution) -> Folded:
    """Every output of every stream."""
    every = tuple(range(conv.outputs))
    if conv.depthwise:
        return _depthwise(x, conv)
    if conv.groups > 1:
        return _grouped(x, conv)
    if not x.places.private:
        places, source = Layout(every, ()), (None,) * len(every)
    else:
        places, source = Layout((), every), ()
    return convolved(x, conv, Wanted(places, source, None, None), None)


def convolved(x: Folded, conv: Convolution, wanted: Wanted, key: object) -> Folded:
    """The outputs wanted, by the way that costs least.

    Args:
        x: What is convolved.
        conv: How; of one group.
        wanted: Which outputs.
        key: Tells what follows the convolution from what else may follow it.
    """
    name = (id(conv.weight), x.places, x.streams, key)
    ways: dict[str, Callable[[], Tensor]] = {"block": lambda: _block(x, conv, wanted, name)}
    costs = {"block": _block_cost(x, conv, wanted)}
    if x.places.private:
        ways["split"] = lambda: _split(x, conv, wanted, name)
        costs["split"] = _split_cost(x, conv, wanted)
        if not x.places.common and not wanted.places.common:
            ways["packed"] = lambda: _packed(x, conv, wanted, name)
            costs["packed"] = _packed_cost(x, conv, wanted)
    way = min(costs, key=lambda name: costs[name])
    return Folded(ways[way](), wanted.places, x.streams, x.trace)


# What a pass over one value costs in multiply-adds, and a call in multiply-adds per pixel; widths
# are filled up to those of vector registers. Only the choice among equal results depends on it.
_PASS = 24
_CALL = 600
_LANES = 16


def _filled(channels: int) -> int:
    return math.ceil(channels / _LANES) * _LANES


def _work(conv: Convolution, reads: int, gives: int) -> float:
    return _filled(reads) * _filled(gives) * conv.weight[0, 0].numel() + _CALL


def _block_cost(x: Folded, conv: Convolution, wanted: Wanted) -> float:
    width = len(wanted.places.common) + x.streams * len(wanted.places.private)
    return _work(conv, x.wide.shape[1], width)


def _split_cost(x: Folded, conv: Convolution, wanted: Wanted) -> float:
    common, private = len(wanted.places.common), len(wanted.places.private)
    rows = private + common / x.streams
    cost = x.streams * _work(conv, len(x.places.private), math.ceil(rows))
    cost += _PASS * (len(x.places.private) * x.streams + x.streams * rows)
    if x.places.common:
        cost += _work(conv, len(x.places.common), common + private)
        cost += _PASS * (len(x.places.common) + 2 * x.streams * rows)
    return cost


def _packed_cost(x: Folded, conv: Convolution, wanted: Wanted) -> float:
    cost = x.streams * (_work(conv, conv.inputs, conv.outputs) - _CALL) + _CALL
    return cost + (_PASS * x.streams * conv.outputs if wanted.scale is not None else 0)


def _block(x: Folded, conv: Convolution, wanted: Wanted, name: object) -> Tensor:
    """One convolution over all there is, with zeros where a stream does not read another's."""

    def make() -> tuple[Tensor, Tensor]:
        rows, offsets = [], []
        for stream, gives in _sections(x, wanted):
            block = conv.weight.new_zeros(
                (len(gives), x.wide.shape[1], *conv.weight.shape[2:]), dtype=torch.float64
            )
            owner = stream if stream is not None else 0
            scale = None if wanted.scale is None else wanted.scale[owner]
            shift = None if wanted.shift is None else wanted.shift[owner]
            every = range(conv.inputs)
            block[:, x.at(owner, every)] = conv.slice(every, gives, scale)
            rows.append(block)
            offsets.append(conv.offset(gives, scale, shift))
        return conv.finished(torch.cat(rows)), torch.cat(offsets).to(conv.weight.dtype)

    weight, bias = x.trace.kept(("block", name), make)
    return conv.run(x.wide, weight, bias)


def _sections(x: Folded, wanted: Wanted) -> list[tuple[int | None, tuple[int, ...]]]:
    """Runs of the wide result: whose outputs they are, and which."""
    sections: list[tuple[int | None, tuple[int, ...]]] = []
    for channel, stream in zip(wanted.places.common, wanted.source, strict=True):
        if sections and sections[-1][0] == stream:
            sections[-1] = (stream, (*sections[-1][1], channel))
        else:
            sections.append((stream, (channel,)))
    if wanted.places.private:
        sections += [(s, wanted.places.private) for s in range(x.streams)]
    return sections


def _split(x: Folded, conv: Convolution, wanted: Wanted, name: object) -> Tensor:
    """What is common once, what is private for each stream, added where they meet."""
    sections = _sections(x, wanted)
    union = sorted({channel for _, gives in sections for channel in gives})
    shared = None
    if x.places.common:
        weight = x.trace.kept(
            ("shared", name), lambda: conv.finished(conv.slice(x.places.common, union))
        )
        shared = conv.run(x.common(), weight, None)
    pieces: list[Tensor | None] = [None] * len(sections)
    for s in range(x.streams):
        mine = [at for at, (stream, _) in enumerate(sections) if stream == s]
        gives = [channel for at in mine for channel in sections[at][1]]
        if not gives:
            continue

        def make(s: int = s, gives: Sequence[int] = gives) -> tuple[Tensor, Tensor, Tensor]:
            scale = None if wanted.scale is None else wanted.scale[s]
            shift = None if wanted.shift is None else wanted.shift[s]
            weight = conv.finished(conv.slice(x.places.private, gives, scale))
            factor = torch.ones(len(gives)) if scale is None else scale[list(gives)]
            offset = conv.offset(gives, scale, shift)
            return weight, offset.to(weight.dtype), factor.to(weight)

        weight, bias, factor = x.trace.kept(("own", name, s), make)
        value = conv.run(x.private(s), weight, bias)
        if shared is not None:
            place = {channel: at for at, channel in enumerate(union)}
            part = picked(shared, [place[channel] for channel in gives])
            value = torch.addcmul(value, part, factor.view(1, -1, *[1] * (value.ndim - 2)))
        sizes = [len(sections[at][1]) for at in mine]
        for at, piece in zip(mine, torch.split(value, sizes, 1), strict=True):
            pieces[at] = piece
    there = [piece for piece in pieces if piece is not None]
    return there[0] if len(there) == 1 else torch.cat(there, 1)


def _packed(x: Folded, conv: Convolution, wanted: Wanted, name: object) -> Tensor:
    """Nothing is common, everything is wanted: as without folding, the norm's map behind."""
    packed = conv.run(_narrowed(x), conv.weight, conv.bias)
    wide = torch.unflatten(packed, 0, (-1, x.streams)).flatten(1, 2)
    if wanted.scale is None or wanted.shift is None:
        return wide
    scale, shift = wanted.scale, wanted.shift
    shape = (1, -1, *[1] * (wide.ndim - 2))
    a, b = x.trace.kept(
        ("affine", name), lambda: (scale.flatten().to(wide), shift.flatten().to(wide))
    )
    return torch.addcmul(b.view(shape), wide, a.view(shape))


def _narrowed(x: Folded) -> Tensor:
    return torch.unflatten(x.wide, 1, (x.streams, -1)).flatten(0, 1)


def _depthwise(x: Folded, conv: Convolution) -> Folded:
    """Every output reads the channel of its own place, so that equality stays."""
    order = [*x.places.common, *x.places.private * x.streams]

    def make() -> tuple[Tensor, Tensor | None]:
        bias = None if conv.bias is None else conv.bias.detach()[order]
        return conv.weight.detach()[order], bias

    weight, bias = x.trace.kept(("depthwise", id(conv.weight), x.places, x.streams), make)
    return x.map(lambda value: conv.run(value, weight, bias, groups=len(order)))


def _grouped(x: Folded, conv: Convolution) -> Folded:
    """Once where all is common, else packed."""
    if not x.places.private:
        value = conv.run(x.of_stream(0), conv.weight, conv.bias, groups=conv.groups)
        return Folded(value, Layout(tuple(range(conv.outputs)), ()), x.streams, x.trace)
    packed = conv.run(x.packed(), conv.weight, conv.bias, groups=conv.groups)
    return Folded.of_packed(packed, x.streams, x.trace)
