"""The part of ``cen predict`` that goes over many scenes."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cen.cli import printing, sources, words
from cen.cli.parser import Parser
from cen.errors import CenWarning, ConfigError, printable

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
    parser.option("--frames N", words.whole(1, 10**9), "only the first N frames of videos, cameras")
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

    scenes, rate = _scenes(args, predictor, source)
    # Of all scenes: those of one part may lack a modality.
    modalities = {name for scene in scenes for name in scene.files} if args.split else args.free
    number, count = args.shard or (1, 1)
    scenes = shard_of(scenes, number, count)
    if not scenes:
        raise ConfigError(f"--shard {number}/{count}: holds no scene; give fewer parts")
    settings = {
        "modalities": sorted(modalities),
        "split": args.split,
        "tile": args.tile,
        "scales": args.scales,
        "flip": args.flip,
        "precision": args.precision,
        "unit": args.unit,
        "intrinsics": args.intrinsics and list(args.intrinsics),
        "probabilities": args.probabilities,
        # Frames of all videos have the same names.
        "videos": None if rate is None else dict(args.free),
    }
    check_settings(args.out, checkpoint_of(source), settings)
    done = itertools.count(1)
    with printing.progress("scenes") as show:
        outcome = predict_scenes(
            predictor,
            scenes,
            args.out,
            batch=args.batch,
            # Frames are decoded one after the other.
            workers=1 if rate is not None else args.workers or os.cpu_count() or 1,
            probabilities=args.probabilities,
            advance=lambda: show("scenes", next(done), len(scenes)),
        )
    videos = [] if rate is None or count > 1 else _join(args.out, scenes, rate)
    _tell(args, outcome, videos)
    return 1 if outcome.failed else 0


def _scenes(
    args: argparse.Namespace, predictor: Predictor, source: Path
) -> tuple[list[SceneSource], float | None]:
    """The scenes, and of videos their frames per second."""
    from cen.predict.collection import SETTINGS
    from cen.predict.videos import is_camera, is_video, video_scenes

    if not any(map(is_video, args.free.values())):
        if args.frames is not None:
            raise ConfigError("--frames: is of videos and cameras; leave it out")
        return _of_split(args, predictor, source) if args.split else _of_files(args), None
    if any(map(is_camera, args.free.values())) and (args.out / SETTINGS).exists():
        raise ConfigError(
            f"--out {args.out}: holds predictions, and what a camera saw does not come back; name "
            "another folder"
        )
    readings = {name: predictor.readings[name] for name in args.free}
    return video_scenes(args.free, readings, args.frames, args.intrinsics)


def _join(out: Path, scenes: Sequence[SceneSource], rate: float) -> list[Path]:
    """The overlays of all frames as a video for each segmentation."""
    from cen.predict.videos import join_pictures

    names = {file.name for scene in scenes[:1] for file in (out / scene.name).glob("*overlay.png")}
    videos = []
    for name in sorted(names):
        file = (out / name).with_suffix(".mp4")
        if join_pictures((out / scene.name / name for scene in scenes), file, rate):
            videos.append(file)
        else:
            warnings.warn(
                f"{file}: this OpenCV has no codec for it; the overlays of all frames are there",
                CenWarning,
                stacklevel=2,
            )
    return videos


def _of_files(args: argparse.Namespace) -> list[SceneSource]:
    from cen.predict.collection import SceneSource
    from cen.predict.geotiff import is_geotiff
    from cen.predict.scene_files import find_scenes

    def load(files: Inputs) -> tuple[Inputs, Intrinsics]:
        return files, args.intrinsics

    return [
        SceneSource(name, files, partial(load, files), any(map(is_geotiff, files.values())))
        for name, files in find_scenes(args.free, args.missing).items()
    ]


def _of_split(args: argparse.Namespace, predictor: Predictor, source: Path) -> list[SceneSource]:
    """The samples of a split of the data that the run was configured for."""
    from cen.predict.collection import SceneSource

    dataset = sources.dataset_of(source, args.split, args.free)

    def load(index: int) -> tuple[Inputs, Intrinsics]:
        read = {n: dataset.read(n, index, m) for n, m in predictor.modalities.items()}
        return read, args.intrinsics or dataset.extra(index).get("intrinsics")

    scenes = []
    for index in range(len(dataset)):
        files = dataset.files(index)
        own = {name: files[name] for name in predictor.modalities if name in files}
        scenes.append(SceneSource(dataset.name(index), own, partial(load, index)))
    return scenes


def _tell(args: argparse.Namespace, outcome: Outcome, videos: Sequence[Path]) -> None:
    rate = outcome.predicted / outcome.seconds if outcome.seconds else 0.0
    figures: dict[str, Any] = {
        "out": str(args.out),
        **asdict(outcome),
        "scenes_per_second": rate,
    }
    if videos:
        figures["videos"] = [str(file) for file in videos]
    summary = f"{outcome.predicted} scenes predicted to {args.out} ({rate:.1f} per second)"
    if outcome.skipped:
        summary += f", {outcome.skipped} were finished before"
    if outcome.failed:
        summary += f", {len(outcome.failed)} failed"
    summary += "".join(f"\nvideo: {file}" for file in videos)
    printing.emit(args, figures, summary)
    for name, error in outcome.failed.items():
        line = " ".join(f"{name}: {error}".split())
        print(f"cen: failed: {printable(line)}", file=sys.stderr)
