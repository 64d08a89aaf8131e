"""What reading and augmenting costs: samples per second against a plain PIL and NumPy pipeline."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cen.bench.timing import Interval, Progress, Step, check_rounds, paired_ratio, take_turns, timed
from cen.data import NYUDv2Folder, train_transform, write_rooms
from cen.data.sampling import sample_rng
from cen.data.transforms import Transform

SIZE = (480, 640)
CROP = (500, 500)
NAMES = ("cen", "pil", "decode")
_TURNS = 8


@dataclass(frozen=True)
class Speeds:
    """Speeds of the pipelines, and the paired ratios of their times.

    Attributes:
        per_second: samples per second of one core, median of the rounds. "cen";
            "pil": the same steps with Pillow and NumPy; "decode": OpenCV decodes the PNG files and
            nothing else.
        ratios: "pil / cen" and "cen / decode": median of the paired ratios of the times, and the
            ends of an interval that holds it with at least 95 % (order statistics).
        rounds: number of pairs.
    """

    per_second: dict[str, float]
    ratios: dict[str, Interval]
    rounds: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def bench_data(
    root: str | Path,
    *,
    frames: int = 12,
    rounds: int = 15,
    progress: Progress = None,
) -> Speeds:
    """Times augmented samples of NYUDv2's size: 480 x 640 RGB, depth and mask to 500 x 500 crops.

    The steps are those of the released training: random scale 0.5 to 2 with the shorter side at
    least 350, mirror, pad, crop, normalise. The pipelines take turns in one process with one
    thread, on the same files, which are in the page cache, and with the same random numbers. Time
    is that of the processor, so that what else the machine does counts as little as possible.

    Args:
        root: folder for the files, Rooms in the layout of NYUDv2; rendered if it is not there.
        frames: samples per turn.
        rounds: pairs to measure.
        progress: called with a line of text now and then.

    Returns:
        The speeds.

    Raises:
        ConfigError: fewer than 6 rounds, which give no interval.
        DataError: the folder holds something else.
    """
    check_rounds(rounds)
    write_rooms(root, size=SIZE, train=frames, test=1)
    turns = pipelines(Path(root))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        times = take_turns(
            {name: _turn(turns[name], frames) for name in NAMES},
            rounds,
            partial(timed, clock=time.process_time),
            progress,
            warm_up=1,
        )
    finally:
        cv2.setNumThreads(threads)
    return Speeds(
        {name: frames / float(np.median(times[name])) for name in NAMES},
        {
            f"{one} / {other}": paired_ratio(times[one], times[other])
            for one, other in (("pil", "cen"), ("cen", "decode"))
        },
        rounds,
    )


def _turn(pipeline: Callable[[int, int], Any], frames: int) -> Step:
    """Reads the frames of the next of a few epochs."""
    epochs = itertools.count()

    def step() -> None:
        epoch = next(epochs) % _TURNS
        for index in range(frames):
            pipeline(epoch, index)

    return step


def pipelines(root: Path) -> dict[str, Callable[[int, int], Any]]:
    """The pipelines by name: functions of (epoch, index)."""
    dataset = NYUDv2Folder(root, "train", validation=0.0)
    transform = train_transform(dataset.modalities, crop=CROP)
    dataset.transform = transform
    files = [dataset.files(index) for index in range(len(dataset))]

    def cen(epoch: int, index: int) -> Any:
        return dataset[(epoch, index)]

    def pil(epoch: int, index: int) -> Any:
        return pil_sample(files[index], transform, sample_rng(dataset.seed, epoch, index))

    def decode(epoch: int, index: int) -> Any:
        return [
            cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
            for path in files[index].values()
        ]

    return {"cen": cen, "pil": pil, "decode": decode}


def pil_sample(
    files: Mapping[str, Path], transform: Transform, rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """One sample as a plain Pillow and NumPy pipeline makes it, with the same random numbers.

    It is written as such pipelines usually are, and without waste: one resize per picture, the
    crop before the conversion to float. Its outputs are those of ``transform`` but for Pillow's
    own cubic interpolation, which smooths where it shrinks.
    """
    zoom, mirror, top, left = rng.random(4)
    pictures = {name: Image.open(path) for name, path in files.items()}
    width, height = pictures["rgb"].size
    low, high = transform.scale or (1.0, 1.0)
    factor = low + zoom * (high - low)
    factor = max(factor, (transform.shorter_side or 1) / min(height, width))
    size = (round(width * factor), round(height * factor))
    sample = {}
    for name, picture in pictures.items():
        if name == "rgb":
            scaled = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        else:
            scaled = picture.resize(size, Image.Resampling.NEAREST)
        if mirror < transform.flip:
            scaled = scaled.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        sample[name] = np.asarray(scaled)
    crop = transform.crop or SIZE
    start = [
        _start(have, want, chance)
        for have, want, chance in zip(sample["rgb"].shape[:2], crop, (top, left), strict=True)
    ]
    return {name: _finished(name, array, transform, start) for name, array in sample.items()}


def _start(have: int, want: int, chance: float) -> int:
    """Where a random crop begins; negative where the picture is padded before its first pixel."""
    pad = max(0, (want - have + 1) // 2)
    return int(chance * (have + 2 * pad - want + 1)) - pad


def _finished(
    name: str, array: NDArray[Any], transform: Transform, start: Sequence[int]
) -> NDArray[Any]:
    """Crops, normalises, pads."""
    crop = transform.crop or SIZE
    rows, columns = (
        slice(max(first, 0), min(first + want, have))
        for first, want, have in zip(start, crop, array.shape[:2], strict=True)
    )
    inside = array[rows, columns]
    target = (
        slice(rows.start - start[0], rows.stop - start[0]),
        slice(columns.start - start[1], columns.stop - start[1]),
    )
    if name == "segmentation":
        labels = np.full(crop, transform.ignore_index, dtype=np.int64)
        labels[target] = inside
        return labels
    modality = transform.modalities[name]
    values = inside.astype(np.float32)
    if modality.field_kind.metres:
        numbers = (values * np.float32(modality.unit) - modality.mean[0]) / modality.std[0]
        numbers[inside == 0] = 0.0
        canvas = np.zeros((1, *crop), dtype=np.float32)
        canvas[0][target] = numbers
        return canvas
    mean, std = np.array((modality.mean, modality.std), dtype=np.float32)
    canvas = np.zeros((3, *crop), dtype=np.float32)
    canvas[(slice(None), *target)] = ((values / 255.0 - mean) / std).transpose(2, 0, 1)
    return canvas
