"""The picture shows every form over what was varied."""

import pytest

from cen.bench.bench_model import Measured, ModelSpeeds
from cen.bench.model_picture import draw, picture, varied
from cen.bench.timing import Interval


def speeds(*cases: tuple[int, int, tuple[int, int]], memory: int | None = None) -> ModelSpeeds:
    one = Interval(1.0, 1.0, 1.0)
    measured = tuple(
        Measured(s, b, size, 0.5, mode, form, 0.1 * s, b / 0.1, 10**9, one, one, memory)
        for s, b, size in cases
        for mode in ("evaluation", "training")
        for form in ("list", "packed")
    )
    return ModelSpeeds("a machine", "2", 1, "wall", 15, 1e11, measured)


@pytest.mark.parametrize(
    ("cases", "over"),
    [
        (((2, 1, (64, 64)),), ""),
        (((1, 1, (64, 64)), (2, 1, (64, 64))), "streams"),
        (((2, 1, (64, 64)), (2, 4, (64, 64))), "batch"),
        (((2, 1, (64, 64)), (2, 1, (96, 96))), "pixels"),
        (((2, 1, (64, 64)), (3, 2, (96, 96))), "cases"),
    ],
)
def test_lines_lie_over_what_was_varied(cases, over) -> None:
    given = speeds(*cases, memory=10**7)
    assert varied(given.measured) == over
    figure = draw(given)
    assert len(figure.axes) == 4
    for axes in figure.axes:
        if over:
            assert [line.get_label() for line in axes.lines] == ["list", "packed"]
            assert all(len(line.get_xdata()) == len(cases) for line in axes.lines)
        else:
            assert len(axes.patches) == 2
    times = figure.axes[0]
    heights = [b.get_height() for b in times.patches] or list(times.lines[0].get_ydata())
    first = cases[0]
    assert heights[0] == pytest.approx(1000 * 0.1 * first[0] / first[1])


def test_memory_that_was_not_asked_for_has_no_plot() -> None:
    assert len(draw(speeds((2, 1, (64, 64)))).axes) == 2
    assert picture(speeds((2, 1, (64, 64)))).startswith(b"\x89PNG")
