"""`fold`: a network that computes once what its streams have in common."""

from __future__ import annotations

import copy
import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from cen.arguments import number
from cen.errors import ConversionError, described
from cen.folding.plans import Keeping, Plan, folded_part, recorded
from cen.folding.verifying import difference, foreign, untouched

_RECORDING = threading.RLock()
_MOST_PLANS = 64
"""Graphs of one network, each of which holds weights; some programs need one for every size."""


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

    def __init__(
        self, net: nn.Module, saved: float = 0.0, streams: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        if not callable(getattr(net, "predictions", None)):
            raise ConversionError(
                f"cen.fold takes a network of cen.build, cen.load or cen.convert, not "
                f"{described(net)}"
            )
        self.saved = number(
            "saved", saved, what="a share of the multiply-adds, at most 1", low=-math.inf, high=1
        )
        self._keeping = Keeping(net, streams)
        self.prepare: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
        self._plans: dict[Any, Plan] = {}
        self._last: Plan | None = None
        self._part = folded_part(net)
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
        """The part of the network as it is, with the predictions that are kept."""
        part = MethodType(getattr(type(self.net), self._part), self.net)
        return lambda *args, **kwargs: self._keeping(part(*args, **kwargs))

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
        plan = recorded(self.net, leaves, spec, self.saved, self._part, self._keeping)
        if expected is not None and plan.graph is not None:
            off = difference(
                expected, plan([x for x in untouched(leaves) if isinstance(x, Tensor)])
            )
            if off is not None:
                plan.refuse(f"its graph would not give what the network gives: {off}")
        return plan


def fold(net: nn.Module, saved: float = 0.0, streams: Sequence[str] | None = None) -> FoldedNetwork:
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
        streams: Streams, by the names of their inputs, whose predictions are kept; the ensemble is
            of these. What they do not read of the others is not computed, as where one stream is
            as good as all together. None: all.

    Returns:
        A network that is called as the original is. Its first pass with a subset of the inputs
        records a graph of plain tensors, which ``torch.export`` and ``torch.compile`` take.

    Raises:
        ConversionError: It is no such network.
        ConfigError: ``saved`` is no number up to 1.
        StreamError: A stream is none of its inputs. In a pass: no prediction of an output is one of
            these streams', as where their inputs are not given, or inputs are fused.
    """
    return FoldedNetwork(net, saved, streams)
