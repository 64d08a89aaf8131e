"""A packed tensor whose equal channels are kept once: what is known of it while a graph is made.

This project's extension. After an exchange a replaced channel holds the same numbers in several
streams. A :class:`Folded` tensor keeps every such channel once, and says for each stream where its
channels lie. Every function of torch that it is handed to is looked up in
:mod:`cen.folding.rules`, which say how equality travels through it. What no rule knows gets the
packed tensor itself, and is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from cen.folding.recording import (
    NotRecordableError,
    Packable,
    Recorded,
    Recorder,
    packed,
    recordable,
)


@dataclass(frozen=True)
class Layout:
    """Where the channels of every stream lie in a wide tensor; equal ones at the same place.

    Attributes:
        index: By stream, the place of each of its channels.
        width: Number of places.
    """

    index: tuple[tuple[int, ...], ...]
    width: int

    @classmethod
    def apart(cls, streams: int, channels: int) -> Layout:
        """Nothing is equal: the streams side by side."""
        rows = (tuple(range(s * channels, (s + 1) * channels)) for s in range(streams))
        return cls(tuple(rows), streams * channels)

    @classmethod
    def once(cls, streams: int, channels: int) -> Layout:
        """Everything is equal."""
        return cls((tuple(range(channels)),) * streams, channels)

    @property
    def streams(self) -> int:
        """S."""
        return len(self.index)

    @property
    def channels(self) -> int:
        """C of the packed tensor."""
        return len(self.index[0])

    @property
    def common(self) -> list[int]:
        """The channels that are equal in all streams."""
        return [c for c, places in enumerate(zip(*self.index, strict=True)) if len({*places}) == 1]

    @cached_property
    def split(self) -> tuple[list[int], list[list[int]]]:
        """The places that all streams read at the same channels, and those of each stream alone."""
        reads: list[dict[int, list[int]]] = []
        for row in self.index:
            channels_by_place: dict[int, list[int]] = {}
            for channel, place in enumerate(row):
                channels_by_place.setdefault(place, []).append(channel)
            reads.append(channels_by_place)
        first, *others = reads
        common = [p for p, channels in first.items() if all(o.get(p) == channels for o in others)]
        everybodys = set(common)
        private = [
            sorted(p for p in channels_by_place if p not in everybodys)
            for channels_by_place in reads
        ]
        return sorted(common), private


class Folded(Packable):
    """The features of several streams, (B·S, C, *) when packed, without repeating what is equal.

    Args:
        wide: (B, W, *): every channel once.
        layout: Where the channels of the streams lie in it.

    It quacks like the packed tensor: shape, dtype, device and every function of torch.
    """

    def __init__(self, wide: Recorded, layout: Layout) -> None:
        self.wide, self.layout = wide, layout

    @classmethod
    def of_packed(cls, packed: Recorded, streams: int) -> Folded:
        """A packed tensor, (B·S, C, *), of which nothing is known to be equal."""
        channels = int(packed.value.shape[1])
        wide: Any = packed
        if streams > 1:
            wide = torch.unflatten(wide, 0, (-1, streams)).flatten(1, 2)
        return cls(wide, Layout.apart(streams, channels))

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """A tensor, for programs that ask whether it is one."""
        return Tensor

    @property
    def recorder(self) -> Recorder:
        """Of the graph."""
        return self.wide.recorder

    @property
    def streams(self) -> int:
        """S."""
        return self.layout.streams

    @property
    def shape(self) -> Any:
        """Shape of the packed tensor, (B·S, C, *)."""
        batch, _, *rest = self.wide.shape
        return (batch * self.streams, self.layout.channels, *rest)

    @property
    def ndim(self) -> int:
        """Axes of the packed tensor."""
        return self.wide.ndim

    def __len__(self) -> int:
        return int(self.shape[0])

    def __setitem__(self, index: Any, value: Any) -> None:
        raise NotRecordableError("values are written into a tensor that holds inputs")

    def of_stream(self, stream: int) -> Recorded:
        """All channels of one stream in the order of the network, (B, C, *)."""
        return picked(self.wide, self.layout.index[stream])

    def apart(self) -> Recorded:
        """All channels of all streams side by side, (B, S·C, *)."""
        return picked(self.wide, [place for row in self.layout.index for place in row])

    def packed(self) -> Recorded:
        """The packed tensor, (B·S, C, *), sample-major."""
        wide: Any = self.apart()
        if self.streams == 1:
            return wide  # type: ignore[no-any-return]
        rows: Any = torch.unflatten(wide, 1, (self.streams, self.layout.channels)).flatten(0, 1)
        return rows  # type: ignore[no-any-return]

    def map(self, function: Callable[[Any], Any]) -> Folded:
        """What a function of single channels makes of it: equality stays."""
        return Folded(function(self.wide), self.layout)

    def snapshot(self) -> Folded:
        """The same values, which later operations in place on this one leave alone."""
        return Folded(self.wide, self.layout)

    def become(self, other: Folded) -> Folded:
        """Takes the values of another, as an operation in place does."""
        self.wide, self.layout = other.wide, other.layout
        return self

    def asked_for(self, layout: Layout) -> Folded:
        """The same values, so laid out that places equal here are equal in ``layout``, if cheap."""
        return self

    def chosen(self, channels: Sequence[int]) -> Folded:
        """Some channels, in the order given, without moving any."""
        rows = tuple(tuple(row[c] for c in channels) for row in self.layout.index)
        return Folded(self.wide, Layout(rows, self.layout.width))

    def compact(self) -> Folded:
        """Without the places that no stream reads."""
        used = sorted({place for row in self.layout.index for place in row})
        if len(used) == self.layout.width:
            return self
        at = {place: new for new, place in enumerate(used)}
        rows = tuple(tuple(at[place] for place in row) for row in self.layout.index)
        return Folded(picked(self.wide, used), Layout(rows, len(used)))

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
        operands = pytree.tree_leaves((args, options))
        first = next(value for value in operands if isinstance(value, Folded))
        rule = first.recorder.rules.get(function)
        if rule is not None:
            result = rule(*args, **options)
            if result is not NotImplemented:
                return result
        return first.unknown(function, args, options)

    def unknown(self, function: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """Calls a function without a rule with packed tensors, and notes it."""
        name = getattr(function, "__name__", str(function))
        self.recorder.unfolded[name] += 1
        positional, named = pytree.tree_map(packed, (tuple(args), options))
        result = recordable(function)(*positional, **named)
        first: Any = args[0] if args else None
        in_place = name.endswith("_") and not name.endswith("__")
        if isinstance(first, Folded) and (in_place or options.get("inplace")):
            return first.become(Folded.of_packed(result, first.streams))
        return result

    def __getattr__(self, name: str) -> Any:
        """Attributes and methods of the packed tensor."""
        if name.startswith("__") or not hasattr(Tensor, name):
            raise AttributeError(name)
        member = getattr(Tensor, name)
        if name in _ALIKE:
            return getattr(self.wide.value, name)
        if name in ("device", "is_cuda", "is_mps"):
            return getattr(self.wide, name)
        if not callable(member):
            return self.unknown(_attribute(name), (self,), {})

        def method(*args: Any, **kwargs: Any) -> Any:
            return Folded.__torch_function__(member, (), (self, *args), kwargs)

        return method


_ALIKE = ("dtype", "is_quantized", "requires_grad")


def _attribute(name: str) -> Any:
    def attribute(value: Any) -> Any:
        return getattr(value, name)

    attribute.__name__ = name
    return attribute


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


def picked(value: Recorded, places: Sequence[int]) -> Recorded:
    """The channels at some places: a view where they follow one another, else runs joined."""
    wide: Any = value
    channels: Any = value
    runs: list[list[int]] = []
    for place in places:
        if runs and runs[-1][1] == place:
            runs[-1][1] += 1
        else:
            runs.append([place, place + 1])
    width = int(value.value.shape[1])
    full_range = [0, width]

    def run(first: int, last: int) -> Any:
        return wide if [first, last] == full_range else wide[:, first:last]

    def index(chosen: Sequence[int]) -> Any:
        places = value.recorder.constant(torch.tensor(list(chosen), device=value.device))
        places.node.meta["places"] = list(chosen)  # a tensor on ``meta`` does not tell them
        return places

    if len(runs) == 1:
        channels = run(*runs[0])
    elif len(runs) <= 4:
        channels = torch.cat([run(first, last) for first, last in runs], 1)
    elif runs[0] == full_range:
        channels = torch.cat([wide, wide.index_select(1, index(places[width:]))], 1)
    else:
        channels = wide.index_select(1, index(places))
    return channels  # type: ignore[no-any-return]
