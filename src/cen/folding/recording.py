"""Recording what a network does to a graph of plain tensors, once, before it is run.

The network's own Python runs with `Recorded` values in place of tensors. Every function of torch
that meets one is written down as a node of a graph of ``torch.fx``, and computed, so that shapes
are known. Sizes stay what they are, nodes of the graph, unless the program decides something by
one: then the graph holds for inputs of these sizes alone.
"""

from __future__ import annotations

import math
import operator
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.fx.proxy import GraphAppendingTracer, Scope
from torch.utils import _pytree as pytree

Rule = Callable[..., Any]


class NotRecordableError(Exception):
    """What a network does depends on values, or is done where no graph can follow."""


class Packable:
    """What stands for a packed tensor without being one; unknown functions get the tensor."""

    def packed(self) -> Recorded:
        """The packed tensor."""
        raise NotImplementedError


def packed(value: Any) -> Any:
    """The packed tensor of what stands for one; any other value as it is."""
    return value.packed() if isinstance(value, Packable) else value


_READING = ("item", "tolist", "numpy", "nonzero", "__bool__", "__int__", "__float__", "equal")
"""What hands values of a tensor to the program."""
_FRESH = (
    *(f"{value}_like" for value in ("zeros", "ones", "full", "empty", "rand", "randn")),
    *(f"new_{value}" for value in ("zeros", "ones", "full", "empty")),
)
"""What reads of a tensor its size alone."""


class FoldedLayer(NamedTuple):
    """What folding made of a convolution.

    Attributes:
        name: Of its weight in the network.
        common: Share e of the input channels that are equal in all streams.
        unread: Share r of the outputs of all streams that are not computed.
        before: Multiply-adds of one sample, unfolded.
        after: Multiply-adds of one sample, folded.
    """

    name: str
    common: float
    unread: float
    before: int
    after: int


class Recorded(fx.Proxy):
    """A tensor, or a size of one, whose operations are recorded.

    Attributes:
        value: What it is in the pass that is recorded.
    """

    @property
    def recorder(self) -> Recorder:
        """What writes them down."""
        recorder: Any = self.tracer
        return recorder  # type: ignore[no-any-return]

    @property
    def value(self) -> Any:
        """What it is in the pass that is recorded."""
        return self.node.meta["value"]

    @property
    def ndim(self) -> int:
        """Number of axes; a recorded graph holds for this one only."""
        return int(self.value.ndim)

    @property
    def dtype(self) -> torch.dtype:
        """As recorded."""
        dtype: torch.dtype = self.value.dtype
        return dtype

    @property
    def device(self) -> torch.device:
        """That of the inputs."""
        return self.recorder.device

    @property
    def is_cuda(self) -> bool:
        """Whether the inputs are on a GPU of CUDA."""
        return self.device.type == "cuda"

    @property
    def is_mps(self) -> bool:
        """Whether the inputs are on a GPU of Apple's."""
        return self.device.type == "mps"

    @property
    def shape(self) -> Any:
        """Sizes as nodes of the graph."""
        return tuple(self.size(axis) for axis in range(self.ndim))

    def size(self, axis: int | None = None) -> Any:
        """One size, or all."""
        if axis is None:
            return self.shape
        return self.tracer.create_proxy("call_method", "size", (self, axis), {})

    def dim(self) -> int:
        """Number of axes."""
        return self.ndim

    def __getattr__(self, name: str) -> Any:
        """Attributes of the tensor; methods are recorded when called."""
        if name.startswith("__"):
            raise AttributeError(name)
        member = getattr(self.value, name)
        if callable(member):

            def method(*args: Any, **kwargs: Any) -> Any:
                return self.tracer.create_proxy("call_method", name, (self, *args), kwargs)

            return method
        if isinstance(member, Tensor):
            return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return self._decided(member)

    def __len__(self) -> int:
        return int(self._decided(len(self.value)))

    def __setitem__(self, index: Any, value: Any) -> None:
        self.recorder.write(self, index, value)

    def __index__(self) -> int:
        return int(self._decided(self.value))

    __int__ = __index__

    def __float__(self) -> float:
        return float(self._decided(self.value))

    def __ceil__(self) -> int:
        return math.ceil(float(self))

    def __floor__(self) -> int:
        return math.floor(float(self))

    def __round__(self, digits: int | None = None) -> Any:
        return round(self._decided(self.value), digits)

    def _decided(self, value: Any) -> Any:
        """A plain value, on which what follows may depend."""
        return self.recorder.decided(value)


