"""What a writer of Rooms gets: which scenes, where to, and the scenes rendered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cen.data.fields.geometry import pinhole
from cen.data.rooms.labels import LabelSet, label_set
from cen.data.rooms.raycast import camera_of
from cen.data.rooms.render import SPLITS, render_scene, scene_index
from cen.data.rooms.scene import sample_scene
from cen.data.tools.parallel import in_order
from cen.errors import DataError
from cen.files import write_text

# Raised when the pictures change, so that two folders which say the same hold the same.
VERSION = 1

Rendered = Mapping[str, NDArray[Any]]
Result = TypeVar("Result")


@dataclass(frozen=True)
class SceneKey:
    """One scene to write.

    Attributes:
        split: "train" or "test".
        number: of the scene in its split, from 0.
    """

    split: str
    number: int

    @property
    def name(self) -> str:
        """Unique over both splits."""
        return f"{self.split}_{self.number:05d}"

    @property
    def index(self) -> int:
        """For `render_scene`."""
        return scene_index(self.split, self.number)


WriteScene = Callable[[Path, SceneKey, Rendered], None]
"""Called with the root, a scene and its arrays by domain."""


@dataclass(frozen=True)
class Plan:
    """What is to be written, for the writer of a layout.

    A writer puts its files below ``root`` and returns what dataset.yaml is to say, usually
    `description`; the caller writes that last. A layout of single files uses `each`, whose
    ``write`` runs in the worker processes; one with a container of all scenes uses `rendered`.

    Attributes:
        root: the folder, which exists.
        layout: name of the layout.
        labels: which label set ``segmentation`` is.
        size: height and width in pixels.
        train, test: number of scenes of each split.
        seed: which sequence of scenes.
        workers: processes that render; 0 or 1: this one does.
        progress: called with (written, total) after each scene.
    """

    root: Path
    layout: str
    labels: LabelSet
    size: tuple[int, int]
    train: int
    test: int
    seed: int
    workers: int = 0
    progress: Callable[[int, int], object] | None = None

    @property
    def scenes(self) -> list[SceneKey]:
        """The training scenes, then the test scenes."""
        return [SceneKey(split, n) for split, count in self.counts.items() for n in range(count)]

    @property
    def counts(self) -> dict[str, int]:
        """Number of scenes by split."""
        return {"train": self.train, "test": self.test}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return label_set(self.labels).classes

    def description(self, **more: Any) -> dict[str, Any]:
        """What dataset.yaml says of the pictures and labels, and what a layout says besides."""
        names = label_set(self.labels)
        return {
            "name": "rooms",
            "version": VERSION,
            "layout": self.layout,
            "labels": self.labels,
            "classes": list(names.classes),
            "palette": [list(colour) for colour in names.palette],
            "ignore_index": 255,
            **more,
            "size": list(self.size),
            "seed": self.seed,
            "splits": self.counts,
            "first_scene": {split: SPLITS[split] for split in self.counts},
        }

    def described_apart(self, **more: Any) -> dict[str, Any]:
        """As `description`, of a layout with keys of its own: what it needs of it, and the rest."""
        needed = {key: self.description()[key] for key in ("classes", "palette")}
        return {**needed, **more, "about": self.description()}  # no list twice: YAML would refer

    def each(self, write: WriteScene, domains: Sequence[str]) -> None:
        """Renders every scene and has it written.

        Args:
            write: called in the process that rendered: a function of a module, so that it can be
                sent there.
            domains: what is rendered, see ``render_scene``.
        """
        render = partial(_render, self.seed, self.size, tuple(domains))
        for _ in self._run(partial(_render_and_write, self.root, write, render)):
            pass

    def rendered(self, domains: Sequence[str]) -> Iterator[tuple[SceneKey, Rendered]]:
        """Yields every scene with its arrays by domain, in the order of `scenes`."""
        render = partial(_render, self.seed, self.size, tuple(domains))
        return zip(self.scenes, self._run(render), strict=True)

    def write_lists(self, files: Mapping[str, str], line: Callable[[SceneKey], str]) -> None:
        """Writes a list for each split, by the names of their files, with a line for each scene."""
        for split, file in files.items():
            lines = [line(scene) for scene in self.scenes if scene.split == split]
            write_text(self.root / file, "\n".join(lines) + "\n", DataError)

    def intrinsics(self, scene: SceneKey) -> NDArray[np.float64]:
        """(3, 3) camera matrix of a scene in pixels; (0, 0) is the centre of the first pixel."""
        drawn = sample_scene(np.random.default_rng([self.seed, scene.index, 0]))
        return pinhole(camera_of(drawn, self.size).focal, self.size)

    def _run(self, task: Callable[[SceneKey], Result]) -> Iterator[Result]:
        """Results of ``task`` for every scene, in order."""
        scenes = self.scenes
        results = in_order(task, scenes, self.workers, self.root)
        for done, result in enumerate(results, start=1):
            yield result
            if self.progress is not None:
                self.progress(done, len(scenes))


def in_steps(values: NDArray[Any], steps: float, dtype: DTypeLike) -> NDArray[Any]:
    """Values times so many steps, as whole numbers; 0 where missing."""
    return np.asarray(np.rint(steps * np.nan_to_num(values.astype(np.float64))).astype(dtype))


def without_holes(rendered: Rendered) -> NDArray[np.float32]:
    """The depth of the sensor with the exact depth in its holes."""
    return np.where(np.isnan(rendered["depth"]), rendered["depth_clean"], rendered["depth"])


def _render(
    seed: int, size: tuple[int, int], domains: tuple[str, ...], scene: SceneKey
) -> Rendered:
    return render_scene(seed, scene.index, size, domains)


def _render_and_write(
    root: Path,
    write: WriteScene,
    render: Callable[[SceneKey], Rendered],
    scene: SceneKey,
) -> None:
    write(root, scene, render(scene))
