"""Measure what exchange costs, what a network takes, and how fast samples are read."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cen.cli import printing, sources, words
from cen.cli.parser import Parser
from cen.errors import ConfigError
from cen.files import write_bytes

if TYPE_CHECKING:
    from cen.bench.bench_model import Measured


def add(parser: Parser) -> None:
    """Declares the options."""
    verbs = parser.add_subparsers(title="commands", metavar="VERB", dest="action", required=True)
    exchange, model, data = _add_exchange(verbs), _add_model(verbs), _add_data(verbs)
    for verb in (exchange, model):
        verb.option("--device DEVICE", _device, "cpu or cuda", "cpu")
    for verb in (exchange, data, model):
        verb.option("--rounds N", words.whole(6), "pairs to measure", 15)
        printing.add_json(verb)


def _add_exchange(verbs: Any) -> Parser:
    exchange: Parser = verbs.add_parser(
        "exchange",
        help="time of exchange between two modalities",
        description="Three networks (RefineNet) take turns in one process: stream norms with "
        "exchange, without it, and plain batch norm on the same packed tensor; then the same of a "
        "block of each stage of MiT-B2 (tokens) and ConvNeXt-T (maps) with layer norms. Printed "
        "are the paired ratios of their times, with intervals of 95 percent.",
    )
    exchange.option("--encoder NAME", str, "", "resnet50")
    exchange.option("--batch N", words.whole(1, 4096), "images", 2)
    exchange.option("--size H W", words.whole(32, 4096), "", [240, 320])
    exchange.add_argument(
        "--compile", action="store_true", help="run the networks under torch.compile"
    )
    return exchange


def _add_model(verbs: Any) -> Parser:
    model: Parser = verbs.add_parser(
        "model",
        help="time, memory and share of the machine's peak of a network, in several forms",
        description="A network of a configuration, with random weights on random data: as a list "
        "of tensors (each layer called once per stream), packed (as cen runs it) and folded, which "
        "take turns in one process. Ratios have intervals of 95 percent; the peak is that of a "
        "product of matrices, measured beside them. Every key of the configuration is an option, "
        "--model.encoder resnet50. Several streams, batches and sizes: every combination.",
    )
    model.free = "keys"
    model.add_argument(
        "config",
        metavar="CONFIG",
        nargs="?",
        type=words.path_text,
        default="rooms-demo",
        help="a YAML file, or a name that cen configs ls prints; default: rooms-demo",
    )
    model.option("--streams S...", words.whole(1, 64), "modalities; default: the configured ones")
    model.option("--batch N...", words.whole(1, 4096), "samples; default: train.batch_size")
    model.option(
        "--size H W...",
        words.whole(1, words.SIDE),
        "pixels; default: what the configuration crops or resizes to, else 96 128",
    )
    model.option(
        "--rate R", words.factor(0, 1), "share of the own channels that is exchanged; default: 0.5"
    )
    model.option("--mode MODE...", ("evaluation", "training"), "default: both")
    model.add_argument(
        "--compile", action="store_true", help="also under torch.compile, which takes minutes"
    )
    model.add_argument("--no-memory", action="store_true", help="leave the peak of memory out")
    model.option("--picture PNG", words.path, "also draw the figures")
    return model


def _add_data(verbs: Any) -> Parser:
    data: Parser = verbs.add_parser(
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
    return data


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", text):
        raise argparse.ArgumentTypeError("is no device; give cpu or cuda, or one GPU as cuda:1")
    return text


def run(args: argparse.Namespace) -> int:
    """Measures and prints the paired ratios."""
    done: int = {"data": _data, "exchange": _exchange, "model": _model}[args.action](args)
    return done


def _data(args: argparse.Namespace) -> int:
    words.out_folder("FOLDER", args.root)
    from cen.bench.bench_data import bench_data

    speeds = bench_data(
        args.root,
        frames=args.frames,
        rounds=args.rounds,
        progress=_tell,
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
        progress=_tell,
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


def _model(args: argparse.Namespace) -> int:
    sides = args.size or []
    if len(sides) % 2:
        raise ConfigError(f"--size {' '.join(map(str, sides))}: give pairs of height and width")
    if args.picture:
        words.out_file("--picture", args.picture, ".png")
    config = sources.load_config(args.config, args.free)
    from cen.bench.bench_model import bench_model
    from cen.bench.model_steps import MODES

    speeds = bench_model(
        config,
        streams=args.streams or [],
        batches=args.batch or [],
        sizes=list(zip(sides[::2], sides[1::2], strict=True)),
        rate=args.rate,
        rounds=args.rounds,
        modes=[mode for mode in MODES if mode in (args.mode or MODES)],
        compiled=args.compile,
        memory=not args.no_memory,
        device=args.device,
        progress=_tell,
    )
    if args.picture:
        from cen.bench.model_picture import picture

        write_bytes(args.picture, picture(speeds))
    peak = f"{speeds.peak / 1e9:.3g} billion multiply-adds per second in a product of matrices"
    machine = f"{speeds.machine}, threads: {speeds.threads}, {speeds.clock} time"
    table = printing.table(_HEAD, [_row(measured) for measured in speeds.measured])
    printing.emit(args, speeds.to_dict(), table, f"{machine}, PyTorch {speeds.torch}: {peak}")
    return 0


_HEAD = (
    "mode",
    "form",
    "streams",
    "batch",
    "size",
    "rate",
    "s",
    "samples/s",
    "× list",
    "95 %",
    "GMAC",
    "of peak",
    "MB",
    "compile s",
)


def _row(m: "Measured") -> tuple[str, ...]:
    return (
        m.mode,
        m.form,
        str(m.streams),
        str(m.batch),
        f"{m.size[0]}×{m.size[1]}",
        f"{m.rate:.2f}",
        f"{m.seconds:.4g}",
        f"{m.samples_per_second:.3g}",
        f"{m.faster.median:.2f}",
        f"{m.faster.low:.2f} .. {m.faster.high:.2f}",
        f"{m.multiply_adds / 1e9:.3g}",
        f"{100 * m.peak_share.median:.0f} %",
        "–" if m.memory is None else f"{m.memory / 1e6:.0f}",
        "–" if m.compile_seconds is None else f"{m.compile_seconds:.0f}",
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
