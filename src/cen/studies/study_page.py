"""index.html of a study: tables, intervals, curves and exchange maps in one self-contained file.

What the page says stands in ``templates/study.html``; here is what it shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cen.report.exchange_map import exchange_maps
from cen.report.templating import Drawing, drawing, render_page
from cen.studies.dot_plots import dot_plots
from cen.studies.figures import budget_curves, cost_plots, learning_curves, read, sweep_curves
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


def render(
    study: Study,
    records: Sequence[Record],
    facts: Mapping[str, Any],
    summary: Mapping[str, list[str]],
) -> str:
    """The page of a study as HTML text, of its finished runs."""
    read.cache_clear()  # runs may have gone on since an earlier page
    curves = (
        *cost_plots(study, records),
        *sweep_curves(study, records),
        *budget_curves(study, records),
        *learning_curves(study, records),
    )
    terms = {term.capitalize(): "; ".join(texts) for term, texts in summary.items()}
    return render_page(
        "study.html",
        "cen.studies",
        study=study,
        remarks=_remarks(facts),
        study_facts={term: text for term, text in terms.items() if term != "Command"},
        dots=[drawing(figure) for figure in dot_plots(study, records)],
        scores=score_tables(study, records),
        comparisons=comparison_tables(study, records),
        published=published_table(study) if study.published else None,
        curves=[drawing(figure) for figure in curves],
        maps=list(_maps(study, records)),
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


def _maps(study: Study, records: Sequence[Record]) -> Iterator[tuple[str, list[Drawing]]]:
    """The exchange maps of the first seed of every row, at its longest budget, with a title."""
    for data in dict.fromkeys(record.run.data for record in records):
        here = [record for record in records if record.run.data == data]
        for row, mine in grouped(study, here):
            longest = max(record.run.budget for record in mine)
            shown = next(record for record in mine if record.run.budget == longest)
            if maps := exchange_maps(read(shown.folder)):
                title = f"{row.label}, {data}, {longest:g}× steps, seed {shown.run.seed}"
                yield title, [drawing(figure) for figure in maps]
