"""`fold`: a network that computes once what its streams have in common."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from cen.errors import ConversionError, described
from cen.exchange import StreamConv2d, StreamNorm, Streams
from cen.folding.layers import FoldedConv2d, FoldedNorm, folded
from cen.folding.recording import FoldedLayer, NotRecordableError, Recorded, Recorder, packed
from cen.folding.rules import TABLE
from cen.folding.tensor import Folded, Layout
from cen.folding.verifying import difference, foreign, untouched

_RECORDING = threading.RLock()
_MOST_PLANS = 64
"""Graphs of one network, each of which holds weights; some programs need one for every size."""


class FoldedStreams(Streams):
    """Streams whose packed tensors are folded."""

    @classmethod
    def of(cls, streams: Streams) -> FoldedStreams:
        """The same streams."""
        folded = cls.__new__(cls)
        folded.__dict__ |= streams.__dict__
        return folded

    def pack(self, features: Mapping[str, Any]) -> Any:
        """A folded tensor of the active streams."""
        pieces = [folded(features[self.names[i]], 1).compact() for i in self.active]
        if len(pieces) == 1:
            return pieces[0]
        joined: Any = torch.cat([piece.wide for piece in pieces], 1)  # type: ignore[misc]
        rows, width = [], 0
        for piece in pieces:
            rows.append(tuple(width + place for place in piece.layout.index[0]))
            width += piece.layout.width
        return Folded(joined, Layout(tuple(rows), width))

    def unpack(self, packed: Any) -> dict[str, Any]:
        """The tensors of the streams."""
        rows = folded(packed, len(self.active))
        return {self.names[i]: rows.of_stream(k) for k, i in enumerate(self.active)}

    def replayed(self, packed: Any) -> Any:
        """Nothing is recomputed here."""
        return packed


class Plan(nn.Module):
    """The graph of one subset of inputs, or why there is none.

    Attributes:
        graph: Plain tensors in, plain tensors out; None: the network is run as it is.
        layers: What folding makes of each convolution.
        unfolded: How often each function without a rule got a packed tensor.
        reason: Why there is no graph.
        run: What is called in place of the graph, or of the network where there is none, and gives
            the same; None: the graph, or the network, itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.graph: fx.GraphModule | None = None
        self.layers: list[FoldedLayer] = []
        self.unfolded: dict[str, int] = {}
        self.reason = ""
        self.sized = False
        self.results: Any = None
        self.run: Callable[..., Any] | None = None

    @property
    def saved(self) -> float:
        """Share of the multiply-adds of the convolutions that the graph does not do."""
        before = sum(layer.before for layer in self.layers)
        return 1 - sum(layer.after for layer in self.layers) / before if before else 0.0

    def refuse(self, reason: str) -> Plan:
        """Lets the network run as it is."""
        self.graph, self.run, self.results, self.reason = None, None, None, reason
        return self

    def forward(self, tensors: list[Tensor]) -> Any:
        """The results, nested as the network's."""
        assert self.graph is not None
        outputs = (self.run or self.graph)(*tensors)
        leaves, spec = self.results
        return pytree.tree_unflatten([outputs[k] if k >= 0 else value for k, value in leaves], spec)

    def summary(self) -> str:
        """Per convolution e, r and millions of multiply-adds of a sample, before and after."""
        if self.graph is None:
            return f"not folded: {self.reason}"
        total = FoldedLayer(
            "all", 0, 0, *(sum(v) for v in zip(*(x[3:] for x in self.layers), strict=True))
        )
        lines = [f"{'':48} {'e':>5} {'r':>5} {'before':>10} {'after':>10}"]
        for name, common, unread, before, after in (*self.layers, total):
            shares = f"{common:5.2f} {unread:5.2f}" if name != "all" else " " * 11
            lines.append(f"{name:48} {shares} {before / 1e6:10.2f} {after / 1e6:10.2f}")
        size = sum(value.nbytes for value in self.graph.buffers())
        lines.append(f"{size / 1e6:.1f} MB of weights made ready")
        if self.unfolded:
            counts = ", ".join(f"{name} ({count}x)" for name, count in self.unfolded.items())
            lines.append(f"without a rule, run on packed tensors: {counts}")
        return "\n".join(lines)


