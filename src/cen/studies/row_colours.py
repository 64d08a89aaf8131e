"""Which rows of a study a figure of many lines shows in colour; the rest is grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib

from cen.report.style import FAINT
from cen.studies.columns import parse_column
from cen.studies.intervals import summarise
from cen.studies.results import Record, by_seed
from cen.studies.spec import Study
from cen.studies.study_tables import grouped

MOST_LINES = 6
"""Up to so many rows are told apart by colour; of more, a few are shown and the rest is grey."""

RIVALS = 3
"""Rows in colour beside those that a study compares with."""


def row_colours(study: Study, records: Sequence[Record]) -> Mapping[str, str]:
    """A colour for each row that has records, by name.

    Of many rows those that the study compares with are in colour, and of the others the best three
    on validation: nothing is chosen on the test split, not even what to look at.
    """
    groups = grouped(study, records)
    names = [row.name for row, _ in groups]
    shown = names
    if len(names) > MOST_LINES:
        references = [c.reference for c in study.compare if c.reference in names]
        first = list(dict.fromkeys(references or names[:1]))
        validation = parse_column("validation")
        scores = {
            row.name: summary.mean
            for row, mine in groups
            if (summary := summarise(list(by_seed(mine, validation).values())))
        }
        rivals = sorted((n for n in scores if n not in first), key=lambda n: -scores[n])
        shown = first + rivals[:RIVALS]
    palette = matplotlib.colormaps["tab10"]
    colours = {name: matplotlib.colors.to_hex(palette(i % 10)) for i, name in enumerate(shown)}
    return {name: colours.get(name, FAINT) for name in names}
