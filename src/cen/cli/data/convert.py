"""Write a data set as shards: a few large files that train from a disk or over a network."""

import argparse
from pathlib import Path

from cen.cli import printing, words
from cen.cli.data.source import add_source, source_of
from cen.cli.parser import Parser
from cen.errors import ConfigError


def add(parser: Parser) -> None:
    """Declares the options."""
    add_source(parser, "convert", "--out FOLDER ")
    parser.add_argument(
        "--out", metavar="FOLDER", type=words.path, required=True, help="where to write"
    )
    parser.option("--samples N", words.whole(1), "samples in a shard", 1000)
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Converts, and says how to train with the result."""
    source = source_of(args)
    words.out_folder("--out", args.out)
    if args.out.resolve() == Path(source.root).resolve():
        raise ConfigError(f"--out {args.out}: is the source; give another folder")
    from cen.data.readers.splitting import SPLITS
    from cen.data.tools.sharding import write_shards

    with printing.progress(*SPLITS) as advance:
        counts = write_shards(
            source, args.out, per_shard=args.samples, workers=args.workers, progress=advance
        )
    size = sum(file.stat().st_size for file in args.out.rglob("*.tar"))
    volume = f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.2f} MiB"
    rows = [(split, str(count), str(-(-count // args.samples))) for split, count in counts.items()]
    shown = printing.table(("split", "samples", "shards"), rows)
    then = f"next: cen train CONFIG --data.layout shards --data.root {args.out}"
    more = f"{volume} in {args.out}\n{then}"
    printing.emit(args, {"out": str(args.out), "samples": counts, "bytes": size}, shown, more)
    return 0
