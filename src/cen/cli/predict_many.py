"""The part of ``cen predict`` that goes over many scenes."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cen.cli import printing, sources, words
from cen.cli.parser import Parser
from cen.errors import ConfigError, printable

if TYPE_CHECKING:
    from cen.predict.collection import Outcome, SceneSource
    from cen.predict.inputs import Inputs, Intrinsics
    from cen.predict.predictor import Predictor


def add(parser: Parser) -> None:
    """Declares the options that many scenes have."""
    parser.option(
        "--split split",
        ["train", "validation", "test"],
        "predict this split of the data of the run, in place of files (--data.root FOLDER: where "
        "they are)",
    )
    parser.option("--batch N", words.whole(1, 4096), "scenes of one size at once", 1)
    parser.option("--workers N", words.whole(1, 256), "threads that read; default: one per core")
    parser.option("--shard K/N", _shard, "only the K-th of N equal parts of the scenes")
    parser.option(
        "--missing what",
        ["error", "skip", "predict"],
        "scenes that lack modalities: an error, left out, or predicted from the others",
        "error",
    )


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError("is no part; write the third of sixteen as 3/16")
    return int(number), int(count)


def run(args: argparse.Namespace, predictor: Predictor, source: Path) -> int:
    """Predicts all scenes; 1 where one of them failed."""
    from cen.models.network_file import checkpoint_of
    from cen.predict.collection import check_settings, predict_scenes, shard_of

    scenes = _of_split(args, predictor, source) if args.split else _of_files(args)
    number, count = args.shard or (1, 1)
    scenes = shard_of(scenes, number, count)
    if not scenes:
        raise ConfigError(f"--shard {number}/{count}: holds no scene; give fewer parts")
    settings = {
        "modalities": sorted({name for scene in scenes for name in scene.files}),
        "split": args.split,
        "tile": args.tile,
        "scales": args.scales,
        "flip": args.flip,
        "precision": args.precision,
        "unit": args.unit,
        "intrinsics": args.intrinsics and list(args.intrinsics),
        "probabilities": args.probabilities,
    }
    if count > 1:
        del settings["modalities"]  # of one part some may lack a modality
    check_settings(args.out, checkpoint_of(source), settings)
    done = itertools.count(1)
    with printing.progress("scenes") as show:
        outcome = predict_scenes(
            predictor,
            scenes,
            args.out,
            batch=args.batch,
            workers=args.workers or os.cpu_count() or 1,
            probabilities=args.probabilities,
            advance=lambda: show("scenes", next(done), len(scenes)),
        )
    _tell(args, outcome)
    return 1 if outcome.failed else 0


def _of_files(args: argparse.Namespace) -> list[SceneSource]:
    from cen.predict.collection import SceneSource
    from cen.predict.geotiff import is_geotiff
    from cen.predict.scene_files import find_scenes

    def load(files: Inputs) -> tuple[Inputs, Intrinsics]:
        return files, args.intrinsics

    found = find_scenes(args.free, args.missing)
    return [
        SceneSource(s.name, s.files, partial(load, s.files), any(map(is_geotiff, s.files.values())))
        for s in found
    ]


def _of_split(args: argparse.Namespace, predictor: Predictor, source: Path) -> list[SceneSource]:
    """The samples of a split of the data that the run was configured for."""
    from cen.predict.collection import SceneSource
    from cen.training.setup import open_dataset

    folder = source if source.is_dir() else source.parent
    config = sources.config_of(sources.run_folder(folder), args.free)
    sources.need_data(config)
    dataset = open_dataset(config, args.split)

    def load(index: int) -> tuple[Inputs, Intrinsics]:
        read = {n: dataset.read(n, index, m) for n, m in predictor.modalities.items()}
        return read, args.intrinsics or dataset.extra(index).get("intrinsics")

    scenes = []
    for index in range(len(dataset)):
        files = dataset.files(index)
        own = {name: files[name] for name in predictor.modalities if name in files}
        scenes.append(SceneSource(dataset.name(index), own, partial(load, index)))
    return scenes


def _tell(args: argparse.Namespace, outcome: Outcome) -> None:
    rate = outcome.predicted / outcome.seconds if outcome.seconds else 0.0
    figures: dict[str, Any] = {
        "out": str(args.out),
        "predicted": outcome.predicted,
        "skipped": outcome.skipped,
        "failed": outcome.failed,
        "seconds": outcome.seconds,
        "scenes_per_second": rate,
    }
    told = f"{outcome.predicted} scenes predicted to {args.out} ({rate:.1f} per second)"
    if outcome.skipped:
        told += f", {outcome.skipped} were finished before"
    if outcome.failed:
        told += f", {len(outcome.failed)} failed"
    printing.emit(args, figures, told)
    for name, error in outcome.failed.items():
        line = " ".join(f"{name}: {error}".split())
        print(f"cen: failed: {printable(line)}", file=sys.stderr)
