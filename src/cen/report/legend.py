"""Legends of one prediction: colour, name and share of each class, and the colours of depth."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cen.report.painting import depth_bar
from cen.report.style import MUTED, house_style, png_bytes


def legend_entries(
    counts: Sequence[int], names: Sequence[str], colours: Sequence[Sequence[int]]
) -> list[dict[str, Any]]:
    """One entry per class id: ``id``, ``class``, ``colour`` (RGB), ``pixels``, ``share`` (0..1)."""
    total = max(1, int(sum(counts)))
    return [
        {
            "id": i,
            "class": name,
            "colour": [int(value) for value in colour],
            "pixels": int(count),
            "share": int(count) / total,
        }
        for i, (count, name, colour) in enumerate(zip(counts, names, colours, strict=True))
    ]


def legend_png(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """The classes that occur, most frequent first, as a PNG."""
    shown = sorted((e for e in entries if e["pixels"]), key=lambda e: -e["pixels"])
    widest = max((len(str(entry["class"])) for entry in shown), default=4)
    width, rows = 1.3 + 0.085 * widest, max(1, len(shown))
    with house_style():
        figure = Figure(figsize=(width, 0.24 * rows + 0.16))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(rows + 0.3, -0.3)
        for row, entry in enumerate(shown):
            colour = tuple(value / 255 for value in entry["colour"])
            axes.add_patch(Rectangle((0.14, row + 0.18), 0.2, 0.64, facecolor=colour))
            axes.text(0.46, row + 0.5, str(entry["class"]), va="center")
            share = f"{100 * entry['share']:.1f} %"
            axes.text(width - 0.14, row + 0.5, share, va="center", ha="right", color=MUTED)
        return png_bytes(figure)


def scale_png(limits: tuple[float, float]) -> bytes:
    """The colours of depth with their metres, as PNG."""
    with house_style():
        figure = Figure(figsize=(3.2, 0.6))
        axes = figure.add_axes((0.06, 0.55, 0.88, 0.35))
        axes.imshow(depth_bar(limits), aspect="auto", extent=(*limits, 0, 1))
        axes.set_yticks([])
        axes.set_xlabel("metres")
        axes.grid(False)
        return png_bytes(figure)
