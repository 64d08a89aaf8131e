"""Read every file of a data set and report what is wrong, by file."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType

from cen.cli import printing
from cen.cli.data.source import add_source, source_of
from cen.cli.parser import Parser

if TYPE_CHECKING:
    from cen.data.tools.checking import Report
    from cen.data.tools.findings import Finding

_SHOWN = 20
# Of findings that differ in the file alone, such as files that nothing here can decode.
_SHOWN_ALIKE = 3
# Of more classes than this those that do not occur are counted, not listed.
_LONG = 60


def add(parser: Parser) -> None:
    """Declares the options."""
    add_source(parser, "check")
    parser.option(
        "--split split",
        ["train", "validation", "test"],
        "one split only; default: all three, compared with each other",
    )
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Checks and prints; 1 where something is wrong."""
    source = source_of(args)
    from cen.data.readers.splitting import SPLITS
    from cen.data.tools.checking import check_data

    splits = [args.split] if args.split else list(SPLITS)
    with printing.progress(*splits) as advance:
        report = check_data(source, splits, workers=args.workers, progress=advance)
    printing.emit(args, report.to_dict(), *_shown(report))
    return 1 if report.errors else 0


def _shown(report: Report) -> list[RenderableType]:
    """The report as tables and lines."""
    shown: list[RenderableType] = []
    rows = []
    for split, facts in report.splits.items():
        common_size = facts.sizes.most_common(1)
        size = f"{common_size[0][0][0]} x {common_size[0][0][1]}" if common_size else "-"
        if len(facts.sizes) > 1:
            size += f" and {len(facts.sizes) - 1} others"
        errors = [f for f in report.errors if f.split == split]
        rows.append((split, str(facts.samples), size, str(len(errors))))
    shown.append(printing.table(("split", "samples", "size", "errors"), rows))
    if depth := report.total.depth:
        head = ("depth", "unit", "nearest m", "median m", "farthest m", "holes %")
        lines = []
        for name, d in depth.items():
            metres = [f"{d[key]:.3g}" for key in ("low", "median", "high")]
            lines.append((name, f"{report.units[name]:g}", *metres, f"{100 * d['holes']:.1f}"))
        shown.append(printing.table(head, lines))
    shown += _normals(report)
    shown += _ranges(report)
    shown += [_histogram(report, name) for name in _label_fields(report)]
    shown += _lines(report)
    return shown


def _normals(report: Report) -> list[RenderableType]:
    """How normals lie to what is seen."""
    rows = []
    for name, facts in report.total.normals.items():
        median = f"{facts.median():.0f}" if facts.depth else "-"
        camera = "assumed" if facts.assumed else "known"
        away = f"{100 * facts.share_away:.1f}"
        rows.append((name, away, facts.depth or "no depth", median, camera))
    head = ("normals", "facing away %", "compared with", "median °", "camera")
    return [printing.table(head, rows)] if rows else []


def _ranges(report: Report) -> list[RenderableType]:
    """Values of the continuous fields, stored values times unit."""
    rows = []
    for band, values in report.total.ranges.items():
        modality = report.modalities[band.partition("[")[0]]
        if modality.field_kind.metres:
            continue  # depth has a table of its own
        summary = values.to_dict()
        numbers = [f"{summary[key]:.4g}" for key in summary if key != "missing"]
        rows.append(
            (band, f"{modality.unit_or_one:g}", *numbers, f"{100 * summary['missing']:.1f}")
        )
    head = ("values", "unit", "min", "1 %", "median", "99 %", "max", "missing %")
    return [printing.table(head, rows)] if rows else []


def _label_fields(report: Report) -> list[str]:
    return list(dict.fromkeys(name for facts in report.splits.values() for name in facts.labels))


def _histogram(report: Report, name: str) -> RenderableType:
    """Pixels of every label value in every split, in percent."""
    counts = {split: facts.labels.get(name, Counter()) for split, facts in report.splits.items()}
    names = report.classes.get(name, ())
    values = sorted(set(range(len(names))) | {v for c in counts.values() for v in c})
    present = [value for value in values if any(c[value] for c in counts.values())]
    shown = present if len(values) > _LONG else values
    rows = []
    for value in shown:
        number, what = str(value), "NO CLASS"
        if 0 <= value < len(names):
            what = names[value]
        elif value == report.ignore_index:
            number, what = "–", "ignored"  # files may have other numbers for it, and several
        shares = [f"{100 * c[value] / max(1, c.total()):.2f}" for c in counts.values()]
        rows.append((number, what, *shares))
    if hidden := len(values) - len(shown):
        rows.append(("...", f"{hidden} classes without a pixel", *("" for _ in counts)))
    return printing.table((name, "class", *(f"{split} %" for split in counts)), rows)


def _lines(report: Report) -> list[RenderableType]:
    """The findings, at most some of each kind and few of those that differ in the file alone."""
    lines: list[RenderableType] = []
    for severity in ("error", "note"):
        findings = [f for f in report.findings if f.severity == severity]
        for kind in dict.fromkeys(f.kind for f in findings):
            causes = Counter[str]()
            some: list[Finding] = []
            for finding in (f for f in findings if f.kind == kind):
                cause = _without_files(finding)
                causes[cause] += 1
                if causes[cause] <= _SHOWN_ALIKE and len(some) < _SHOWN:
                    some.append(finding)
            lines += [f"{severity}: {kind}: {_line(f)}" for f in some]
            if more := causes.total() - len(some):
                alike = " like these" if len(causes) == 1 else ""
                lines.append(f"{severity}: {kind}: and {more} more{alike}; --json names all")
    total = len(report.errors)
    lines.append(f"{total} error{'s' * (total > 1)}" if total else "nothing is wrong")
    return lines


def _without_files(finding: Finding) -> str:
    """What is wrong, whichever file it is wrong with, and however much of it."""
    text = re.sub(r"[\d,.]+(?= (pixels?|%))", "", finding.text)
    for name in sorted({finding.place, *finding.files}, key=len, reverse=True):
        text = text.replace(name, "").replace(Path(name).name, "")
    return text


def _line(finding: Finding) -> str:
    """What is wrong and where."""
    place, text = finding.place, finding.text
    message = text if place in text else f"{place}: {text}"
    if finding.kind != "layout":  # other texts name the split where it matters
        return message
    where = "every split" if finding.split == "all" else finding.split
    return f"{message} (in {where})"
