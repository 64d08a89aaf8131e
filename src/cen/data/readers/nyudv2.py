"""Reader of the NYUDv2 layout of the released code, which is what Rooms writes too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.modality import Modality
from cen.data.formats.text_lists import existing, forward, read_lines
from cen.data.readers.aligned import AlignedDataset, Classes, Split, check_split, cut_validation
from cen.data.transforms import Transform
from cen.documents import read_yaml
from cen.errors import DataError, did_you_mean

COLUMNS = ("rgb", "segmentation", "depth")
_LABELS = "segmentation"
_LIST = {"train": "train.txt", "validation": "train.txt", "test": "val.txt"}


@dataclass(frozen=True)
class _Row:
    """One line of a list: where it stands and its files by column."""

    place: str
    files: Mapping[str, str]


class NYUDv2Folder(AlignedDataset):
    """RGB, depth and labels in the folder layout of the released CEN and RefineNet code.

    Layout::

        root/train.txt     lines of tab-separated paths below root: rgb, masks, depth
        root/val.txt       the same for the TEST split (NYUDv2's official 654 images)
        root/rgb/          8-bit colour
        root/masks/        8-bit labels 0..C-1, 255 = ignore
        root/depth/        16-bit depth, 0 = missing; unit: see ``Modality.unit``
        root/dataset.yaml  optional: classes, palette, depth_unit (this project's extension)

    NYUDv2 in this layout has 795 + 654 frames of 480 x 640 pixels and 40 classes. N. Silberman,
    D. Hoiem, P. Kohli, R. Fergus, "Indoor Segmentation and Support Inference from RGBD Images",
    ECCV 2012; 40 classes: S. Gupta, P. Arbelaez, J. Malik, CVPR 2013.

    A sample is a dict: ``rgb`` (H, W, 3) uint8, ``depth`` (H, W) float32 metres with NaN where
    nothing was measured, ``segmentation`` (H, W) uint8, ``name``; with a transform what that makes
    of it. The key of a sample is its index, or (epoch, index) to draw other random transforms in
    every epoch; the random numbers depend on (seed, epoch, index) alone.

    Args:
        root: the folder.
        split: ``"train"``, ``"validation"`` (contiguous blocks cut from train.txt, so that frames
            of one room do not stand on both sides) or ``"test"``.
        modalities: which columns are read, and how; by default RGB and depth with the defaults
            of ``Modality.of`` and the depth unit of dataset.yaml.
        classes: class names or their number; None: what dataset.yaml says.
        validation: share of train.txt that is the validation split, 0 <= share < 1.
        ignore_index: label value that is no class.
        transform: applied to every sample.
        seed: of the random transforms.
        targets: which columns are read as ground truth; by default the labels.
        columns: what the columns of the lists hold. A column more is a field more, an 8-bit image
            unless ``modalities`` says otherwise.

    Raises:
        DataError: at once: a missing root, list or file, an empty list, a path that leaves the
            root, a wrong number of columns; on reading: a file that cannot be decoded, sizes that
            differ, a label outside the classes. The message names the list, the line and the file.
    """

    def __init__(
        self,
        root: str | Path,
        split: Split,
        modalities: Mapping[str, Modality] | None = None,
        targets: Mapping[str, Modality] | None = None,
        *,
        classes: int | Sequence[str] | None = None,
        validation: float = 0.1,
        ignore_index: int = 255,
        transform: Transform | None = None,
        seed: int = 0,
        columns: Sequence[str] = COLUMNS,
    ) -> None:
        check_split(split)
        if not Path(root).is_dir():
            raise DataError(f"{root}: no such folder; see docs/data.md for the layout")
        described = describe(root, ("classes", "palette", "depth_unit"))
        # Those of Rooms are not the user's: in a few frames some do not occur.
        self.own_classes = described.get("name") != "rooms"
        names = class_names(classes, described, Path(root))
        self.labels = {_LABELS: Classes(names, palette_of(described, len(names)))}
        known: dict[str, dict[str, Any]] = {
            "depth": {"kind": "depth", "unit": described.get("depth_unit")},
            _LABELS: {"kind": "label"},
        }
        self.fields = {name: known.get(name, {"kind": "image"}) for name in columns}
        self.known = tuple({*columns, *COLUMNS})
        path = Path(root) / _LIST[split]
        rows = _read_list(path, Path(root), columns)
        if split != "test":
            places = [row.place for row in rows]
            rows = [rows[index] for index in cut_validation(places, validation, split, str(path))]
        self._rows = rows
        super().__init__(
            root,
            split,
            modalities,
            targets,
            ignore_index=ignore_index,
            transform=transform,
            seed=seed,
        )

    def __len__(self) -> int:
        return len(self._rows)

    def name(self, index: int) -> str:
        """Stem of the sample's first input."""
        first = next(iter(self.modalities), next(iter(self.fields)))
        return Path(self._rows[index].files[first]).stem

    def place(self, index: int) -> str:
        """The list and the line."""
        return self._rows[index].place

    def files(self, index: int) -> dict[str, Path]:
        """The files of one line."""
        return {name: self.root / file for name, file in self._rows[index].files.items()}

    def read(self, field: str, index: int, modality: Modality) -> NDArray[Any]:
        """Reads one file of one line."""
        return modality.read(self.root / self._rows[index].files[field])


def describe(root: str | Path, keys: Sequence[str]) -> dict[str, Any]:
    """What dataset.yaml in a data folder says; empty if there is none.

    Args:
        root: the folder.
        keys: what the reader takes of it; beside them ``about`` may hold anything.

    Raises:
        DataError: it is no YAML mapping, or has other keys, which would be passed over silently.
    """
    path = Path(root) / "dataset.yaml"
    if not path.is_file():
        return {}
    described = read_yaml(path, DataError).value
    if not isinstance(described, dict):
        raise DataError(f"{path}: must hold keys and values, such as 'classes: [floor, wall]'")
    # What Rooms writes of itself is beside the keys in one layout.
    for key in [] if described.get("name") == "rooms" else described:
        if key not in (*keys, "about"):
            raise DataError(
                f"{path}: {key}: is no key of this layout{did_you_mean(key, keys)}; there are "
                f"{', '.join(keys)}, and about for anything else"
            )
    return described


def palette_of(described: Mapping[str, Any], classes: int) -> NDArray[np.uint8]:
    """(C, 3) RGB colours: those of dataset.yaml if it has one per class, else well separated ones.

    Raises:
        DataError: dataset.yaml holds something else than RGB colours.
    """
    given = described.get("palette")
    if given is not None:
        try:
            colours = np.array(given, dtype=np.uint8).reshape(len(given), 3)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"dataset.yaml: palette: must be a list of [red, green, blue], 0..255 ({error})"
            ) from error
        if len(colours) == classes:
            return colours
    # Steps of the golden ratio keep any number of hues apart.
    hues = np.arange(classes) * 0.618034 % 1.0
    levels = 0.55 + 0.45 * (np.arange(classes) % 3) / 2.0
    waves = 0.5 + 0.5 * np.cos(2.0 * np.pi * (hues[:, None] + np.array((0.0, 1 / 3, 2 / 3))))
    bright = 255.0 * levels[:, None] * (0.15 + 0.85 * waves)
    return np.asarray(np.rint(bright), dtype=np.uint8)


def class_names(
    classes: int | Sequence[str] | None, described: Mapping[str, Any], root: Path
) -> tuple[str, ...]:
    """The names of the classes: as given, else as dataset.yaml says; a number makes names of it.

    Raises:
        DataError: neither says it, or it is no number or list.
    """
    given = described.get("classes") if classes is None else classes
    if given is None:
        raise DataError(
            f"{root}: how many classes? Set data.classes, or write dataset.yaml with 'classes:'"
        )
    if not isinstance(given, int | Sequence) or isinstance(given, str):
        raise DataError(f"{root}: classes must be their number or a list of names, not {given!r}")
    names = tuple(str(n) for n in (range(given) if isinstance(given, int) else given))
    if not names:
        raise DataError(f"{root}: there must be at least one class")
    return names


def _read_list(path: Path, root: Path, columns: Sequence[str]) -> list[_Row]:
    lines = read_lines(path)
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        files = [existing(root, forward(part.strip())) for part in line.split("\t")]
        if len(files) != len(columns):
            raise DataError(
                f"{place}: {len(files)} columns instead of {len(columns)}; a line holds "
                f"the paths of {', '.join(columns)}, with tabs between them"
            )
        for file in files:
            # By name alone, so that a data folder may hold links to another disk.
            inside = Path(os.path.normpath(file))
            if not file or inside.is_absolute() or inside.parts[:1] == ("..",):
                raise DataError(f"{place}: path {file!r} leaves {root}; paths are relative to it")
        rows.append(_Row(place, dict(zip(columns, files, strict=True))))
    if not rows:
        raise DataError(f"{path}: the list is empty")
    return rows
