"""Checks a whole data set before an hour of training is lost on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.modality import Modality
from cen.data.readers.aligned import AlignedDataset
from cen.data.readers.opening import DatasetRecipe
from cen.data.readers.splitting import SPLITS, Split
from cen.data.tools.depth_units import unit_doubt
from cen.data.tools.findings import Facts, Finding, Severity, check_samples
from cen.data.tools.label_facts import blurred, doubts, half_declared_doubt
from cen.data.tools.neighbours import parted_film
from cen.data.tools.normal_facts import USUAL_AXES, judged
from cen.data.tools.parallel import over_samples
from cen.data.tools.value_ranges import describe_strange
from cen.errors import DataError

_TOLD_DUPLICATES = 1000
# So many samples that lack files are named one by one.
_TOLD_MISSING = 20
# Of fewer samples a score says next to nothing.
_FEW = 5


@dataclass
class Report:
    """What a check found.

    Attributes:
        root: where the data are.
        splits: facts of every split that could be opened.
        findings: everything found, in the order of the splits.
        modalities: inputs and targets as they were read.
        classes: names of the classes by label field.
        axes: where stored normals point, by field of normals.
        ignore_index: the label value that is no class.
    """

    root: str
    splits: dict[str, Facts] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    modalities: dict[str, Modality] = field(default_factory=dict)
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)
    ignore_index: int = 255

    @property
    def errors(self) -> list[Finding]:
        """The findings that are errors."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def units(self) -> dict[str, float]:
        """Metres per stored value by depth field."""
        return {n: m.unit_or_one for n, m in self.modalities.items() if m.field_kind.metres}

    def doubt(self, kind: str, text: str, severity: Severity = "note", split: str = "all") -> None:
        """Adds what is wrong with more than one sample."""
        self.findings.append(Finding(kind, split, self.root, (), text, severity))

    @cached_property
    def total(self) -> Facts:
        """The facts of all splits."""
        total = Facts()
        for facts in self.splits.values():
            total.add(facts)
        return total

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "ok": not self.errors,
            "splits": {
                split: {
                    "samples": facts.samples,
                    "sizes": {f"{h} x {w}": n for (h, w), n in sorted(facts.sizes.items())},
                    "labels": {
                        name: {str(value): n for value, n in sorted(counts.items())}
                        for name, counts in facts.labels.items()
                    },
                    "depth": facts.depth,
                    "ranges": {name: values.to_dict() for name, values in facts.ranges.items()},
                }
                for split, facts in self.splits.items()
            },
            "classes": {name: list(names) for name, names in self.classes.items()},
            "units": self.units,
            "normals": {name: facts.to_dict() for name, facts in self.total.normals.items()},
            "findings": [finding.to_dict() for finding in self.findings],
        }


