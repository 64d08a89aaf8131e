"""What folding makes of a network for inputs of one kind: a graph of tensors, and its cost."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from cen.errors import StreamError, described, nearest
from cen.exchange import StreamConv2d, StreamNorm, Streams
from cen.folding.layers import FoldedConv2d, FoldedNorm, FoldedStreams
from cen.folding.pruning import pruned
from cen.folding.recording import FoldedLayer, NotRecordableError, Recorded, Recorder, packed
from cen.folding.rules import TABLE
from cen.folding.tensor import Folded


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


def folded_part(net: nn.Module) -> str:
    """The method of a network that is folded: all, but for what pads images and cuts the results.

    The graph holds for any size, while what is padded is decided by the size at hand.
    """
    return str(getattr(net, "folded_part", "predictions"))


class Keeping:
    """Of the predictions of a network those of some streams.

    Args:
        net: The network.
        streams: Names of inputs; None: all are kept.

    Raises:
        StreamError: These are no list of its inputs.
    """

    def __init__(self, net: nn.Module, streams: Sequence[str] | None = None) -> None:
        self.streams = streams
        self.by_output = hasattr(net, "outputs")  # not one of `cen.exchange.convert`
        if streams is None:
            return
        named = isinstance(streams, list | tuple) and all(isinstance(x, str) for x in streams)
        if not streams or not named:
            raise StreamError(
                f"streams are a list of names such as ['rgb'], not {described(streams)}"
            )
        by_stream = getattr(getattr(net, "streams", None), "names", streams)
        known = getattr(net, "inputs", by_stream)
        for name in streams:
            if name not in known:
                raise StreamError(f"there is no stream {name!r}{nearest(name, known)}")

    def __call__(self, predictions: Any) -> Any:
        """Keeps them.

        Raises:
            StreamError: There are none, or none of an output.
        """
        if self.streams is None:
            return predictions
        if not self.by_output:
            return self._kept(predictions, "what there is")
        return {name: self._kept(values, repr(name)) for name, values in predictions.items()}

    def _kept(self, values: Mapping[str, Any], what: str) -> dict[str, Any]:
        kept = {name: value for name, value in values.items() if name in (self.streams or ())}
        if not kept:
            raise StreamError(
                f"only predictions of {', '.join(self.streams or ())} are kept, and {what} is "
                f"predicted from {', '.join(values)} here; give these inputs, or fold with streams="
            )
        return kept


def plan_of(
    net: nn.Module, inputs: Mapping[str, Tensor], streams: Sequence[str] | None = None
) -> Plan:
    """What folding makes of a network for some of its inputs, of which only the sizes are read.

    Args:
        net: The network.
        inputs: The inputs.
        streams: Streams whose predictions are kept; None: all.
    """
    leaves, spec = pytree.tree_flatten(((dict(inputs),), {}))
    return recorded(net, leaves, spec, keep=Keeping(net, streams))


def recorded(
    net: nn.Module,
    leaves: Sequence[Any],
    spec: pytree.TreeSpec,
    saved: float = 0.0,
    part: str = "predictions",
    keep: Callable[[Any], Any] = lambda predictions: predictions,
) -> Plan:
    """The graph of a network's predictions from some inputs, or why there is none.

    Args:
        net: The network.
        leaves: Arguments of its predictions, flattened.
        spec: How they were nested.
        saved: Share of the multiply-adds that must go.
        part: Name of the method that is recorded.
        keep: What is kept of its result.
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
            result_leaves, result_spec = pytree.tree_flatten(keep(result))
            results: list[Recorded] = []
            kept = [_result(value, results) for value in result_leaves]
            recorder, results = pruned(recorder, results)
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
    shared[id(net.__dict__.get(folded_part(net)))] = None
    network = copy.deepcopy(net, shared)
    network.__dict__.pop(folded_part(net), None)
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
