"""index.html of a study: tables, intervals, curves and exchange maps in one self-contained file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cen.report import html as h
from cen.report.curves import Captioned
from cen.report.exchange_map import exchange_map
from cen.report.style import stream_colours, svg
from cen.studies.figures import budget_curves, learning_curves, read, sweep_curves
from cen.studies.results import Record
from cen.studies.spec import Study
from cen.studies.tables import (
    Table,
    comparison_tables,
    grouped,
    published_table,
    run_table,
    score_tables,
    short_code,
)


def render(study: Study, records: Sequence[Record], facts: Mapping[str, Any]) -> str:
    """The page of a study as HTML text.

    Args:
        study: The study.
        records: Its finished runs.
        facts: What :func:`cen.studies.outputs.study_facts` gives.
    """
    read.cache_clear()  # runs may have gone on since an earlier page
    parts = [
        _results(study, records),
        _comparisons(study, records),
        _published(study),
        _curves(study, records),
        _maps(study, records),
        _details(study, records, facts),
    ]
    footer = "Made by <code>cen study</code> from the run folders of this study alone."
    return h.document(f"{study.title}: CEN study", _header(study, facts), parts, footer)


def _header(study: Study, facts: Mapping[str, Any]) -> str:
    missing = facts["runs"] - facts["finished"]
    parts = [
        h.paragraph("Channel Exchanging Network, study", "kicker"),
        f"<h1>{h.esc(study.title)}</h1>",
        h.paragraph(study.question, "lead"),
    ]
    if missing:
        parts.append(h.note(f"{missing} of {facts['runs']} runs are not finished."))
    if len(facts["code"]) > 1:
        revisions = ", ".join(map(short_code, facts["code"]))
        parts.append(h.note(f"The runs were made by several revisions: {revisions}."))
    shown = {
        "Base configuration": study.config,
        "Changed in all rows": ", ".join(f"{k}: {v}" for k, v in facts["changed"].items()),
        "Runs": f"{facts['finished']} of {facts['runs']}",
        "Hours": f"{facts['core_hours']:.2f} core-hours of training and evaluation",
        "Dates": " to ".join(dict.fromkeys(filter(None, facts["dates"]))),
        "Machine": "; ".join(facts["machines"]),
        "Code": ", ".join(map(short_code, facts["code"])),
    }
    return "\n".join([*parts, h.facts(shown)])


def _results(study: Study, records: Sequence[Record]) -> str:
    tables = score_tables(study, records)
    if not tables:
        return h.section("Results", "What every row reaches.", h.note("No run is finished yet."))
    intro = (
        "What every row reaches on the test split, which is read once per run, after training. "
        "The checkpoint of a run is chosen on its validation images; nothing is chosen on the "
        "test split."
    )
    return h.section("Results", intro, *(_table(table) for table in tables))


def _comparisons(study: Study, records: Sequence[Record]) -> str:
    tables = comparison_tables(study, records)
    if not tables:
        return ""
    intro = (
        "Differences are taken seed by seed and averaged. The interval is that of the paired "
        "t-test over seeds, with 95 %: of many such intervals, 95 in 100 hold the true mean "
        "difference. With 3 seeds it is wide (t = 4.3). Where it leaves out 0, the difference is "
        "more than the luck of the seeds; intervals are not corrected for the number of rows."
    )
    return h.section("Differences", intro, *(_table(table) for table in tables))


def _published(study: Study) -> str:
    table = published_table(study)
    if table is None:
        return ""
    intro = "PUBLISHED by others, not measured here."
    return h.section("Published figures", intro, _table(table))


def _curves(study: Study, records: Sequence[Record]) -> str:
    figures = [
        *sweep_curves(study, records),
        *budget_curves(study, records),
        *learning_curves(study, records),
    ]
    if not figures:
        return ""
    return h.section("Curves", "How the rows get there.", h.figures([_figure(f) for f in figures]))


def _maps(study: Study, records: Sequence[Record]) -> str:
    """The exchange maps of the first seed of every row, at its longest budget."""
    parts = []
    for data in dict.fromkeys(record.run.data for record in records):
        here = [record for record in records if record.run.data == data]
        for row, mine in grouped(study, here):
            longest = max(record.run.budget for record in mine)
            shown = next(record for record in mine if record.run.budget == longest)
            maps = _maps_of(shown)
            if maps:
                title = f"{row.label}, {data}, {longest:g}× steps, seed {shown.run.seed}"
                summary = f"<summary>{h.esc(title)}</summary>"
                parts.append(f"<details>{summary}{h.figures(maps)}</details>")
    if not parts:
        return ""
    intro = (
        "Which channels give way at the end of training: a row per layer, input side on top, all "
        "channels from left to right. Strong colour: replaced by the other streams' channels."
    )
    return h.section("Exchange maps", intro, *parts)


def _maps_of(record: Record) -> list[str]:
    run = read(record.folder)
    last: Mapping[str, Any] = run.exchange[-1] if run.exchange else {}
    layers = [layer for layer in last.get("layers", []) if layer.get("mask")]
    streams = list(dict.fromkeys(str(layer["stream"]) for layer in layers))
    colours = stream_colours(streams)
    text = f"At step {last.get('step', 0):,}; at the right, the share of the own part."
    return [_figure((exchange_map(layers, s, colours[s]), f"{s}. {text}")) for s in streams]


def _details(study: Study, records: Sequence[Record], facts: Mapping[str, Any]) -> str:
    commands = "\n".join(facts["commands"])
    parts = [f'<pre class="wrap">{h.esc(commands)}</pre>']
    if records:
        table = _table(run_table(study, records))
        parts.append(f"<details><summary>Every run</summary>{table}</details>")
    text = h.esc(json.dumps(facts, indent=1, ensure_ascii=False))
    parts.append(f"<details><summary>Facts</summary><pre>{text}</pre></details>")
    return h.section("Make it again", "The commands that made these runs.", *parts)


def _table(table: Table) -> str:
    numbers = [index not in table.words for index in range(len(table.head))]
    heads = [h.cell(h.esc(text), n, True) for text, n in zip(table.head, numbers, strict=True)]
    rows = [
        h.row([h.cell(h.esc(text), n) for text, n in zip(cells, numbers, strict=True)])
        for cells in table.rows
    ]
    note = h.paragraph(table.note, "quiet") if table.note else ""
    return f"<h3>{h.esc(table.title)}</h3>{h.table(heads, rows)}{note}"


def _figure(item: Captioned) -> str:
    figure, caption = item
    return h.figure(svg(figure), h.esc(caption), figure.axes[0].get_title(loc="left"))
