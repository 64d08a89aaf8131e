"""The axes of a study's figures."""

from __future__ import annotations

from itertools import pairwise

from cen.report.style import new_axes
from cen.studies.figures import label_budget


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
