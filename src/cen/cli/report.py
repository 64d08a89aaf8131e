"""Write report.html of a run: curves, tables, exchange map and pictures, in one file."""

import argparse

from cen.cli import sources, words
from cen.cli.parser import Parser


def add(parser: Parser) -> None:
    """Declares the options."""
    parser.add_argument("run_folder", metavar="RUN", type=words.path, help="folder of a run")
    parser.option(
        "--overview FILE",
        words.path,
        "also write one picture (PNG) of samples and curves, for a README or a talk",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the page, and the picture if asked for."""
    folder = sources.begun_run(args.run_folder)
    if args.overview is not None:
        words.out_file("--overview", args.overview, ".png")
    from cen.report import figure_overview, write_report

    print(write_report(folder))
    if args.overview is not None:
        print(figure_overview(folder, args.overview))
    return 0
