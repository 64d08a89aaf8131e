"""index.html of a study: tables, intervals, curves and exchange maps in one self-contained file.

What the page says stands in ``templates/study.html``; here is what it shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cen.report.exchange_map import exchange_map
from cen.report.run_page import masked_layers
from cen.report.style import stream_colours
from cen.report.templating import Drawing, drawing, render_page
from cen.studies.figures import budget_curves, learning_curves, read, sweep_curves
from cen.studies.results import Record
from cen.studies.spec import Study
from cen.studies.study_tables import (
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
        facts: What :func:`cen.studies.study_files.study_facts` gives.
    """
    read.cache_clear()  # runs may have gone on since an earlier page
    curves = (
        *sweep_curves(study, records),
        *budget_curves(study, records),
        *learning_curves(study, records),
    )
    return render_page(
        "study.html",
        "cen.studies",
        study=study,
        remarks=_remarks(facts),
        study_facts=_facts(study, facts),
        scores=score_tables(study, records),
        comparisons=comparison_tables(study, records),
        published=published_table(study),
        curves=[drawing(figure) for figure in curves],
        maps=_maps(study, records),
        commands="\n".join(facts["commands"]),
        runs=run_table(study, records) if records else None,
        facts_text=json.dumps(facts, indent=1, ensure_ascii=False),
    )


def _remarks(facts: Mapping[str, Any]) -> list[str]:
    remarks = []
    if missing := facts["runs"] - facts["finished"]:
        remarks.append(f"{missing} of {facts['runs']} runs are not finished.")
    if len(facts["code"]) > 1:
        revisions = ", ".join(map(short_code, facts["code"]))
        remarks.append(f"The runs were made by several revisions: {revisions}.")
    return remarks


def _facts(study: Study, facts: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Base configuration": study.config,
        "Changed in all rows": ", ".join(f"{k}: {v}" for k, v in facts["changed"].items()),
        "Runs": f"{facts['finished']} of {facts['runs']}",
        "Hours": f"{facts['core_hours']:.2f} core-hours of training and evaluation",
        "Dates": " to ".join(dict.fromkeys(filter(None, facts["dates"]))),
        "Machine": "; ".join(facts["machines"]),
        "Code": ", ".join(map(short_code, facts["code"])),
    }


def _maps(study: Study, records: Sequence[Record]) -> list[tuple[str, list[Drawing]]]:
    """The exchange maps of the first seed of every row, at its longest budget, with a title."""
    parts = []
    for data in dict.fromkeys(record.run.data for record in records):
        here = [record for record in records if record.run.data == data]
        for row, mine in grouped(study, here):
            longest = max(record.run.budget for record in mine)
            shown = next(record for record in mine if record.run.budget == longest)
            if maps := _maps_of(shown):
                title = f"{row.label}, {data}, {longest:g}× steps, seed {shown.run.seed}"
                parts.append((title, maps))
    return parts


def _maps_of(record: Record) -> list[Drawing]:
    run = read(record.folder)
    last: Mapping[str, Any] = run.exchange[-1] if run.exchange else {}
    layers = masked_layers(last)
    streams = list(dict.fromkeys(str(layer["stream"]) for layer in layers))
    colours = stream_colours(streams)
    text = f"At step {last.get('step', 0):,}; at the right, the share of the own part."
    return [drawing((exchange_map(layers, s, colours[s]), f"{s}. {text}")) for s in streams]
