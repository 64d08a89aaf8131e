"""Measure mean, deviation, depth range and class weights of the training split.

They are printed as YAML, as a configuration takes them.
"""

import argparse
import functools

from cen.cli import printing, words
from cen.cli.data.source import add_source, source_of
from cen.cli.parser import Parser
from cen.errors import ConfigError
from cen.files import write_text


def add(parser: Parser) -> None:
    """Declares the options."""
    add_source(parser, "stats", "[--out FILE] ")
    parser.option("--out FILE", words.path, "also write the YAML to a file")
    parser.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measures, prints and writes."""
    source = source_of(args)
    if args.out is not None:
        words.new_file("--out", args.out, args.force)
    from cen.data.tools.statistics import as_yaml, measure

    dataset = source.open("train")
    with printing.progress("train") as advance:
        statistics = measure(
            dataset, workers=args.workers, progress=functools.partial(advance, "train")
        )
    text = as_yaml(statistics, f"cen data {args.name} stats {source.root}")
    if args.out is not None:
        write_text(args.out, text, ConfigError)
    printing.emit(args, statistics.to_dict(), text.rstrip("\n"))
    return 0
