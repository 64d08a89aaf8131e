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
from cen.predict.resampling import Taps, mixed, taps
from cen.predict.scenes import Scene
from cen.predict.tiles import Tiling

_IN_MEMORY = 2**28
"""Bytes of a row of tiles beyond which it is kept in a temporary file."""


class TiledRows:
    """Rows of the prediction of a scene, asked for from top to bottom.

    Args:
        net: the network.
        scene: what it is given.
        size: height and width of what is predicted.
        computing: what the network runs in on a device.
        tilings: the tiles down and across the scene.
    """

    def __init__(
        self,
        net: ChannelExchangeNetwork,
        scene: Scene,
        size: tuple[int, int],
        computing: Callable[[torch.device], AbstractContextManager[Any]],
        tilings: Sequence[Tiling],
    ) -> None:
        self._net, self._scene, self._size, self._computing = net, scene, size, computing
        self._down, self._across = tilings
        self._next = 0
        self._strips: dict[tuple[str, str], _Strip] = {}

    def __call__(self, first: int, stop: int) -> dict[str, Output]:
        """Rows of the prediction; those above will not be asked for again."""
        streams: dict[str, dict[str, Tensor]] = {}
        if not self._strips:
            self._add_row(first, stop)
        for (output, stream), strip in self._strips.items():
            while strip.done < self._taps(strip, first, stop).stop:
                self._add_row(first, stop)
            down = self._taps(strip, first, stop)
            rows = mixed(strip.rows(down.first, down.stop), down, -2)
            wide = interpolate(rows, (stop - first, self._size[1]), mode="bicubic")
            streams.setdefault(output, {})[stream] = wide
        return {name: self._net.combined(name, values) for name, values in streams.items()}

    def _taps(self, strip: _Strip, first: int, stop: int) -> Taps:
        return taps(first, stop, strip.size[0], self._size[0], "bicubic")

    def _add_row(self, first: int, stop: int) -> None:
        """Predicts the next row of tiles, of which rows from ``first`` on are needed."""
        number, self._next = self._next, self._next + 1
        top, bottom = self._down.spans[number]
        for strip in self._strips.values():
            strip.extend(self._taps(strip, first, stop).first, bottom)
        for place, (left, right) in enumerate(self._across.spans):
            inputs = self._scene.window(slice(top, bottom), slice(left, right))
            with self._computing(next(iter(inputs.values())).device):
                outputs: dict[str, Output] = self._net(inputs)
            for key, values in _streams(outputs):
                weights = self._down.weights(number, values.shape[-2])[:, None]
                weights = weights * self._across.weights(place, values.shape[-1])
                if key not in self._strips:
                    self._strips[key] = _Strip(values, bottom - top, self._scene.size)
                    self._strips[key].extend(0, bottom)
                self._strips[key].add(values.float(), weights.to(values.device), top, left)
        last = self._next == len(self._down.spans)
        for strip in self._strips.values():
            strip.finish(bottom if last else self._down.spans[self._next][0])


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

    def __init__(self, values: Tensor, height: int, scene: tuple[int, int]) -> None:
        # Encoders halve the size, rounding up: of 33 rows 5 are left after three times.
        self._stride = int(2 ** round(math.log2(height / values.shape[-2])))
        self.size = tuple(self._bottom(side) for side in scene)
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
        device, height = self._values.device, self._bottom(bottom) - first
        kept = self._values[:, :, first - self._first :].clone()
        self._weights = pad(self._weights[first - self._first :], (0, 0, 0, height - kept.shape[2]))
        del self._values
        self._values = _zeros((*self._shape[:2], height, self.size[1]), device)
        self._values[:, :, : kept.shape[2]] = kept
        self._first = first

    def add(self, values: Tensor, weights: Tensor, top: int, left: int) -> None:
        """Adds a tile, (B, C, h, w), that begins at a place of the scene."""
        row, column = top // self._stride - self._first, left // self._stride
        rows, columns = (slice(a, a + n) for a, n in zip((row, column), weights.shape, strict=True))
        self._values[:, :, rows, columns] += values * weights
        self._weights[rows, columns] += weights

    def finish(self, bottom: int) -> None:
        """Rows above one of the scene have all their tiles."""
        stop = self._bottom(bottom)
        new = slice(self.done - self._first, stop - self._first)
        self._values[:, :, new] /= self._weights[new]
        self.done = stop

    def _bottom(self, row: int) -> int:
        return -(-row // self._stride)


def _zeros(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Zeros in float32, on the CPU in a file without a name where they are many."""
    if device.type != "cpu" or 4 * math.prod(shape) <= _IN_MEMORY:
        return torch.zeros(shape, device=device)
    with tempfile.TemporaryFile() as file:
        return torch.from_numpy(np.memmap(file, np.float32, "w+", shape=shape))
