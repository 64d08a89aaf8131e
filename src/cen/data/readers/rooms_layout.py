"""Rooms as a layout: every domain a field, rendered when first read and then kept in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.modality import Modality
from cen.data.readers.aligned import AlignedDataset
from cen.data.readers.dataset_yaml import Classes
from cen.data.rooms.labels import LabelSet, label_set
from cen.data.rooms.render import render_scene
from cen.data.rooms.splits import scene_index
from cen.errors import ConfigError, DataError, shown

_LABELS = "segmentation"
_SIDES = (16, 4096)
_SCENES = 10**9
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
        size: Sequence[int] = (96, 128),
        labels: LabelSet = "parts",
        train: int = 1000,
        test: int = 200,
        scenes: int = 0,
        annotated: Mapping[str, float] | None = None,
    ) -> None:
        """Chooses the scenes; see the class for the options."""
        _check_options(size, {"train": train, "test": test, "scenes": scenes})
        try:
            chosen = label_set(labels)
        except ValueError as error:
            raise ConfigError(f"data.options.labels: {error}") from None
        self._check_classes(classes, chosen.classes)
        self.size, self.labels_of, self.scenes = (int(size[0]), int(size[1])), labels, scenes
        self.labels = {_LABELS: Classes(chosen.classes, np.array(chosen.palette, dtype=np.uint8))}
        self.fields = FIELDS
        count = test if self.split == "test" else train
        self._all = self.cut([f"scene {number}" for number in range(count)], "Rooms")
        shares = _shares(annotated)
        self._shares = shares if self.split != "test" else {}
        self.partial = bool(self._shares)
        self._kept: dict[int, dict[str, NDArray[Any]]] = {}

    def select(
        self,
        modalities: Mapping[str, Modality] | None = None,
        targets: Mapping[str, Modality] | None = None,
    ) -> None:
        """Chooses the fields that are read; scenes left without any ground truth are left out.

        Raises:
            ConfigError: a modality or target is no field of Rooms, or ``annotated`` names an input.
            DataError: no scene is left.
        """
        self._numbers = self._all
        super().select(modalities, targets)
        if inputs := [name for name in self._shares if name in (modalities or ())]:
            raise ConfigError(
                f"data.options.annotated: {', '.join(inputs)} is an input here; only outputs can "
                "be absent"
            )
        if not self.targets:
            return
        self._numbers = [n for i, n in enumerate(self._all) if self.annotated(i)]
        if not self._numbers:
            raise DataError(
                f"data.options.annotated: {self._shares} leaves no scene of the {self.split} split "
                "any ground truth; raise the shares, or data.options.train"
            )

    def __len__(self) -> int:
        return len(self._numbers)

    def name(self, index: int) -> str:
        """The name that the scene has in the written layouts."""
        part = "test" if self.split == "test" else "train"
        return f"{part}_{self._numbers[index]:05d}"

    def annotated(self, index: int) -> tuple[str, ...]:
        """The targets that this scene has ground truth for, drawn by its number."""
        number = self._numbers[index]
        chances = np.random.default_rng([self.scenes, number, _ANNOTATED]).random(len(FIELDS))
        drawn = dict(zip(FIELDS, chances.tolist(), strict=True))
        return tuple(n for n in self.targets if drawn[n] < self._shares.get(n, 1.0))

    def place(self, index: int) -> str:
        """Which scene of Rooms."""
        return f"Rooms, seed {self.scenes}, {self.name(index)}"

    def files(self, index: int) -> dict[str, Path]:
        """None: there are no files."""
        return {}

    def read(self, field: str, index: int, modality: Modality) -> NDArray[Any]:
        """Renders all fields that are read of a scene at once; hands out one."""
        kept = self._kept.get(index)
        if kept is None or field not in kept:
            kept = self._kept[index] = self._render(index, field)
        return kept[field]

    def _render(self, index: int, field: str) -> dict[str, NDArray[Any]]:
        wanted = {**self.targets, **self.modalities, field: None}
        domains = {name: self.labels_of if name == _LABELS else name for name in wanted}
        part = "test" if self.split == "test" else "train"
        number = scene_index(part, self._numbers[index])
        rendered = render_scene(self.scenes, number, self.size, set(domains.values()))
        for picture in rendered.values():
            picture.flags.writeable = False
        return {name: rendered[domain] for name, domain in domains.items()}

    @staticmethod
    def _check_classes(given: int | Sequence[str] | None, label_classes: Sequence[str]) -> None:
        count = given if isinstance(given, int) or given is None else len(given)
        if count not in (None, len(label_classes)):
            raise ConfigError(
                f"data.classes: {count}, but this label set of Rooms has {len(label_classes)} "
                "classes; leave data.classes out"
            )


def _shares(annotated: object) -> dict[str, float]:
    """The option ``annotated``, checked.

    Raises:
        ConfigError: it is no mapping of fields to shares.
    """
    if annotated is None:
        return {}
    if not isinstance(annotated, Mapping):
        raise ConfigError(
            f"data.options.annotated: {annotated!r} is no mapping of fields to shares; write "
            "{depth: 0.3}"
        )
    for name, share in annotated.items():
        number = isinstance(share, int | float) and not isinstance(share, bool)
        if name not in FIELDS or not (number and 0 <= share <= 1):
            raise ConfigError(
                f"data.options.annotated: {name}: {share!r} is no field of Rooms with a share "
                f"between 0 and 1; the fields are {', '.join(FIELDS)}"
            )
    return dict(annotated)


def _check_options(size: Any, counts: Mapping[str, Any]) -> None:
    """Refuses options that describe no Rooms; they come from a file, so they may be anything.

    Raises:
        ConfigError: Naming the option.
    """

    def is_whole(value: Any, least: int, most: int) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    if (
        not isinstance(size, list | tuple)
        or len(size) != 2
        or not all(is_whole(side, *_SIDES) for side in size)
    ):
        raise ConfigError(
            f"data.options.size: {shown(size)} is no size of Rooms; give [height, width] of "
            f"{_SIDES[0]} to {_SIDES[1]} pixels each"
        )
    for name, value in counts.items():
        least = 0 if name == "scenes" else 1
        if not is_whole(value, least, _SCENES):
            raise ConfigError(
                f"data.options.{name}: {shown(value)} is no whole number from {least} to {_SCENES}"
            )
