"""Predictions in tiles, of which only the rows still needed are kept."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from cen.models import ChannelExchangeNetwork, Output
from cen.models.network import FUSED
from cen.predict.resampling import mixed, taps
from cen.predict.scenes import PaddedScene, Scene
from cen.predict.tiles import Axis, Tiling

_IN_MEMORY = 2**28
"""Bytes of a row of tiles beyond which it is kept in a temporary file."""


class TiledRows:
    """Rows of the prediction of a scene, asked for from top to bottom.

    A scene of a size that the network pads to is padded before it is cut, and the prediction is cut
    as the network does it: a tile at the border is then no other one than those inside. ``size`` is
    the height and width of what is predicted, ``side`` that of the tiles; the network runs in the
    context that ``computing`` gives for a device.
    """

    def __init__(
        self,
        net: ChannelExchangeNetwork,
        scene: Scene,
        size: tuple[int, int],
        computing: Callable[[torch.device], AbstractContextManager[Any]],
        side: int,
    ) -> None:
        self._net, self._size, self._computing = net, size, computing
        self._scene = PaddedScene(scene, net.multiple)
        self._tilings = [Tiling.of(length, side, net.smallest) for length in self._scene.size]
        # The sizes that a prediction is brought to in turn, and what is left of each.
        self._steps = [(size, size)]
        if self._scene.size != scene.size:
            self._steps.insert(0, (self._scene.size, scene.size))
        self._next = 0
        self._strips: dict[tuple[str, str], _Strip] = {}

    def __call__(self, first: int, stop: int) -> dict[str, Output]:
        """Rows of the prediction; those above will not be asked for again.

        Raises:
            ConfigError: what the network gives of tiles cannot be put together.
        """
        streams: dict[str, dict[str, Tensor]] = {}
        if not self._strips:
            self._add_row(first, stop)
        for (output, stream), strip in self._strips.items():
            while strip.done < self._needed(strip, first, stop)[1]:
                self._add_row(first, stop)
            streams.setdefault(output, {})[stream] = self._resized(strip, first, stop)
        return {name: self._net.combined(name, values) for name, values in streams.items()}

    def _resized(self, strip: _Strip, first: int, stop: int, step: int = -1) -> Tensor:
        """Rows of what a step, counted from the last, makes of a prediction."""
        resized, kept = self._steps[step]
        is_first = step == -len(self._steps)
        length = strip.size[0] if is_first else self._steps[step - 1][1][0]
        down = taps(first, stop, length, resized[0], "bicubic")
        if is_first:
            given = strip.rows(down.first, down.stop)
        else:
            given = self._resized(strip, down.first, down.stop, step - 1)
        rows = mixed(given, down, -2)
        return interpolate(rows, (stop - first, resized[1]), mode="bicubic")[..., : kept[1]]

    def _needed(self, strip: _Strip, first: int, stop: int) -> tuple[int, int]:
        """The rows of a prediction at the decoder's resolution that some of the result need."""
        lengths = [strip.size[0], *(kept[0] for _, kept in self._steps[:-1])]
        for length, (resized, _) in reversed(list(zip(lengths, self._steps, strict=True))):
            first, stop, *_ = taps(first, stop, length, resized[0], "bicubic")
        return first, stop

    def _add_row(self, first: int, stop: int) -> None:
        """Predicts the next row of tiles, of which rows from ``first`` on are needed."""
        number, self._next = self._next, self._next + 1
        down, across = self._tilings
        top, bottom = down.spans[number]
        for strip in self._strips.values():
            strip.extend(self._needed(strip, first, stop)[0], bottom)
        for place, (left, right) in enumerate(across.spans):
            values_by_stream = self._predicted(slice(top, bottom), slice(left, right))
            if not self._strips:
                self._begin(values_by_stream)
            for key, values in values_by_stream.items():
                weights = down.weights(number, values.shape[-2])[:, None]
                weights = weights * across.weights(place, values.shape[-1])
                place_of_tile = ((top, bottom), (left, right))
                self._strips[key].add(values.float(), weights.to(values.device), place_of_tile)
        last = self._next == len(down.spans)
        for strip in self._strips.values():
            strip.finish(bottom if last else down.spans[self._next][0])

    def _begin(self, values_by_stream: Mapping[tuple[str, str], Tensor]) -> None:
        """Finds out, with the first tile, where the values of all of them lie."""
        probe = values_by_stream
        if any(tiling.rest for tiling in self._tilings):
            probe = self._predicted(*(slice(0, tiling.end) for tiling in self._tilings))
        bottom = self._tilings[0].spans[0][1]
        for key, values in values_by_stream.items():
            sizes = zip(self._tilings, values.shape[-2:], probe[key].shape[-2:], strict=True)
            axes = [Axis.of(tiling, *counts) for tiling, *counts in sizes]
            self._strips[key] = _Strip(values, axes)
            self._strips[key].extend(0, bottom)

    def _predicted(self, rows: slice, columns: slice) -> dict[tuple[str, str], Tensor]:
        """What the streams of every output predict there, by output and stream."""
        inputs = self._scene.window(rows, columns)
        with self._computing(next(iter(inputs.values())).device):
            outputs: dict[str, Output] = self._net(inputs)
        return dict(_streams(outputs))


