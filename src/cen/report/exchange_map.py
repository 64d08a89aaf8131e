"""The exchange map: layers × channels, with own parts and replaced channels marked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from cen.report.curves import Captioned, short_names
from cen.report.runfolder import RunFolder
from cen.report.style import EMPTY, INK, MUTED, house_style, stream_colours

_WIDTH = 1024  # picture columns per layer; layers of any width are stretched over them


def exchange_maps(run: RunFolder, colours: Mapping[str, str] | None = None) -> list[Captioned]:
    """The last inspection that says which channels are replaced, drawn for each stream."""
    marked = [look for look in run.exchange if any(layer.get("mask") for layer in look["layers"])]
    last: Mapping[str, Any] = marked[-1] if marked else {"layers": []}
    streams = dict.fromkeys(layer["stream"] for layer in last["layers"] if layer.get("mask"))
    colours = stream_colours(streams) if colours is None else colours
    return [
        (
            exchange_map(last["layers"], stream, colours[stream]),
            f"The exchange map of {stream} at step {last.get('step', 0):,}: a row per layer, input "
            "side on top, all channels from left to right. Strong colour: replaced. At the right, "
            "the share of the own part.",
        )
        for stream in streams
    ]


def exchange_map(layers: Sequence[Mapping[str, Any]], stream: str, colour: str) -> Figure:
    """One row per layer, first layer on top; one column per channel, stretched to equal width.

    Args:
        layers: the layers of an inspection as dicts with ``name``, ``stream``, ``channels``,
            ``own``, ``own_start``, ``rate`` and ``mask``; those of other streams are left out.
            ``own_parts`` tells the pieces of an own part that is not in one.
        stream: the stream to draw.
        colour: its colour.
    """
    mine = [layer for layer in layers if layer["stream"] == stream and layer.get("mask")]
    picture = np.stack([_row(layer, colour) for layer in mine])
    with house_style():
        figure = Figure(figsize=(5.0, 0.9 + 0.21 * len(mine)), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(picture, aspect="auto", interpolation="nearest", extent=(0, 1, len(mine), 0))
        axes.set_title(f"Channels of {stream}")
        axes.grid(False)
        axes.hlines(range(1, len(mine)), 0, 1, color="white", lw=1.6)
        axes.set_yticks(np.arange(len(mine)) + 0.5, short_names([str(x["name"]) for x in mine]))
        axes.set_xticks([0, 1], ["first channel", "last"])
        axes.get_xticklabels()[0].set_horizontalalignment("left")
        axes.get_xticklabels()[1].set_horizontalalignment("right")
        axes.spines[:].set_visible(False)
        for row, layer in enumerate(mine):
            text, shade = f"{layer['rate']:.0%}", INK if layer["rate"] else MUTED
            axes.text(1.015, row + 0.5, text, va="center", color=shade, fontsize=8)
        marks = [
            Patch(color=_blend(colour, 0.22), label="own part, kept"),
            Patch(color=colour, label="own part, replaced"),
        ]
        if any((_mask(layer) & ~_own(layer)).any() for layer in mine):
            marks.append(Patch(color=INK, label="elsewhere, replaced"))
        figure.legend(handles=marks, loc="outside lower left", ncols=3, handlelength=1.0)
    return figure


def _row(layer: Mapping[str, Any], colour: str) -> NDArray[np.float64]:
    """One layer as (columns, 3) colours."""
    replaced, own = _mask(layer), _own(layer)
    colours = np.tile(np.array(to_rgb(EMPTY)), (len(replaced), 1))
    colours[own] = _blend(colour, 0.22)
    colours[own & replaced] = to_rgb(colour)
    colours[~own & replaced] = to_rgb(INK)
    edges = np.arange(_WIDTH + 1) * len(colours) / _WIDTH
    first = edges[:-1].astype(int)
    if len(colours) <= _WIDTH:
        nearest: NDArray[np.float64] = colours[first]
        return nearest
    # More channels than columns: a column shows the mean colour of those that fall into it.
    last = np.maximum(np.ceil(edges[1:]).astype(int), first + 1)
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(colours, axis=0)])
    mean: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)[:, None]
    return mean


def _mask(layer: Mapping[str, Any]) -> NDArray[np.bool_]:
    return np.array(layer["mask"], dtype=bool)


def _own(layer: Mapping[str, Any]) -> NDArray[np.bool_]:
    start = int(layer.get("own_start", 0))
    inside = np.zeros(len(layer["mask"]), dtype=bool)
    # Earlier versions stored none: with "keeper" and three streams the part was not in one piece.
    for piece in layer.get("own_parts") or [[start, start + int(layer["own"])]]:
        if len(piece) == 2:
            inside[piece[0] : piece[1]] = True
    return inside


def _blend(colour: str, share: float) -> tuple[float, float, float]:
    red, green, blue = (share * part + (1 - share) for part in to_rgb(colour))
    return red, green, blue
