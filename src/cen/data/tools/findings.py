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
from PIL import Image

from cen.data.fields.modality import Modality
from cen.data.formats.bands import is_grey
from cen.data.formats.label_maps import smoothed
from cen.data.formats.lossy import lossy_file
from cen.data.formats.pictures import turned
from cen.data.formats.tiff import nodata_tag
from cen.data.readers.aligned import AlignedDataset
from cen.data.tools.label_facts import counted, outlines
from cen.data.tools.neighbours import MOST_FRAMES, thumbnail
from cen.data.tools.normal_facts import NormalFacts, normal_facts
from cen.data.tools.parallel import merge
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
            neighbours, layout.
        split: in which split.
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
class DepthFacts:
    """Depth of many samples, in metres.

    Attributes:
        low, high: least and greatest depth.
        pixels, holes: their numbers.
        medians: of every sample that has any depth.
    """

    low: float = float("inf")
    high: float = float("-inf")
    pixels: int = 0
    holes: int = 0
    medians: list[float] = field(default_factory=list)

    def add(self, other: DepthFacts) -> None:
        """Takes in the facts of other samples."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.pixels += other.pixels
        self.holes += other.holes
        self.medians += other.medians


@dataclass
class Facts:
    """What the check of some consecutive samples found.

    Attributes:
        samples: how many.
        findings: what is wrong with single samples.
        sizes: samples by (H, W).
        labels: pixels by value, by label field.
        outlines: what `cen.data.tools.label_facts.outlines` counts, by label field.
        lossy: files whose compression changes values, by field and format.
        depth: by depth field.
        normals: by field of normals.
        ranges: by band of the depth and continuous fields.
        grey: colour pictures with three equal channels, by field.
        nodata: files by field and by what their tag says means no data (GDAL_NODATA of TIFF).
        hashes: one number of the content of every sample, by input field; 0 where there is none.
        thumbnails: (samples, 64) of the first input, where neighbours are compared.
    """

    samples: int = 0
    findings: list[Finding] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    labels: dict[str, Counter[int]] = field(default_factory=dict)
    outlines: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    lossy: Counter[tuple[str, str]] = field(default_factory=Counter)
    depth: dict[str, DepthFacts] = field(default_factory=dict)
    normals: dict[str, NormalFacts] = field(default_factory=dict)
    ranges: dict[str, ValueRange] = field(default_factory=dict)
    nodata: Counter[tuple[str, float]] = field(default_factory=Counter)
    grey: Counter[str] = field(default_factory=Counter)
    hashes: dict[str, list[NDArray[np.uint64]]] = field(default_factory=dict)
    thumbnails: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, other: Facts) -> None:
        """Takes in the facts of the samples that follow."""
        self.samples += other.samples
        self.findings += other.findings
        self.sizes += other.sizes
        for name, counts in other.labels.items():
            self.labels.setdefault(name, Counter()).update(counts)
        for name, found in other.outlines.items():
            self.outlines[name] = self.outlines.get(name, 0) + found
        self.lossy += other.lossy
        merge(self.depth, other.depth)
        merge(self.normals, other.normals)
        merge(self.ranges, other.ranges)
        self.nodata += other.nodata
        self.grey += other.grey
        for name, hashes in other.hashes.items():
            self.hashes.setdefault(name, []).extend(hashes)
        self.thumbnails += other.thumbnails


def check_samples(dataset: AlignedDataset, part: range) -> Facts:
    """Checks some samples, field by field; nothing stops at the first problem.

    A task for `cen.data.tools.parallel.over_samples`.
    """
    facts = Facts()
    hashes = {name: np.zeros(len(part), dtype=np.uint64) for name in dataset.modalities}
    tiny = np.zeros((len(part), 64), np.float32)
    first = next(iter(dataset.modalities), None)
    compared = dataset.ungrouped and len(dataset) <= MOST_FRAMES
    read = {**dataset.modalities, **dataset.targets}
    measured = [name for name, modality in read.items() if modality.kind in ("depth", "normal")]
    for position, index in enumerate(part):
        sample = _Sample(dataset, index, facts)
        values = {}
        for name, value in sample.fields():
            if compared and name == first:
                tiny[position] = thumbnail(value)
            if name in measured:
                values[name] = value
            if name in hashes and not _is_constant(value):
                hashes[name][position] = _hash(value)
        facts.samples += 1
        for name, normals in normal_facts(dataset, index, values).items():
            facts.normals.setdefault(name, NormalFacts()).add(normals)
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
                self.found("unreadable", (), _told(error))
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
                if self.dataset.partial and name not in self.dataset.modalities:
                    return None
                self.found("missing", (name,), f"no file {path}")
                return None
            value = self.dataset.read(name, self.index, modality)
        except Exception as error:  # whatever a damaged file makes a decoder raise
            self.found("unreadable", (name,), _told(error))
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
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} {h} x {w}" for name, (h, w) in sizes.items())
            why = "".join(turned(path) for name, path in self.paths.items() if name in sizes)
            text = f"sizes differ: {listed}; align the sensors and resample first{why}"
            self.found("size", tuple(sizes), text)
        elif sizes:
            self.facts.sizes[next(iter(sizes.values()))] += 1

    def _check(self, name: str, modality: Modality, value: NDArray[Any]) -> None:
        kind = modality.field_kind
        if kind.classes:
            self._check_labels(name, value)
        elif kind.metres:
            self._check_depth(name, modality, value)
        elif kind.directions:
            self._check_normals(name, value)
        elif modality.kind == "edge":
            finite = value[np.isfinite(value)]
            if finite.size and not (finite.min() >= 0 and finite.max() <= 1):
                text = f"{name}: edges from {finite.min():.4g} to {finite.max():.4g}, not in 0..1"
                self.found("values", (name,), text)
        floats = modality.kind == "image" and value.dtype.kind == "f"
        if floats or modality.kind in ("depth", "continuous"):
            self._measure(name, value)
        if modality.kind == "image" and modality.channels == 3:
            self.facts.grey[name] += is_grey(value)
        flat = modality.kind in ("image", "depth") and _is_constant(value)
        if flat and np.isfinite(value).any():
            self.found("constant", (name,), f"{name}: every pixel has the same value")
        if modality.kind in ("image", "continuous") and np.isinf(value).any():
            self.found("values", (name,), f"{name}: has infinite values; write NaN where missing")
        if kind.measured and name in self.paths and (compressed := lossy_file(self.paths[name])):
            self.facts.lossy[name, compressed] += 1

    def _measure(self, name: str, value: NDArray[Any]) -> None:
        """The range of measured values, and what the file itself says of those that are none."""
        for band, values in bands_of(name, value):
            self.facts.ranges.setdefault(band, ValueRange()).add(ValueRange.of(values))
        self._count_tag(name)

    def _count_tag(self, name: str) -> None:
        nodata = nodata_tag(self.paths[name]) if name in self.paths else None
        if nodata is not None:
            self.facts.nodata[name, nodata] += 1

    def _check_labels(self, name: str, value: NDArray[Any]) -> None:
        self._count_tag(name)
        pixels = counted(value)
        self.facts.labels.setdefault(name, Counter()).update(pixels)
        if name not in self.dataset.labels:
            return
        classes, ignored = len(self.dataset.labels[name].names), self.dataset.ignore_index
        if name not in self.dataset.modalities:
            found = np.array(outlines(value, ignored))
            self.facts.outlines[name] = self.facts.outlines.get(name, 0) + found
        wrong = {v: n for v, n in pixels.items() if not 0 <= v < classes and v != ignored}
        if wrong:
            listed = ", ".join(f"{v} ({n} pixels)" for v, n in list(wrong.items())[:5])
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            self.found(
                "label",
                (name,),
                f"{name}: label {listed}{more} outside 0..{classes - 1}; set it to {ignored} "
                "(ignore), name more classes, or say what every number means (values: in the "
                f"dataset.yaml of layout folder){smoothed(len(wrong))}",
            )
        elif set(pixels) == {ignored}:
            self.found("label", (name,), f"{name}: no pixel is labelled", "note")

    def _check_depth(self, name: str, modality: Modality, value: NDArray[Any]) -> None:
        finite = value[np.isfinite(value)]
        holes = value.size - finite.size
        facts = DepthFacts(pixels=value.size, holes=holes)
        if not finite.size:
            self.found("depth", (name,), f"{name}: nothing was measured, all pixels are missing")
        else:
            facts.low, facts.high = float(finite.min()), float(finite.max())
            facts.medians = [float(np.median(finite))]
            if facts.low < 0:
                share = float((finite < 0).mean())
                text = f"{name}: negative depth, {100 * share:.1f} % of the pixels, down to "
                self.found("depth", (name,), f"{text}{facts.low:.4g} m; declare what is missing")
            elif holes > _MANY_HOLES * value.size:
                share = holes / value.size
                self.found("depth", (name,), f"{name}: {100 * share:.1f} % are holes", "note")
        self.facts.depth.setdefault(name, DepthFacts()).add(facts)
        if finite.size and name in self.paths and _is_8_bit(self.paths[name]):
            self.found(
                "depth",
                (name,),
                f"{name}: the file has 8 bits, at most 255 steps of {modality.unit:g} m; depth "
                "sensors give 16: was it converted for viewing?",
            )

    def _check_normals(self, name: str, value: NDArray[Any]) -> None:
        finite = value[np.isfinite(value).all(axis=-1)]
        if finite.size:
            off = np.abs(np.linalg.norm(finite, axis=-1) - 1) > 0.1
            if off.mean() > 0.01:
                text = f"{name}: {100 * off.mean():.0f} % of the normals have not length 1"
                self.found("values", (name,), f"{text}; how are they encoded?")


def _told(error: Exception) -> str:
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


def _is_8_bit(path: Path) -> bool:
    """Whether an image file holds 8 bits per pixel; False for what is no image of its own."""
    try:
        with Image.open(path) as image:
            return image.mode in ("L", "P")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
