"""A network converted to streams: named inputs in, named results out."""

from __future__ import annotations

import copy
import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cen.errors import ConversionError, ShapeError
from cen.exchange.conversion.conversion_summary import ConversionSummary
from cen.exchange.conversion.first_pass import FirstPass
from cen.exchange.conversion.private_stems import padded
from cen.exchange.streams import Streams, check_tensors


class MultiStream(nn.Module):
    """A converted network: named streams in, named streams out.

    Args:
        module: The network, its norms already multi-stream.
        streams: The streams that its layers share.
        summary: What became of its norms.
        channels: Channels of each stream; None: all alike, as many as the network takes.

    Attributes:
        first_pass: What looks at whose rows the norms get.
        widest: As many channels the packed images have.
    """

    def __init__(
        self,
        module: nn.Module,
        streams: Streams,
        summary: ConversionSummary | None = None,
        channels: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        self.streams = streams
        self.channels = dict(channels or {})
        self.widest = max(self.channels.values(), default=0)
        self.first_pass = FirstPass(summary or ConversionSummary(()))

    def summary(self) -> ConversionSummary:
        """What exchanges, what is private, what stays shared, and why; ``print`` shows a table.

        Norms that are functions are in it after the first pass.
        """
        return self.first_pass.summary

    def forward(self, inputs: Mapping[str, Tensor], *args: Any, **options: Any) -> dict[str, Any]:
        """Runs the given streams, any non-empty subset, in one pass.

        Args:
            inputs: (B, C, *) per stream, all of one shape but for C, where streams were given with
                their numbers of channels.
            *args: Passed on to the network, as are the options. Tensors among them, also in lists,
                tuples and dicts, whose first axis has B entries belong to the samples: every stream
                gets them.
            **options: Of the network.

        Returns:
            Per stream given, what the network returns for it: tensors, or lists, tuples and dicts
            of tensors.

        Raises:
            StreamError: No stream, or an unknown one.
            ShapeError: The shapes differ.
        """
        return self.predictions(self.admitted(inputs, *args, **options), *args, **options)

    def admitted(
        self, inputs: Mapping[str, Tensor], *args: Any, **options: Any
    ) -> dict[str, Tensor]:
        """Inputs as `predictions` takes them, after what is looked at in a first pass."""
        check_tensors(inputs, "stream")
        inputs = self._as_wide(inputs)
        example = next(iter(inputs.values()), torch.empty(0))
        with self.streams.activate(inputs, len(inputs) * example.shape[0]):
            self.streams.check(inputs)
            self.first_pass.look(
                self.module,
                self.streams,
                example,
                lambda rows: self._run(rows, len(self.streams), example.shape[0], args, options),
                whole=bool(args or options),
            )
        return inputs

    def predictions(
        self, inputs: Mapping[str, Tensor], *args: Any, **options: Any
    ) -> dict[str, Any]:
        """What the network returns for checked inputs, by stream; what `cen.fold` records."""
        batch = next(iter(inputs.values())).shape[0]
        with self.streams.activate(inputs, len(inputs) * batch):
            packed = self.streams.pack(inputs)
            result = self._run(packed, len(inputs), batch, args, options)
            return {self.streams.names[i]: self._pick(result, i) for i in self.streams.active}

    def _run(
        self, rows: Tensor, streams: int, batch: int, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        more, named = _for_each_stream((args, options), batch, streams)
        return self.module(rows, *more, **named)

    def _as_wide(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs with the channels of the widest stream."""
        for name, image in inputs.items():
            count = self.channels.get(name)
            if count is not None and (image.ndim < 2 or image.shape[1] != count):
                raise ShapeError(
                    f"stream {name!r} has shape {tuple(image.shape)} but {count} channels: "
                    f"give (B, {count}, …)"
                )
        if not self.channels:
            return dict(inputs)
        return {name: padded(image, self.widest) for name, image in inputs.items()}

    def _pick(self, result: Any, stream: int) -> Any:
        """The part of a nested result that belongs to one stream."""
        if isinstance(result, Tensor) or hasattr(result, "__torch_function__"):
            if not result.ndim:
                raise ShapeError(
                    "the network returns a scalar, which is of all streams together, as a loss is; "
                    "call it without what it makes the loss of (labels=...) and take the loss of "
                    "each stream's result, or let it return one value per row"
                )
            return self.streams.unpack(self.streams.replayed(result))[self.streams.names[stream]]
        if dataclasses.is_dataclass(result) and not isinstance(result, type):
            # A copy, since a class may keep arguments of its own from its constructor.
            picked = copy.copy(result)
            for field in dataclasses.fields(result):
                value = self._pick(getattr(result, field.name), stream)
                object.__setattr__(picked, field.name, value)
                if isinstance(picked, dict) and field.name in picked:
                    dict.__setitem__(picked, field.name, value)
            return picked
        if isinstance(result, Mapping):
            entries = {key: self._pick(value, stream) for key, value in result.items()}
            return OrderedDict(entries) if isinstance(result, OrderedDict) else entries
        if isinstance(result, tuple) and hasattr(result, "_fields"):
            return type(result)(*(self._pick(value, stream) for value in result))
        if isinstance(result, list | tuple):
            return type(result)(self._pick(value, stream) for value in result)
        if result is None or isinstance(result, bool | int | float | str | torch.Size):
            return result
        raise ConversionError(
            f"the network returns a {type(result).__name__}, which cannot be dealt out to streams; "
            "let it return tensors, or lists, tuples, dicts or dataclasses of them"
        )


def _for_each_stream(value: Any, batch: int, streams: int) -> Any:
    """Further inputs of a network; those of its samples repeated, so that each stream has them."""
    if isinstance(value, Tensor):
        of_samples = value.ndim and value.shape[0] == batch
        return value.repeat_interleave(streams, 0) if of_samples and streams > 1 else value
    if isinstance(value, dict):
        return {key: _for_each_stream(held, batch, streams) for key, held in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_for_each_stream(held, batch, streams) for held in value)
    return value
