"""Write a contact sheet: some samples of a data set with all their fields, as one PNG."""

import argparse
from pathlib import Path

from cen.cli import words
from cen.cli.data.source import add_source, source_of
from cen.cli.parser import Parser
from cen.errors import ConfigError


def add(parser: Parser) -> None:
    """Declares the options."""
    add_source(parser, "plot", "[--out FILE] ")
    parser.option("--out FILE", words.path, "", Path("samples.png"))
    parser.option("--samples N", words.whole(1, 50), "rows", 6)
    parser.option("--split split", ["train", "validation", "test"], "", "train")
    parser.option(
        "--first N",
        words.whole(0),
        "the N-th sample (from 0) and those after it; default: evenly spaced ones",
    )


def run(args: argparse.Namespace) -> int:
    """Draws and writes."""
    source = source_of(args)
    words.out_file("--out", args.out, ".png")
    dataset = source.open(args.split)
    if args.first is not None and not 0 <= args.first < len(dataset):
        raise ConfigError(f"--first {args.first}: give 0 to {len(dataset) - 1}")
    from cen.data.readers.splitting import evenly
    from cen.report.contact_sheet import contact_sheet

    if args.first is None:
        indices = evenly(len(dataset), args.samples)
    else:
        indices = list(range(args.first, min(args.first + args.samples, len(dataset))))
    print(contact_sheet(dataset, indices, args.out))
    return 0
