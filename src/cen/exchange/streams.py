"""Who rides on the batch axis: stream names, exchange groups, packing, active subsets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cen.errors import ShapeError, StreamError, described, did_you_mean


class Pass(NamedTuple):
    """What a forward pass runs with.

    Attributes:
        active: Positions of the streams that are present.
        update_statistics: Whether running statistics move.
        rows: Rows of a packed tensor, where the whole network rides on the streams; None: any.
        witness: Who watches which rows the norms get, in a pass that is no real one: nothing is
            exchanged in it.
    """

    active: tuple[int, ...]
    update_statistics: bool
    rows: int | None = None
    witness: Witness | None = None


class Witness(Protocol):
    """What sees the rows that norms get in a pass; see ``row_order``."""

    def see(self, norm: nn.Module, packed: Tensor) -> bool:
        """Whether the rows can be dealt out to the streams."""


class _Running(threading.local):
    """The passes that run in this thread; each thread has its own.

    A thread-local rather than a context variable, because ``torch.compile(fullgraph=True)`` traces
    it and guards what it traced on its value. A forward pass awaits nothing, so that tasks of one
    thread do not meet in it.

    Attributes:
        passes: Streams and their pass, the innermost activation first.
        replay: Of the part of a backward pass that runs: its number, and the passes of the forward
            pass whose gradients are computed.
    """

    def __init__(self) -> None:
        self.passes: tuple[tuple[Streams, Pass], ...] = ()
        self.replay: tuple[int, tuple[tuple[Streams, Pass], ...]] = (-1, ())


_RUNNING = _Running()


def _lists(groups: object) -> bool:
    """Whether it is a list of lists, and no text."""
    lists = isinstance(groups, Iterable) and not isinstance(groups, str)
    return lists and all(isinstance(g, Iterable) and not isinstance(g, str) for g in groups)  # type: ignore[attr-defined]


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

    The object itself never changes: which streams are present belongs to the running forward pass,
    so that one network serves any number of threads, each with a subset of its own.
    """

    def __init__(self, names: Sequence[str], groups: Sequence[Sequence[str]] | None = None) -> None:
        plain = isinstance(names, Iterable) and not isinstance(names, str | Tensor)
        self.names = tuple(names) if plain else ()
        if not self.names or not all(isinstance(name, str) for name in self.names):
            raise StreamError(
                f"streams are a sequence of at least one name, such as ('rgb', 'depth'), not "
                f"{described(names)}"
            )
        if len(set(self.names)) != len(self.names):
            raise StreamError(f"stream names must differ, got {list(self.names)}")
        if groups is not None and not _lists(groups):
            raise StreamError(f"groups are lists of names, not {described(groups)}")
        group_names = [self.names] if groups is None else [tuple(group) for group in groups]
        if sorted(name for group in group_names for name in group) != sorted(self.names):
            raise StreamError(
                f"exchange groups {[list(g) for g in group_names]} must hold each of the streams "
                f"{list(self.names)} exactly once"
            )
        self.groups = tuple(
            tuple(self.names.index(name) for name in group) for group in group_names if group
        )
        self.every: tuple[int, ...] = tuple(range(len(self.names)))

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        groups = [[self.names[i] for i in group] for group in self.groups]
        return f"Streams({list(self.names)}, groups={groups})"

    @property
    def running(self) -> Pass:
        """What the running forward pass has activated; all streams outside of any."""
        found = self._pass_in(_RUNNING.passes)
        if found is None and not torch.compiler.is_compiling():
            # Recomputed in a backward pass, by somebody's gradient checkpointing.
            number, passes = _RUNNING.replay
            if passes and torch._C._current_graph_task_id() == number:
                found = self._pass_in(passes)
                found = found and found._replace(update_statistics=False)
        return found or Pass(self.every, True)

    def _pass_in(self, passes: tuple[tuple[Streams, Pass], ...]) -> Pass | None:
        """The pass of these streams; else that of equal ones.

        A part of a network that was copied, or loaded, apart from it has streams of its own.
        """
        for streams, state in passes:
            if streams is self:
                return state
        for streams, state in passes:
            if streams.names == self.names and streams.groups == self.groups:
                return state
        return None

    @property
    def active(self) -> tuple[int, ...]:
        """Positions of the streams that are present in the running forward pass."""
        return self.running.active

    @property
    def update_statistics(self) -> bool:
        """Whether the running forward pass moves running statistics."""
        return self.running.update_statistics

    @property
    def all_active(self) -> bool:
        """Whether every stream is present in the running forward pass."""
        return len(self.active) == len(self.names)

    def indices(self, names: Iterable[str]) -> tuple[int, ...]:
        """Positions of ``names`` among the streams, sorted.

        Raises:
            StreamError: ``names`` is empty or holds an unknown name.
        """
        if isinstance(names, str):
            raise StreamError(f"streams are given as a list of names, [{names!r}], not as text")
        if not isinstance(names, Iterable):
            raise StreamError(f"streams are given as a list of names, not {described(names)}")
        requested = list(names)
        for name in requested:
            if not isinstance(name, str) or name not in self.names:
                hint = did_you_mean(name, self.names) if isinstance(name, str) else ""
                raise StreamError(
                    f"unknown stream {described(name)}{hint}, known: {list(self.names)}"
                )
        if not requested:
            raise StreamError(f"no stream given; at least one of {list(self.names)} is needed")
        return tuple(i for i, name in enumerate(self.names) if name in requested)

    def activate(self, names: Collection[str], rows: int | None = None) -> Activation:
        """Context manager in which only ``names`` are present (a missing modality, say).

        The former subset is restored on leaving, also by an exception.

        Args:
            names: The streams.
            rows: Rows of every packed tensor in it, which stream layers then insist on; None: any.

        Raises:
            StreamError: ``names`` is empty or holds an unknown name.
        """
        return Activation(self, Pass(self.indices(names), self.update_statistics, rows))

    def replayed(self, packed: Tensor) -> Tensor:
        """A result whose backward pass knows which streams were present.

        Whatever is recomputed in that backward pass, by gradient checkpointing of any kind, sees
        the subset of the forward pass, and leaves running statistics alone. To be called at the
        end of a part of a network, while its streams are active.
        """
        if torch.compiler.is_compiling() or not (packed.requires_grad and torch.is_grad_enabled()):
            return packed
        result: Tensor = _Replayed.apply(packed, _RUNNING.passes)  # type: ignore[no-untyped-call]
        return result

    def check(self, features: Mapping[str, Tensor]) -> None:
        """Refuses features that cannot be packed; errors as of :meth:`pack`."""
        names = [self.names[i] for i in self.active]
        for name in names:
            if name not in features:
                raise StreamError(f"stream {name!r} is active but has no features")
            if features[name].shape != features[names[0]].shape:
                first, other = features[names[0]].shape, features[name].shape
                message = (
                    f"stream {name!r} has shape {tuple(other)} but "
                    f"{names[0]!r} has {tuple(first)}; they must agree"
                )
                if len(first) == 4 and first[:1] + first[2:] == other[:1] + other[2:]:
                    channels = {names[0]: first[1], name: other[1]}
                    message += f", or get stems of their own: cen.convert(..., streams={channels})"
                raise ShapeError(message)

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
        self.check(features)
        names = [self.names[i] for i in self.active]
        first = features[names[0]]
        if len(names) == 1:
            return first
        if not first.is_contiguous() and first.is_contiguous(memory_format=torch.channels_last):
            stacked = torch.stack([features[n].permute(0, 2, 3, 1) for n in names], dim=1)
            return stacked.flatten(0, 1).permute(0, 3, 1, 2)
        return torch.stack([features[name] for name in names], dim=1).flatten(0, 1)

    def unpack(self, packed: Tensor) -> dict[str, Tensor]:
        """Splits a packed (B·S, *) tensor into one (B, *) view per active stream.

        Under ``torch.compile`` they are copies: views that a graph gives are cut out of its result
        by strides, which once were not those of the generated code, and channels were mixed.

        Raises:
            ShapeError: The rows cannot be dealt out evenly to the active streams.
        """
        rows = torch.unflatten(packed, 0, (batch_size(packed, len(self.active)), len(self.active)))
        views = {self.names[i]: rows[:, k] for k, i in enumerate(self.active)}
        if torch.compiler.is_dynamo_compiling():
            return {name: view.clone() for name, view in views.items()}
        return views

    def checkpoint(self, function: Callable[..., Any], *args: Any) -> Any:
        """Gradient checkpointing for a part of the network that rides on these streams.

        The recomputation in the backward pass sees the subset of streams of the forward pass and
        leaves running statistics alone, so that they are updated once.

        Args:
            function: The part to recompute, called with ``args``.
            *args: Its inputs.
        """
        replay = Activation(self, self.running._replace(update_statistics=False))
        return checkpoint(
            function, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), replay)
        )


