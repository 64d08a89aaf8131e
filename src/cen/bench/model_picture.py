"""The picture of `cen bench model`: time and memory over what was varied, a line per form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cen.bench.bench_model import Measured, ModelSpeeds
from cen.report.style import house_style, png_bytes, stream_colours


def picture(speeds: ModelSpeeds) -> bytes:
    """The measured figures as PNG, a column per mode: time above, memory below where it is known.

    Over the streams, batches or sizes where there are several of them, else a bar per form.
    """
    with house_style():
        return png_bytes(draw(speeds))


def draw(speeds: ModelSpeeds) -> Figure:
    """The figure, in the style that is set."""
    measured = speeds.measured
    modes = list(dict.fromkeys(m.mode for m in measured))
    shown: list[tuple[str, Callable[[Measured], float]]] = [
        ("milliseconds per sample", lambda m: 1000 * m.seconds / m.batch)
    ]
    if all(m.memory is not None for m in measured):
        shown.append(("MB that a step takes at its peak", lambda m: (m.memory or 0) / 1e6))
    figure = Figure(figsize=(4.6 * len(modes), 3.1 * len(shown) + 0.3), layout="constrained")
    grid = figure.subplots(len(shown), len(modes), squeeze=False)
    colours = stream_colours(dict.fromkeys(m.form for m in measured))
    for row, (label, value) in zip(grid, shown, strict=True):
        for axes, mode in zip(row, modes, strict=True):
            _plot(axes, [m for m in measured if m.mode == mode], value, colours)
            axes.set_title(f"{mode}: {label}")
            axes.set_ylim(bottom=0)
    figure.suptitle(f"{speeds.machine}, threads: {speeds.threads}", fontsize=8.5, x=0.01, ha="left")
    return figure


def varied(measured: Sequence[Measured]) -> str:
    """What differs between the cases: "streams", "batch", "pixels", "cases" of several or ""."""
    aspects: dict[str, set[Any]] = {
        "streams": {m.streams for m in measured},
        "batch": {m.batch for m in measured},
        "pixels": {m.size for m in measured},
    }
    several = [name for name, values in aspects.items() if len(values) > 1]
    return several[0] if len(several) == 1 else ("cases" if several else "")


def _plot(
    axes: Axes,
    measured: Sequence[Measured],
    value: Callable[[Measured], float],
    colours: dict[str, str],
) -> None:
    over = varied(measured)
    if not over:
        bars = axes.bar(
            [m.form for m in measured],
            [value(m) for m in measured],
            color=[colours[m.form] for m in measured],
        )
        axes.bar_label(bars, fmt="{:.3g}", fontsize=8)
        return
    for form in dict.fromkeys(m.form for m in measured):
        mine = [m for m in measured if m.form == form]
        axes.plot(
            _places(mine, over),
            [value(m) for m in mine],
            "o-",
            ms=4,
            label=form,
            color=colours[form],
        )
    if over in ("streams", "batch"):
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlim(left=0)
    else:
        first = [m for m in measured if m.form == measured[0].form]
        texts = [f"{m.streams} × {m.batch}\n{m.size[0]}×{m.size[1]}" for m in first]
        axes.set_xticks(_places(first, over), texts, fontsize=7)
    axes.set_xlabel("streams × batch, size" if over in ("cases", "pixels") else over)
    axes.legend(loc="best")


def _places(measured: Sequence[Measured], over: str) -> list[float]:
    if over in ("streams", "batch"):
        return [float(m.streams if over == "streams" else m.batch) for m in measured]
    if over == "pixels":
        return [float(m.size[0] * m.size[1]) for m in measured]
    return [float(place) for place in range(len(measured))]
