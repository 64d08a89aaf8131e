"""A network converted to streams: named inputs in, named results out."""

from __future__ import annotations

import copy
import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from cen.errors import ConversionError
from cen.exchange.shared_norms import SharedNorms
from cen.exchange.streams import Streams, check_tensors


class MultiStream(nn.Module):
    """A converted network: named streams in, named streams out.

    Args:
        module: The network, its norms already multi-stream.
        streams: The streams that its layers share.
    """

    def __init__(self, module: nn.Module, streams: Streams) -> None:
        super().__init__()
        self.module = module
        self.streams = streams
        self.looked = False

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
            watching = self._watched()
            with watching or nullcontext():
                result = self.module(packed, **options)
            if watching is not None:
                watching.tell()
            return {self.streams.names[i]: self._pick(result, i) for i in self.streams.active}

    def _watched(self) -> SharedNorms | None:
        """At the first pass, what looks out for norms that no module holds."""
        if self.looked or torch.compiler.is_compiling():
            return None
        self.looked = True
        return SharedNorms(self.module)

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
