"""Who rides on the batch axis: stream names, exchange groups, packing, active subsets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from cen.errors import ShapeError, StreamError, did_you_mean


class Streams:
    """The streams of one part of a network, in a fixed order, with their exchange groups.

    All stream layers of an encoder (or decoder) share one instance, so that the set of active
    streams is said once per forward pass and every layer sees it. Packed tensors are sample-major:
    row ``b * S + s`` holds sample ``b`` of the ``s``-th active stream. In this order the packed
    (B·S, C, H, W) tensor, seen as (B, S·C, H, W), is a wider feature map, and a stream layer is the
    stock layer on S·C channels.

    Args:
        names: One name per stream, all different.
        groups: The exchange groups as lists of names; every stream in exactly one. Default: one
            group of all streams (method section 1).

    Raises:
        StreamError: No stream, a name given twice, or groups that do not cover the names once.

    A network that is run from several threads at once needs a copy per thread: the active subset is
    a state of this object.
    """

    def __init__(self, names: Sequence[str], groups: Sequence[Sequence[str]] | None = None) -> None:
        self.names = tuple(names)
        if not self.names or isinstance(names, str):
            raise StreamError(f"streams need at least one name in a sequence, got {names!r}")
        if len(set(self.names)) != len(self.names):
            raise StreamError(f"stream names must differ, got {list(self.names)}")
        group_names = [self.names] if groups is None else [tuple(group) for group in groups]
        if sorted(name for group in group_names for name in group) != sorted(self.names):
            raise StreamError(
                f"exchange groups {[list(g) for g in group_names]} must hold each of the streams "
                f"{list(self.names)} exactly once"
            )
        self.groups = tuple(
            tuple(self.names.index(name) for name in group) for group in group_names if group
        )
        self.active: tuple[int, ...] = tuple(range(len(self.names)))
        self.update_statistics = True

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        groups = [[self.names[i] for i in group] for group in self.groups]
        return f"Streams({list(self.names)}, groups={groups})"

    @property
    def all_active(self) -> bool:
        """Whether every stream is present in the running forward pass."""
        return len(self.active) == len(self.names)

    def indices(self, names: Iterable[str]) -> tuple[int, ...]:
        """Positions of ``names`` among the streams, sorted.

        Raises:
            StreamError: ``names`` is empty or holds an unknown name.
        """
        wanted = list(names)
        for name in wanted:
            if name not in self.names:
                hint = did_you_mean(name, self.names)
                raise StreamError(f"unknown stream {name!r}{hint}, known: {list(self.names)}")
        if not wanted:
            raise StreamError(f"no stream given; at least one of {list(self.names)} is needed")
        return tuple(i for i, name in enumerate(self.names) if name in wanted)

    def activate(self, names: Collection[str]) -> Activation:
        """Context manager in which only ``names`` are present (a missing modality, say).

        The former subset is restored on leaving, also by an exception.

        Raises:
            StreamError: ``names`` is empty or holds an unknown name.
        """
        return Activation(self, self.indices(names), self.update_statistics)

    def pack(self, features: Mapping[str, Tensor]) -> Tensor:
        """Stacks the features of the active streams on the batch axis.

        Args:
            features: (B, C, *) per active stream name, all of one shape.

        Returns:
            (B·S, C, *) with S active streams, sample-major.

        Raises:
            StreamError: An active stream is missing.
            ShapeError: The shapes differ.
        """
        names = [self.names[i] for i in self.active]
        for name in names:
            if name not in features:
                raise StreamError(f"stream {name!r} is active but has no features")
            if features[name].shape != features[names[0]].shape:
                raise ShapeError(
                    f"stream {name!r} has shape {tuple(features[name].shape)} but "
                    f"{names[0]!r} has {tuple(features[names[0]].shape)}; they must agree"
                )
        first = features[names[0]]
        if len(names) == 1:
            return first
        if not first.is_contiguous() and first.is_contiguous(memory_format=torch.channels_last):
            stacked = torch.stack([features[n].permute(0, 2, 3, 1) for n in names], dim=1)
            return stacked.flatten(0, 1).permute(0, 3, 1, 2)
        return torch.stack([features[name] for name in names], dim=1).flatten(0, 1)

    def unpack(self, packed: Tensor) -> dict[str, Tensor]:
        """Splits a packed (B·S, *) tensor into one (B, *) view per active stream.

        Raises:
            ShapeError: The rows cannot be dealt out evenly to the active streams.
        """
        rows = torch.unflatten(packed, 0, (batch_size(packed, len(self.active)), len(self.active)))
        return {self.names[i]: rows[:, k] for k, i in enumerate(self.active)}

    def checkpoint(self, function: Callable[..., Any], *args: Any) -> Any:
        """Gradient checkpointing for a part of the network that rides on these streams.

        The recomputation in the backward pass sees the subset of streams of the forward pass and
        leaves running statistics alone, so that they are updated once.

        Args:
            function: The part to recompute, called with ``args``.
            *args: Its inputs.
        """
        replay = Activation(self, self.active, update_statistics=False)
        return checkpoint(
            function, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), replay)
        )


class Activation:
    """Sets the active streams on entry and puts the former ones back on exit.

    A class rather than a generator, because ``torch.compile(fullgraph=True)`` traces it.
    """

    def __init__(self, streams: Streams, active: tuple[int, ...], update_statistics: bool) -> None:
        self.streams = streams
        self.state = (active, update_statistics)
        self.former = (streams.active, streams.update_statistics)

    def __enter__(self) -> None:
        self.former = (self.streams.active, self.streams.update_statistics)
        self.streams.active, self.streams.update_statistics = self.state

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.streams.active, self.streams.update_statistics = self.former


def batch_size(packed: Tensor, streams: int) -> int:
    """B of a packed (B·S, …) tensor.

    Raises:
        ShapeError: The number of rows is not a multiple of ``streams``.
    """
    if packed.ndim == 0:
        raise ShapeError("a scalar cannot be dealt out to streams; return one value per row")
    if packed.shape[0] % streams:
        raise ShapeError(
            f"a packed tensor of shape {tuple(packed.shape)} cannot hold {streams} streams: "
            f"{packed.shape[0]} rows are not a multiple of {streams}"
        )
    return packed.shape[0] // streams


def widen(packed: Tensor, streams: int) -> Tensor:
    """(B·S, C, *) → (B, S·C, *): the streams side by side on the channel axis.

    A view for contiguous tensors; a channels-last tensor is copied once and stays channels-last.
    """
    if streams == 1:
        return packed
    batch = batch_size(packed, streams)
    if packed.is_contiguous():
        return packed.view(batch, streams * packed.shape[1], *packed.shape[2:])
    rows = torch.unflatten(packed, 0, (batch, streams)).movedim((1, 2), (-2, -1))
    return rows.flatten(-2).movedim(-1, 1)


def narrow(wide: Tensor, streams: int) -> Tensor:
    """(B, S·C, *) → (B·S, C, *): the inverse of :func:`widen`."""
    if streams == 1:
        return wide
    if wide.is_contiguous():
        batch, channels = wide.shape[:2]
        return wide.view(batch * streams, channels // streams, *wide.shape[2:])
    rows = torch.unflatten(wide.movedim(1, -1), -1, (streams, wide.shape[1] // streams))
    return rows.movedim(-2, 1).flatten(0, 1).movedim(-1, 1)


def keep_format(result: Tensor, source: Tensor) -> Tensor:
    """``result`` in the memory format of ``source``: some stock kernels drop channels-last."""
    if source.ndim == 4 and not source.is_contiguous():
        return result.contiguous(memory_format=torch.channels_last)
    return result