def _streams(outputs: Mapping[str, Output]) -> Iterator[tuple[tuple[str, str], Tensor]]:
    """What the streams of every output predict, or the one that is left."""
    for name, output in outputs.items():
        for stream, values in (output.streams or {FUSED: output.ensemble}).items():
            yield (name, stream), values


class _Strip:
    """The rows of one prediction at the decoder's resolution that are needed still.

    Attributes:
        size: height and width of the whole prediction there.
        done: the row from which on tiles are missing.
    """

    def __init__(self, values: Tensor, axes: Sequence[Axis]) -> None:
        self._down, self._across = axes
        self.size = (self._down.count, self._across.count)
        self.done = 0
        self._first = 0
        self._shape = (*values.shape[:2], 0, self.size[1])
        self._values = values.new_zeros(self._shape, dtype=torch.float32)
        self._weights = torch.zeros(0, self.size[1], device=values.device)

    def rows(self, first: int, stop: int) -> Tensor:
        """Blended rows, of those that are done."""
        return self._values[:, :, first - self._first : stop - self._first]

    def extend(self, first: int, bottom: int) -> None:
        """Makes room for tiles that end at a row of the scene, and forgets rows above ``first``."""
        device, height = self._values.device, self._down.at(bottom) - first
        kept = self._values[:, :, first - self._first :].clone()
        self._weights = pad(self._weights[first - self._first :], (0, 0, 0, height - kept.shape[2]))
        del self._values
        self._values = _zeros((*self._shape[:2], height, self.size[1]), device)
        self._values[:, :, : kept.shape[2]] = kept
        self._first = first

    def add(self, values: Tensor, weights: Tensor, place: Sequence[tuple[int, int]]) -> None:
        """Adds a tile, (B, C, h, w), that covers rows and columns of the scene."""
        (top, bottom), (left, right) = (
            axis.covered(span, count)
            for axis, span, count in zip(
                (self._down, self._across), place, weights.shape, strict=True
            )
        )
        rows, columns = slice(top - self._first, bottom - self._first), slice(left, right)
        self._values[:, :, rows, columns] += values * weights
        self._weights[rows, columns] += weights

    def finish(self, bottom: int) -> None:
        """Rows above one of the scene have all their tiles."""
        stop = self._down.at(bottom)
        new = slice(self.done - self._first, stop - self._first)
        self._values[:, :, new] /= self._weights[new]
        self.done = stop


def _zeros(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Zeros in float32, on the CPU in a file without a name where they are many."""
    if device.type != "cpu" or 4 * math.prod(shape) <= _IN_MEMORY:
        return torch.zeros(shape, device=device)
    with tempfile.TemporaryFile() as file:
        return torch.from_numpy(np.memmap(file, np.float32, "w+", shape=shape))
