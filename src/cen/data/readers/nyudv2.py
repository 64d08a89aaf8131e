"""Reader of the NYUDv2 layout of the released code, which is what Rooms writes too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cen.data.formats.text_lists import composed, existing, forward, leaves, read_entries
from cen.data.readers.aligned import AlignedDataset, Frame
from cen.data.readers.dataset_yaml import describe, described_classes
from cen.errors import DataError

COLUMNS = ("rgb", "segmentation", "depth")
_LABELS = "segmentation"
_LIST = {"train": "train.txt", "validation": "train.txt", "test": "val.txt"}


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
    nothing was measured, ``segmentation`` (H, W) uint8, ``name``.

    Arguments that are not named here are those of every reader, see `AlignedDataset`.

    Args:
        split: ``"train"``, ``"validation"`` (contiguous blocks cut from train.txt, so that frames
            of one room do not stand on both sides) or ``"test"``.
        modalities: which columns are read, and how; by default RGB and depth with the defaults
            of ``Modality.of`` and the depth unit of dataset.yaml.
        classes: class names or their number; None: what dataset.yaml says.
        validation: share of train.txt that is the validation split, 0 <= share < 1.
        targets: which columns are read as ground truth; by default the labels.
        columns: what the columns of the lists hold. A column more is a field more, an 8-bit image
            unless ``modalities`` says otherwise.

    Raises:
        DataError: at once: a missing root, list or file, an empty list, a path that leaves the
            root, a wrong number of columns, a picture in both lists; on reading: a file that cannot
            be decoded, sizes that differ, a label outside the classes. The message names the list,
            the line and the file.
    """

    def open(
        self, classes: int | Sequence[str] | None, *, columns: Sequence[str] = COLUMNS
    ) -> None:
        """Reads the list of the split; see the class for ``columns``."""
        if not self.root.is_dir():
            raise DataError(f"{self.root}: no such folder; see docs/datasets.md for the layout")
        described = describe(self.root, ("classes", "palette", "depth_unit"))
        # Those of Rooms are not the user's: in a few frames some do not occur.
        self.own_classes = described.get("name") != "rooms"
        self.labels = {_LABELS: described_classes(classes, described, self.root)}
        special: dict[str, dict[str, Any]] = {
            "depth": {"kind": "depth", "unit": described.get("depth_unit")},
            _LABELS: {"kind": "label"},
        }
        self.fields = {name: special.get(name, {"kind": "image"}) for name in columns}
        self.possible_fields = tuple({*columns, *COLUMNS})
        path = self.root / _LIST[self.split]
        frames = _read_list(path, self.root, columns)
        other = "train" if self.split == "test" else "test"
        _check_apart(frames, self.root / _LIST[other])
        self.frames = [frames[n] for n in self.cut([frame.place for frame in frames], str(path))]

    def check_files(self) -> None:
        """Also names the samples after the files of the first input."""
        super().check_files()
        first = next(iter(self.modalities), next(iter(self.fields)))
        files = [frame.files[first] for frame in self.frames]
        names = [file.stem for file in files]
        # Files in several folders, such as one for each scene, may be called alike.
        if len(set(names)) < len(set(files)):
            names = [file.relative_to(self.root).with_suffix("").as_posix() for file in files]
        self._names = names

    def name(self, index: int) -> str:
        """Stem of the sample's first input; with its folders where two have the same."""
        return self._names[index]


def _read_list(path: Path, root: Path, columns: Sequence[str]) -> list[Frame]:
    frames = []
    for place, line in read_entries(path):
        files = [existing(root, forward(part.strip())) for part in line.split("\t")]
        if len(files) != len(columns):
            raise DataError(
                f"{place}: {len(files)} columns instead of {len(columns)}; a line holds "
                f"the paths of {', '.join(columns)}, with tabs between them"
            )
        for file in files:
            if leaves(file):
                raise DataError(f"{place}: path {file!r} leaves {root}; paths are relative to it")
        paths = {name: root / file for name, file in zip(columns, files, strict=True)}
        frames.append(Frame(files[0], paths, place))
    return frames


def _check_apart(frames: Sequence[Frame], other: Path) -> None:
    """Refuses pictures that the list of the other split names, too."""
    try:
        entries = list(read_entries(other))
    except DataError:
        return  # which is told where that split is read
    places = {composed(frame.name): frame.place for frame in frames}
    for place, line in entries:
        file = composed(forward(line.split("\t")[0].strip()))
        if file in places:
            raise DataError(
                f"{places[file]}: {file} is also in {place}; nothing can be measured on images "
                "that were trained on"
            )