class Recorder(GraphAppendingTracer):
    """Writes down what is done to recorded values.

    Attributes:
        rules: What is done with folded tensors, by function of torch.
        sized: Whether the graph holds for inputs of the recorded sizes only.
        unfolded: How often each function without a rule was handed a packed tensor.
        layers: What each convolution costs.
        names: Name of each parameter, by its id.
        spent: Multiply-adds of one sample so far.
        positions: How often the last convolution's kernel was laid on.
        outputs: How many channels each of the `layers` would give of all streams.
        shapes_only: Whether nothing is computed: what stands for values is of the device ``meta``.
        device: Where the inputs are.
    """

    def __init__(
        self, rules: Mapping[Any, Rule], names: Mapping[int, str], shapes_only: bool = False
    ) -> None:
        super().__init__(fx.Graph())
        self.scope = Scope("", None)
        self.module_stack = OrderedDict()
        self.rules = rules
        self.sized = False
        self.unfolded: Counter[str] = Counter()
        self.layers: list[FoldedLayer] = []
        self.outputs: list[int] = []
        self.names = dict(names)
        self.spent = 0
        self.positions = 0
        self.shapes_only = shapes_only
        self.device = torch.device("cpu")
        self._constants = nn.Module()
        self._names: dict[int, str] = {}
        self._held: list[Tensor] = []

    def input(self, value: Tensor) -> Recorded:
        """An input of the graph."""
        node = self.graph.placeholder(f"input_{len(self.graph.nodes)}")
        node.meta |= {"value": self._shadow(value), "holds": True}
        self.device = value.device
        return Recorded(node, self)

    def blank(self) -> Recorder:
        """Another one for a graph of the same inputs, of which nothing is written yet."""
        new = Recorder(self.rules, self.names, self.shapes_only)
        new.sized, new.unfolded, new.device = self.sized, self.unfolded, self.device
        return new

    def same_input(self, node: fx.Node) -> Recorded:
        """The input of another graph in this one."""
        new = self.graph.placeholder(str(node.target))
        new.meta |= {key: node.meta[key] for key in ("value", "holds")}
        return Recorded(new, self)

    def held(self, node: fx.Node) -> Tensor:
        """The tensor of a constant."""
        return self._constants.get_buffer(str(node.target))

    def spend(self, node: fx.Node, weights: int, positions: int) -> None:
        """Counts multiply-adds: every weight at every position of one sample."""
        node.meta["work"] = (len(self.layers), positions)
        self.spent += weights * positions
        self.positions = positions

    def proxy(self, node: fx.Node) -> Recorded:
        """What stands for a node."""
        return Recorded(node, self)

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        name: str | None = None,
        type_expr: Any = None,
        proxy_factory_fn: Callable[[fx.Node], fx.Proxy] | None = None,
    ) -> Any:
        """Records a call, and makes it."""
        called = target if isinstance(target, str) else getattr(target, "__name__", "")
        if called in _READING:
            raise NotRecordableError(f"{called} reads values of a tensor")
        if called == "__setitem__":
            raise NotRecordableError("values are written into a tensor that was not recorded")
        positional: Any = map_aggregate(args, packed)
        named: Any = map_aggregate(dict(kwargs), packed)
        values: Any = map_aggregate(positional, self._shadow)
        options: Any = map_aggregate(named, self._shadow)
        function = getattr(values[0], target) if kind == "call_method" else target
        value = function(*(values[1:] if kind == "call_method" else values), **options)
        proxy = super().create_proxy(kind, target, positional, named)
        proxy.node.meta["value"] = value
        if called not in _FRESH and any(_holds(x) for x in pytree.tree_leaves((positional, named))):
            proxy.node.meta["holds"] = not isinstance(value, bool | int | float)
        return proxy

    def write(self, target: Recorded, index: Any, value: Any) -> None:
        """Records an assignment to a part of a tensor that the program has made of sizes alone.

        Such a tensor, as the mask of a window is, lies in memory of its own: what is written into
        it changes it and its views, in the graph as in the program. What holds inputs or weights
        may share memory with others in the program and not in the graph, or the other way round.

        Raises:
            NotRecordableError: An input or a weight has gone into the tensor.
        """
        if target.node.meta.get("holds"):
            raise NotRecordableError(
                "values are written into a tensor that holds inputs or weights"
            )
        self.create_proxy("call_function", operator.setitem, (target, index, value), {})

    def create_arg(self, a: Any) -> Any:
        """Tensors that are no node become constants of the graph."""
        if isinstance(a, Tensor):
            return self.constant(a).node
        if isinstance(a, torch.Size):
            return tuple(a)
        return super().create_arg(a)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """A decision of the program."""
        return bool(self.decided(obj.node.meta["value"]))

    def iter(self, obj: Any) -> Iterator[Any]:
        """The items of a list of results, or the rows of a tensor."""
        value = obj.node.meta["value"]
        if isinstance(value, Tensor):
            self.sized = True
        return iter([obj[place] for place in range(len(value))])

    def decided(self, value: Any) -> Any:
        """Notes that the program takes a size as it is.

        Raises:
            NotRecordableError: It is no size but values of a tensor.
        """
        if isinstance(value, Tensor):
            raise NotRecordableError("what is done depends on the values of a tensor")
        self.sized = True
        return value

    def module(self, results: list[Recorded]) -> fx.GraphModule:
        """The graph as a module that gives these results."""
        self.graph.output(tuple(result.node for result in results))
        self.graph.eliminate_dead_code(needed_for_itself)
        for node in self.graph.nodes:
            node.meta.clear()
        used = {node.target for node in self.graph.nodes if node.op == "get_attr"}
        for name in [n for n, _ in self._constants.named_buffers() if n not in used]:
            delattr(self._constants, name)
        return fx.GraphModule(self._constants, self.graph, "FoldedGraph")

    def constant(self, value: Tensor) -> Recorded:
        """A tensor that the graph holds."""
        node = self.graph.get_attr(self._constant(value))
        node.meta |= {"value": self._shadow(value), "holds": True}
        return Recorded(node, self)

    def _shadow(self, argument: Any) -> Any:
        """What an argument is in the pass that is recorded."""
        if isinstance(argument, Recorded):
            return argument.value
        if self.shapes_only and isinstance(argument, Tensor):
            return argument.to("meta")
        if self.shapes_only and isinstance(argument, torch.device):
            return torch.device("meta")
        return argument

    def _constant(self, value: Tensor) -> str:
        if id(value) not in self._names:
            self._names[id(value)] = f"constant_{len(self._names)}"
            self._held.append(value)  # so that no other tensor gets its id
            self._constants.register_buffer(self._names[id(value)], value.detach())
        return self._names[id(value)]


def recordable(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of torch, also a method of its tensors, that takes recorded values."""
    name = getattr(function, "__name__", "")
    if getattr(Tensor, name, None) is not function:
        return function

    def method(first: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(first, Recorded):
            return first.tracer.create_proxy("call_method", name, (first, *args), kwargs)
        return function(first, *args, **kwargs)

    method.__name__ = name
    return method


def _holds(argument: Any) -> bool:
    """Whether an argument of a call brings an input or a weight with it."""
    if isinstance(argument, fx.Proxy):
        return bool(argument.node.meta.get("holds"))
    return isinstance(argument, Tensor)


def needed_for_itself(node: fx.Node) -> bool:
    """Whether a call is needed though nothing takes its result: it writes into a tensor."""
    if node.op == "call_method":
        name = str(node.target)
        return name.endswith("_") and not name.endswith("__")
    return node.is_impure() or bool(node.kwargs.get("inplace"))
