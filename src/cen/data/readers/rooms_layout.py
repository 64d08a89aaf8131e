"""Rooms as a layout: every domain a field, rendered when first read and then kept in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.modality import Modality
from cen.data.readers.aligned import AlignedDataset, Frame
from cen.data.readers.dataset_yaml import Classes
from cen.data.rooms.labels import LabelSet, label_set
from cen.data.rooms.render import render_scene, scene_index
from cen.errors import ConfigError, DataError, did_you_mean
from cen.options.constraints import Share, Within

_LABELS = "segmentation"
_Side = Annotated[int, Within(16, 4096)]
_Scenes = Annotated[int, Within(1, 10**9)]
# Keeps the draw of what is annotated apart from that of the scenes.
_ANNOTATED = 17

FIELDS: Mapping[str, Mapping[str, Any]] = {
    "rgb": {"kind": "image", "channels": 3},
    "depth": {"kind": "depth"},
    "depth_clean": {"kind": "depth"},
    "normal": {"kind": "normal", "channels": 3},
    "reshading": {"kind": "continuous", "channels": 1},
    "albedo": {"kind": "image", "channels": 3},
    "edge_texture": {"kind": "edge", "channels": 1},
    "edge_occlusion": {"kind": "edge", "channels": 1},
    "principal_curvature": {"kind": "continuous", "channels": 2},
    _LABELS: {"kind": "label"},
}


class RoomsLayout(AlignedDataset):
    """Rooms without files: the scenes that ``cen data rooms`` would write, with all their domains.

    A scene is rendered when it is first read (some 10 ms on one core at 64 × 96 pixels) and then
    kept in memory, in each process that reads. The scenes and their splits are those of the written
    layouts: ``train`` scenes, of which ``validation`` are held out in blocks, and ``test`` others.

    Arguments that are not named here are those of every reader, see `AlignedDataset`.

    Args:
        root: not used; nothing is read or written.
        classes: None, or the class names of the label set once more.
        validation: share of the training scenes that is the validation split.
        size: height and width in pixels.
        labels: which label set ``segmentation`` is, "parts" or "functions".
        train: number of training scenes, the validation split included.
        test: number of test scenes.
        scenes: seed of the scenes.
        annotated: share of the training and validation scenes that have ground truth, by field,
            to try out partly annotated data; a field not named has it everywhere. Scenes without
            any are left out. Test scenes have all of it.

    Raises:
        ConfigError: an option out of range.
        DataError: no such split, or an empty one.
    """

    def open(
        self,
        classes: int | Sequence[str] | None,
        *,
        size: tuple[_Side, _Side] = (96, 128),
        labels: LabelSet = "parts",
        train: _Scenes = 1000,
        test: _Scenes = 200,
        scenes: Annotated[int, Within(0, 10**9)] = 0,
        annotated: Mapping[str, Share] | None = None,
    ) -> None:
        """Chooses the scenes; see the class for the options."""
        chosen = label_set(labels)
        class_count = classes if isinstance(classes, int) or classes is None else len(classes)
        if class_count not in (None, len(chosen.classes)):
            raise ConfigError(
                f"data.classes: {class_count}, but this label set of Rooms has "
                f"{len(chosen.classes)} classes; leave data.classes out"
            )
        for name in annotated or {}:
            if name not in FIELDS:
                raise ConfigError(
                    f"data.options.annotated: {name} is no field of Rooms"
                    f"{did_you_mean(name, FIELDS)}; there are {', '.join(FIELDS)}"
                )
        self.size, self.labels_of, self.scenes = (size[0], size[1]), labels, scenes
        self.labels = {_LABELS: Classes(chosen.classes, np.array(chosen.palette, dtype=np.uint8))}
        self.fields = FIELDS
        count, self._part = (test, "test") if self.split == "test" else (train, "train")
        # As the scenes are called in the written layouts.
        names = [f"{self._part}_{number:05d}" for number in range(count)]
        self._all = [
            Frame(names[n], {}, f"Rooms, seed {scenes}, {names[n]}", number=n)
            for n in self.cut(names, "Rooms")
        ]
        self._shares = dict(annotated or {}) if self.split != "test" else {}
        self.partial = bool(self._shares)
        self._kept: dict[int, dict[str, NDArray[Any]]] = {}

    def select(
        self,
        modalities: Mapping[str, Modality] | None = None,
        targets: Mapping[str, Modality] | None = None,
    ) -> None:
        """Chooses the fields that are read; scenes left without any ground truth are left out."""
        self.frames = self._all
        super().select(modalities, targets)
        if inputs := [name for name in self._shares if name in (modalities or ())]:
            raise ConfigError(
                f"data.options.annotated: {', '.join(inputs)} is an input here; only outputs can "
                "be absent"
            )
        if not self.targets:
            return
        self.frames = [frame for i, frame in enumerate(self._all) if self.annotated(i)]
        if not self.frames:
            raise DataError(
                f"data.options.annotated: {self._shares} leaves no scene of the {self.split} split "
                "any ground truth; raise the shares, or data.options.train"
            )

    def annotated(self, index: int) -> tuple[str, ...]:
        """The targets that this scene has ground truth for, drawn by its number."""
        seed = [self.scenes, self.frames[index].number, _ANNOTATED]
        chances = np.random.default_rng(seed).random(len(FIELDS))
        drawn = dict(zip(FIELDS, chances.tolist(), strict=True))
        return tuple(n for n in self.targets if drawn[n] < self._shares.get(n, 1.0))

    def read(self, field: str, index: int, modality: Modality) -> NDArray[Any]:
        """Renders all fields that are read of a scene at once; hands out one."""
        number = self.frames[index].number
        if field not in self._kept.get(number, {}):
            fields = {**self.targets, **self.modalities, field: None}
            domains = {name: self.labels_of if name == _LABELS else name for name in fields}
            scene = scene_index(self._part, number)
            rendered = render_scene(self.scenes, scene, self.size, set(domains.values()))
            for picture in rendered.values():
                picture.flags.writeable = False
            self._kept[number] = {name: rendered[domain] for name, domain in domains.items()}
        return self._kept[number][field]
