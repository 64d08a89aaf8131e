"""Figures of a study: what they draw, and their axes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from tests.studies.made_records import made_records, made_study

from cen.report.style import new_axes
from cen.studies.figures import (
    budget_curves,
    cost_plots,
    label_budget,
    learning_curves,
    sweep_curves,
)
from cen.studies.results import Record
from cen.studies.spec import Study


def test_lengths_of_training_too_close_for_one_line_take_two() -> None:
    figure, axes = new_axes("budgets", 7.0, 4.0)
    axes.plot([1200, 2400, 4800], [0.1, 0.2, 0.3])
    axes.set_xscale("log", base=2)
    label_budget(axes, [1200, 2040, 2400, 4800])
    labels = axes.get_xticklabels()
    assert [tick.get_text() for tick in labels] == ["1,200", "2,040", "\n2,400", "4,800"]
    figure.canvas.draw()
    boxes = [tick.get_window_extent() for tick in labels]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))


PRICES = {"a": {"macs": 9e6, "folded_macs": 5e6}, "b": {"macs": 4e6, "folded_macs": 4e6}, "c": {}}


@pytest.mark.parametrize(("columns", "first"), [(["folded_macs", "macs"], 5e6), (["macs"], 9e6)])
def test_scores_stand_over_what_a_prediction_costs(
    columns: list[str], first: float, tmp_path: Path
) -> None:
    study = replace(made_study(("a", "b", "c"), "a"), columns=["ensemble", *columns])
    scores = {"a": [0.5, 0.7], "b": [0.4], "c": [0.9]}
    records = [
        replace(record, facts={**record.facts, **PRICES[record.run.row.name]})
        for record in made_records(study, scores, {"a": 0.5, "b": 0.4, "c": 0.9}, tmp_path)
    ]
    [(figure, caption)] = cost_plots(study, records)
    axes: Axes = figure.axes[0]
    marks = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
    drawn = {str(c.get_label()): c.lines[0].get_xydata() for c in marks}
    # A run of which the cost is not known is not in the figure.
    assert sorted(drawn) == ["A", "B"]
    assert [place.tolist() for place in drawn.values()] == [[[first, 0.6]], [[4e6, 0.4]]]
    assert "better is up and to the left" in caption
    assert cost_plots(replace(study, columns=["ensemble"]), records) == []


def test_a_curve_is_of_the_modalities_that_its_column_names(
    study: Study, records: list[Record]
) -> None:
    """Validation scores are of all modalities alone."""
    whole = replace(study, columns=["rgb+depth:ensemble"])
    drawn = {line.get_label() for figure, _ in learning_curves(whole, records)
             for line in figure.axes[0].lines}  # fmt: skip
    assert "CEN" in drawn
    for name, rows in {"depth:ensemble": set(), "rgb:ensemble": {"RGB | alone"}}.items():
        shown = learning_curves(replace(study, columns=[name]), records)
        labels = {line.get_label() for figure, _ in shown for line in figure.axes[0].lines}
        assert labels == rows


def test_figures_draw_what_there_is(study: Study, records: list[Record]) -> None:
    ((figure, _), *others) = learning_curves(study, records)
    assert len(others) == 1  # the other budget
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert set(lines) == {"CEN", "RGB | alone", "θ = 0.01", "θ = 0.5"}
    assert list(lines["CEN"].get_xdata()) == [75, 150]
    assert list(lines["CEN"].get_ydata()) == pytest.approx([0.3, 0.6])
    ((figure, _),) = budget_curves(study, records)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["150", "300"]
    ((figure, _),) = sweep_curves(study, records)
    assert figure.axes[0].get_xlabel() == "θ"
    line = figure.axes[0].containers[0].lines[0]
    assert list(line.get_xdata()) == [0.01, 0.5]
    assert list(line.get_ydata()) == [0.3, 0.2]
