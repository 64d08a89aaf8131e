"""Evaluate a run: every stream, the ensemble, every subset of the modalities.

The figures also go to RUN/evaluation.json, from which cen report reads them.
"""

import argparse

from cen.cli import common
from cen.cli.parser import Parser


def add(parser: Parser) -> None:
    """Declares the options."""
    parser.add_argument("run_folder", metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--split",
        metavar="split",
        choices=["test", "validation"],
        default="test",
        help="test (default) or validation",
    )
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluates, and prints one line per stream and ensemble."""
    folder = common.run_folder(args.run_folder)
    from cen.report.tables import evaluation_dict, evaluation_table
    from cen.training import evaluate

    with common.quiet_stdout(args):
        result = evaluate(folder, split=args.split)
    common.emit(args, evaluation_dict(result), evaluation_table(result))
    return 0
