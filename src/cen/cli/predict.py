"""Predict on image files of one scene or of many, with any subset of a run's modalities.

Writes the label map, a colour overlay and a legend; of several outputs, files for each; of many
scenes, a folder for each.
"""

import argparse
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cen.cli import predict_many, printing, sources, words
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
    words.add_looks(parser, "auto")
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
    alone = not windows and [task.rules.labels for task in net.outputs.values()] == [True]
    with printing.telling_replaced(args.out, "a prediction"):
        _emit(args, (_geotiff if windows else _pictures)(args, predictor), alone)
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


def _pictures(args: argparse.Namespace, predictor: "Predictor") -> dict[str, dict[str, Any]]:
    """Writes every output, and says of each its files and a few figures."""
    from cen.predict.predictions import file_prefix

    predictions = predictor.all(
        args.free, intrinsics=args.intrinsics, probabilities=args.probabilities
    )
    outputs = {}
    for name, prediction in predictions.items():
        files = prediction.save(args.out, file_prefix(name, predictions))
        outputs[name] = {"files": _texts(files), **prediction.facts()}
    return outputs


def _geotiff(args: argparse.Namespace, predictor: "Predictor") -> dict[str, dict[str, Any]]:
    """Writes every output as GeoTIFF, and says of each its files."""
    from cen.predict.geotiff import predict_geotiff

    files_by_output = predict_geotiff(
        predictor,
        args.free,
        args.out,
        probabilities=args.probabilities,
        intrinsics=args.intrinsics,
    )
    return {name: {"files": _texts(files)} for name, files in files_by_output.items()}


def _texts(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: str(file) for name, file in files.items()}


def _emit(args: argparse.Namespace, outputs: Mapping[str, dict[str, Any]], alone: bool) -> None:
    """Prints what was written; a segmentation that is ``alone`` is told class by class."""
    if alone:
        (only,) = outputs.values()
        figures = {"inputs": args.free, **{key: only[key] for key in ("files", "alpha", "classes")}}
        rows = [(entry["class"], f"{100 * entry['share']:.1f}") for entry in only["classes"]]
        shown = [printing.table(("class", "% of the image"), rows)]
        written = [f"{key}: {file}" for key, file in only["files"].items()]
    else:
        figures = {"inputs": args.free, "outputs": outputs}
        seen = [(name, of["kind"], _seen(of)) for name, of in outputs.items() if "kind" in of]
        shown = [printing.table(("output", "kind", "what was seen"), seen)] if seen else []
        written = [
            f"{name} {key}: {file}"
            for name, of in outputs.items()
            for key, file in of["files"].items()
        ]
    printing.emit(args, figures, *shown, "\n".join(written))


def _seen(output: Mapping[str, Any]) -> str:
    """What was predicted, in a few words."""
    if "classes" in output:
        return ", ".join(f"{x['class']} {100 * x['share']:.1f} %" for x in output["classes"])
    return f"{output['least']:.3g} to {output['greatest']:.3g}, mean {output['mean']:.3g}"


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
