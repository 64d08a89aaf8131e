"""Several streams as a list of tensors, where a network's code expects one packed tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from cen.exchange import Streams
from cen.folding.alike import BINARY, BINARY_IN_PLACE, IN_PLACE, POINTWISE, SPATIAL, methods

_CONVOLUTIONS = (torch.conv2d, torch.conv_transpose2d)
_EACH = frozenset((*POINTWISE, *SPATIAL, *IN_PLACE, *_CONVOLUTIONS))
_PAIRS = frozenset((*BINARY, *BINARY_IN_PLACE))
_JOINS = frozenset(methods("cat"))


class StreamList:
    """The features of S streams as S tensors, (B, C, *) each.

    Functions of single images are called once per stream. What is done across the batch axis, or is
    not known to be a function of single images, gets the packed tensor that the network expects.

    Args:
        rows: One tensor per stream.
        packed_by: By name, how often a function was handed the packed tensor; counted on.
    """

    def __init__(self, rows: Sequence[Tensor], packed_by: dict[str, int]) -> None:
        self.rows, self.packed_by = list(rows), packed_by

    @property
    def shape(self) -> torch.Size:
        """Shape of the packed tensor, (B·S, C, *)."""
        batch, *rest = self.rows[0].shape
        return torch.Size((batch * len(self.rows), *rest))

    @property
    def ndim(self) -> int:
        """Axes of the packed tensor."""
        return self.rows[0].ndim

    def row(self, place: int) -> Tensor:
        """The tensor of one stream."""
        return self.rows[place]

    def packed(self) -> Tensor:
        """The packed tensor, sample-major."""
        return torch.stack(self.rows, 1).flatten(0, 1)

    def size(self, dim: int | None = None) -> Any:
        """Shape of the packed tensor, or the length of one of its axes."""
        return self.shape if dim is None else self.shape[dim]

    def __getattr__(self, name: str) -> Any:
        """Attributes of any of the tensors, and methods as functions."""
        if name.startswith("__") or not hasattr(Tensor, name):
            raise AttributeError(name)
        member = getattr(Tensor, name)
        if name in _ALIKE or not callable(member):
            return getattr(self.rows[0], name)

        def method(*args: Any, **kwargs: Any) -> Any:
            return StreamList.__torch_function__(member, (), (self, *args), kwargs)

        return method

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls a function once per stream, or with packed tensors."""
        options = dict(kwargs or {})
        # The usual cases first, without looking around: what is timed is not this dispatch.
        head, rest = args[0] if args else None, args[1:]
        if isinstance(head, cls) and function in _EACH:
            return cls([function(row, *rest, **options) for row in head.rows], head.packed_by)
        if len(args) == 2 and isinstance(head, cls) and function in _PAIRS:
            (other,) = rest
            if isinstance(other, cls):
                pairs = zip(head.rows, other.rows, strict=True)
                return cls([function(a, b, **options) for a, b in pairs], head.packed_by)
        given = (args, options)
        first = next(leaf for leaf in pytree.tree_leaves(given) if isinstance(leaf, cls))
        if _image_by_image(function, args, options):
            rows = []
            for place in range(len(first.rows)):
                positional, named = pytree.tree_map_only(cls, partial(cls.row, place=place), given)
                rows.append(function(*positional, **named))
            return cls(rows, first.packed_by)
        name = getattr(function, "__name__", str(function))
        first.packed_by[name] = first.packed_by.get(name, 0) + 1
        positional, named = pytree.tree_map_only(cls, cls.packed, given)
        return function(*positional, **named)


_ALIKE = ("is_contiguous", "is_floating_point", "is_complex", "dim")


def _operator(name: str) -> Callable[..., Any]:
    member = getattr(Tensor, name)
    return lambda self, *others: StreamList.__torch_function__(member, (), (self, *others))


# Python looks operators up on the class, past __getattr__.
for _stem in ("add", "sub", "mul", "truediv"):
    for _name in (f"__{_stem}__", f"__r{_stem}__", f"__i{_stem}__"):
        setattr(StreamList, _name, _operator(_name))


def _image_by_image(
    function: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]
) -> bool:
    """Whether a function does to every image of a batch what it would do to it alone."""
    if function in _JOINS:
        axis = options.get("dim", args[1] if len(args) > 1 else 0)
        return axis == 1 and all(isinstance(x, StreamList) for x in args[0])
    if function in _PAIRS:
        # A tensor beside a list must be the same for every image.
        others = [x for x in args if isinstance(x, Tensor)]
        return all(x.ndim < 4 or x.shape[0] == 1 for x in others)
    return function in _EACH


class ListedStreams(Streams):
    """Streams that are not packed."""

    packed_by: dict[str, int]

    @classmethod
    def of(cls, streams: Streams, packed_by: dict[str, int]) -> ListedStreams:
        """The same streams."""
        listed = cls.__new__(cls)
        listed.__dict__ |= {**streams.__dict__, "packed_by": packed_by}
        return listed

    def pack(self, features: Mapping[str, Tensor]) -> Any:
        """A list of the active streams."""
        return StreamList([features[self.names[i]] for i in self.active], self.packed_by)

    def unpack(self, packed: Any) -> dict[str, Tensor]:
        """The tensors of the streams."""
        if not isinstance(packed, StreamList):
            return super().unpack(packed)
        return {self.names[i]: row for i, row in zip(self.active, packed.rows, strict=True)}

    def replayed(self, packed: Any) -> Any:
        """Nothing is recomputed here."""
        return packed

    def rows_of(self, x: Any) -> list[Tensor]:
        """One tensor per active stream."""
        return x.rows if isinstance(x, StreamList) else list(super().unpack(x).values())
