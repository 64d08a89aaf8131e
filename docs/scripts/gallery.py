"""Draws the pictures of docs/gallery.md from the panels of evaluated runs.

``python docs/scripts/gallery.py RUN...``; of each run docs/images/gallery-NAME.webp, NAME being
that of its folder. The page says how the runs were made.
"""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure
from PIL import Image

from cen.report.colours import Image as Pixels
from cen.report.colours import to_picture
from cen.report.painting import error_text, paint, paint_errors, scale_limits
from cen.report.panels import Panel
from cen.report.runfolder import RunFolder, read_run
from cen.report.samples import classes_of

IMAGES = Path(__file__).parents[1] / "images"
SCENES = 3
WIDTH = 6.0  # inches
INK = "#1f2933"


def pictures(run: RunFolder, panel: Panel) -> Iterator[tuple[str, str, Pixels]]:
    """What is drawn of a scene: what it is, how right it is, and the picture."""
    for name, value in panel.inputs.items():
        yield name, "", to_picture(value)
    several = len(panel.outputs) > 1
    for name, output in panel.outputs.items():
        shown, classes = output.predictions(), classes_of(run, name)
        limits = scale_limits(output.kind, list(shown.values()))
        truth = shown["truth"]
        best = "ensemble" if "ensemble" in shown else next(k for k in shown if k != "truth")
        # Of several outputs, truth and prediction; of one all that there is.
        for part in ("truth", best) if several else shown:
            title = f"{name} {'truth' if part == 'truth' else 'predicted'}" if several else part
            score = (
                ""
                if part == "truth"
                else error_text(output.kind, shown[part], truth, len(classes.names))
            )
            yield title, score, paint(output.kind, shown[part], classes.colours, limits)
            errors = paint_errors(output.kind, shown[part], truth, len(classes.names))
            if part == best and errors is not None and not several:
                yield "errors", "", errors


def draw(run: RunFolder) -> Figure:
    """Some scenes of a run side by side: few across, so that a phone shows them, too."""
    step = max(1, len(run.panels) // SCENES)
    scenes = [list(pictures(run, panel)) for panel in run.panels[::step][:SCENES]]
    height, width = scenes[0][0][2].shape[:2]
    rows = list(zip(*scenes, strict=True))
    scored = sum(any(score for _, score, _ in row) for row in rows)
    across = (WIDTH - 0.4) / len(scenes)
    figure = Figure(
        figsize=(WIDTH, len(rows) * (across * height / width + 0.04) + 0.22 * scored),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    grid = figure.subplots(len(rows), len(scenes), squeeze=False)
    for places, row in zip(grid, rows, strict=True):
        for axes, (title, score, picture) in zip(places, row, strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if axes is places[0]:
                name = textwrap.fill(title.replace("_", " "), 12)
                axes.set_ylabel(name, fontsize=11, color=INK)
            axes.set_xlabel(score, fontsize=11, color=INK, labelpad=2)
    return figure


def write(figure: Figure, path: Path) -> None:
    """The figure as a small WebP."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=150)
    Image.open(drawn).convert("RGB").save(path, quality=88, method=6)


if __name__ == "__main__":
    for folder in map(Path, sys.argv[1:]):
        write(draw(read_run(folder)), IMAGES / f"gallery-{folder.name}.webp")
