"""Export the network of a run to ONNX or to a program of PyTorch, and compare what it gives.

One file for each subset of the modalities; what a file expects is in its metadata.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cen.cli import printing, sources, words
from cen.cli.parser import Parser
from cen.errors import ConfigError, nearest

if TYPE_CHECKING:
    from cen.models import ChannelExchangeNetwork


def add(parser: Parser) -> None:
    """Declares the options."""
    sources.add_network(parser)
    parser.option("-o --out OUT", words.path, "folder to write to", Path("exported"))
    parser.option("--format format", ["onnx", "pt2"], "ONNX, or torch.export", "onnx")
    parser.option("--inputs NAMES", str, "modalities with commas between, rgb,depth; default: all")
    parser.add_argument(
        "--all-subsets", action="store_true", help="a file for every subset of the modalities"
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="take 8-bit images and metres as they are: clipping, encoding and normalisation "
        "become part of the file",
    )
    parser.add_argument(
        "--fold", action="store_true", help="compute once what exchange made equal (cen.fold)"
    )
    parser.option(
        "--streams NAMES",
        str,
        "with --fold: keep the predictions of these streams alone, and leave out what they do not "
        "read; default: all",
    )
    parser.option(
        "--precision precision",
        ["fp32", "fp16", "int8"],
        "of what is computed; int8 (ONNX alone) is calibrated on training samples and scored on "
        "those of the validation split",
        "fp32",
    )
    parser.option(
        "--tolerance T",
        words.factor(0, 100),
        "largest difference allowed, of the largest value (default: 1e-4, with fp16 0.02); with "
        "int8 points that the score of an output may lose (default: 1)",
    )
    parser.option(
        "--calibration N", words.whole(1, 10000), "training samples for int8; default: 32"
    )
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exports, and prints how each file compares."""
    if args.inputs and args.all_subsets:
        raise ConfigError("--inputs and --all-subsets: give one of them")
    if args.calibration and args.precision != "int8":
        raise ConfigError("--calibration: is of --precision int8 alone; leave it out")
    source = sources.network_source(args.run_folder)
    words.out_folder("--out", args.out)
    import cen
    from cen.predict.exporting import Exporting, export
    from cen.training.export_samples import samples_of
    from cen.training.fusion_scores import subsets

    net = cen.load(source)
    streams = _chosen("--streams", args.streams, net) if args.streams else None
    how = Exporting(args.format, args.fold, args.raw, args.precision, args.tolerance, streams)
    which = [tuple(net.inputs)]
    if args.all_subsets:
        kept = set(streams or net.inputs)
        which = [s for s in subsets(which[0]) if net.predicted_from(s) and kept & {*s}]
    elif args.inputs:
        which = [_chosen("--inputs", args.inputs, net)]
    calibrated = (args.calibration or 32) if how.precision == "int8" else 0
    samples, calibration, real = samples_of(net, source, calibrated)
    rows, figures = [], {}
    for names in which:
        path = args.out / f"{'+'.join(names)}.{args.format}"
        with printing.telling_replaced(args.out, "exported networks"):
            comparison = export(net, path, samples, how, names=names, calibration=calibration)
        figures["+".join(names)] = {"file": str(path), **comparison._asdict()}
        values = (f"{comparison.difference:.1e}", f"{100 * comparison.labels:.3f}")
        scores = [f"{score:.2f}" for pair in comparison.scores.values() for score in pair]
        speeds = (f"{1000 * comparison.seconds:.1f}", f"{1000 * comparison.eager:.1f}")
        rows.append((str(path), *values, *scores, *speeds))
    head = ["file", "largest difference", "same labels %"]
    for name in next(iter(figures.values()))["scores"]:
        text = net.outputs[name].rules.headline_text()
        head += [f"{text} of {name} %", f"in {how.precision}"]
    head += ["ms", "ms in PyTorch"]
    notes = [f"compared on {'samples of the validation split' if real else 'random pictures'}"]
    notes += [
        f"{name}: PyTorch itself differs by {entry['rounding']:.1e} from float64, so that this is "
        "rounding"
        for name, entry in figures.items()
        if entry["rounding"]
    ]
    document = {"real_samples": real, "files": figures}
    printing.emit(args, document, printing.table(head, rows), "\n".join(notes))
    return 0


def _chosen(option: str, text: str, net: "ChannelExchangeNetwork") -> tuple[str, ...]:
    names = text.split(",")
    for name in names:
        if name not in net.inputs:
            raise ConfigError(f"{option} {text}: no modality {name!r}{nearest(name, net.inputs)}")
    return tuple(name for name in net.inputs if name in names)
