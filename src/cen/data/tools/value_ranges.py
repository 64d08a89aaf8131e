"""Between which values a field lies, and whether its extremes are values at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cen.data.tools.parallel import Addable
from cen.data.tools.training_range import some_frames

if TYPE_CHECKING:
    from cen.data.fields.modality import Modality
    from cen.data.readers.aligned import AlignedDataset

# Of every picture so many values are kept, the middles of equal parts of its pixels by value: ends
# would stand for as many pixels as others do. Percentiles of all are taken from them.
_KEPT = 200
# A value that fewer pixels have is a measurement like others, however far off.
_REPEATED = 4
# How far an extreme is from the next value, in ranges of the rest, to be told of, and to be wrong.
_FAR, _ABSURD = 3.0, 10.0

Extremes = dict[float, int]


def _two_of(mine: Extremes, theirs: Extremes, *, reverse: bool) -> Extremes:
    """Pixels of the two lowest values of both, or of the two highest."""
    counts = Counter(mine) + Counter(theirs)
    return {value: counts[value] for value in sorted(counts, reverse=reverse)[:2]}


@dataclass
class ValueRange(Addable):
    """Values of many pictures of one band.

    Attributes:
        pixels, missing: their numbers.
        lows, highs: pixels by value, of the two lowest and the two highest values.
        kept: values of every picture that has any, (200,) each.
        weights: pixels that each of these stands for, by picture.
    """

    pixels: int = 0
    missing: int = 0
    lows: Extremes = field(default_factory=dict, metadata={"add": partial(_two_of, reverse=False)})
    highs: Extremes = field(default_factory=dict, metadata={"add": partial(_two_of, reverse=True)})
    kept: list[NDArray[np.float32]] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, values: NDArray[Any]) -> ValueRange:
        """Of one picture (H, W), NaN where missing."""
        finite = values[np.isfinite(values)]
        value_range = cls(values.size, values.size - finite.size)
        if finite.size:
            for ends, end_of in ((value_range.lows, np.min), (value_range.highs, np.max)):
                end = end_of(finite)
                rest = finite[finite != end]
                ends[float(end)] = finite.size - rest.size
                if rest.size:
                    following = end_of(rest)
                    ends[float(following)] = int((rest == following).sum())
            places = (np.arange(_KEPT) + 0.5) * 100 / _KEPT
            # Values that occur: what lies between a sentinel and the rest is none.
            kept = np.percentile(finite, places, method="nearest")
            value_range.kept = [kept.astype(np.float32)]
            value_range.weights = [finite.size / _KEPT]
        return value_range

    def to_dict(self, missing: str = "missing") -> dict[str, float]:
        """``low``, ``percent_1``, ``median``, ``percent_99``, ``high``; the share ``missing``.

        Args:
            missing: another name of the last: ``holes`` of depth.
        """
        names = ("low", "percent_1", "median", "percent_99", "high")
        summary = dict.fromkeys(names, float("nan"))
        if self.kept:
            inner = self._percentiles((1, 50, 99))
            numbers = (min(self.lows), *inner, max(self.highs))
            summary = dict(zip(names, map(float, numbers), strict=True))
        return {**summary, missing: self.missing / max(1, self.pixels)}

    def _percentiles(
        self, percents: Sequence[float], above: float = -inf, below: float = inf
    ) -> list[float]:
        """Of the pixels with a value between two others; empty where there is none.

        NumPy's percentiles of weighted values take the next of them, these what lies between.
        """
        values = np.concatenate(self.kept)
        weights = np.repeat(self.weights, _KEPT)
        order = np.argsort(values, kind="stable")
        order = order[(values[order] > above) & (values[order] < below)]
        if not order.size:
            return []
        before = np.cumsum(weights[order]) - weights[order] / 2
        shares = before / weights[order].sum()
        return [float(np.interp(p / 100, shares, values[order])) for p in percents]

    def strange(self) -> Iterator[tuple[float, int, float, float, bool]]:
        """Extremes that many pixels share and that lie far from all others.

        Yields:
            The value, its pixels, the 1st and the 99th percentile of the rest, and whether it is so
            far away that it can be no measurement.
        """
        if not self.kept:
            return
        low, high = min(self.lows), max(self.highs)
        if not (inner := self._percentiles((1, 99), low, high)):
            return
        first, last = inner
        for extreme, opposite, counts in ((low, high, self.lows), (high, low, self.highs)):
            following = next(other for other in counts if other != extreme)
            gap = abs(extreme - following)
            # Of a few steps, two or three values, no more is known than how far they are apart.
            spread = last - first if last > first else abs(opposite - following)
            if counts[extreme] >= _REPEATED and gap > _FAR * spread:
                # Nothing can be as much as 0.
                wrong = gap > _ABSURD * spread and extreme != 0
                yield extreme, counts[extreme], first, last, wrong


def bands_of(name: str, values: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The bands of a field, each (H, W) under a name of its own."""
    if values.ndim == 2:
        yield name, values
        return
    for band in range(values.shape[2]):
        yield f"{name}[{band}]", values[..., band]


