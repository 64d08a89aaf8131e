"""Tiles of a picture that is predicted piece by piece, and how they are blended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from cen.errors import ConfigError, described
from cen.exchange.group_norm import StreamGroupNorm
from cen.exchange.instance_norm import StreamInstanceNorm

Tile = int | Literal["auto"] | None
"""The side of tiles in pixels; "auto": of large pictures alone; None: pictures are not cut."""

WHOLE = 2**21
"""Pixels of the largest picture that "auto" leaves whole; 1920 × 1080 is one."""
AUTO = 640
"""The side of the tiles of "auto"."""
_OVERLAP = 128
"""Pixels that neighbouring tiles have in common, where a quarter of a tile is not less."""


@dataclass(frozen=True)
class Tiling:
    """The tiles of one axis, in order; neighbours overlap.

    Attributes:
        spans: first entry and one behind the last, of every tile.
        overlap: entries that neighbours have in common at least.
        align: tiles begin at its multiples.
    """

    spans: tuple[tuple[int, int], ...]
    overlap: int
    align: int

    @classmethod
    def of(cls, length: int, tile: int, align: int) -> Tiling:
        """As few tiles as cover an axis, evenly spaced; they overlap by a quarter, at most 128.

        Args:
            length: of the axis.
            tile: length of a tile, a multiple of ``align`` and at least twice that.
            align: tiles begin at its multiples, as the network's downsampling asks for.
        """
        overlap = max(align, min(_OVERLAP, tile // 4) // align * align)
        if length <= tile:
            return cls(((0, length),), overlap, align)
        count = math.ceil((length - overlap) / (tile - overlap))
        last = math.ceil((length - tile) / align)
        starts = [align * (number * last // (count - 1)) for number in range(count)]
        return cls(tuple((s, min(s + tile, length)) for s in starts), overlap, align)

    def weights(self, number: int, count: int) -> Tensor:
        """How much each of the ``count`` values that a tile gives along the axis counts, 0..1.

        0 in the outer quarter of an overlap, where the tile's border shows, then rising evenly to
        1 over the half in its middle; 1 up to the border of the picture. Those of two tiles with
        the usual overlap sum to 1.
        """
        first, last = self.spans[number]
        pixels = (last - first) / count
        inside = (torch.arange(count, dtype=torch.float32) + 0.5) * pixels
        weights = torch.ones(count)
        if number > 0:
            weights = weights.minimum(_ramp(inside, self.overlap))
        if number < len(self.spans) - 1:
            weights = weights.minimum(_ramp(last - first - inside, self.overlap))
        return weights

    @property
    def rest(self) -> int:
        """Pixels beyond the last multiple of ``align``; 0 where one tile covers the axis."""
        return self.spans[-1][1] % self.align if len(self.spans) > 1 else 0

    @property
    def end(self) -> int:
        """A length that ends as the axis does: as much longer than a multiple of ``align``."""
        return self.spans[0][1] if len(self.spans) == 1 else self.align + self.rest


@dataclass(frozen=True)
class Axis:
    """Where, along an axis, the values lie that a network gives of the tiles.

    Attributes:
        length: of the axis, in pixels.
        stride: pixels from one value to the next.
        count: values of the whole axis.
    """

    length: int
    stride: int
    count: int

    @classmethod
    def of(cls, tiling: Tiling, first: int, end: int) -> Axis:
        """What the values of two pictures say of all.

        Some encoders round the number of values up where a length is no multiple of their stride,
        others down, and some do both in turn.

        Args:
            tiling: the tiles.
            first: values that the network gives of the first tile.
            end: values that it gives of a length of ``tiling.end``; not read where ``tiling.rest``
                is 0.

        Raises:
            ConfigError: tiles do not begin at values of the whole picture.
        """
        length, side = tiling.spans[-1][1], tiling.spans[0][1]
        if len(tiling.spans) == 1:
            return cls(length, side, first)
        stride = side // max(1, first)
        if first * stride != side or tiling.align % stride:
            raise _cannot_be_joined(first, side)
        count = (length - tiling.end) // stride + end if tiling.rest else length // stride
        return cls(length, stride, count)

    def at(self, pixel: int) -> int:
        """The value that begins at a pixel where a tile begins or the axis ends."""
        return self.count if pixel >= self.length else pixel // self.stride

    def covered(self, span: tuple[int, int], count: int) -> tuple[int, int]:
        """The first value of a tile, and one behind its last.

        Args:
            span: the pixels of the tile.
            count: values that the network gave of it.

        Raises:
            ConfigError: these are more or fewer than lie there.
        """
        first, stop = self.at(span[0]), self.at(span[1])
        if stop - first != count:
            raise _cannot_be_joined(count, span[1] - span[0])
        return first, stop


def _cannot_be_joined(count: int, pixels: int) -> ConfigError:
    return ConfigError(
        f"tile: of {pixels} pixels this network predicts {count} values, which cannot be joined to "
        "those of the tiles beside them; predict the whole picture (tile=None, --tile none)"
    )


def _ramp(inside: Tensor, overlap: int) -> Tensor:
    return ((inside - overlap / 4) / (overlap / 2)).clamp(0, 1)


def check_tile(tile: object) -> None:
    """Refuses what is no side of tiles.

    Raises:
        ConfigError: it is none.
    """
    is_side = isinstance(tile, int) and not isinstance(tile, bool) and tile >= 1
    if not (is_side or tile is None or tile == "auto"):
        raise ConfigError(
            f'tile: {described(tile)} is no side in pixels; give a whole number, "auto", or None'
        )


def tile_side(tile: Tile, size: Sequence[int], align: int) -> int | None:
    """The side of the tiles of a picture of (H, W); None: it is not cut.

    Raises:
        ConfigError: tiles of that side are too small for the network.
    """
    if tile == "auto":
        tile = max(AUTO, 2 * align) if size[0] * size[1] > WHOLE else None
    if tile is None or max(size) <= tile:
        return None
    if tile < 2 * align:
        raise ConfigError(
            f"tile: {tile} pixels are too small for this network; give {2 * align} or more"
        )
    return tile // align * align


def looks_afar(net: nn.Module) -> list[str]:
    """What in a network sees the whole of a picture, and in a tile only that.

    Modules say it in an attribute ``sees_whole``; those of other libraries are known by the names
    of their classes.
    """
    modules = list(net.modules())
    said = {str(getattr(module, "sees_whole", "")) for module in modules}
    names = {type(m).__name__.lower() for m in modules if not type(m).__module__.startswith("cen.")}
    global_parts = {
        "pooling of whole maps": any(isinstance(m, _POOLING) for m in modules)
        or any(part in name for part in _POOLING_NAMES for name in names),
        "attention": any(isinstance(m, nn.MultiheadAttention) for m in modules)
        or any("attention" in name and "window" not in name for name in names),
        "group norms": any(isinstance(m, StreamGroupNorm | nn.GroupNorm) for m in modules),
        "instance norms": any(
            isinstance(m, StreamInstanceNorm | nn.InstanceNorm2d) and m.running_mean is None
            for m in modules
        ),
    }
    known = [what for what, there in global_parts.items() if there]
    return known + sorted(said - {"", *known})


_POOLING = nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d
_POOLING_NAMES = ("squeeze", "excit", "semodule", "globalresponsenorm")
"""Parts of the names of modules that weigh channels by their means over the picture."""
