"""Rooms as a PyTorch data set, rendered while it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset

from cen.data.fields.modality import Modality
from cen.data.rooms.labels import LabelSet, label_set
from cen.data.rooms.render import render_scene, scene_index
from cen.data.sampling import Key, sample_rng, split_key
from cen.data.transforms import Sample, Transform

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTHS = {"train": 1000, "validation": 200, "test": 200}


class Rooms(Dataset[Sample]):
    """Rooms with boxes, spheres, cylinders and cones of wood, plaid and stone.

    Rendered on the fly, deterministic in (seed, split, index); the splits share no scene. Materials
    are invisible to depth; shapes are hard to see in dim light; prints of objects on walls and
    floor look like objects in colour and are flat in depth. Label sets: ``"parts"``, one class per
    (shape, material), 12 classes; ``"functions"``, (shape + material) mod 3, of which neither shape
    nor material alone says anything; both with floor, wall and ceiling. This project's own data
    set: numbers on it are not comparable with published ones.

    A sample is a dict: the domains asked for as ``render_scene`` describes them, ``segmentation``
    (H, W) uint8, ``name``; with a transform what that makes of it. The key of a sample is its
    index, or (epoch, index) to draw other random transforms in every epoch.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        size: height and width in pixels.
        labels: the label set.
        seed: which sequence of scenes; also seeds the random transforms.
        length: number of scenes; by default 1000, 200 and 200.
        domains: what a sample holds besides labels and name.
        transform: applied to every sample.

    Attributes:
        classes: class names.
        palette: (C, 3) uint8 RGB colours.
        modalities: how ``rgb`` and ``depth`` become numbers by default.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        split: str = "train",
        size: tuple[int, int] = (96, 128),
        labels: LabelSet = "parts",
        seed: int = 0,
        length: int | None = None,
        domains: Sequence[str] = ("rgb", "depth"),
        transform: Transform | None = None,
    ) -> None:
        scene_index(split, 0)
        names = label_set(labels)
        self.split, self.size, self.labels, self.seed = split, size, labels, seed
        self.length = LENGTHS[split] if length is None else length
        self.domains, self.transform = tuple(domains), transform
        self.classes = names.classes
        self.palette = np.array(names.palette, dtype=np.uint8)
        self.modalities = {"rgb": Modality.of("image"), "depth": Modality.of("depth")}

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: int | Key) -> Sample:
        epoch, index = split_key(key)
        if not 0 <= index < self.length:
            raise IndexError(f"scene {index} of {self.length}")
        sample: Sample = dict(
            render_scene(
                self.seed,
                scene_index(self.split, index),
                self.size,
                (*self.domains, self.labels),
            )
        )
        sample["segmentation"] = sample[self.labels]
        if self.labels not in self.domains:
            del sample[self.labels]
        sample["name"] = f"{self.split}_{index:05d}"
        if self.transform is None:
            return sample
        return self.transform(sample, sample_rng(self.seed, epoch, index))

    def plot(self, sample: Mapping[str, Any]) -> Figure:
        """A figure of a sample, raw or transformed, with a legend of the classes in it."""
        from cen.data.plotting import plot_sample
        from cen.data.readers.dataset_yaml import Classes
        from cen.data.readers.rooms_layout import FIELDS

        domains = {name: Modality.of(**field) for name, field in FIELDS.items()}
        labels = {"segmentation": Classes(self.classes, self.palette)}
        return plot_sample(sample, self.modalities, domains, labels)
