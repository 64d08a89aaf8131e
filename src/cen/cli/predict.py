"""Predict on image files of one scene, with any subset of a run's modalities.

Writes the label map, a colour overlay and a legend; of several outputs, files for each.
"""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cen.cli import looks, printing, sources, words
from cen.cli.parser import Parser
from cen.errors import ConfigError, nearest

if TYPE_CHECKING:
    from cen.predict.predictor import Predictor


_ONE_SCENE = (
    "cen predict takes one scene, one file for each modality. For many, call it for each (for f in "
    "rgb/*.png; do cen predict RUN --rgb $f -o out/$(basename $f); done), or load the network once "
    "in Python with cen.Predictor"
)


def add(parser: Parser) -> None:
    """Declares the options."""
    parser.free = "words"
    parser.usage = "cen predict RUN --rgb a.png --depth b.png -o OUT [--json]"
    parser.epilog = "--NAME FILE gives the file of one modality of the run; at least one is needed."
    parser.surplus = f"; {_ONE_SCENE}"
    parser.add_argument(
        "run_folder", metavar="RUN", type=words.path, help="folder of a run, or a .safetensors file"
    )
    parser.option("-o --out OUT", words.path, "folder to write to", Path("out"))
    parser.option(
        "--intrinsics FX,FY,CX,CY",
        _four,
        "camera of the pictures in pixels, for encodings that ask for it (hha, normals) where "
        "the run has no fixed one",
    )
    parser.option(
        "--unit METRES",
        words.factor(1e-9, 1e9),
        "metres per stored value of these depth files; default: that of the training data",
    )
    looks.add(parser, "auto")
    parser.option(
        "--precision precision",
        ["fp32", "bf16", "fp16"],
        "of what the network computes; the short ones suit devices made for them",
        "fp32",
    )
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Predicts and writes the pictures."""
    source = sources.network_source(args.run_folder)
    words.out_folder("--out", args.out)
    if not args.free:
        raise ConfigError("cen predict needs the file of at least one modality: --rgb a.png")
    import cen
    from cen.predict.inputs import check_unit

    net = cen.load(source)
    for name in args.free:
        if name not in net.inputs:
            raise ConfigError(f"--{name}: is no modality of {source}{nearest(name, net.inputs)}")
    for name, text in args.free.items():
        _one_file(f"--{name}", text)
    predictor = cen.Predictor(
        net,
        unit=args.unit,
        source=source,
        tile=args.tile,
        scales=args.scales,
        flip=args.flip,
        precision=args.precision,
    )
    if args.unit is not None:
        # A predictor may be used for other files later; this command is not.
        check_unit({name: predictor.modalities[name] for name in args.free})
    if [task.rules.labels for task in net.outputs.values()] != [True]:
        return _all(args, predictor)
    prediction = predictor(args.free, intrinsics=args.intrinsics)
    files = {name: str(file) for name, file in prediction.save(args.out).items()}
    present = [entry for entry in prediction.legend() if entry["pixels"]]
    figures = {"inputs": args.free, "files": files, "alpha": prediction.alpha, "classes": present}
    rows = [(entry["class"], f"{100 * entry['share']:.1f}") for entry in present]
    written = "\n".join(f"{name}: {file}" for name, file in files.items())
    printing.emit(args, figures, printing.table(("class", "% of the image"), rows), written)
    return 0


def _one_file(option: str, text: str) -> None:
    """Refuses what is not the file of one scene."""
    words.free_path(option, text)
    file = Path(text)
    if file.is_dir():
        raise ConfigError(f"{option} {file}: is a folder; {_ONE_SCENE}")
    if not file.exists():
        many = any(character in text for character in "*?")
        raise ConfigError(f"{option} {file}: no such file" + (f"; {_ONE_SCENE}" if many else ""))


def _all(args: argparse.Namespace, predictor: "Predictor") -> int:
    """Writes every output; the file names start with its name."""
    figures: dict[str, Any] = {"inputs": args.free, "outputs": {}}
    rows, written = [], []
    for name, prediction in predictor.all(args.free, intrinsics=args.intrinsics).items():
        files = prediction.save(args.out, prefix=f"{name}-")
        entry: dict[str, Any] = {"files": {key: str(file) for key, file in files.items()}}
        if hasattr(prediction, "legend"):
            present = [item for item in prediction.legend() if item["pixels"]]
            entry |= {"kind": "segmentation", "alpha": prediction.alpha, "classes": present}
            summary = ", ".join(f"{x['class']} {100 * x['share']:.1f} %" for x in present)
        else:
            entry |= prediction.facts()
            summary = f"{entry['least']:.3g} to {entry['greatest']:.3g}, mean {entry['mean']:.3g}"
        figures["outputs"][name] = entry
        rows.append((name, entry["kind"], summary))
        written += [f"{name} {key}: {file}" for key, file in entry["files"].items()]
    shown = printing.table(("output", "kind", "what was seen"), rows)
    printing.emit(args, figures, shown, "\n".join(written))
    return 0


def _four(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError("is not four numbers, as in 580,580,320,240")
    if not (all(map(math.isfinite, numbers)) and min(numbers[:2]) > 0):
        raise argparse.ArgumentTypeError("is no camera; its first two numbers are above 0")
    return numbers
