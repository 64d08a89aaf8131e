"""Inspect a run or a saved network: what is exchanged where, scales, and ensemble weights.

Per layer and stream: channels of the own part, how many of them are exchanged, and the quartiles
of the scales' magnitudes. A rate of 0 everywhere or of nearly 100 % means that λ
(``train.sparsity``) was too small or too large.
"""

import argparse
from pathlib import Path

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
    from cen.report.tables import inspection_dict, inspection_table

    inspection = cen.inspect(cen.load(source))
    common.emit(args, inspection_dict(inspection), inspection_table(inspection))
    return 0
