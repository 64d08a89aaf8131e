"""Predict on image files of one scene or of many, with any subset of a run's modalities.

Writes the label map, a colour overlay and a legend; of several outputs, files for each; of many
scenes, a folder for each.
"""

import argparse
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cen.cli import looks, predict_many, printing, sources, words
from cen.cli.parser import Parser
from cen.errors import ConfigError, nearest

if TYPE_CHECKING:
    from cen.predict.predictor import Predictor


_MANY = (
    "for many scenes name a folder (--rgb photos), a quoted pattern (--rgb 'photos/*.png') or a "
    "list (--rgb photos.txt)"
)


def add(parser: Parser) -> None:
    """Declares the options."""
    parser.free = "words"
    parser.usage = "cen predict RUN --rgb a.png --depth b.png -o OUT [--json]"
    parser.epilog = (
        "--NAME FILE gives the file of one modality of the run; at least one is needed. A folder, "
        "a quoted pattern ('photos/*.png') or a list (.txt) gives those of many scenes, which "
        "belong together by name; what is finished is not done again. A video, or the number of a "
        "camera, gives frames; a folder beside it has one file for each."
    )
    parser.surplus = f"; {_MANY}"
    sources.add_network(parser)
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
    parser.add_argument(
        "--no-fold",
        action="store_true",
        help="compute every stream in full; without this, what exchange made equal in the streams "
        "is computed once (cen.fold) for many scenes or a GeoTIFF, where that saves a tenth of "
        "the work, with the same result up to rounding",
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="also those of the classes, as NPZ"
    )
    predict_many.add(parser)
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Predicts and writes the pictures."""
    source = sources.network_source(args.run_folder)
    words.out_folder("--out", args.out)
    if not args.free and not args.split:
        raise ConfigError("cen predict needs the file of at least one modality: --rgb a.png")
    import cen
    from cen.predict.geotiff import is_geotiff
    from cen.predict.inputs import check_unit

    net = cen.load(source)
    many = bool(args.split) or _check_files(args.free, net.inputs, source)
    windows = not many and any(map(is_geotiff, args.free.values()))
    predictor = cen.Predictor(
        net,
        unit=args.unit,
        source=source,
        tile=args.tile,
        scales=args.scales,
        flip=args.flip,
        precision=args.precision,
        # One scene is predicted sooner than its graph is recorded.
        fold=None if (many or windows) and not args.no_fold else False,
    )
    if args.split is None and args.unit is not None:
        # A predictor may be used for other files later; this command is not.
        check_unit({name: predictor.modalities[name] for name in args.free})
    if many:
        return predict_many.run(args, predictor, source)
    with printing.telling_replaced(args.out, "a prediction"):
        if windows:
            return _geotiff(args, predictor)
        if [task.rules.labels for task in net.outputs.values()] != [True]:
            return _all(args, predictor)
        return _segmentation(args, predictor)


def _segmentation(args: argparse.Namespace, predictor: "Predictor") -> int:
    """Writes the only output, a segmentation."""
    prediction = predictor(args.free, intrinsics=args.intrinsics, probabilities=args.probabilities)
    files = {name: str(file) for name, file in prediction.save(args.out).items()}
    present = [entry for entry in prediction.legend() if entry["pixels"]]
    figures = {"inputs": args.free, "files": files, "alpha": prediction.alpha, "classes": present}
    rows = [(entry["class"], f"{100 * entry['share']:.1f}") for entry in present]
    written = "\n".join(f"{name}: {file}" for name, file in files.items())
    printing.emit(args, figures, printing.table(("class", "% of the image"), rows), written)
    return 0


def _check_files(places: Mapping[str, str], inputs: Collection[str], source: Path) -> bool:
    """Refuses what names no files of a modality; whether they are those of many scenes."""
    from cen.predict.scene_files import names_many
    from cen.predict.videos import is_camera, is_video

    for name in places:
        if name not in inputs:
            raise ConfigError(f"--{name}: is no modality of {source}{nearest(name, inputs)}")
    for name, text in places.items():
        words.free_path(f"--{name}", text)
    many = {name: names_many(text) or is_video(text) for name, text in places.items()}
    for name, text in places.items():
        if not many[name] and any(many.values()):
            other = next(other for other, several in many.items() if several)
            raise ConfigError(
                f"--{name} {text}: is one file, but --{other} names many; {_MANY} for each"
            )
        if not Path(text).exists() and (not many[name] or (is_video(text) and not is_camera(text))):
            raise ConfigError(f"--{name} {text}: no such file")
    return all(many.values())


def _geotiff(args: argparse.Namespace, predictor: "Predictor") -> int:
    """Writes every output as GeoTIFF; of several the file names start with theirs."""
    from cen.predict.geotiff import predict_geotiff

    files_by_output = predict_geotiff(
        predictor,
        args.free,
        args.out,
        probabilities=args.probabilities,
        intrinsics=args.intrinsics,
    )
    outputs = {
        name: {"files": {key: str(file) for key, file in files.items()}}
        for name, files in files_by_output.items()
    }
    lines = [
        f"{name} {key}: {file}" for name, of in outputs.items() for key, file in of["files"].items()
    ]
    printing.emit(args, {"inputs": args.free, "outputs": outputs}, "\n".join(lines))
    return 0


def _all(args: argparse.Namespace, predictor: "Predictor") -> int:
    """Writes every output; of several the file names start with theirs."""
    figures: dict[str, Any] = {"inputs": args.free, "outputs": {}}
    rows, written = [], []
    from cen.predict.predictions import file_prefix

    predictions = predictor.all(
        args.free, intrinsics=args.intrinsics, probabilities=args.probabilities
    )
    for name, prediction in predictions.items():
        files = prediction.save(args.out, prefix=file_prefix(name, predictions))
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