def check_data(
    source: DatasetRecipe,
    splits: Sequence[Split] = SPLITS,
    *,
    workers: int | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> Report:
    """Reads every file of a data set once and reports what is wrong with it.

    Args:
        source: the data set.
        splits: which splits to walk.
        workers: processes; None: as many as pay.
        progress: called with (split, samples done, samples in all).

    Returns:
        The report. Files that cannot be used do not raise: they are findings.

    Raises:
        ConfigError: a field or an option is unknown.
        DataError: a process that read was killed.
    """
    report = Report(source.root)
    opened: dict[str, AlignedDataset] = {}
    closed: dict[str, list[str]] = {}
    for split in splits:
        try:
            dataset = opened[split] = source.open(split, tolerant=True)
        except DataError as error:
            closed.setdefault(str(error), []).append(split)
            continue
        facts = report.splits[split] = Facts()
        for part, more in over_samples(check_samples, dataset, workers=workers):
            facts.add(more)
            if progress is not None:
                progress(split, part.stop, len(dataset))
        report.modalities |= {**dataset.modalities, **dataset.targets}
        report.findings += _summarised(facts, split, source.root)
        if source.layout == "folder":  # others are split as whoever published them says
            _judge_size(facts, split, report)
        report.classes = {name: classes.names for name, classes in dataset.labels.items()}
        report.axes |= _axes(dataset)
        report.ignore_index = dataset.ignore_index
    for text, where in closed.items():
        every = len(where) == len(SPLITS)
        report.doubt("layout", text, "error", "all" if every else ", ".join(where))
    report.findings += _repeated(opened, report.splits)
    _judge_neighbours(opened, report)
    if opened:
        _judge_labels(next(iter(opened.values())), report)
    _judge_files(report)
    _judge_nodata(report)
    _judge_values(report)
    return report


def _summarised(facts: Facts, split: str, root: str) -> list[Finding]:
    """The findings of a split; of a part of a data set one that counts what is not there."""
    missing = [finding for finding in facts.findings if finding.kind == "missing"]
    places = list(dict.fromkeys(finding.place for finding in missing))
    if len(places) <= max(_TOLD_MISSING, facts.samples // 2):
        return facts.findings
    files = tuple(file for finding in missing for file in finding.files)
    text = (
        f"{len(places)} of {facts.samples} samples lack {len(files)} files, such as "
        f"{', '.join(files[:2])}; is only a part of the data set there? Then name the samples that "
        "are in lists of your own, or, where the layout has it, say missing: skip"
    )
    others = [finding for finding in facts.findings if finding.kind != "missing"]
    return [*others, Finding("missing", split, root, files, text)]


def _judge_size(facts: Facts, split: str, report: Report) -> None:
    """A split that is too small to learn from or to judge by."""
    if facts.samples < _FEW:
        count = f"{facts.samples} sample{'s' * (facts.samples != 1)}"
        use = "train on" if split == "train" else "trust a score of"
        text = f"{split} has {count}: too few to {use}; give it more under splits in dataset.yaml"
        report.doubt("split", text, split=split)


def _judge_neighbours(opened: Mapping[str, AlignedDataset], report: Report) -> None:
    """Films that splits at random have torn apart."""
    compared = {split: dataset for split, dataset in opened.items() if dataset.ungrouped}
    tiny = {split: report.splits[split].thumbnails for split in compared}
    if compared and all(tiny.values()):
        pictures = {split: np.concatenate(parts) for split, parts in tiny.items()}
        if (text := parted_film(compared, pictures)) is not None:
            report.doubt("neighbours", text)


def _axes(dataset: AlignedDataset) -> dict[str, str]:
    """How the stored normals are read, by field."""
    described = {n: str(f.get("axes", "")) for n, f in dataset.fields.items()}
    read = {n: m.axes for n, m in {**dataset.modalities, **dataset.targets}.items()}
    return {name: axes for name, axes in {**described, **read}.items() if axes}


def _judge_labels(dataset: AlignedDataset, report: Report) -> None:
    """Classes that are never learnt, numbers that nobody declared, blended outlines."""
    total, training = report.total, report.splits.get("train", Facts()).labels
    for name in (name for name in dataset.targets if name in dataset.labels):
        # Of classes that others published, a part of their data need not show all.
        counts = training.get(name, Counter()) if dataset.own_classes else Counter()
        for text in doubts(dataset, name, counts, "the training split"):
            report.doubt("label", text, "error", "train")
        pixels = total.labels.get(name, Counter()).total()
        if doubt := half_declared_doubt(dataset, name, total.beside[name], pixels, "all splits"):
            report.doubt("label", doubt)
        if name in total.outlines and blurred(*total.outlines[name].tolist()):
            text = (
                f"{name}: of many outlines the pixel in between has a class between those of both "
                "sides, as if the masks had been resized smoothly; resize labels by nearest only"
            )
            report.doubt("label", text)


def _judge_files(report: Report) -> None:
    """Measured values in files that do not keep them, pictures with fewer bands than are read."""
    for (name, form), count in report.total.lossy.items():
        text = (
            f"{name}: {count} files are {form}, whose compression changes values; use the files "
            "of the sensor, or say kind: image if it is a picture of what was measured"
        )
        report.doubt("values", text)
    for name, count in report.total.grey.items():
        if count:
            grey_counts = {split: facts.grey[name] for split, facts in report.splits.items()}
            where = ", ".join(f"{split} {grey}" for split, grey in grey_counts.items() if grey)
            text = f"{count} of {report.total.samples} pictures are grey, read as three channels"
            report.doubt("values", f"{name}: {text} ({where})")


def _judge_nodata(report: Report) -> None:
    """What files call no data and the description does not name."""
    for (name, nodata), count in report.total.nodata.items():
        field = report.modalities[name]
        missing = field.missing
        tag = f"{name}: the no-data tag of {count} TIFF files says {nodata:.9g}"
        if field.field_kind.classes:
            if not nodata.is_integer() or nodata in field.ignore or field.ignore_index == nodata:
                continue
            number = int(nodata) - field.first
            meant = dict(field.values).get(int(nodata), number) if field.values else number
            if meant == field.ignore_index:
                continue
            text = f"{tag}, but it is read as class {meant}; if it is none say ignore: {nodata:g}"
        elif missing == ():
            text = f"{tag}, but missing says that no value is; it is read as measured"
        elif isfinite(nodata) and nodata not in (missing or ()):
            others = f", besides {', '.join(f'{one:g}' for one in missing)}" if missing else ""
            text = f"{tag}; it is read as missing{others}"
        else:
            continue
        report.doubt("values", text)


def _judge_values(report: Report) -> None:
    """Sentinels that nobody declared, normals in other axes, depth in another unit."""
    total = report.total
    for band, values in total.ranges.items():
        for text, absurd in describe_strange(
            band, values, report.modalities[band.partition("[")[0]]
        ):
            report.doubt("values", text, "error" if absurd else "note")
    for name, normals in total.normals.items():
        for text in judged(name, report.axes.get(name, USUAL_AXES), normals):
            report.doubt("normal", text, "error")
    for name, medians in total.medians.items():
        if (doubt := unit_doubt(name, report.units[name], medians)) is not None:
            report.doubt("unit", doubt.text, "error" if doubt.severe else "note")


def _repeated(
    opened: Mapping[str, AlignedDataset], facts: Mapping[str, Facts]
) -> Iterator[Finding]:
    """Frames of the same content: errors in two splits, notes within one."""
    hashes = {
        split: {name: np.concatenate(parts) for name, parts in one.hashes.items() if parts}
        for split, one in facts.items()
    }
    told_of: set[tuple[Any, ...]] = set()
    for one, other in [(s, s) for s in opened] + list(combinations(opened, 2)):
        for name in (name for name in hashes[one] if name in hashes[other]):
            pairs = _equal(hashes[one][name], hashes[other][name], one == other)
            for a, b in pairs[:_TOLD_DUPLICATES]:
                if (one, other, a, b) in told_of:
                    continue
                told_of.add((one, other, a, b))
                yield _duplicate(name, opened[one], a, opened[other], b)


def _equal(one: NDArray[np.uint64], other: NDArray[np.uint64], same: bool) -> list[tuple[int, int]]:
    """Pairs of positions with equal numbers that are not 0, each later position once."""
    values, first = np.unique(one, return_index=True)
    where = np.searchsorted(values, other).clip(max=len(values) - 1)
    match = (values[where] == other) & (other != 0)
    if same:
        match &= first[where] != np.arange(len(other))
    return [(int(first[where[b]]), int(b)) for b in np.flatnonzero(match)]


def _duplicate(name: str, one: AlignedDataset, a: int, other: AlignedDataset, b: int) -> Finding:
    files = tuple(str(d.files(i)[name]) for d, i in ((one, a), (other, b)) if name in d.files(i))
    where = f"{one.place(a)} and {other.place(b)}"
    if one is other:
        text = f"the same {name} twice: {where}"
        return Finding("duplicate", one.split, other.place(b), files, text, "note")
    text = f"the same {name} in two splits, {one.split} and {other.split}: {where}"
    return Finding("duplicate", other.split, other.place(b), files, text)