class FoldedNetwork(nn.Module):
    """A network in eval mode that gives the same outputs with fewer operations; see `fold`.

    Any subset of the streams may be given. For each a graph of plain tensors is recorded at its
    first pass, with all weights made ready. It cannot be trained, and later changes of the
    original's weights do not reach it.

    Attributes:
        net: A copy of the network, unfolded, whose predictions come from the graphs.
        saved: Share of the multiply-adds that must go; where they do not, it is run as it is.
        prepare: What makes of a graph, or of the network where it is run as it is, that which is
            called in its place, such as ``torch.compile``; of inputs that come for the first time
            from then on. None: nothing.
    """

    def __init__(self, net: nn.Module, saved: float = 0.0) -> None:
        super().__init__()
        if not callable(getattr(net, "predictions", None)):
            raise ConversionError(
                f"cen.fold takes a network of cen.build, cen.load or cen.convert, not "
                f"{described(net)}"
            )
        self.saved = saved
        self.prepare: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
        self._plans: dict[Any, Plan] = {}
        self._last: Plan | None = None
        self._part = _part(net)
        network: Any = copy.deepcopy(net).requires_grad_(False)
        setattr(network, self._part, self._planned)
        self.net: Any = network
        self.train(False)

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the network's."""
        return self.net(*args, **kwargs)

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """What is run for inputs like these: a graph of plain tensors and what it costs."""
        with _RECORDING:
            self(*args, **kwargs)
            assert self._last is not None
            return self._last

    @property
    def unfolded(self) -> dict[str, int]:
        """Operations that no rule knew, by name, and how often; of all graphs so far."""
        counts: Counter[str] = Counter()
        for plan in self._plans.values():
            counts.update(plan.unfolded)
        return dict(counts)

    def train(self, mode: bool = True) -> FoldedNetwork:
        """Stays in eval mode: with statistics of the batch nothing could be folded."""
        super().train(False)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FoldedNetwork:
        """Moves to another device or dtype; graphs are made anew."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._plans.clear()
        return self

    def _planned(self, *args: Any, **kwargs: Any) -> Any:
        """What the part that is folded gives, by the graph for such inputs."""
        leaves, spec = pytree.tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        others = tuple("" if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        kinds = tuple((x.ndim, x.shape[1], x.dtype, x.device) for x in tensors)
        key: Any = (str(spec), others, kinds)
        plan = self._plans.get(key)
        if plan is not None and plan.sized and not torch.compiler.is_compiling():
            key = (key, tuple(x.shape for x in tensors))
            plan = self._plans.get(key)
        if plan is None:
            plan = self._recorded(key, leaves, spec)
        self._last = plan
        if plan.graph is None:
            return (plan.run or self._unfolded)(*args, **kwargs)
        return plan(tensors)

    @property
    def _unfolded(self) -> Callable[..., Any]:
        """The part of the network as it is."""
        return MethodType(getattr(type(self.net), self._part), self.net)

    def _recorded(self, key: Any, leaves: list[Any], spec: pytree.TreeSpec) -> Plan:
        if torch.compiler.is_compiling():
            raise ConversionError(
                "a folded network is exported or compiled after it was called once with such "
                "inputs, which makes the graph; one whose program decides by their sizes cannot be "
                "exported for others"
            )
        with _RECORDING:
            if len(self._plans) >= _MOST_PLANS:
                plan = Plan().refuse(f"{_MOST_PLANS} graphs for other inputs are kept already")
            else:
                plan = self._compared(leaves, spec)
                if self.prepare is not None:
                    plan.run = self.prepare(self._unfolded if plan.graph is None else plan.graph)
            self._plans[key] = plan
            if plan.sized and isinstance(key[0], str):
                self._plans[key, tuple(x.shape for x in leaves if isinstance(x, Tensor))] = plan
        return plan

    def _compared(self, leaves: list[Any], spec: pytree.TreeSpec) -> Plan:
        """The graph for such inputs; of programs of others only if it gives what they give."""
        expected: Any = None
        # Some follow rows by values at their first pass, of which a recording has none.
        first = any(hasattr(module, "first_pass") for module in self.net.modules())
        if first or foreign(self.net):
            args, kwargs = pytree.tree_unflatten(untouched(leaves), spec)
            expected = self._unfolded(*args, **kwargs)
        plan = recorded(self.net, leaves, spec, self.saved, self._part)
        if expected is not None and plan.graph is not None:
            off = difference(
                expected, plan([x for x in untouched(leaves) if isinstance(x, Tensor)])
            )
            if off is not None:
                plan.refuse(f"its graph would not give what the network gives: {off}")
        return plan


def fold(net: nn.Module, saved: float = 0.0) -> FoldedNetwork:
    """Folds a network: the same outputs in eval mode, computed once where streams became equal.

    This project's extension. A channel that is exchanged holds the same numbers in both of two
    streams, so what is convolved of such channels alone is convolved once, outputs that an exchange
    throws away are not computed, and the scales and shifts of norms with running statistics go into
    the weights. Outputs agree up to the order of summation (about 1e-6 relative in float32).

    By the paper's parts a replaced channel of more than two streams is the mean of the others,
    which these do not have: then only what is thrown away is saved. With keeper parts any number of
    streams becomes equal.

    Args:
        net: What `cen.build`, `cen.load` or `cen.convert` gives. It is copied.
        saved: Share of the multiply-adds of its convolutions that must go. Where fewer would, for a
            subset of the inputs, the network is run as it is, and the plan's summary says so.

    Returns:
        A network that is called as the original is. Its first pass with a subset of the inputs
        records a graph of plain tensors, which ``torch.export`` and ``torch.compile`` take.

    Raises:
        ConversionError: It is no such network.
    """
    return FoldedNetwork(net, saved)


def _part(net: nn.Module) -> str:
    """The method of a network that is folded: all, but for what pads images and cuts the results.

    The graph holds for any size, while what is padded is decided by the size at hand.
    """
    return str(getattr(net, "folded_part", "predictions"))


def plan_of(net: nn.Module, inputs: Mapping[str, Tensor]) -> Plan:
    """What folding makes of a network for some of its inputs, of which only the sizes are read."""
    leaves, spec = pytree.tree_flatten(((dict(inputs),), {}))
    return recorded(net, leaves, spec)


def recorded(
    net: nn.Module,
    leaves: Sequence[Any],
    spec: pytree.TreeSpec,
    saved: float = 0.0,
    part: str = "predictions",
) -> Plan:
    """The graph of a network's predictions from some inputs, or why there is none.

    Args:
        net: The network.
        leaves: Arguments of its predictions, flattened.
        spec: How they were nested.
        saved: Share of the multiply-adds that must go.
        part: Name of the method that is recorded.
    """
    names = {id(value): name for name, value in net.named_parameters()}
    recorder, plan = Recorder(TABLE, names, shapes_only=True), Plan()
    inputs = [
        Folded.of_packed(recorder.input(leaf), 1) if isinstance(leaf, Tensor) else leaf
        for leaf in leaves
    ]
    args, kwargs = pytree.tree_unflatten(inputs, spec)
    try:
        with torch.inference_mode(False), torch.no_grad():
            result = getattr(foldable(net).eval(), part)(*args, **kwargs)
            result_leaves, result_spec = pytree.tree_flatten(result)
            results: list[Recorded] = []
            kept = [_result(value, results) for value in result_leaves]
            plan.graph = recorder.module(results)
    except Exception as reason:  # whatever a program does that no graph can follow
        plan.reason = f"{type(reason).__name__}: {reason}"
        return plan
    plan.results = (kept, result_spec)
    plan.layers, plan.unfolded = recorder.layers, dict(recorder.unfolded)
    plan.sized = recorder.sized
    if plan.saved < saved:
        plan.refuse(
            f"{plan.saved:.0%} of the multiply-adds would be saved, and at least {saved:.0%} are "
            "asked for; cen.fold(net, saved=-1) folds all the same"
        )
    return plan


def _result(value: Any, results: list[Recorded]) -> tuple[int, Any]:
    """Where a result is among those of the graph; -1 and itself, where it is none."""
    value = packed(value)
    if isinstance(value, Recorded):
        if isinstance(value.value, Tensor):
            results.append(value)
            return len(results) - 1, None
        return -1, value._decided(value.value)
    if value is None or isinstance(value, Tensor | bool | int | float | str):
        return -1, value
    raise NotRecordableError(f"the network returns {described(value)}")


def foldable(net: nn.Module) -> nn.Module:
    """A copy with the same tensors, whose stream layers and streams are folded."""
    shared: dict[int, Any] = {id(v): v for v in (*net.parameters(), *net.buffers())}
    shared[id(net.__dict__.get(_part(net)))] = None
    network = copy.deepcopy(net, shared)
    network.__dict__.pop(_part(net), None)
    folded_streams: dict[int, FoldedStreams] = {}
    for module in list(network.modules()):
        for name, value in list(vars(module).items()):
            if isinstance(value, Streams):
                streams = folded_streams.setdefault(id(value), FoldedStreams.of(value))
                setattr(module, name, streams)
    layers: dict[int, nn.Module] = {}
    for module in list(network.modules()):
        for name, child in list(module._modules.items()):
            if isinstance(child, StreamNorm):
                module._modules[name] = layers.setdefault(id(child), FoldedNorm(child))
            elif isinstance(child, StreamConv2d):
                module._modules[name] = layers.setdefault(id(child), FoldedConv2d(child))
    return network
