"""A packed tensor whose equal channels are kept once: what folding computes with.

This project's extension. After an exchange a replaced channel holds the same numbers in every
stream. A :class:`Folded` tensor keeps such *common* channels once and the *private* ones for each
stream; every function of torch that it is handed to is looked up in :mod:`cen.folding.rules`, which
say how equality travels through it. What no rule knows gets the packed tensor itself, and is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cen.exchange.streams import narrow, widen

Rule = Callable[..., Any]


@dataclass(frozen=True)
class Layout:
    """Which channels of a packed tensor are equal in all streams, and in which order they lie.

    Attributes:
        common: Channels that are equal in all streams, in the order in which they lie.
        private: The others; they lie in this order for every stream.
    """

    common: tuple[int, ...]
    private: tuple[int, ...]

    @classmethod
    def apart(cls, channels: int) -> Layout:
        """Nothing is equal."""
        return cls((), tuple(range(channels)))

    @property
    def channels(self) -> int:
        """C of the packed tensor."""
        return len(self.common) + len(self.private)

    def at(self, stream: int, channels: Sequence[int]) -> list[int]:
        """Where channels of a stream lie in the wide tensor."""
        first = len(self.common) + stream * len(self.private)
        place = {channel: at for at, channel in enumerate(self.common)}
        place |= {channel: first + at for at, channel in enumerate(self.private)}
        return [place[channel] for channel in channels]


class Folded:
    """The features of several streams, (B·S, C, *) when packed, without repeating what is equal.

    Args:
        wide: (B, K + S·P, *): the K channels that are equal in all streams, then the P private ones
            of each stream.
        places: Which channels these are.
        streams: S.
        trace: Notes what is folded and what is not.

    It quacks like the packed tensor: shape, dtype, device and every function of torch.
    """

    def __init__(self, wide: Tensor, places: Layout, streams: int, trace: Trace) -> None:
        self.wide, self.places, self.streams, self.trace = wide, places, streams, trace

    @staticmethod
    def of_streams(values: Sequence[Tensor], trace: Trace) -> Folded:
        """Streams of which nothing is known to be equal, (B, C, *) each.

        All channels of a stream that is alone are common.
        """
        apart = Layout.apart(values[0].shape[1])
        if len(values) == 1:
            return Folded(values[0], Layout(apart.private, ()), 1, trace)
        return Folded(torch.cat(list(values), 1), apart, len(values), trace)

    @staticmethod
    def of_packed(packed: Tensor, streams: int, trace: Trace) -> Folded:
        """A packed tensor, (B·S, C, *), of which nothing is known to be equal."""
        apart = Layout.apart(packed.shape[1])
        places = apart if streams > 1 else Layout(apart.private, ())
        return Folded(widen(packed, streams), places, streams, trace)

    @property
    def shape(self) -> torch.Size:
        """Shape of the packed tensor, (B·S, C, *)."""
        batch, _, *rest = self.wide.shape
        return torch.Size((batch * self.streams, self.places.channels, *rest))

    @property
    def ndim(self) -> int:
        """Axes of the packed tensor."""
        return self.wide.ndim

    def common(self) -> Tensor:
        """The channels that are equal in all streams, (B, K, *)."""
        return self.wide[:, : len(self.places.common)]

    def private(self, stream: int) -> Tensor:
        """The channels that a stream has for itself, (B, P, *)."""
        size = len(self.places.private)
        first = len(self.places.common) + stream * size
        return self.wide[:, first : first + size]

    def at(self, stream: int, channels: Sequence[int]) -> list[int]:
        """Where channels of a stream lie in the wide tensor."""
        return self.places.at(stream, channels)

    def of_stream(self, stream: int) -> Tensor:
        """All channels of one stream in the order of the network, (B, C, *)."""
        return picked(self.wide, self.at(stream, range(self.places.channels)))

    def packed(self) -> Tensor:
        """The packed tensor, (B·S, C, *), sample-major."""
        every = range(self.places.channels)
        places = [place for s in range(self.streams) for place in self.at(s, every)]
        return narrow(picked(self.wide, places), self.streams)

    def map(self, function: Callable[[Tensor], Tensor]) -> Folded:
        """What a function of single channels makes of it: equality stays."""
        return Folded(function(self.wide), self.places, self.streams, self.trace)

    def snapshot(self) -> Folded:
        """The same values, which later operations in place on this one leave alone."""
        return Folded(self.wide, self.places, self.streams, self.trace)

    def become(self, other: Folded) -> Folded:
        """Takes the values of another, as an operation in place does."""
        self.wide, self.places = other.wide, other.places
        return self

    def relaid(self, places: Layout) -> Folded:
        """The same values in another layout, whose common channels are among this one's."""
        if places == self.places:
            return self
        wanted = self.at(0, places.common)
        wanted += [at for s in range(self.streams) for at in self.at(s, places.private)]
        return Folded(picked(self.wide, wanted), places, self.streams, self.trace)

    @classmethod
    def __torch_function__(
        cls,
        function: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Looks the function up among the rules; what none knows gets packed tensors."""
        options = dict(kwargs or {})
        operands = _flat((*args, *options.values()))
        trace = next(value.trace for value in operands if isinstance(value, Folded))
        rule = trace.rules.get(function)
        if rule is not None:
            result = rule(*args, **options)
            if result is not NotImplemented:
                return result
        trace.unknown(function)
        return function(*_packed(tuple(args)), **{key: _packed(v) for key, v in options.items()})

    def __getattr__(self, name: str) -> Any:
        """Attributes and methods of the packed tensor."""
        if name.startswith("__") or not hasattr(Tensor, name):
            raise AttributeError(name)
        member = getattr(Tensor, name)
        if name in _ALIKE:
            return getattr(self.wide, name)
        if not callable(member):
            self.trace.unknown(member)
            return getattr(self.packed(), name)

        def method(*args: Any, **kwargs: Any) -> Any:
            return Folded.__torch_function__(member, (), (self, *args), kwargs)

        return method


_ALIKE = ("dtype", "device", "is_cuda", "is_mps", "is_quantized", "requires_grad", "layout")


def _binary(name: str) -> Any:
    member = getattr(Tensor, name)

    def operator(self: Folded, *others: Any) -> Any:
        return Folded.__torch_function__(member, (), (self, *others))

    return operator


# Python looks operators up on the class, past __getattr__.
for _name in (
    *(
        f"__{prefix}{stem}__"
        for stem in ("add", "sub", "mul", "truediv")
        for prefix in ("", "r", "i")
    ),
    "__neg__",
    "__pow__",
    "__getitem__",
):
    setattr(Folded, _name, _binary(_name))


class Trace:
    """What happened while a folded network ran: weights made, operations that had no rule.

    Args:
        rules: What is done with folded tensors, by function of torch: `cen.folding.rules.TABLE`.

    Attributes:
        slices: Slices of weights by key, made at the first run and kept.
        unfolded: How often each function without a rule was handed a packed tensor.
    """

    def __init__(self, rules: Mapping[Any, Rule]) -> None:
        self.rules = rules
        self.slices: dict[Any, Any] = {}
        self.unfolded: dict[str, int] = {}

    def unknown(self, function: Any) -> None:
        """Notes an operation that has no rule."""
        name = getattr(function, "__name__", str(function))
        self.unfolded[name] = self.unfolded.get(name, 0) + 1

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was made for a key, made once."""
        if key not in self.slices:
            self.slices[key] = make()
        return self.slices[key]


def picked(value: Tensor, places: Sequence[int]) -> Tensor:
    """The channels at some places: a view where they follow one another, else runs joined."""
    runs: list[list[int]] = []
    for place in places:
        if runs and runs[-1][1] == place:
            runs[-1][1] += 1
        else:
            runs.append([place, place + 1])
    if len(runs) == 1:
        first, last = runs[0]
        return value if last - first == value.shape[1] else value[:, first:last]
    if len(runs) <= 4:
        return torch.cat([value[:, first:last] for first, last in runs], 1)
    return value.index_select(1, torch.tensor(places, device=value.device))


def _flat(values: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found += _flat(value) if isinstance(value, list | tuple) else [value]
    return found


def _packed(value: Any) -> Any:
    if isinstance(value, Folded):
        return value.packed()
    if isinstance(value, list | tuple):
        return type(value)(_packed(item) for item in value)
    return value
