"""Channels of a recorded graph that no result reads are not computed (this project's extension).

`cen.folding.liveness` tells which are read; here the graph is written down anew, narrower. Where
all are read it stays as it is.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx
from torch.fx.node import map_aggregate, map_arg

from cen.folding.liveness import (
    TRANSPOSED,
    Kernel,
    Liveness,
    as_node,
    chosen_by,
    is_channelwise,
    is_join,
    is_size,
    pieces_of,
    width,
)
from cen.folding.recording import Recorded, Recorder
from cen.folding.tensor import picked


def pruned(recorder: Recorder, results: Sequence[Recorded]) -> tuple[Recorder, list[Recorded]]:
    """A graph that gives the same results without what none of them reads.

    Args:
        recorder: What has written the graph down, before `Recorder.module`.
        results: What is wanted of it, all channels of each.

    Returns:
        What wrote the narrower graph down, and the results in it; the same where all is read.
    """
    reads = Liveness(recorder, [result.node for result in results])
    if reads.everything:
        return recorder, list(results)
    return _Narrower(recorder, reads).written(results)


class _Narrower:
    """Writes a graph down anew, with the channels that are read.

    Args:
        recorder: What wrote the graph.
        reads: What is read of it.
    """

    def __init__(self, recorder: Recorder, reads: Liveness) -> None:
        self.old, self.reads = recorder, reads
        self.new = recorder.blank()
        self.made: dict[fx.Node, tuple[Recorded, list[int]]] = {}
        self.work: Counter[int] = Counter()

    def written(self, results: Sequence[Recorded]) -> tuple[Recorder, list[Recorded]]:
        """The new graph, and the results in it."""
        for node in self.old.graph.nodes:
            if node in self.reads.masks and node.op != "get_attr":
                self.made[node] = self._made(node)
        self.new.layers = self._layers()
        return self.new, [self._all(result.node) for result in results]

    def _made(self, node: fx.Node) -> tuple[Recorded, list[int]]:
        """A node, and which of its channels there are."""
        channels = self.reads.of(node)
        if node.op == "placeholder":
            return self.new.same_input(node), channels
        if is_channelwise(node):
            return self._called(node, lambda operand: self._of_width(operand, node)), channels
        if is_join(node):
            return self._joined(node, channels), channels
        if (chosen := chosen_by(self.old, node)) is not None:
            value: Any = self._some(as_node(node.args[0]), [chosen[c] for c in channels])
            if node.target is operator.getitem:
                rest: Any = map_aggregate(node.args[1][2:], self._renewed)  # type: ignore[index]
                value = value[(slice(None), slice(None), *rest)] if rest else value
            return value, channels
        if (kernel := self.reads.kernel(node)) is not None:
            return self._convolved(node, kernel), kernel.outputs
        if is_size(node):
            return self._called(node, lambda operand: self.made[operand][0]), channels
        return self._called(node, self._all), [*range(max(width(node), 1))]  # whatever is read

    def _called(self, node: fx.Node, renewed: Callable[[fx.Node], Any]) -> Recorded:
        args: Any = map_arg(node.args, renewed)
        kwargs: Any = map_arg(node.kwargs, renewed)
        made: Recorded = self.new.create_proxy(node.op, node.target, args, kwargs)
        return made

    def _renewed(self, value: Any) -> Any:
        return self._all(value) if isinstance(value, fx.Node) else value

    def _all(self, node: fx.Node) -> Recorded:
        """All channels of a node."""
        if node.op == "get_attr":
            return self.new.constant(self.old.held(node))
        return self.made[node][0]

    def _some(self, node: fx.Node, channels: Sequence[int]) -> Recorded:
        """Some channels of a node."""
        if node.op == "get_attr":
            held = self.old.held(node)
            whole = len(channels) == held.shape[1]
            return self.new.constant(held if whole else held[:, list(channels)])
        value, there = self.made[node]
        place = {channel: k for k, channel in enumerate(there)}
        return picked(value, [place[channel] for channel in channels])

    def _of_width(self, operand: fx.Node, node: fx.Node) -> Recorded:
        """The channels of an operand that a result of the same width needs."""
        if width(operand) == width(node):
            return self._some(operand, self.reads.of(node))
        return self._all(operand)

    def _joined(self, node: fx.Node, channels: Sequence[int]) -> Recorded:
        pieces = [self._some(piece, mine) for piece, mine in pieces_of(node, channels)]
        joined: Any = pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)  # type: ignore[arg-type]
        return joined  # type: ignore[no-any-return]

    def _convolved(self, node: fx.Node, kernel: Kernel) -> Recorded:
        source, kernel = self._source(as_node(node.args[0]), kernel, node.target in TRANSPOSED)
        weight = self.new.constant(kernel.weight.contiguous())
        bias = None if kernel.bias is None else self.new.constant(kernel.bias)
        options = {**node.kwargs, **({"groups": kernel.groups} if "groups" in node.kwargs else {})}
        made: Recorded = self.new.create_proxy(
            node.op, node.target, (source, weight, bias), options
        )
        if "work" in node.meta:
            layer, positions = node.meta["work"]
            self.work[layer] += kernel.weight.numel() * positions
        return made

    def _source(self, node: fx.Node, kernel: Kernel, transposed: bool) -> tuple[Recorded, Kernel]:
        """What a convolution reads: all there is where little else is, so that nothing moves."""
        value, there = self.made[node]
        needed = set(kernel.inputs)
        places = [place for place, channel in enumerate(there) if channel in needed]
        in_one = places == [*range(places[0], places[-1] + 1)]
        if in_one or kernel.groups > 1 or 4 * len(there) > 5 * len(places):
            return picked(value, places), kernel
        axis = 0 if transposed else 1
        shape = [*kernel.weight.shape]
        shape[axis] = len(there)
        weight = kernel.weight.new_zeros(shape).index_copy_(
            axis, torch.tensor(places, device=kernel.weight.device), kernel.weight
        )
        return value, kernel._replace(weight=weight)

    def _layers(self) -> list[Any]:
        """What the convolutions cost, and what is left out of them, by now."""
        counts = {k: (0, each) for k, each in enumerate(self.old.outputs)}
        for node in self.old.graph.nodes:
            if (layer := node.meta.get("gives")) is not None and node in self.reads.masks:
                counts[layer] = (len(self.reads.of(node)), counts[layer][1])
        return [
            layer._replace(after=self.work[k], unread=max(0.0, 1 - counts[k][0] / counts[k][1]))
            for k, layer in enumerate(self.old.layers)
        ]
