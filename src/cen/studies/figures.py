"""Figures of a study: learning curves, scores over budgets and over costs, sweeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from cen.report.curves import Captioned, label_steps
from cen.report.runfolder import RunFolder, Series, read_run
from cen.report.style import FAINT, INK, MUTED, house_style, new_axes
from cen.studies.columns import Column
from cen.studies.grid import Row
from cen.studies.intervals import summarise
from cen.studies.results import Record, by_place, by_seed
from cen.studies.row_colours import row_colours
from cen.studies.spec import Study
from cen.studies.study_tables import data_label, grouped

OTHERS = "other rows"


@house_style()
def learning_curves(study: Study, records: Sequence[Record]) -> list[Captioned]:
    """Validation scores over the steps: a figure per data set and budget, a line per row."""
    column = study.column(study.columns[0])
    caption = (
        f"The {column.head} on the validation images while training, mean over seeds; the shade "
        "spans the least and the greatest of them."
    )
    figures = []
    for figure, axes, here in _axes_by_place(study, records, "validation"):
        for row, mine, colour in _coloured(study, here):
            curves = [c for c in (_curve(record, column) for record in mine) if c]
            if curves:
                _band(axes, curves, row.label, colour)
        if axes.lines:
            _finish(axes, column)
            label_steps(axes)
            figures.append((figure, caption))
    return figures


@house_style()
def budget_curves(study: Study, records: Sequence[Record]) -> list[Captioned]:
    """The test score over the steps trained: a figure per data set with several budgets."""
    column = study.column(study.columns[0])
    caption = f"The {column.head} on the test split, mean and standard deviation of seeds."
    figures = []
    for data in dict.fromkeys(r.run.data for r in records):
        here = [r for r in records if r.run.data == data and r.run.row.sweep is None]
        if len({r.run.budget for r in here}) < 2:
            continue
        figure, axes = new_axes(
            f"{data_label(study, data)}: test score over the length of training", 7.0, 4.0
        )
        marks: set[float] = set()
        for row, mine, colour in _coloured(study, here):
            lengths = _lengths(mine)
            placed = [(lengths[record.run.budget], record) for record in mine]
            _errorbars(axes, placed, column, row.label, colour)
            marks.update(lengths.values())
        _finish(axes, column)
        axes.set_xscale("log", base=2)
        label_budget(axes, sorted(marks))
        figures.append((figure, caption))
    return figures


@house_style()
def cost_plots(study: Study, records: Sequence[Record]) -> list[Captioned]:
    """The test score over what a prediction costs: a figure per data set and budget.

    For studies with a column of multiply-adds; folded ones are taken where they are shown, too.
    """
    shown = [name for name in ("folded_macs", "macs") if name in study.columns]
    if not shown:
        return []
    column, cost = study.column(study.columns[0]), study.column(shown[0])
    caption = (
        f"The {column.head} on the test split, mean and standard deviation of seeds, over what a "
        "prediction costs (multiply-adds of a sample): better is up and to the left."
    )
    figures = []
    for figure, axes, here in _axes_by_place(study, records, "score over cost"):
        for row, mine, colour in _coloured(study, here):
            priced = [(value, r) for r in mine if (value := r.value(cost)) is not None]
            if priced:
                # What is folded differs by seed, and a row is one mark.
                mean = float(np.mean([value for value, _ in priced]))
                placed = [(mean, record) for _, record in priced]
                _errorbars(axes, placed, column, row.label, colour)
        if len(axes.containers) > 1:
            _finish(axes, column)
            axes.set_xlabel(cost.head)
            axes.xaxis.set_major_formatter(lambda value, _: cost.format(value))
            figures.append((figure, caption))
    return figures


@house_style()
def sweep_curves(study: Study, records: Sequence[Record]) -> list[Captioned]:
    """The columns over the values of a sweep: a figure per sweep, data set and budget."""
    columns = [c for c in map(study.column, study.columns) if c.share]
    figures = []
    for name, sweep in study.sweeps.items():
        label = sweep.label or sweep.key
        mine = [r for r in records if r.run.row.sweep and r.run.row.sweep[0] == name]
        for figure, axes, here in _axes_by_place(study, mine, label, (6.0, 3.8)):
            placed = [(r.run.row.sweep[1], r) for r in here if r.run.row.sweep]
            for index, column in enumerate(columns):
                colour = matplotlib.colors.to_hex(f"C{index % 10}")
                _errorbars(axes, placed, column, column.head, colour)
            if sweep.log:
                least = min(value for value in sweep.values if value > 0)
                axes.set_xscale("symlog", linthresh=least, linscale=0.4)
            axes.set_xlabel(label)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.set_ylim(0, 1.02)
            axes.legend(loc="best")
            caption = f"By {label}, scores on the test split; choose by validation."
            figures.append((figure, f"{caption} A row of the table per value."))
    return figures


@cache
def read(folder: Path) -> RunFolder:
    """A run folder without its pictures, read once."""
    return read_run(folder, panels=False)


def label_budget(axes: Axes, steps: Sequence[float]) -> None:
    """Marks just the lengths of training that there are; close ones in turn a line lower."""
    axes.set_xlabel("steps of training")
    places = np.log2(steps)
    labels: list[str] = []
    for index, step in enumerate(steps):
        near = index > 0 and places[index] - places[index - 1] < 0.15 * np.ptp(places)
        lower = near and not labels[-1].startswith("\n")
        labels.append(("\n" if lower else "") + f"{step:,.0f}")
    axes.set_xticks(steps, labels, minor=False)
    axes.minorticks_off()


def _axes_by_place(
    study: Study, records: Sequence[Record], what: str, size: tuple[float, float] = (7.0, 4.0)
) -> Iterator[tuple[Figure, Axes, list[Record]]]:
    """A titled figure for every data set and budget, and the records that it is of."""
    for data, budget, here in by_place(records):
        title = f"{data_label(study, data)}, {budget:g}× steps: {what}"
        yield *new_axes(title, *size), here


def _coloured(study: Study, records: Sequence[Record]) -> list[tuple[Row, list[Record], str]]:
    """Rows with their records and colours, those in grey first, so that they lie below."""
    colours = row_colours(study, records)
    groups = [(row, mine, colours[row.name]) for row, mine in grouped(study, records)]
    return sorted(groups, key=lambda group: group[2] != FAINT)


def _label(axes: Axes, label: str, colour: str) -> str:
    """What a legend calls a line: of those in grey the first one stands for all."""
    if colour != FAINT:
        return label
    return "_" if OTHERS in axes.get_legend_handles_labels()[1] else OTHERS


def _curve(record: Record, column: Column) -> Series | None:
    """The validation series that belongs to a column; of all modalities alone there is one."""
    if record.inputs(column) != list(record.run.config.model.inputs):
        return None
    which = "ensemble" if column.prediction == "ensemble" else f"streams/{column.prediction}"
    name = f"val/{record.output(column)}/{which}/{column.score}"
    return read(record.folder).metrics.get(name)


def _band(axes: Axes, curves: Sequence[Series], label: str, colour: str) -> None:
    steps = sorted(set(curves[0]).intersection(*curves[1:]))
    values = np.array([[curve[step] for step in steps] for curve in curves])
    axes.plot(steps, values.mean(0), label=_label(axes, label, colour), color=colour, lw=1.8)
    if len(curves) > 1 and colour != FAINT:
        axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.12, lw=0)


def _lengths(records: Sequence[Record]) -> dict[float, float]:
    """Mean steps of a row by budget: patience may end each seed at another one."""
    steps: dict[float, list[float]] = {}
    for record in records:
        steps.setdefault(record.run.budget, []).append(float(record.facts["steps"]))
    return {budget: float(np.mean(values)) for budget, values in steps.items()}


def _errorbars(
    axes: Axes, placed: Iterable[tuple[float, Record]], column: Column, label: str, colour: str
) -> None:
    """Mean and deviation of a column at each place; nothing where no run has the column."""
    points: dict[float, list[float]] = {}
    for place, record in placed:
        points.setdefault(place, []).extend(by_seed([record], column).values())
    summaries = [(x, s) for x, values in sorted(points.items()) if (s := summarise(values))]
    if summaries:
        means, spreads = zip(*((s.mean, s.std or 0.0) for _, s in summaries), strict=True)
        look: dict[str, Any] = {"marker": "o", "ms": 4, "lw": 1.6, "capsize": 2.5}
        places = [x for x, _ in summaries]
        label = _label(axes, label, colour)
        axes.errorbar(places, means, yerr=spreads, label=label, color=colour, **look)


def _finish(axes: Axes, column: Column) -> None:
    if column.share:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel(column.head)
    many = len(axes.get_legend_handles_labels()[1]) > 6
    axes.legend(loc="center left" if many else "best", bbox_to_anchor=(1, 0.5) if many else None)
    axes.tick_params(colors=MUTED)
    axes.xaxis.label.set_color(INK)
