"""Reader of the NYUDv2 layout of the released code, which is what Rooms writes too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import yaml
from numpy.typing import NDArray
from torch.utils.data import Dataset

from cen.data.files import read_labels
from cen.data.modality import Modality
from cen.data.sampling import Key, sample_rng, split_key
from cen.data.transforms import Sample, Transform
from cen.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Split = Literal["train", "validation", "test"]

COLUMNS = ("rgb", "segmentation", "depth")
_LABELS = "segmentation"
_LIST = {"train": "train.txt", "validation": "train.txt", "test": "val.txt"}
_BLOCKS = 5


@dataclass(frozen=True)
class _Row:
    """One line of a list: where it stands and its files by column."""

    place: str
    files: Mapping[str, str]


class NYUDv2Folder(Dataset[Sample]):
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
        columns: what the columns of the lists hold. A column more is a modality more.

    Attributes:
        classes: class names.
        palette: (C, 3) uint8 RGB colours.
        modalities: as read.

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
        classes: int | Sequence[str] | None = None,
        validation: float = 0.1,
        ignore_index: int = 255,
        transform: Transform | None = None,
        seed: int = 0,
        columns: Sequence[str] = COLUMNS,
    ) -> None:
        if split not in get_args(Split):
            raise DataError(f"no split {split!r}; there are {', '.join(get_args(Split))}")
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"{self.root}: no such folder; see docs/data.md for the layout")
        described = describe(self.root)
        self.modalities = dict(modalities) if modalities else _default_modalities(described)
        for name in (_LABELS, *self.modalities):
            if name not in columns:
                raise DataError(f"no column {name!r} in the lists; there are {', '.join(columns)}")
        self.classes = _class_names(classes, described, self.root)
        self.palette = palette_of(described, len(self.classes))
        self.split, self.seed = split, seed
        self.ignore_index, self.transform = ignore_index, transform
        path = self.root / _LIST[split]
        rows = _read_list(path, self.root, columns)
        self._rows = rows if split == "test" else _cut(rows, split, validation, path)
        self._check_files()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: int | Key) -> Sample:
        epoch, index = split_key(key)
        sample = self.raw(index)
        if self.transform is None:
            return sample
        return self.transform(sample, sample_rng(self.seed, epoch, index))

    def raw(self, index: int) -> Sample:
        """The sample as it is on disk, before any transform."""
        row = self._rows[index]
        try:
            sample: Sample = {
                name: modality.read(self.root / row.files[name])
                for name, modality in self.modalities.items()
            }
            sample[_LABELS] = self._labels(row)
            _same_sizes(row, sample)
        except DataError as error:
            raise DataError(f"{row.place}: {error}") from error
        sample["name"] = Path(row.files[next(iter(self.modalities))]).stem
        return sample

    def plot(self, sample: Mapping[str, Any]) -> Figure:
        """A figure of a sample, raw or transformed, with a legend of the classes in it."""
        from cen.data.plotting import plot_sample

        return plot_sample(sample, self.modalities, self.classes, self.palette, self.ignore_index)

    def _labels(self, row: _Row) -> NDArray[Any]:
        labels = read_labels(self.root / row.files[_LABELS])
        known = (labels >= 0) & (labels < len(self.classes))
        wrong = ~known & (labels != self.ignore_index)
        if np.any(wrong):
            values = ", ".join(str(value) for value in np.unique(labels[wrong])[:5])
            raise DataError(
                f"{row.files[_LABELS]}: label {values} outside 0..{len(self.classes) - 1}; set it "
                f"to {self.ignore_index} (ignore) or name more classes"
            )
        return labels

    def _check_files(self) -> None:
        """Names the first missing file now, rather than after an hour of training."""
        for row in self._rows:
            for name in (*self.modalities, _LABELS):
                if not (self.root / row.files[name]).is_file():
                    raise DataError(f"{row.place}: no file {row.files[name]} in {self.root}")


def describe(root: str | Path) -> dict[str, Any]:
    """What dataset.yaml in a data folder says; empty if there is none.

    Raises:
        DataError: it is no YAML mapping.
    """
    path = Path(root) / "dataset.yaml"
    if not path.is_file():
        return {}
    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not YAML ({error})") from error
    if not isinstance(described, dict):
        raise DataError(f"{path}: must hold keys and values, such as 'classes: [floor, wall]'")
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


def _default_modalities(described: Mapping[str, Any]) -> dict[str, Modality]:
    return {
        "rgb": Modality.of("image"),
        "depth": Modality.of("depth", unit=described.get("depth_unit")),
    }


def _class_names(
    classes: int | Sequence[str] | None, described: Mapping[str, Any], root: Path
) -> tuple[str, ...]:
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
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read the list ({error})") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        files = [part.strip() for part in line.split("\t")]
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


def _cut(rows: list[_Row], split: Split, validation: float, path: Path) -> list[_Row]:
    """The training or the validation part of the list at ``path``.

    Contiguous blocks: neighbouring frames often show one room. Several of them, evenly spaced, so
    that the validation part is not one kind of room only.
    """
    if not 0.0 <= validation < 1.0:
        raise DataError(f"validation: {validation} is no share of {path}, 0 <= share < 1")
    held = np.zeros(len(rows), dtype=bool)
    count = round(validation * len(rows))
    blocks = min(_BLOCKS, count)
    end = 0
    for block in range(blocks):
        done, length = (
            count * block // blocks,
            count * (block + 1) // blocks - count * block // blocks,
        )
        centre = (2 * block + 1) * len(rows) // (2 * blocks)
        # Where nearly all is held out, rounding must push no block into the next or over the end.
        first = max(end, min(centre - length // 2, len(rows) - (count - done)))
        end = first + length
        held[first:end] = True
    part = [row for row, out in zip(rows, held, strict=True) if out == (split == "validation")]
    if not part:
        raise DataError(
            f"{path}: validation = {validation} of {len(rows)} lines leaves the {split} split empty"
        )
    return part


def _same_sizes(row: _Row, sample: Mapping[str, NDArray[Any]]) -> None:
    sizes = {name: value.shape[:2] for name, value in sample.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{row.files[name]} {h} x {w}" for name, (h, w) in sizes.items())
        raise DataError(f"sizes differ: {listed}; align the sensors and resample first")
