"""Reader of SUN RGB-D as its authors distribute it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.field_description import Beyond
from cen.data.fields.geometry import as_intrinsics
from cen.data.fields.modality import Modality
from cen.data.formats import matfiles
from cen.data.formats.file_bytes import is_file, ordinary
from cen.data.readers.aligned import AlignedDataset, Frame, lacking
from cen.data.readers.dataset_yaml import describe, palette_of, published_classes
from cen.data.readers.sunrgbd_lists import (
    frame_labels,
    group_frames,
    meta_order,
    read_split,
    seglabel,
)
from cen.errors import CenWarning, DataError

TOOLBOX = "SUNRGBDtoolbox"
ALLSPLIT = f"{TOOLBOX}/traintestSUNRGBD/allsplit.mat"
META = f"{TOOLBOX}/Metadata/SUNRGBDMeta.mat"
SEGMENTATION = f"{TOOLBOX}/Metadata/SUNRGBD2Dseg.mat"
CLASSES = f"{TOOLBOX}/Metadata/seg37list.mat"

BIT_ROTATION = 3
"""Places by which the bits of depth files are rotated left."""

MAX_DEPTH = 8.0
"""Metres; the toolbox (read3dPoints.m) clips there."""

Depth = Literal["filled", "raw"]

Missing = Literal["error", "skip"]
_DEPTHS = {"filled": "depth_bfx", "raw": "depth"}
_PICTURES = (".jpg", ".jpeg", ".png")


class SUNRGBD(AlignedDataset):
    """SUN RGB-D, with the labels of its toolbox.

    10,335 frames of four sensors (Kinect v1 and v2, RealSense, Xtion), of sizes that differ between
    the sensors; 37 classes; 5,285 frames to train on and 5,050 to test. S. Song, S. Lichtenberg,
    J. Xiao, "SUN RGB-D: A RGB-D Scene Understanding Benchmark Suite", CVPR 2015; it contains frames
    of NYUDv2, of the Berkeley B3DO and of SUN3D. Layout::

        root/SUNRGBD/<sensor>/<part>/.../<frame>/image/*.jpg       colour
                                                 depth/*.png       as measured
                                                 depth_bfx/*.png   holes filled
                                                 seg.mat           v5: names, seglabel
                                                 intrinsics.txt    3 x 3 numbers
        root/SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat   v5: alltrain, alltest (folders)
        root/SUNRGBDtoolbox/Metadata/seg37list.mat          v5: class names
        root/SUNRGBDtoolbox/Metadata/SUNRGBDMeta.mat        v5: rgbpath of every frame
        root/SUNRGBDtoolbox/Metadata/SUNRGBD2Dseg.mat       v7.3: seglabel, in the same order
        root/dataset.yaml                                   optional: palette (this project's)

    Depth files are 16-bit PNG whose bits are rotated left by three places: as the toolbox does,
    millimetres = value >> 3 | value << 13, 0 = missing, and what lies beyond 8 m is set to 8 m.

    Labels come from SUNRGBD2Dseg.mat, one frame at a time (the whole file fills tens of gigabytes);
    0 = unlabelled. Where that file is absent they come from each frame's seg.mat, by name: an
    object whose name is not among the 37 is unlabelled then. Such labels are not those of published
    figures, and a warning says so. SUNRGBDMeta.mat takes SciPy some seconds to read, once.

    Names, shapes and the split follow the toolbox's documentation and public readers; what was
    looked at on real files is listed in docs/datasets.md.

    Fields: ``rgb``, ``depth``, ``segmentation``. A sample also has ``intrinsics``.

    Arguments that are not named here are those of every reader, see `AlignedDataset`.

    Args:
        root: the folder that holds SUNRGBD and SUNRGBDtoolbox.
        split: "train" and "validation" share the official training part. Validation takes whole
            places of SUN3D; in the other parts of the data set, which do not say what shows the
            same room, blocks of up to 50 consecutive frames (this project's choice).
        classes: as many names as seg37list.mat has, or that number. None: the names it has.
        validation: share of the training part that is the validation split, 0 <= share < 1.
        depth: "filled" (depth_bfx) or "raw" (depth).
        beyond: what becomes of depth beyond 8 m: "clip" as the toolbox does, or "missing".
        missing: a frame of the lists that lacks files, or intrinsics, is an "error", or left out
            with a warning ("skip"), where only a part of the data set is on disk.

    Raises:
        ConfigError: an unknown ``depth``, ``beyond`` or ``missing``.
        DataError: at once: a missing or damaged file, a path in a list that leaves the folder, a
            frame in both splits; on reading: a picture that cannot be decoded, a depth that is not
            16-bit, sizes that differ, a label that is no class. The message names the file.
    """

    def open(
        self,
        classes: int | Sequence[str] | None,
        *,
        depth: Depth = "filled",
        beyond: Beyond = "clip",
        missing: Missing = "error",
    ) -> None:
        """Reads the lists of the toolbox; see the class for the options."""
        folder = self.root
        self._missing = missing
        names = matfiles.load_v5(folder / CLASSES, ("seg37list",)).texts("seg37list")
        self._label_of = {_plain(name): label for label, name in enumerate(names, start=1)}
        described = describe(folder, ("palette", "classes"))
        palette = palette_of(described.get("palette"), len(names))
        self.labels = {"segmentation": published_classes(classes, names, palette, folder / CLASSES)}
        self.fields = {
            "rgb": {"kind": "image"},
            "depth": {
                **{"kind": "depth", "unit": 0.001, "missing": 0.0},
                **{"bit_rotation": BIT_ROTATION, "farthest": MAX_DEPTH, "beyond": beyond},
            },
            "segmentation": {"kind": "label"},
        }
        listed = read_split(folder / ALLSPLIT, self.split)
        groups = group_frames(listed)
        part = self.cut(groups, f"{folder / ALLSPLIT}, alltrain")
        numbers = _numbers(folder, [listed[index] for index in part])
        self._by_frame = numbers is None
        self.frames = self._listed = [
            self._frame(listed[index], _DEPTHS[depth], groups[index], number)
            for index, number in zip(part, numbers or [0] * len(part), strict=True)
        ]

    def _frame(self, name: str, depth: str, group: str, number: int) -> Frame:
        """A frame; of a folder with no picture or several, the file is a pattern, which is none."""
        folder = self.root / "SUNRGBD" / name
        files = {
            "rgb": _only_picture(folder / "image", "*.jpg"),
            "depth": _only_picture(folder / depth, "*.png"),
            "segmentation": folder / "seg.mat" if self._by_frame else self.root / SEGMENTATION,
        }
        return Frame(name.replace("/", "-"), files, str(folder), group, number)

    def check_files(self) -> None:
        """Refuses or leaves out frames that lack files."""
        self.frames = self._listed
        if self._missing == "error":
            try:
                super().check_files()
            except DataError as error:
                raise DataError(
                    f"{error}; add it, or, of a part of the data set, data.options.missing: skip"
                ) from None
            return
        lacks = {index: lost for index in range(len(self)) if (lost := self._lost(index))}
        if not lacks:
            return
        count = f"{len(self)} frames of the {self.split} split"
        told = lacking(len(lacks), count, ((self.place(i), lost) for i, lost in lacks.items()))
        text = f"{self.root / ALLSPLIT}: {told}"
        if len(lacks) == len(self):
            raise DataError(f"{text}; nothing is left of this split")
        warnings.warn(f"{text}; they are left out", CenWarning, stacklevel=4)
        self.frames = [frame for index, frame in enumerate(self._listed) if index not in lacks]

    def _lost(self, index: int) -> list[str]:
        """What a frame lacks of what is read."""
        files = self.files(index)
        read = self.fields_of(index)
        lost = [field for field in read if not is_file(files[field])]
        if read and not is_file(Path(self.place(index), "intrinsics.txt")):
            lost.append("intrinsics.txt")
        return lost

    def extra(self, index: int) -> dict[str, Any]:
        """``intrinsics``: (3, 3) float64 in pixels."""
        path = Path(self.place(index), "intrinsics.txt")
        try:
            numbers = np.array(ordinary(path).read_text(encoding="ascii").split(), dtype=np.float64)
            matrix = as_intrinsics(numbers.reshape(3, 3))
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
        except (ValueError, DataError) as error:
            raise DataError(f"{path}: does not hold 3 x 3 numbers ({error})") from error
        # The toolbox counts pixels from 1 (read_3d_pts_general.m), this project from 0.
        matrix[:2, 2] -= 1.0
        return {"intrinsics": matrix}

    def read(self, field: str, index: int, modality: Modality) -> NDArray[Any]:
        """Reads one picture of a frame."""
        path = self.files(index)[field]
        if field == "segmentation":
            labels = (
                self._by_name(path)
                if self._by_frame
                else frame_labels(path, self.frames[index].number)
            )
            return self._classes_of(path, labels)
        if not path.is_file():
            raise DataError(f"{path}: no such file, or several; a frame has one picture there")
        return modality.read(path)

    def _by_name(self, path: Path) -> NDArray[np.int64]:
        """Labels of a frame's own seg.mat, in the numbers of seg37list; 0 for other names."""
        variables = matfiles.load_v5(path, ("names", "seglabel"))
        names, values, flat = (
            variables.texts("names"),
            variables["seglabel"],
            variables.integers("seglabel"),
        )
        if values.ndim != 2 or flat.min() < 0 or flat.max() > len(names):
            raise DataError(f"{path}: seglabel is no picture of numbers 0..{len(names)}")
        table = np.array([0, *(self._label_of.get(_plain(name), 0) for name in names)])
        return np.asarray(table[flat].reshape(values.shape))

    def _classes_of(self, path: Path, labels: NDArray[Any]) -> NDArray[np.int32]:
        names = self.labels["segmentation"].names
        if labels.min(initial=0) < 0 or labels.max(initial=0) > len(names):
            wrong = labels[(labels < 0) | (labels > len(names))][0]
            raise DataError(f"{path}: label {wrong} outside 0..{len(names)}")
        classes = labels.astype(np.int32)
        return np.where(classes == 0, np.int32(self.ignore_index), classes - 1)


def _numbers(root: Path, frames: Sequence[str]) -> list[int] | None:
    """Where in SUNRGBD2Dseg.mat each frame is; None without that file."""
    segmentation, meta = root / SEGMENTATION, root / META
    # A link to nothing, or a folder, was meant to be the file.
    if not os.path.lexists(segmentation):
        warnings.warn(
            f"{segmentation} is missing: labels come from each frame's seg.mat by name, and "
            "figures are not comparable with published ones",
            CenWarning,
            stacklevel=3,
        )
        return None
    order = meta_order(meta, meta.stat().st_mtime_ns if meta.is_file() else 0)
    with matfiles.open_v73(segmentation) as file:
        count = len(seglabel(file))
    if count != len(order):
        raise DataError(
            f"{segmentation}: {count} frames, but {meta} has {len(order)}; "
            "do the two files belong together?"
        )
    for frame in frames:
        if frame not in order:
            raise DataError(f"{meta}: has no frame {frame}, which {root / ALLSPLIT} names")
    return [order[frame] for frame in frames]


def _plain(name: str) -> str:
    """A name without what differs between annotators: night stand, Night_Stand."""
    return name.strip().lower().replace("_", " ")


def _only_picture(folder: Path, pattern: str) -> Path:
    try:
        pictures = [
            entry
            for entry in folder.iterdir()
            if entry.suffix.lower() in _PICTURES and not entry.name.startswith(".")
        ]
    except OSError:
        pictures = []
    return pictures[0] if len(pictures) == 1 else folder / pattern