def describe_strange(
    band: str, values: ValueRange, modality: Modality
) -> Iterator[tuple[str, bool]]:
    """What `ValueRange.strange` finds, in words.

    Yields:
        A sentence, and whether the value can be no measurement.
    """
    for value, count, first, last, absurd in values.strange():
        share = 100 * count / max(1, values.pixels - values.missing)
        text = (
            f"{band}: {count} pixels ({share:.3g} %) are exactly {value:.9g}, while 98 % of the "
            f"others lie in {first:.4g} to {last:.4g}; if it means that nothing was measured, say "
            f"{_declared(value, modality)} for {band.partition('[')[0]}"
        )
        yield text, absurd


def _declared(value: float, modality: Modality) -> str:
    """How to say that a value is missing, besides those that are already said to be."""
    missing = [
        f"{one:.9g}" for one in (*(modality.missing or ()), _stored(value, modality.unit_or_one))
    ]
    numbers = missing[0] if len(missing) == 1 else f"[{', '.join(missing)}]"
    unknown = "missing" not in modality.field_kind.own_options
    return f"{'kind: continuous and ' * unknown}missing: {numbers}"


def _stored(value: float, step: float) -> float:
    """What a file holds where this was read: 65.535004 m of a step of 1 mm are 65535."""
    stored = value / step
    rounded = float(round(stored)) if isfinite(stored) else stored
    return rounded if abs(stored - rounded) <= 1e-6 * abs(stored) else stored


def value_doubts(dataset: AlignedDataset) -> Iterator[str]:
    """Values of a training split that can be no measurements, by some frames."""
    for name, modality in {**dataset.modalities, **dataset.targets}.items():
        frames = some_frames(dataset, name, modality)
        if modality.field_kind.bounded:
            for index, frame in frames:
                if text := modality.field_kind.impossible(frame):
                    yield f"{name}: {dataset.place(index)}: {text}"
                    break  # once for a field
            continue
        ranges: dict[str, ValueRange] = {}
        for _, frame in frames:
            if frame.dtype.kind != "f":
                break  # a picture of whole numbers
            for band, values in bands_of(name, frame):
                ranges.setdefault(band, ValueRange()).add(ValueRange.of(values))
        for band, value_range in ranges.items():
            yield from _impossible(band, value_range, modality)


def _impossible(band: str, values: ValueRange, modality: Modality) -> list[str]:
    """What can be no measurement, in words."""
    impossible = [text for text, absurd in describe_strange(band, values, modality) if absurd]
    low = min(values.lows, default=0.0)
    if modality.field_kind.metres and low < 0 and not impossible:
        text = f"{band}: negative depth, down to {low:.4g} m; if it means that nothing was measured"
        impossible = [f"{text}, say {_declared(low, modality)}"]
    return impossible
