"""The picture that a study opens with shows the figures of its table."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from tests.studies.made_records import made_records, made_study

from cen.report.style import FAINT
from cen.studies.dot_plots import dot_plots
from cen.studies.intervals import summarise

SCORES = {"cen": (0.8, 0.82, 0.84), "late": (0.9, 0.9, 0.93), "rgb": (0.5,)}


def test_a_row_is_its_seeds_their_mean_and_their_interval(tmp_path: Path) -> None:
    study = made_study(list(SCORES), "cen")
    records = made_records(study, SCORES, dict.fromkeys(SCORES, 0.5), tmp_path)
    ((figure, caption),) = dot_plots(study, records)
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["CEN", "LATE", "RGB"]
    places = [tuple(point) for dots in axes.collections for point in dots.get_offsets()]
    for place, values in enumerate(SCORES.values()):
        mean = pytest.approx(sum(values) / len(values))
        assert (mean, place) in places
        assert all((pytest.approx(value), place) in places for value in values)
    # One seed has no interval; the others have that of the tables.
    lines = {int(line.get_ydata()[0]): list(line.get_xdata()) for line in axes.lines}  # type: ignore[index, arg-type]
    found = summarise(SCORES["cen"])
    assert found is not None
    assert sorted(lines) == [0, 1]
    assert lines[0] == [found.low, found.high]
    assert "95 %" in caption
    assert axes.get_title("left") == "Parts, 1× steps"  # as its table is headed
    assert axes.get_xlim()[1] <= 1.0


def test_one_row_alone_has_no_picture(tmp_path: Path) -> None:
    study = made_study(["cen"], "cen")
    records = made_records(study, {"cen": (0.8,)}, {"cen": 0.5}, tmp_path)
    assert dot_plots(study, records) == []


def test_many_rows_stay_readable(tmp_path: Path) -> None:
    """Grey rows keep their names: each has a line of its own."""
    names = [f"row{i}" for i in range(9)]
    study = made_study(names, "row0")
    scores = {name: (0.1 * i,) for i, name in enumerate(names)}
    records = made_records(study, scores, {n: 0.1 * i for i, n in enumerate(names)}, tmp_path)
    ((figure, _),) = dot_plots(study, records)
    figure.canvas.draw()
    labels = figure.axes[0].get_yticklabels()
    boxes = [label.get_window_extent() for label in labels]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))
    colours = [dots.get_facecolors()[0] for dots in figure.axes[0].collections]  # type: ignore[attr-defined]
    grey = tuple(int(FAINT[i : i + 2], 16) / 255 for i in (1, 3, 5))
    assert sum(tuple(colour[:3]) == pytest.approx(grey) for colour in colours) == 5
