"""Write report.html of a run: curves, tables, exchange map and pictures, in one file."""

import argparse

from cen.cli import common


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("run_folder", metavar="RUN", help="folder of a run")


def run(args: argparse.Namespace) -> int:
    """Writes the page."""
    folder = common.run_folder(args.run_folder)
    from cen.report import write_report

    print(write_report(folder))
    return 0
