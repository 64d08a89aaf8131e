"""Inspect a run or a saved network: what is exchanged where, scales, and ensemble weights.

Per layer and stream: channels of the own part, how many of them are exchanged, and the quartiles
of the scales' magnitudes. A rate of 0 everywhere or of nearly 100 % means that λ
(``train.sparsity``) was too small or too large.
"""

import argparse
from pathlib import Path
from typing import Any

from cen.cli import common
from cen.cli.parser import Parser


def add(parser: Parser) -> None:
    """Declares the options."""
    parser.add_argument("run_folder", metavar="RUN", help="folder of a run, or a .safetensors file")
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Reads the network and prints its exchange."""
    path = Path(args.run_folder)
    source = path if path.is_file() else common.run_folder(args.run_folder)
    import cen

    inspection = cen.inspect(cen.load(source)).to_dict(masks=args.json)
    common.emit(args, inspection, describe(inspection))
    return 0


def describe(inspection: dict[str, Any]) -> str:
    """An inspection as a table, the ensemble weights and the overall rate."""
    rows = [
        (
            layer["name"],
            layer["stream"],
            layer["channels"],
            layer["own"],
            layer["replaced"],
            f"{100 * layer['rate']:.1f}",
            *(f"{value:.4f}" for value in layer["quantiles"]),
        )
        for layer in inspection["layers"]
    ]
    scale = ("min |γ|", "25 %", "50 %", "75 %", "max |γ|")
    head = ("layer", "stream", "channels", "own", "exchanged", "rate %", *scale)
    lines = [common.table(head, rows)] if rows else ["no layer of this network exchanges"]
    lines.append("")
    for output, weights in inspection["alpha"].items():
        parts = ", ".join(f"{stream} {weight:.3f}" for stream, weight in weights.items())
        lines.append(f"α of {output}: {parts}")
    lines.append(f"exchange rate: {100 * inspection['rate']:.2f} % of the own channels")
    return "\n".join(lines)
