"""One picture of a run: samples on top, how it learnt below. For a README or a slide."""

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cen.errors import DataError
from cen.files import write_bytes
from cen.report.colours import Image, to_picture
from cen.report.curves import (
    label_steps,
    main_of,
    plot_rate,
    plot_scores,
    score_series,
    score_title,
)
from cen.report.painting import paint, scale_limits
from cen.report.panels import Panel
from cen.report.runfolder import RunFolder, read_run
from cen.report.samples import classes_of
from cen.report.style import INK, house_style, png_bytes, stream_colours
from cen.report.summary import stream_names

_WIDTH = 11.0  # inches
_COLUMNS = 8  # of the legend


def figure_overview(run: str | Path, out: str | Path | None = None, samples: int = 3) -> Path:
    """Make a PNG with a few samples (inputs, truth, streams, ensemble) and the curves of a run.

    Args:
        run: the run folder; it needs stored panels or a logged validation.
        out: file to write, RUN/overview.png by default. It is written in one step.
        samples: greatest number of samples shown.

    Returns:
        The path written.

    Raises:
        DataError: no run folder, or nothing in it to show yet.
    """
    files = read_run(run)
    panels, scores = files.panels[:samples], score_series(files)
    if not panels and not scores:
        raise DataError(f"{files.path}: neither panels/*.npz nor validation scores to show yet")
    path = Path(out) if out is not None else files.path / "overview.png"
    with house_style():
        picture = png_bytes(_draw(files, panels, bool(scores)))
    return write_bytes(path, picture, DataError)


def _draw(run: RunFolder, panels: list[Panel], curves: bool) -> Figure:
    output = next((name for panel in panels for name in panel.outputs), "")
    classes = classes_of(run, output)
    rows = [_pictures(panel, output, classes.colours) for panel in panels]
    columns = max((len(row) for row in rows), default=1)
    shape = next(iter(rows[0].values())).shape if rows else (3, 4)
    # No legend where it would be larger than the pictures.
    marks = [
        Patch(color=tuple(classes.colours[i] / 255), label=classes.names[i])
        for i in (classes.seen if len(classes.seen) <= 24 else [])
    ]
    below = 0.15 + 0.18 * math.ceil(len(marks) / _COLUMNS)
    tall = len(rows) * (_WIDTH / columns) * shape[0] / shape[1] + (0.25 + below if rows else 0)
    figure = Figure(figsize=(_WIDTH, tall + (2.9 if curves else 0)), layout="constrained")
    heights = [h for h, is_drawn in ((tall, bool(rows)), (2.9, curves)) if is_drawn]
    parts = list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    if rows:
        top = parts.pop(0)
        grid = top.subplots(len(rows), columns, squeeze=False)
        for number, row in enumerate(rows):
            for axes, (name, image) in zip(grid[number], row.items(), strict=False):
                _show(axes, image, name if number == 0 else "")
        if marks:
            top.legend(handles=marks, loc="outside lower center", ncols=_COLUMNS, handlelength=1.0)
    if curves:
        _curves(parts[0].subplots(1, 2), run)
    return figure


def _pictures(panel: Panel, output: str, colours: Image) -> dict[str, Image]:
    pictures = {f"input {name}": to_picture(value) for name, value in panel.inputs.items()}
    if output in panel.outputs:
        shown, kind = panel.outputs[output].predictions(), panel.outputs[output].kind
        limits = scale_limits(kind, shown.values())
        for name, value in shown.items():
            pictures[name] = paint(kind, value, colours, limits)
    return pictures


def _show(axes: Axes, image: Image, title: str) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_axis_off()
    if title:
        axes.set_title(title, loc="center", fontsize=9, fontweight="normal", color=INK, pad=4)


def _curves(grid: list[Axes], run: RunFolder) -> None:
    output, scores = next(iter(score_series(run).items()))
    plot_scores(grid[0], scores, stream_colours(stream_names(run)), main_of(run, output))
    grid[0].set_title(score_title(run, output))
    grid[1].set_title("Share of own channels exchanged")
    if not plot_rate(grid[1], run):
        grid[1].set_axis_off()
    for axes in grid:
        label_steps(axes)
