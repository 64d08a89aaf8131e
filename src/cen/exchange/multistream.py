"""A network converted to streams: named inputs in, named results out."""

from __future__ import annotations

import copy
import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cen.errors import ConversionError
from cen.exchange.conversion_summary import ConversionSummary
from cen.exchange.first_pass import FirstPass
from cen.exchange.streams import Streams, check_tensors


class MultiStream(nn.Module):
    """A converted network: named streams in, named streams out.

    Args:
        module: The network, its norms already multi-stream.
        streams: The streams that its layers share.
        summary: What became of its norms.

    Attributes:
        first_pass: What looks at whose rows the norms get.
    """

    def __init__(
        self, module: nn.Module, streams: Streams, summary: ConversionSummary | None = None
    ) -> None:
        super().__init__()
        self.module = module
        self.streams = streams
        self.first_pass = FirstPass(summary or ConversionSummary(()))

    def summary(self) -> ConversionSummary:
        """What exchanges, what is private, what stays shared, and why; ``print`` shows a table.

        Norms that are functions are in it after the first pass.
        """
        return self.first_pass.summary

    def forward(self, inputs: Mapping[str, Tensor], **options: Any) -> dict[str, Any]:
        """Runs the given streams, any non-empty subset, in one pass.

        Args:
            inputs: (B, C, *) per stream, all of one shape.
            **options: Passed on to the network.

        Returns:
            Per stream given, what the network returns for it: tensors, or lists, tuples and dicts
            of tensors.

        Raises:
            StreamError: No stream, or an unknown one.
            ShapeError: The shapes differ.
        """
        check_tensors(inputs, "stream")
        batch = next((x.shape[0] for x in inputs.values()), 0)
        with self.streams.activate(inputs, len(inputs) * batch):
            packed = self.streams.pack(inputs)
            self.first_pass.look(
                self.module,
                self.streams,
                next(iter(inputs.values())),
                lambda rows: self.module(rows, **options),
                whole=bool(options),
            )
            result = self.module(packed, **options)
            return {self.streams.names[i]: self._pick(result, i) for i in self.streams.active}

    def _pick(self, result: Any, stream: int) -> Any:
        """The part of a nested result that belongs to one stream."""
        if isinstance(result, Tensor) or hasattr(result, "__torch_function__"):
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
            found = {key: self._pick(value, stream) for key, value in result.items()}
            return OrderedDict(found) if isinstance(result, OrderedDict) else found
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
