"""Draws docs/images/architecture.png: the floors of the package, and two ways through them.

python docs/scripts/architecture.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

INK, MUTED, PANEL = "#1f2933", "#6b7785", "#f4f6f8"
SAMPLE, CONFIGURATION = "#2563eb", "#d97706"
WIDTH, HEIGHT, STEP = 4.6, 0.78, 1.0

# From the ground up: the rooms of a floor, and what they hold.
FLOORS = (
    ("errors, files, documents", "typed errors, atomic writes, YAML"),
    ("tasks", "one class per kind of output"),
    ("options, config", "every option with its range; no torch"),
    ("exchange, folding", "the method; torch alone"),
    ("models", "encoders, decoders, networks, baselines"),
    ("data, metrics", "fields, formats, readers, tools, Rooms"),
    ("report", "pages and tables, no torch"),
    ("predict, training, bench", "predict; fit, evaluate; measure"),
    ("studies", "tables of many runs"),
    ("cli", "thin commands"),
)
# Steps and where they happen.
SAMPLE_WAY = (
    ("which files", "data/readers"),
    ("arrays from their bytes", "data/formats"),
    ("units, holes, normalisation", "data/fields"),
    ("crop, flip, scale", "data/transforms.py"),
    ("streams as rows of one batch", "models/network.py"),
    ("channels are exchanged", "exchange"),
    ("loss and scores", "tasks"),
)
CONFIGURATION_WAY = (
    ("cen train FILE", "cli/train.py"),
    ("YAML to dataclasses", "config.py, options"),
    ("data, network, module", "training/setup.py"),
    ("encoder and decoder", "models/builders.py"),
    ("their norms become streams'", "models/assembly.py"),
    ("steps, checkpoints, scores", "training/fitting.py"),
)


def draw() -> Figure:
    """The picture."""
    figure = Figure(figsize=(11, 7.9))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 13.2)
    axes.set_ylim(-0.35, 10.75)
    axes.axis("off")
    for floor, (rooms, holds) in enumerate(FLOORS):
        _box(axes, 0.2, floor * STEP, WIDTH, PANEL, MUTED)
        axes.text(0.4, floor * STEP + 0.5, rooms, color=INK, weight="bold", size=10.5, va="center")
        axes.text(0.4, floor * STEP + 0.2, holds, color=MUTED, size=8.5, va="center")
    axes.text(0.2, 10.3, "Floors: imports go down only", color=INK, size=12, weight="bold")
    _way(axes, 5.4, "The way of a sample", SAMPLE, SAMPLE_WAY)
    _way(axes, 9.4, "The way of a configuration", CONFIGURATION, CONFIGURATION_WAY)
    return figure


def _way(
    axes: Axes, left: float, title: str, colour: str, steps: Sequence[tuple[str, str]]
) -> None:
    """Steps from top to bottom, each with the folder or file in which it happens."""
    axes.text(left, 10.3, title, color=colour, size=12, weight="bold")
    gap = 9.6 / len(steps)
    for number, (text, where) in enumerate(steps):
        bottom = 9.0 - number * gap
        _box(axes, left, bottom, 3.4, "white", colour)
        axes.text(left + 0.15, bottom + 0.5, text, color=INK, size=9.5, va="center")
        axes.text(left + 0.15, bottom + 0.2, where, color=MUTED, size=8, va="center")
        if number:
            start, end = (left + 1.7, bottom + gap), (left + 1.7, bottom + HEIGHT)
            arrow = FancyArrowPatch(
                start, end, arrowstyle="-|>", mutation_scale=11, color=colour, shrinkA=0, shrinkB=0
            )
            axes.add_patch(arrow)


def _box(axes: Axes, left: float, bottom: float, width: float, fill: str, edge: str) -> None:
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch((left, bottom), width, HEIGHT, style, fc=fill, ec=edge, lw=1.2))


if __name__ == "__main__":
    target = Path(__file__).parents[1] / "images" / "architecture.png"
    draw().savefig(target, dpi=110)
