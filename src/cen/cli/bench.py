"""Measure what exchange costs in time, and how fast samples are read."""

import argparse
import re
import sys
from pathlib import Path

from cen.cli import printing, words
from cen.cli.parser import Parser


def add(parser: Parser) -> None:
    """Declares the options."""
    verbs = parser.add_subparsers(title="commands", metavar="VERB", dest="action", required=True)
    exchange = verbs.add_parser(
        "exchange",
        help="time of exchange in RefineNet with two modalities",
        description="Three networks take turns in one process: stream norms with exchange, "
        "without it, and plain batch norm on the same packed tensor. Printed are the paired "
        "ratios of their times, with intervals of 95 percent.",
    )
    exchange.option("--encoder NAME", str, "", "resnet50")
    exchange.option("--batch N", words.whole(1, 4096), "images", 2)
    exchange.option("--size H W", words.whole(32, 4096), "", [240, 320])
    exchange.option("--device DEVICE", _device, "cpu or cuda", "cpu")
    exchange.add_argument(
        "--compile", action="store_true", help="run the networks under torch.compile"
    )
    data = verbs.add_parser(
        "data",
        help="augmented samples of NYUDv2's size per second and process",
        description="Reading 480 x 640 RGB, depth and mask, random scale, mirror and 500 x 500 "
        "crop, against a plain Pillow and NumPy pipeline of the same steps, and against decoding "
        "the PNG files alone. The three take turns in one process with one thread.",
    )
    place, what = Path("data/bench"), "files; rendered if absent"
    data.add_argument(
        "root", metavar="FOLDER", nargs="?", type=words.path, default=place, help=what
    )
    data.option("--frames N", words.whole(1), "samples per turn", 12)
    for verb in (exchange, data):
        verb.option("--rounds N", words.whole(6), "pairs to measure", 15)
        printing.add_json(verb)


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", text):
        raise argparse.ArgumentTypeError("is no device; give cpu or cuda, or one GPU as cuda:1")
    return text


def run(args: argparse.Namespace) -> int:
    """Measures and prints the paired ratios."""
    return _data(args) if args.action == "data" else _exchange(args)


def _data(args: argparse.Namespace) -> int:
    words.out_folder("FOLDER", args.root)
    from cen.bench.bench_data import bench_data

    speeds = bench_data(
        args.root,
        frames=args.frames,
        rounds=args.rounds,
        progress=lambda line: print(line, file=sys.stderr),
    )
    rates = [(name, f"{rate:.1f}") for name, rate in speeds.per_second.items()]
    ratios = [
        (n, f"{m:.3f}", f"{low:.3f} .. {high:.3f}") for n, (m, low, high) in speeds.ratios.items()
    ]
    printing.emit(
        args,
        speeds.to_dict(),
        printing.table(("pipeline", "samples per second"), rates),
        printing.table(("times", "ratio", "95 % interval"), ratios),
    )
    return 0


def _exchange(args: argparse.Namespace) -> int:
    from cen.bench.bench_exchange import bench_exchange

    ratios = bench_exchange(
        encoder=args.encoder,
        batch=args.batch,
        size=tuple(args.size),
        rounds=args.rounds,
        device=args.device,
        compiled=args.compile,
        progress=lambda line: print(line, file=sys.stderr),
    )
    rows = [
        (r.mode, r.name, f"{r.median:.4f}", f"{r.low:.4f} .. {r.high:.4f}", f"{r.seconds:.3f}")
        for r in ratios
    ]
    head = ("mode", "networks", "ratio", "95 % interval", "seconds of the first")
    printing.emit(
        args, {"ratios": [ratio.to_dict() for ratio in ratios]}, printing.table(head, rows)
    )
    return 0
