"""Inspect a run or a saved network: what is exchanged where, scales, and ensemble weights.

Per stage and stream, or with --all per layer: how many of the own channels are exchanged, and
levels of the scales' magnitudes. A rate of 0 everywhere or of nearly 100 % means that λ
(``train.sparsity``) was too small or too large. With --cost, what one picture costs as well.
"""

import argparse

from rich.console import RenderableType

from cen.cli import printing, sources, words
from cen.cli.parser import Parser


def add(parser: Parser) -> None:
    """Declares the options."""
    sources.add_network(parser)
    parser.option(
        "--cost H W",
        words.whole(1, words.SIDE),
        "also parameters, and multiply-adds for one picture of H x W pixels",
    )
    parser.add_argument(
        "--all", action="store_true", help="every layer in place of every stage of the network"
    )
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Reads the network and prints its exchange."""
    source = sources.network_source(args.run_folder)
    import cen
    from cen.report.summary import inspection_dict
    from cen.report.tables import inspection_table

    net = cen.load(source)
    inspection = cen.inspect(net).to_dict()
    figures = inspection_dict(inspection)
    shown: list[RenderableType] = [inspection_table(inspection, args.all)]
    if args.cost:
        from cen.models.costs import costs, folded_multiply_adds

        height, width = args.cost
        cost = costs(net, (height, width))
        folded = folded_multiply_adds(net, (height, width), cost.multiply_adds)
        figures["cost"] = {"size": [height, width], **cost._asdict(), "folded": folded}
        shown.append(
            f"{cost.parameters / 1e6:.3g} million parameters, {cost.multiply_adds / 1e9:.3g} "
            f"billion multiply-adds for {height} × {width} pixels, {folded / 1e9:.3g} folded"
        )
    printing.emit(args, figures, *shown)
    return 0
