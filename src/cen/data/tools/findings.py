"""What a check of one sample finds: problems by file, and facts that are judged together later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.modality import Modality
from cen.data.formats.bands import is_grey
from cen.data.formats.lossy import lossy_file
from cen.data.formats.tiff import nodata_tag
from cen.data.readers.aligned import AlignedDataset, differing_sizes
from cen.data.tools.depth_units import eight_bits, has_8_bits
from cen.data.tools.label_facts import counted, outlines, stored_ignored
from cen.data.tools.neighbours import MOST_FRAMES, thumbnail
from cen.data.tools.normal_facts import NormalFacts, normal_facts
from cen.data.tools.parallel import Addable
from cen.data.tools.value_ranges import ValueRange, bands_of
from cen.errors import DataError

Severity = Literal["error", "note"]

# A picture smaller than this shows nothing that a network with strides could learn.
SMALLEST = 8
# A frame with a larger share of holes is worth a look.
_MANY_HOLES = 0.9


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        kind: missing, unreadable, size, label, depth, unit, values, constant, duplicate,
            neighbours, split, layout.
        split: in which split; several with commas between them, or ``all``.
        place: the sample as its data set names it (list and line, or file).
        files: the files it is about.
        text: what is wrong and what to do.
        severity: "error" where training would fail or learn something wrong, "note" otherwise.
    """

    kind: str
    split: str
    place: str
    files: tuple[str, ...]
    text: str
    severity: Severity = "error"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "files": list(self.files)}


@dataclass
class Facts(Addable):
    """What the check of some consecutive samples found.

    Attributes:
        samples: how many.
        findings: what is wrong with single samples.
        sizes: samples by (H, W).
        labels: pixels by value, by label field.
        beside: pixels that `cen.data.tools.label_facts.stored_ignored` counts, by label field.
        outlines: what `cen.data.tools.label_facts.outlines` counts, by label field.
        lossy: files whose compression changes values, by field and format.
        medians: of every sample that has any depth, in metres, by depth field.
        normals: by field of normals.
        ranges: by band of the fields whose kind does not say their range.
        grey: colour pictures with three equal channels, by field.
        nodata: files by field and by what their tag says means no data (GDAL_NODATA of TIFF).
        hashes: one number of the content of every sample, by input field; 0 where there is none.
        thumbnails: (samples, 64) of the first input, where neighbours are compared.
    """

    samples: int = 0
    findings: list[Finding] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    labels: dict[str, Counter[int]] = field(default_factory=dict)
    beside: Counter[str] = field(default_factory=Counter)
    outlines: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    lossy: Counter[tuple[str, str]] = field(default_factory=Counter)
    medians: dict[str, list[float]] = field(default_factory=dict)
    normals: dict[str, NormalFacts] = field(default_factory=dict)
    ranges: dict[str, ValueRange] = field(default_factory=dict)
    nodata: Counter[tuple[str, float]] = field(default_factory=Counter)
    grey: Counter[str] = field(default_factory=Counter)
    hashes: dict[str, list[NDArray[np.uint64]]] = field(default_factory=dict)
    thumbnails: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def depth(self) -> dict[str, dict[str, float]]:
        """Range and median in metres and share of ``holes``, by depth field; NaN without depth."""
        summaries = {name: self.ranges[name].to_dict("holes") for name in self.medians}
        return {
            name: {key: summary[key] for key in ("low", "median", "high", "holes")}
            for name, summary in summaries.items()
        }


def check_samples(dataset: AlignedDataset, part: range) -> Facts:
    """Checks some samples, field by field; nothing stops at the first problem.

    A task for `cen.data.tools.parallel.over_samples`.
    """
    facts = Facts()
    hashes = {name: np.zeros(len(part), dtype=np.uint64) for name in dataset.modalities}
    tiny = np.zeros((len(part), 64), np.float32)
    first = next(iter(dataset.modalities), None)
    compared = dataset.ungrouped and len(dataset) <= MOST_FRAMES
    for position, index in enumerate(part):
        values = dict(_Sample(dataset, index, facts).fields())
        if compared and first in values:
            tiny[position] = thumbnail(values[first])
        for name in values.keys() & hashes.keys():
            if not _is_constant(values[name]):
                hashes[name][position] = _hash(values[name])
        facts.add(Facts(samples=1, normals=normal_facts(dataset, index, values)))
    facts.thumbnails = [tiny] if compared else []
    facts.hashes = {name: [numbers] for name, numbers in hashes.items()}
    return facts