class Activation:
    """Sets the active streams on entry and puts the former ones back on exit.

    A class rather than a generator, because ``torch.compile(fullgraph=True)`` traces it.
    """

    def __init__(self, streams: Streams, state: Pass) -> None:
        self.streams, self.state = streams, state
        self.former = _RUNNING.passes

    def __enter__(self) -> None:
        self.former = _RUNNING.passes
        _RUNNING.passes = ((self.streams, self.state), *self.former)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _RUNNING.passes = self.former


class _Replayed(torch.autograd.Function):
    """The identity; in the backward pass it says which forward pass comes next.

    Autograd computes the later of two forward passes wholly before the earlier one, so that what
    was said last holds for everything that is recomputed.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(packed: Tensor, passes: tuple[tuple[Streams, Pass], ...]) -> Tensor:
        return packed.view_as(packed)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        # Apart from the forward pass, as the transforms of torch.func ask for.
        ctx.passes = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        _RUNNING.replay = (torch._C._current_graph_task_id(), ctx.passes)
        return gradient, None


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


def check_tensors(inputs: object, what: str) -> None:
    """Refuses what is no mapping of names to tensors with a batch axis.

    Args:
        inputs: What a network is called with.
        what: What messages call one of them: "input", "stream".

    Raises:
        StreamError: It is no mapping.
        ShapeError: A value is no tensor, or a scalar.
    """
    if not isinstance(inputs, Mapping):
        raise StreamError(
            f"a network is called with a dict of tensors by {what}, such as {{'rgb': images}}, not "
            f"with {described(inputs)}"
        )
    for name, value in inputs.items():
        if not isinstance(value, Tensor):
            hint = "; torch.from_numpy makes one of an array" if hasattr(value, "shape") else ""
            if value is None:
                hint = f"; leave out a missing {what}"
            raise ShapeError(f"{what} {name!r} is {described(value)}, not a torch tensor{hint}")
        if not value.ndim:
            raise ShapeError(f"{what} {name!r} is a scalar; give (B, C, …)")
