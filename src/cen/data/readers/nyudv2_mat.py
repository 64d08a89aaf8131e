"""Reader of NYUDv2 as its authors distribute it: nyu_depth_v2_labeled.mat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.geometry import as_intrinsics
from cen.data.fields.modality import Modality
from cen.data.formats import matfiles
from cen.data.readers.aligned import AlignedDataset, Frame
from cen.data.readers.dataset_yaml import Classes, describe, palette_of
from cen.data.readers.nyudv2_classes import LABELED, choose_mapping
from cen.data.readers.split_lists import official_part
from cen.data.readers.splitting import Split
from cen.errors import ConfigError, DataError

SPLITS = "splits.mat"

# Of the toolbox (camera_params.m, colour camera) for frames of 480 x 640. The toolbox counts pixels
# from 1 (rgb_plane2rgb_world.m), this project from 0.
KINECT = (
    (518.85790117450188, 0.0, 325.58244941119034 - 1.0),
    (0.0, 519.46961112127485, 253.73616633400465 - 1.0),
    (0.0, 0.0, 1.0),
)
FRAME = (480, 640)
CROP = (slice(45, 471), slice(41, 601))

Depth = Literal["filled", "raw"]
_DEPTHS = {"filled": "depths", "raw": "rawDepths"}
_LISTS = ("trainNdxs", "testNdxs")


class NYUDv2Mat(AlignedDataset):
    """NYU Depth V2, the labelled part, in the authors' MATLAB files.

    1,449 frames of 480 x 640 pixels of a Kinect in 464 rooms: colour, depth projected onto it,
    labels of 894 kinds of things. N. Silberman, D. Hoiem, P. Kohli, R. Fergus, "Indoor Segmentation
    and Support Inference from RGBD Images", ECCV 2012. Layout::

        root/nyu_depth_v2_labeled.mat   v7.3: images, depths, rawDepths, labels, names, scenes
        root/splits.mat                 v5: trainNdxs (795), testNdxs (654), counted from 1
        root/classMapping40.mat         v5: mapClass (1 x 894), className: for 40 classes
        root/classMapping13.mat         or class13Mapping.mat, for 13 classes only
        root/dataset.yaml               optional: palette, intrinsics (this project's extension)

    Frames are read one by one; nothing is kept, and the file is open only while one is read, so
    worker processes may be forked or spawned. Seen from Python the axes are reversed: ``images`` is
    (1449, 3, 640, 480) uint8, ``depths`` and ``rawDepths`` (1449, 640, 480) float32 in metres,
    ``labels`` (1449, 640, 480) uint16 with 0 = unlabelled. The mapping to 40 classes is that of
    S. Gupta, P. Arbelaez, J. Malik, CVPR 2013, the one to 13 that of C. Couprie et al., ICLR 2013.

    Names, shapes and types are those that the toolbox and public readers agree on; what was
    looked at on real files is listed in docs/datasets.md. Of the 13-class files two forms are known
    and read: ``classMapping13.labels13`` (40 to 13) and ``mapClass`` (894 to 13).

    Fields: ``rgb``, ``depth``, ``segmentation``. A sample also has ``intrinsics``.

    Arguments that are not named here are those of every reader, see `AlignedDataset`.

    Args:
        split: "train" and "validation" share the official training part, "test" is the official
            test part. Validation takes whole scenes (the variable ``scenes``).
        classes: how many: 13, 40 or 894 (the number that the mapping files and ``names`` offer);
            or as many names. None: what classMapping40.mat maps to. With 894 classes 255 is one of
            them: set ``ignore_index`` to another value.
        validation: share of the training part that is the validation split, 0 <= share < 1.
        depth: "filled": holes closed by the authors' colourisation (``depths``); "raw": as measured
            (``rawDepths``), 0 = missing.
        crop: keep rows 45:471 and columns 41:601, as Python counts, where the projected depth is
            valid (426 x 560): inside the 427 x 561 of the toolbox's get_projection_mask.m.

    Raises:
        ConfigError: ``ignore_index`` is a class, or an unknown ``depth``.
        DataError: at once: a missing or damaged file or variable, shapes that disagree, split
            indices or mapped classes out of range; on reading: a damaged frame, a label beyond the
            mapping. The message names the file and the image.
    """

    def open(
        self,
        classes: int | Sequence[str] | None,
        *,
        depth: Depth = "filled",
        crop: bool = False,
    ) -> None:
        """Checks the files against each other; see the class for ``depth`` and ``crop``."""
        folder = self.root
        path = self._path = folder / LABELED
        self._depth, self._crop = _DEPTHS[depth], crop
        size, scenes, labels = _survey(path, self._depth)
        if crop and size != FRAME:
            raise DataError(
                f"{path}: crop is meant for frames of 480 x 640, these are {size[0]} x {size[1]}; "
                "leave it off"
            )
        self._mapping = choose_mapping(folder, labels, self._names, classes)
        class_names = self._mapping.names
        if 0 <= self.ignore_index < len(class_names):
            raise ConfigError(
                f"data.ignore_index: {self.ignore_index} is one of the {len(class_names)} "
                "classes; choose another value, such as 65535"
            )
        table = self._mapping.table
        self._classes = np.where(table == 0, self.ignore_index, table - 1).astype(np.int32)
        described = describe(folder, ("palette", "intrinsics", "classes"))
        self._intrinsics = _intrinsics(folder, described, size, crop)
        palette = palette_of(described.get("palette"), len(class_names))
        self.labels = {"segmentation": Classes(class_names, palette)}
        self.fields = {
            "rgb": {"kind": "image"},
            "depth": {"kind": "depth", "unit": 1.0, "missing": 0.0},
            "segmentation": {"kind": "label"},
        }
        files = dict.fromkeys(self.fields, path)
        # Numbers of images, as MATLAB counts.
        frames = [
            Frame(f"{n:04d}", files, f"{path}, image {n} ({scenes[n - 1]})", scenes[n - 1], n)
            for n in _numbers(folder / SPLITS, self.split, len(scenes))
        ]
        part = self.cut([frame.group for frame in frames], f"{folder / SPLITS}, trainNdxs")
        self.frames = [frames[index] for index in part]

    def check_files(self) -> None:
        """Nothing more: the one file was opened."""

    def extra(self, index: int) -> dict[str, Any]:
        """``intrinsics``: (3, 3) float64 in pixels; absent where they are not known."""
        return {} if self._intrinsics is None else {"intrinsics": self._intrinsics.copy()}

    def read(self, field: str, index: int, modality: Modality) -> NDArray[Any]:
        """Reads one frame of one variable and turns its axes."""
        variable = {"rgb": "images", "depth": self._depth, "segmentation": "labels"}[field]
        with matfiles.open_v73(self._path) as file:
            array = matfiles.dataset(file, variable)
            frame = matfiles.read(variable, array, self.frames[index].number - 1).T
        if self._crop:
            frame = frame[CROP]
        if field == "segmentation":
            return self._classes_of(frame)
        return modality.from_stored(np.ascontiguousarray(frame), variable)

    def _names(self) -> list[str]:
        """What the labels of the file are called, from 1."""
        with matfiles.open_v73(self._path) as file:
            return matfiles.texts_v73(file, "names")

    def _classes_of(self, labels: NDArray[Any]) -> NDArray[np.int32]:
        if labels.max(initial=0) >= len(self._classes):
            raise DataError(
                f"label {labels.max()}, but {self._mapping.path} knows 1..{len(self._classes) - 1};"
                " do the two files belong together?"
            )
        return np.asarray(self._classes[labels])


def _survey(path: Path, depth: str) -> tuple[tuple[int, int], list[str], int]:
    """Checks the variables against each other without reading them.

    Returns:
        (height, width), the scene of every image, the number of labels.
    """
    with matfiles.open_v73(path) as file:
        images = matfiles.dataset(file, "images")
        if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.uint8:
            raise DataError(
                f"{path}: images is {images.shape} {images.dtype}, not (N, 3, W, H) uint8"
            )
        count, _, width, height = images.shape
        for name, kinds in ((depth, "f"), ("labels", "u")):
            array = matfiles.dataset(file, name)
            if array.shape != (count, width, height) or array.dtype.kind not in kinds:
                kind = "floating point" if kinds == "f" else "unsigned integers"
                raise DataError(
                    f"{path}: {name} is {array.shape} {array.dtype}, but images is {images.shape}; "
                    f"expected {(count, width, height)} {kind}"
                )
        scenes = matfiles.texts_v73(file, "scenes")
        labels = len(matfiles.references(file, "names"))
    if len(scenes) != count:
        raise DataError(f"{path}: {len(scenes)} scenes for {count} images")
    return (int(height), int(width)), scenes, labels


def _numbers(path: Path, split: Split, count: int) -> Sequence[int]:
    """Numbers, from 1, of the images of an official split."""
    variables = matfiles.load_v5(path, _LISTS)
    both: dict[str, list[int]] = {name: variables.integers(name).tolist() for name in _LISTS}
    for name, numbers in both.items():
        if wrong := [number for number in numbers if not 1 <= number <= count]:
            raise DataError(f"{path}: {name} names image {wrong[0]}, but there are 1..{count}")
    return official_part(path, both, split, "an image", "image ")


def _intrinsics(
    folder: Path, described: Mapping[str, Any], size: tuple[int, int], crop: bool
) -> NDArray[np.float64] | None:
    """Of dataset.yaml if it has them, else the Kinect's for frames of its size."""
    intrinsics = described.get("intrinsics", KINECT if size == FRAME else None)
    if intrinsics is None:
        return None
    try:
        matrix = as_intrinsics(intrinsics)
    except DataError as error:
        raise DataError(f"{folder / 'dataset.yaml'}: {error}") from None
    if crop:
        matrix[0, 2] -= CROP[1].start
        matrix[1, 2] -= CROP[0].start
    return matrix