class _Sample:
    """One sample under check; what is found goes to ``facts``."""

    def __init__(self, dataset: AlignedDataset, index: int, facts: Facts) -> None:
        self.dataset, self.index, self.facts = dataset, index, facts
        self.place = f"sample {index}"
        self.paths: Mapping[str, Path] = {}

    def fields(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Reads and checks every field; yields those that can be read."""
        dataset, sizes = self.dataset, {}
        try:
            self.place = dataset.place(self.index)
            self.paths = dataset.files(self.index)
            dataset.extra(self.index)
        except Exception as error:  # a defect of one sample must not end the check of the others
            # Where no input of a sample is there, that is what is told.
            inputs = [path for name, path in self.paths.items() if name in dataset.modalities]
            if not inputs or any(path.exists() for path in inputs):
                self.found("unreadable", (), _reason(error))
        for name, modality in {**dataset.modalities, **dataset.targets}.items():
            value = self._read(name, modality)
            if value is not None:
                sizes[name] = (int(value.shape[0]), int(value.shape[1]))
                self._check(name, modality, value)
                yield name, value
        self._check_sizes(sizes)

    def found(
        self, kind: str, fields: tuple[str, ...], text: str, severity: Severity = "error"
    ) -> None:
        files = tuple(str(self.paths[name]) for name in fields if name in self.paths)
        self.facts.findings.append(
            Finding(kind, self.dataset.split, self.place, files, text, severity)
        )

    def _read(self, name: str, modality: Modality) -> NDArray[Any] | None:
        path = self.paths.get(name)
        try:
            if path is not None and not path.exists():
                if name in self.dataset.modalities or not self.dataset.partial:
                    self.found("missing", (name,), f"no file {path}")
                return None
            value = self.dataset.read(name, self.index, modality)
        except Exception as error:  # whatever a damaged file makes a decoder raise
            self.found("unreadable", (name,), _reason(error))
            return None
        if value.ndim not in (2, 3) or value.size == 0:
            self.found("unreadable", (name,), f"{name}: shape {value.shape} is no picture")
            return None
        return value

    def _check_sizes(self, sizes: Mapping[str, tuple[int, int]]) -> None:
        for size in set(sizes.values()):
            if min(size) < SMALLEST:
                names = tuple(name for name in sizes if sizes[name] == size)
                text = f"{', '.join(names)}: only {size[0]} x {size[1]} pixels"
                self.found("size", names, text)
        if text := differing_sizes(sizes, self.paths):
            self.found("size", tuple(sizes), text)
        elif sizes:
            self.facts.sizes[next(iter(sizes.values()))] += 1

    def _check(self, name: str, modality: Modality, value: NDArray[Any]) -> None:
        kind, facts = modality.field_kind, Facts()
        floats = value.dtype.kind == "f" and not kind.bounded
        if floats:
            facts.ranges = {band: ValueRange.of(plane) for band, plane in bands_of(name, value)}
        if kind.classes:
            self._check_labels(name, value, facts)
        elif kind.metres:
            facts.medians = {name: self._check_depth(name, modality, value)}
        elif text := kind.impossible(value):
            self.found("values", (name,), f"{name}: {text}")
        if modality.coloured:
            facts.grey[name] += is_grey(value)
        if kind.uneven and _is_constant(value) and np.isfinite(value).any():
            self.found("constant", (name,), f"{name}: every pixel has the same value")
        if floats and np.isinf(value).any():
            self.found("values", (name,), f"{name}: has infinite values; write NaN where missing")
        if path := self.paths.get(name):
            if kind.measured and (compressed := lossy_file(path)):
                facts.lossy[name, compressed] += 1
            if (floats or kind.classes) and (nodata := nodata_tag(path)) is not None:
                facts.nodata[name, nodata] += 1
        self.facts.add(facts)

    def _check_labels(self, name: str, value: NDArray[Any], facts: Facts) -> None:
        pixels = facts.labels[name] = Counter(counted(value))
        if name not in self.dataset.labels:
            return
        ignored = self.dataset.ignore_index
        if name in self.dataset.half_declared and name in self.dataset.targets:
            facts.beside[name] = stored_ignored(self.dataset, name, self.index)
        if name not in self.dataset.modalities:
            facts.outlines[name] = np.array(outlines(value, ignored))
        if text := self.dataset.label_problem(name, value):
            self.found("label", (name,), f"{name}: {text}")
        elif set(pixels) == {ignored}:
            self.found("label", (name,), f"{name}: no pixel is labelled", "note")

    def _check_depth(self, name: str, modality: Modality, value: NDArray[Any]) -> list[float]:
        """The median, where there is one."""
        finite = value[np.isfinite(value)]
        if not finite.size:
            self.found("depth", (name,), f"{name}: nothing was measured, all pixels are missing")
            return []
        share = 1 - finite.size / value.size
        if (low := float(finite.min())) < 0:
            negative = f"{100 * float((finite < 0).mean()):.1f} % of the pixels"
            text = f"{name}: negative depth, {negative}, down to {low:.4g} m"
            self.found("depth", (name,), f"{text}; declare what is missing")
        elif share > _MANY_HOLES:
            self.found("depth", (name,), f"{name}: {100 * share:.1f} % are holes", "note")
        if name in self.paths and has_8_bits(self.paths[name]):
            text = f"{name}: the file has {eight_bits(modality.unit_or_one)}"
            self.found("depth", (name,), text)
        return [float(np.median(finite))]


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"


def _is_constant(value: NDArray[Any]) -> bool:
    """Whether all pixels that have a value have the same."""
    finite = value[np.isfinite(value)] if value.dtype.kind == "f" else value.reshape(-1)
    return finite.size == 0 or bool((finite == finite[0]).all())


def _hash(value: NDArray[Any]) -> np.uint64:
    """64 bits of the content; among 4.5 million samples two agree by chance once in 10^6 sets."""
    digest = blake2b(repr((value.shape, value.dtype.str)).encode(), digest_size=8)
    digest.update(np.ascontiguousarray(value).data)
    return np.uint64(max(1, int.from_bytes(digest.digest(), "little")))
