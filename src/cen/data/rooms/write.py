"""Rooms as files, in the layouts of real data sets, so that the readers for those read it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import yaml

from cen.data.files import write_png
from cen.data.rooms.labels import LabelSet, label_set
from cen.data.rooms.render import render_scene
from cen.data.rooms.splits import SPLITS, scene_index
from cen.errors import DataError
from cen.files import write_bytes

Layout = Literal["nyudv2"]

# Raised when the pictures change, so that two folders which say the same hold the same.
VERSION = 1

_FOLDERS = ("rgb", "masks", "depth")
_LISTS = {"train": "train.txt", "test": "val.txt"}


@dataclass(frozen=True)
class _Scene:
    """What one file triple is made from."""

    split: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.split}_{self.number:05d}.png"


def write_rooms(
    out: str | Path,
    layout: Layout = "nyudv2",
    labels: LabelSet = "parts",
    size: tuple[int, int] = (96, 128),
    train: int = 1000,
    test: int = 200,
    seed: int = 0,
    workers: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Writes Rooms to disk in the layout that ``NYUDv2Folder`` reads.

    Depth is written in whole millimetres, holes as 0, so reading gives back exactly what ``Rooms``
    renders. Scenes of the test split never occur in the training split. dataset.yaml is written
    last; a folder with one is complete, and writing the same data set there again does nothing.

    Args:
        out: the folder; made if absent.
        layout: ``"nyudv2"``: rgb/, masks/, depth/, train.txt and val.txt (the test split).
        labels: ``"parts"`` or ``"functions"``.
        size: height and width in pixels.
        train: number of scenes of the training split.
        test: number of scenes of the test split.
        seed: which sequence of scenes.
        workers: processes that render; 0 or 1: this one does. More need a script whose top level
            can be imported (``if __name__ == "__main__":``).
        progress: called with (written, total) after each scene.

    Returns:
        The folder.

    Raises:
        DataError: the folder holds another data set or cannot be written.
        ValueError: an argument out of range.
    """
    if layout not in get_args(Layout):
        raise ValueError(f"no layout {layout!r}; there are {', '.join(get_args(Layout))}")
    if min(train, test) < 1:
        raise ValueError(f"each split needs a scene, got train={train} and test={test}")
    root = Path(out)
    description = _description(labels, size, train, test, seed)
    if _already_there(root, description):
        return root
    try:
        for folder in _FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        scenes = [_Scene("train", n) for n in range(train)] + [
            _Scene("test", n) for n in range(test)
        ]
        task = partial(_write_scene, root, labels, size, seed)
        for written, _ in enumerate(_run(task, scenes, workers), start=1):
            if progress is not None:
                progress(written, len(scenes))
        for split, name in _LISTS.items():
            lines = [
                "\t".join(f"{f}/{s.name}" for f in _FOLDERS) for s in scenes if s.split == split
            ]
            write_bytes(root / name, ("\n".join(lines) + "\n").encode())
        text = yaml.safe_dump(description, sort_keys=False, default_flow_style=None)
        write_bytes(root / "dataset.yaml", text.encode())
    except OSError as error:
        raise DataError(f"{root}: cannot write there ({error})") from error
    return root


def _write_scene(
    root: Path, labels: LabelSet, size: tuple[int, int], seed: int, scene: _Scene
) -> None:
    index = scene_index(scene.split, scene.number)
    arrays = render_scene(seed, index, size, ("rgb", "depth", labels))
    millimetres = np.rint(1000.0 * np.nan_to_num(arrays["depth"].astype(np.float64)))
    write_png(root / "rgb" / scene.name, arrays["rgb"])
    write_png(root / "masks" / scene.name, arrays[labels])
    write_png(root / "depth" / scene.name, millimetres.astype(np.uint16))


def _run(task: Callable[[_Scene], None], scenes: list[_Scene], workers: int) -> Iterator[None]:
    if workers <= 1:
        yield from map(task, scenes)
        return
    # Spawned: a process with OpenCV's or torch's threads running cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(task, scenes, chunksize=8)


def _description(
    labels: LabelSet, size: tuple[int, int], train: int, test: int, seed: int
) -> dict[str, Any]:
    names = label_set(labels)
    return {
        "name": "rooms",
        "version": VERSION,
        "layout": "nyudv2",
        "labels": labels,
        "classes": list(names.classes),
        "palette": [list(colour) for colour in names.palette],
        "ignore_index": 255,
        "depth_unit": 0.001,
        "size": list(size),
        "seed": seed,
        "splits": {"train": train, "test": test},
        "first_scene": {split: SPLITS[split] for split in _LISTS},
    }


def _already_there(root: Path, description: dict[str, Any]) -> bool:
    """Whether ``root`` holds this very data set, complete.

    Raises:
        DataError: it holds something else.
    """
    path = root / "dataset.yaml"
    if path.is_file():
        if yaml.safe_load(path.read_text(encoding="utf-8")) == description:
            return True
        raise DataError(
            f"{path}: the folder holds another data set; choose another folder or delete this one"
        )
    if any((root / name).exists() for name in _LISTS.values()):
        raise DataError(f"{root}: holds lists of another data set; choose another folder")
    return False
