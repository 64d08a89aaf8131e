"""Which layers and which streams exchange: one picture of several runs, side by side.

Rows are the exchanging layers from input to output, columns the streams; a cell is the share of the
stream's own channels that are replaced at the end of the run. Give each run a title, for example
its lambda:

    python experiments/exchange_pictures.py out.png "1e-4=runs/a" "1e-3=runs/b" "3e-3=runs/c"
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib.figure import Figure


def main() -> None:
    """Draws and writes the picture; prints the mean rate of every stream."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", metavar="TITLE=RUN")
    args = parser.parse_args()
    found = {}
    for word in args.runs:
        title, _, folder = word.partition("=")
        found[title] = json.loads((Path(folder) / "exchange.json").read_text())[-1]
    draw(found).savefig(args.out, dpi=130, metadata={"Software": None})
    for title, entry in found.items():
        names = list(dict.fromkeys(layer["stream"] for layer in entry["layers"]))
        rates = {name: mean_rate(entry, name) for name in names}
        told = ", ".join(f"{name} {100 * rate:.0f} %" for name, rate in rates.items())
        print(f"{title}: {100 * entry['rate']:.1f} % of all own channels; {told}")


def mean_rate(entry: dict, stream: str) -> float:
    """Share of a stream's own channels that are replaced, over all layers."""
    mine = [layer for layer in entry["layers"] if layer["stream"] == stream]
    return sum(x["replaced"] for x in mine) / max(1, sum(x["own"] for x in mine))


def draw(entries: dict[str, dict]) -> Figure:
    """One heat map per run, with common rows and colours."""
    layers = list(dict.fromkeys(x["name"] for e in entries.values() for x in e["layers"]))
    size = (2.4 + 1.7 * len(entries), 1.4 + 0.13 * len(layers))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(1, len(entries), squeeze=False, sharey=True)[0]
    for axes, (title, entry) in zip(grid, entries.items(), strict=True):
        streams = list(dict.fromkeys(layer["stream"] for layer in entry["layers"]))
        rates = np.full((len(layers), len(streams)), np.nan)
        for x in entry["layers"]:
            rates[layers.index(x["name"]), streams.index(x["stream"])] = x["rate"]
        image = axes.imshow(rates, vmin=0, vmax=1, cmap="magma_r", aspect="auto")
        axes.set_title(f"{title}\n{100 * entry['rate']:.0f} % exchanged", fontsize=9)
        axes.set_xticks(range(len(streams)), streams, rotation=60, ha="right", fontsize=7)
        axes.set_yticks(range(len(layers)), layers, fontsize=5)
    figure.colorbar(image, ax=list(grid), fraction=0.03, label="share of own channels replaced")
    return figure


if __name__ == "__main__":
    main()
