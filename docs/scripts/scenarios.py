"""Draws docs/images/scenarios.png: the four scenarios as one network with different names on it.

python docs/scripts/scenarios.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

INK, MUTED, PANEL = "#1f2933", "#6b7785", "#f4f6f8"
COLOURS = {"rgb": "#2563eb", "depth": "#d97706", "normal": "#059669"}
EXCHANGE = "#a21caf"


@dataclass(frozen=True)
class Scenario:
    """One panel.

    Attributes:
        title, note: what stands above and below it.
        inputs: names at the left, the streams of the encoder.
        streams: the decoder's streams: (output, input) from top to bottom.
        groups: which of these exchange channels with each other, by position.
        encoder: whether the encoder's streams exchange.
    """

    title: str
    note: str
    inputs: Sequence[str]
    streams: Sequence[tuple[str, str]]
    groups: Sequence[Sequence[int]]
    encoder: bool


SCENARIOS = (
    Scenario(
        "Multimodal fusion [paper]",
        "M inputs, 1 output: exchange among the inputs",
        ("rgb", "depth"),
        (("segmentation", "rgb"), ("segmentation", "depth")),
        (),
        True,
    ),
    Scenario(
        "Cycle fusion [ours]",
        "every input is in turn the output; exchange among the sources of one direction",
        ("rgb", "depth", "normal"),
        (
            ("normal", "rgb"),
            ("normal", "depth"),
            ("depth", "rgb"),
            ("depth", "normal"),
            ("rgb", "depth"),
            ("rgb", "normal"),
        ),
        (),
        True,
    ),
    Scenario(
        "Multitask learning [ours]",
        "1 input, T outputs: exchange among the tasks",
        ("rgb",),
        (("segmentation", "rgb"), ("depth", "rgb"), ("normal", "rgb")),
        ((0, 1, 2),),
        False,
    ),
    Scenario(
        "Multimodal multitask [ours]",
        "M inputs, T outputs: among the inputs, then among the tasks of each input",
        ("rgb", "depth"),
        (
            ("segmentation", "rgb"),
            ("normal", "rgb"),
            ("segmentation", "depth"),
            ("normal", "depth"),
        ),
        ((0, 1), (2, 3)),
        True,
    ),
)


def main() -> None:
    """Draws and writes the picture."""
    figure = Figure(figsize=(12.0, 7.4), dpi=110)
    for axes, scenario in zip(figure.subplots(2, 2).flat, SCENARIOS, strict=True):
        draw(axes, scenario)
    figure.text(
        0.5,
        0.012,
        "One network: grey boxes are convolutions that all streams share; a line is a stream with "
        "norms of its own, in the colour of its input; purple: channels are exchanged.",
        ha="center",
        color=MUTED,
        fontsize=9,
    )
    figure.subplots_adjust(0.01, 0.05, 0.99, 0.95, wspace=0.03, hspace=0.16)
    out = Path(__file__).parents[1] / "images" / "scenarios.png"
    figure.savefig(out, metadata={"Software": None})
    print(out)


def draw(axes: Axes, scenario: Scenario) -> None:
    """One scenario."""
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 6)
    axes.set_axis_off()
    axes.set_title(scenario.title, loc="left", fontsize=12, fontweight="bold", color=INK, x=0.02)
    axes.text(0.2, 0.12, scenario.note, color=MUTED, fontsize=9.5)
    box(axes, 2.2, 0.6, 2.1, 5.2, "encoder")
    box(axes, 5.4, 0.6, 2.1, 5.2, "decoder")
    cycle = len({output for output, _ in scenario.streams} & set(scenario.inputs)) == 3
    sources = heights(len(scenario.streams)) if cycle else heights(len(scenario.inputs))
    ends = heights(len(scenario.streams))
    lanes = [name for _, name in scenario.streams] if cycle else list(scenario.inputs)
    for name, y in zip(lanes, sources, strict=True):
        label(axes, 1.15, y, name, COLOURS[name])
        line(axes, (1.9, y), (4.3, y), COLOURS[name])
    for position, ((output, name), y) in enumerate(zip(scenario.streams, ends, strict=True)):
        start = sources[position] if cycle else sources[scenario.inputs.index(name)]
        line(axes, (4.3, start), (5.4, y), COLOURS[name])
        line(axes, (5.4, y), (7.75, y), COLOURS[name], arrow=True)
        label(axes, 8.75, y, output, INK)
    if scenario.encoder:
        groups = [(k, k + 1) for k in range(0, 6, 2)] if cycle else [tuple(range(len(lanes)))]
        for group in groups:
            exchange(axes, 3.25, [sources[k] for k in group])
    for group in scenario.groups:
        exchange(axes, 6.45, [ends[k] for k in group])


def heights(count: int) -> list[float]:
    """Where ``count`` streams run, from the top."""
    if count == 1:
        return [3.2]
    return [5.3 - k * 4.2 / (count - 1) for k in range(count)]


def box(axes: Axes, x: float, y: float, width: float, height: float, text: str) -> None:
    """A part of the network."""
    shape = "round,pad=0,rounding_size=0.15"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, fc=PANEL, ec="#cbd2d9"))
    axes.text(x + width / 2, y + 0.12, text, ha="center", color=MUTED, fontsize=9)


def label(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    """The name of an input or an output."""
    axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=10, fontweight="bold")


def line(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    arrow: bool = False,
) -> None:
    """A piece of a stream."""
    style = "-|>" if arrow else "-"
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle=style,
            mutation_scale=11,
            color=colour,
            lw=2,
            shrinkA=0,
            shrinkB=0,
        )
    )


def exchange(axes: Axes, x: float, rows: Sequence[float]) -> None:
    """Streams that exchange channels: joined, with a ring on each."""
    axes.plot([x, x], [min(rows), max(rows)], color=EXCHANGE, lw=2, ls=(0, (2, 1.2)), zorder=3)
    axes.plot([x] * len(rows), rows, "o", ms=9, mfc="white", mec=EXCHANGE, mew=2, zorder=4)


if __name__ == "__main__":
    main()
