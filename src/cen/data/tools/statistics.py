"""Statistics of a training split: normalisation, depth range, class weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from operator import or_
from typing import Any, Self

import numpy as np
import yaml
from numpy.typing import NDArray

from cen.data.fields.modality import Modality
from cen.data.readers.aligned import AlignedDataset
from cen.data.tools.parallel import Addable, over_samples
from cen.data.tools.value_ranges import ValueRange, bands_of
from cen.errors import DataError

Array = NDArray[np.float64]


@dataclass
class Moments(Addable):
    """Number, mean and sum of squared deviations per channel, in double precision.

    Two of them are merged as by Chan, Golub and LeVeque (1979): nothing large is subtracted from
    something as large, so millions of pictures lose no digits.
    """

    count: float = 0.0
    mean: Array = field(default_factory=lambda: np.zeros(0))
    deviation: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, planes: NDArray[Any], measured: NDArray[np.bool_]) -> Moments:
        """Of the known pixels of one picture, (C, H, W) and (H, W)."""
        values = planes[:, measured].astype(np.float64)
        if not values.size:
            return cls(0.0, np.zeros(len(planes)), np.zeros(len(planes)))
        mean = values.mean(axis=1)
        return cls(values.shape[1], mean, ((values - mean[:, None]) ** 2).sum(axis=1))

    def add(self, other: Self) -> None:
        """Takes in the pixels of others."""
        if not other.count:
            return
        if not self.count:
            self.count, self.mean, self.deviation = other.count, other.mean, other.deviation
            return
        total = self.count + other.count
        step = other.mean - self.mean
        self.mean = self.mean + step * (other.count / total)
        self.deviation = (
            self.deviation + other.deviation + step**2 * (self.count * other.count / total)
        )
        self.count = total

    @property
    def std(self) -> Array:
        """Deviation per channel."""
        return np.asarray(np.sqrt(self.deviation / max(self.count, 1.0)))


@dataclass
class ClassCounts(Addable):
    """Pixels of every class, and all labelled pixels of the pictures in which it occurs."""

    pixels: NDArray[np.int64]
    beside: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[Any], classes: int, ignore_index: int = 255) -> ClassCounts:
        """Of one label map; values that are no class, or are ignored, are left out."""
        counted = (labels >= 0) & (labels < classes) & (labels != ignore_index)
        in_range = labels[counted].astype(np.int64)
        pixels = np.bincount(in_range, minlength=classes)
        return cls(pixels, np.where(pixels > 0, pixels.sum(), 0))

    def weights(self) -> Array:
        """Median-frequency weights (Eigen and Fergus, ICCV 2015), 1 for a class that is absent.

        The frequency of a class is its share of the pixels of those pictures in which it occurs;
        its weight is the median of the frequencies over its own. An absent class has no frequency:
        its weight never meets a training pixel, but must be finite where it meets another.
        """
        present = self.pixels > 0
        weights = np.ones(len(self.pixels))
        if present.any():
            frequency = self.pixels[present] / self.beside[present]
            weights[present] = np.median(frequency) / frequency
        return weights


@dataclass
class Statistics(Addable):
    """Statistics of a split, one entry per field.

    Attributes:
        samples: how many were read.
        moments: of what the network would see with mean 0 and deviation 1, by input.
        depth: range in metres, by depth field.
        ranges: of the values, by band of the continuous fields.
        classes: by label field.
        names: class names, by label field.
    """

    samples: int = 0
    moments: dict[str, Moments] = field(default_factory=dict)
    depth: dict[str, ValueRange] = field(default_factory=dict)
    ranges: dict[str, ValueRange] = field(default_factory=dict)
    classes: dict[str, ClassCounts] = field(default_factory=dict)
    names: dict[str, tuple[str, ...]] = field(default_factory=dict, metadata={"add": or_})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "samples": self.samples,
            "modalities": {
                name: {"mean": _round(m.mean), "std": _round(m.std)}
                for name, m in self.moments.items()
            },
            "depth": {name: values.to_dict("holes") for name, values in self.depth.items()},
            "ranges": {name: values.to_dict() for name, values in self.ranges.items()},
            "classes": {
                name: {
                    "names": list(self.names[name]),
                    "pixels": counts.pixels.tolist(),
                    "weights": _round(counts.weights()),
                }
                for name, counts in self.classes.items()
            },
        }


def measure(
    dataset: AlignedDataset,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Statistics:
    """Statistics of one split, each picture read once and forgotten.

    Args:
        dataset: a training split; its transforms play no part.
        workers: processes; None: as many as pay. The result does not depend on it.
        progress: called with (samples done, samples in all).

    Raises:
        DataError: a sample cannot be read; ``cen data NAME check`` names all of them.
    """
    total = Statistics()
    for part, some in over_samples(measure_samples, dataset, workers=workers):
        total.add(some)
        if progress is not None:
            progress(part.stop, len(dataset))
    for name, moments in total.moments.items():
        if not moments.count:
            raise DataError(f"{dataset.root}: {name} has no value in the {dataset.split} split")
    return total


def measure_samples(dataset: AlignedDataset, part: range) -> Statistics:
    """Statistics of some samples. A task for `cen.data.tools.parallel.over_samples`."""
    total = Statistics(names={name: classes.names for name, classes in dataset.labels.items()})
    plain = {
        name: _unnormalised(modality)
        for name, modality in dataset.modalities.items()
        if not modality.field_kind.classes
    }
    for index in part:
        sample = dataset.raw(index)
        one = Statistics(samples=1)
        for name, modality in plain.items():
            raw = sample[name]
            measured = np.isfinite(raw) if raw.ndim == 2 else np.isfinite(raw).all(axis=-1)
            # Before holes are filled: an encoding may leave more of them than files have.
            prepared = modality.prepare(raw, sample.get("intrinsics"))
            planes = modality.field_kind.normalise(modality, prepared)
            one.moments[name] = Moments.of(planes, measured & np.isfinite(planes).all(axis=0))
        for name, modality in {**dataset.targets, **dataset.modalities}.items():
            if name not in sample:  # partly annotated data lack some targets
                continue
            if modality.field_kind.metres:
                one.depth[name] = ValueRange.of(sample[name])
            if modality.field_kind.open_range:
                for band, values in bands_of(name, sample[name]):
                    one.ranges[band] = ValueRange.of(values)
            if modality.field_kind.classes and name in dataset.labels:
                classes = len(dataset.labels[name].names)
                one.classes[name] = ClassCounts.of(sample[name], classes, dataset.ignore_index)
        total.add(one)
    return total


def as_yaml(statistics: Statistics, first_line: str) -> str:
    """The statistics as keys of a configuration, with the rest of them as comments."""
    lines = [f"# {first_line}", f"# {statistics.samples} training samples"]
    lines.append("# Merge the keys below into the YAML file of your run: this text is not read.")
    for name, depth in statistics.depth.items():
        d = depth.to_dict("holes")
        lines.append(
            f"# {name}: {d['low']:.3g} to {d['high']:.3g} m, 98 % of it {d['percent_1']:.3g} to "
            f"{d['percent_99']:.3g} m, median {d['median']:.3g} m, {100 * d['holes']:.1f} % holes"
        )
    for band, values in statistics.ranges.items():
        d = values.to_dict()
        lines.append(
            f"# {band}: {d['low']:.4g} to {d['high']:.4g}, 98 % of it {d['percent_1']:.4g} to "
            f"{d['percent_99']:.4g}, median {d['median']:.4g}, {100 * d['missing']:.1f} % missing"
        )
        lines += [
            f"# {band}: {count} pixels are exactly {value:.9g}, far from the rest; is it no data? "
            "Then say missing"
            for value, count, *_ in values.strange()
        ]
    for name, counts in statistics.classes.items():
        share = 100 * counts.pixels / max(1, counts.pixels.sum())
        lines.append(f"# {name}, % of the labelled pixels:")
        lines += [
            f"#   {value} {label}: {share[value]:.3f}{'' if share[value] else ' (absent)'}"
            for value, label in enumerate(statistics.names[name])
        ]
    plain = statistics.to_dict()
    keys: dict[str, Any] = {"data": {"modalities": plain["modalities"]}}
    weights = [entry["weights"] for entry in plain["classes"].values()]
    if weights:
        # Of the first label field: a configuration has one list of class weights.
        keys["train"] = {"class_weights": weights[0]}
    return "\n".join(lines) + "\n" + yaml.safe_dump(keys, sort_keys=False, default_flow_style=None)


def _unnormalised(modality: Modality) -> Modality:
    zeros, ones = (0.0,) * modality.channels, (1.0,) * modality.channels
    return replace(modality, mean=zeros, std=ones)


def _round(numbers: Array) -> list[float]:
    """Six digits: more than a training set determines, few enough to read."""
    return [float(f"{number:.6g}") for number in numbers]
