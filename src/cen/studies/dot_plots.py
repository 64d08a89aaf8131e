"""The picture that a study opens with: what every row reaches, with seeds and intervals."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from cen.report.curves import Captioned
from cen.report.style import INK, MUTED, house_style, new_axes
from cen.studies.columns import Column
from cen.studies.intervals import summarise
from cen.studies.results import Record, by_place, by_seed
from cen.studies.row_colours import row_colours
from cen.studies.spec import Study
from cen.studies.study_tables import data_label, grouped


@house_style()
def dot_plots(study: Study, records: Sequence[Record]) -> list[Captioned]:
    """A figure per data set and budget of more than one row: the first column of the tables.

    Rows stand in the order of the study. A ring is a seed, the dot their mean, the line its 95 %
    interval (Student's), where there are two seeds or more. The first figure tells that.
    """
    column = study.column(study.columns[0])
    better = "to the right" if column.higher_is_better else "to the left"
    caption = (
        f"The {column.head} on the test split; better is {better}. A ring is a seed, a dot the "
        "mean of them, a line the 95 % interval of the mean. Differences are surer than two such "
        "intervals look, where seeds are compared one by one: see the differences below."
    )
    figures: list[Captioned] = []
    for data, budget, here in by_place(records):
        groups = [
            (row.label, row.name, values)
            for row, mine in grouped(study, here)
            if (values := list(by_seed(mine, column).values()))
        ]
        if len(groups) < 2:
            continue
        colours = row_colours(study, here)
        height = 0.9 + 0.27 * len(groups)
        figure, axes = new_axes(f"{data_label(study, data)}, {budget:g}× steps", 7.0, height)
        for place, (_, name, values) in enumerate(groups):
            _row(axes, place, values, colours[name])
        _finish(axes, [label for label, _, _ in groups], column)
        figures.append((figure, "" if figures else caption))
    return figures


def _row(axes: Axes, place: int, values: Sequence[float], colour: str) -> None:
    summary = summarise(values)
    assert summary is not None
    if summary.low is not None and summary.high is not None:
        axes.plot([summary.low, summary.high], [place, place], color=colour, lw=1.6, zorder=2)
    if len(values) > 1:
        axes.scatter(
            values, [place] * len(values), s=16, lw=0.8, c="none", edgecolors=colour, zorder=3
        )
    axes.scatter([summary.mean], [place], color=colour, s=34, zorder=4)


def _finish(axes: Axes, labels: Sequence[str], column: Column) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)  # the first row on top
    axes.tick_params(axis="y", labelcolor=INK)
    axes.tick_params(axis="x", colors=MUTED)
    if column.share:
        # A wide interval of few seeds may leave what a share can be.
        low, high = axes.get_xlim()
        axes.set_xlim(max(low, 0.0), min(high, 1.0))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(column.head)
