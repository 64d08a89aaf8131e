"""What a stream norm reads of the values before it: scaled, shifted, taken from other streams."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cen.folding.recording import Recorded
from cen.folding.tensor import Folded, Layout, picked


class Reads(NamedTuple):
    """The values y_s,c = Σ_t mix_s,c,t (scale_t,c z_t,c + shift_t,c) that are wanted of z.

    Attributes:
        scale: a, (S, C) float64.
        shift: b, (S, C) float64.
        mix: (S, C, S) float64, what an exchange takes from which stream; each sums to 1.
    """

    scale: Tensor
    shift: Tensor
    mix: Tensor

    @classmethod
    def plainly(cls, streams: int, channels: int) -> Reads:
        """The values themselves."""
        return cls.without_exchange(torch.ones(streams, channels), torch.zeros(streams, channels))

    @classmethod
    def without_exchange(cls, scale: Tensor, shift: Tensor) -> Reads:
        """Every stream reads its own."""
        streams, channels = scale.shape
        mix = torch.eye(streams, dtype=torch.float64)[:, None].expand(-1, channels, -1)
        return cls(scale.double().cpu(), shift.double().cpu(), mix)


class Row(NamedTuple):
    """One value that is computed: ``scale · z + shift`` of a channel of a stream.

    Attributes:
        source: Tells z: equal sources are equal values.
        stream: A stream that z is computed for.
        channel: Its channel.
        scale: Its factor.
        shift: Its summand.
        asked: Place in a layout that others asked for; rows of different places stay apart.
    """

    source: Hashable
    stream: int
    channel: int
    scale: float
    shift: float
    asked: int


@dataclass(frozen=True)
class Wanted:
    """What has to be computed for reads, each value once.

    Attributes:
        rows: Values of single streams.
        means: Weighted sums of these, by place among the rows.
        layout: Where the streams find theirs: rows first, then means.
    """

    rows: tuple[Row, ...]
    means: tuple[tuple[tuple[int, float], ...], ...]
    layout: Layout

    @classmethod
    def of(
        cls, reads: Reads, sources: Sequence[Sequence[Hashable]], asked: Layout | None = None
    ) -> Wanted:
        """Finds out which of the values read are equal.

        Args:
            reads: What is read.
            sources: By stream and channel, what tells z apart.
            asked: A layout whose places must stay apart.
        """
        scale, shift, mix = reads.scale.tolist(), reads.shift.tolist(), reads.mix.tolist()
        streams, channels = len(scale), len(scale[0])
        rows: dict[Hashable, Row] = {}
        users: dict[Hashable, set[int]] = {}
        parts: dict[tuple[int, int], tuple[tuple[Hashable, float], ...]] = {}

        def wanted(row: Row) -> Hashable:
            key = (row.source, row.channel, row.scale, row.shift, row.asked)
            if key not in rows:
                rows[key], users[key] = row, set()
            return key

        for s in range(streams):
            for c in range(channels):
                place = asked.index[s][c] if asked is not None else 0
                terms = [(t, w) for t, w in enumerate(mix[s][c]) if w]
                first = sources[terms[0][0]][c]
                if len(terms) == 1 or all(sources[t][c] == first for t, _ in terms):
                    t, w = terms[0]
                    a, b = w * scale[t][c], w * shift[t][c]
                    for other, w in terms[1:]:
                        a, b = a + w * scale[other][c], b + w * shift[other][c]
                    key = wanted(Row(first, t, c, a, b, place))
                    users[key].add(s)
                    parts[s, c] = ((key, 1.0),)
                else:
                    parts[s, c] = tuple(
                        (wanted(Row(sources[t][c], t, c, scale[t][c], shift[t][c], place)), w)
                        for t, w in terms
                    )
        order = _ordered(rows, users, asked)
        return cls._laid_out(order, rows, parts, streams, channels)

    @classmethod
    def _laid_out(
        cls,
        order: list[Hashable],
        rows: dict[Hashable, Row],
        parts: dict[tuple[int, int], tuple[tuple[Hashable, float], ...]],
        streams: int,
        channels: int,
    ) -> Wanted:
        at = {key: place for place, key in enumerate(order)}
        means: dict[tuple[tuple[int, float], ...], int] = {}
        index = []
        for s in range(streams):
            places = []
            for c in range(channels):
                terms = parts[s, c]
                if len(terms) == 1:
                    places.append(at[terms[0][0]])
                else:
                    mean = tuple((at[key], weight) for key, weight in terms)
                    places.append(means.setdefault(mean, len(rows) + len(means)))
            index.append(tuple(places))
        layout = Layout(tuple(index), len(rows) + len(means))
        return cls(tuple(rows[key] for key in order), tuple(means), layout)


def _ordered(
    rows: dict[Hashable, Row], users: dict[Hashable, set[int]], asked: Layout | None
) -> list[Hashable]:
    """An order in which what one stream reads lies together, as far as can be.

    Of two streams: private ones of the first, common ones, private ones of the second. Where a
    layout was asked for, its order, and what had to be doubled behind.
    """
    if asked is not None:
        doubled, met = {}, set[int]()
        for key, row in sorted(rows.items(), key=lambda item: item[1].asked):
            doubled[key] = row.asked in met
            met.add(row.asked)
        return sorted(doubled, key=lambda key: (doubled[key], rows[key].asked))

    def place(key: Hashable) -> tuple[int, bool, int]:
        row, alone = rows[key], len(users[key]) == 1
        return row.stream, alone if row.stream else not alone, row.channel

    return sorted(rows, key=place)


def read(x: Folded, reads: Reads, asked: Layout | None = None) -> Folded:
    """What is read of values that are there."""
    wanted = Wanted.of(reads, x.layout.index, asked)
    wide = picked(x.wide, [row.source for row in wanted.rows])  # type: ignore[misc]
    return with_means(scaled(wide, wanted.rows), wanted)


def scaled(wide: Recorded, rows: Sequence[Row], summand: Recorded | None = None) -> Recorded:
    """``scale · z + shift`` of the channels, or ``scale · z + summand``."""
    shape = (1, -1, *[1] * (wide.ndim - 2))
    scale = torch.tensor([row.scale for row in rows], dtype=torch.float64)
    shift = torch.tensor([row.shift for row in rows], dtype=torch.float64)
    if summand is None and bool((scale == 1).all()) and not bool(shift.any()):
        return wide
    factor = wide.recorder.constant(scale.to(wide.device, wide.dtype).view(shape))
    if summand is None:
        summand = wide.recorder.constant(shift.to(wide.device, wide.dtype).view(shape))
    affine: Recorded = torch.addcmul(summand, wide, factor)  # type: ignore[call-overload]
    return affine


def with_means(wide: Recorded, wanted: Wanted) -> Folded:
    """The rows, and the means of several of them behind."""
    if not wanted.means:
        return Folded(wide, wanted.layout)
    pieces: list[Any] = [wide]
    at: dict[tuple[tuple[int, float], ...], int] = {}
    for count in sorted({len(mean) for mean in wanted.means}):
        members = [mean for mean in wanted.means if len(mean) == count]
        at |= {mean: len(at) + place for place, mean in enumerate(members)}
        total = None
        for k in range(count):
            part = picked(wide, [mean[k][0] for mean in members])
            rows = [Row(0, 0, 0, mean[k][1], 0.0, 0) for mean in members]
            total = scaled(part, rows, total)
        assert total is not None
        pieces.append(total)
    order = [len(wanted.rows) + at[mean] for mean in wanted.means]
    moved = dict(zip(range(len(wanted.rows), wanted.layout.width), order, strict=True))
    index = tuple(tuple(moved.get(p, p) for p in row) for row in wanted.layout.index)
    joined: Any = torch.cat(pieces, 1)
    return Folded(joined, Layout(index, wanted.layout.width))
