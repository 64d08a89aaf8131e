"""What every reader of a data set shares: named fields, splits, checks, keys, pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from cen.data.fields.geometry import as_intrinsics
from cen.data.fields.modality import Modality
from cen.data.formats.label_maps import smoothed
from cen.data.formats.pictures import is_file, turned
from cen.data.sampling import Key, sample_rng, split_key
from cen.data.transforms import INTRINSICS, Sample, Transform
from cen.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Split = Literal["train", "validation", "test"]
Fields = Mapping[str, Mapping[str, Any]]

_BLOCKS = 5
_LARGEST_BYTE = 255


@dataclass(frozen=True)
class Classes:
    """What the values of a label field mean.

    Attributes:
        names: class names; the position is the label value.
        palette: (C, 3) uint8 RGB colours, for pictures.
    """

    names: tuple[str, ...]
    palette: NDArray[np.uint8]


class AlignedDataset(Dataset[Sample], ABC):
    """A data set of aligned pictures: each sample has the same fields, all of one size.

    A field is one picture of a sample under its name: ``rgb``, ``depth``, ``segmentation``. A run
    reads some fields as inputs (``modalities``) and some as ground truth (``targets``). A sample is
    a dict: raw arrays by field name as `Modality.read` gives them, ``name``, and what `extra` adds
    (``intrinsics``); with a transform what that makes of it. The key of a sample is its index, or
    (epoch, index) to draw other random transforms in every epoch; the random numbers depend on
    (seed, epoch, index) alone.

    A reader calls this constructor after it has opened its layout (it sets ``fields`` and
    ``labels`` first) and implements ``__len__``, `name`, `read` and `files`.

    Args:
        root: the folder or file of the data set.
        split: "train", "validation" or "test".
        modalities: fields read as inputs, and how; None for ``usual_inputs``.
        targets: fields read as ground truth; None for ``usual_targets``.
        ignore_index: label value that is no class.
        transform: applied to every sample.
        seed: of the random transforms.

    Attributes:
        fields: every field the data set can give, with the arguments of `Modality.of` that
            describe its files.
        labels: what the values of every label field mean.
        modalities, targets: as read.
        partial: whether a sample may lack the files of some targets, see `annotated`.
        undeclared: label fields whose stored ``ignore_index`` neither the data set nor the user
            has said to be no class.
        along_ray: depth fields that hold distances from the camera's centre along the ray of each
            pixel; those of all others are along the optical axis.
        rendered: the files are Rooms, written in the layout.
        own_classes: whether the user declares the classes, rather than whoever published the data;
            each of them should then occur.
        ungrouped: whether the user could say what belongs together, and has not.
        known: names of fields that such data may have, where these are more than ``fields``.

    Raises:
        ConfigError: a modality or target is no field of the data set.
        DataError: there is no such split.
    """

    partial: bool = False
    undeclared: frozenset[str] = frozenset()
    own_classes: bool = False
    known: Sequence[str] = ()
    ungrouped: bool = False
    along_ray: frozenset[str] = frozenset()
    rendered: bool = False

    usual_inputs: tuple[str, ...] = ("rgb", "depth")
    usual_targets: tuple[str, ...] = ("segmentation",)
    fields: Fields
    labels: Mapping[str, Classes]

    def __init__(
        self,
        root: str | Path,
        split: Split,
        modalities: Mapping[str, Modality] | None = None,
        targets: Mapping[str, Modality] | None = None,
        *,
        ignore_index: int = 255,
        transform: Transform | None = None,
        seed: int = 0,
    ) -> None:
        check_split(split)
        self.root, self.split, self.seed = Path(root), split, seed
        self.ignore_index, self.transform = ignore_index, transform
        self.modalities: dict[str, Modality] = {}
        self.targets: dict[str, Modality] = {}
        self.select(modalities, targets)

    def select(
        self,
        modalities: Mapping[str, Modality] | None = None,
        targets: Mapping[str, Modality] | None = None,
    ) -> None:
        """Chooses the fields that are read, as the constructor does.

        Raises:
            ConfigError: a modality or target is no field of the data set.
            DataError: a file of one of them is missing.
        """
        self.modalities = self._read_as(modalities, self.usual_inputs)
        self.targets = self._read_as(targets, self.usual_targets)
        for name, modality in self.modalities.items():
            if name in self.along_ray and modality.encoded_by.camera:
                raise ConfigError(
                    f"data.modalities.{name}.encoding: {modality.encoding} needs depth along the "
                    f"optical axis, and {name} is along the ray; take depth_zbuffer"
                )
        for name in self.targets:
            count = len(self.labels[name].names) if name in self.labels else 0
            # A smaller value may be meant: a class 0 of pixels that nobody knows.
            if count > self.ignore_index >= _LARGEST_BYTE:
                raise ConfigError(
                    f"data.ignore_index: {self.ignore_index} is one of the {count} classes of "
                    f"{name}; choose another value, such as 65535"
                )
        self.check_files()

    def check_files(self) -> None:
        """Names the first missing file now, rather than after an hour of training.

        Readers of one container, or of too many files to look at, override this.

        Raises:
            DataError: a file of a field that is read does not exist.
        """
        for index in range(len(self)):
            files = self.files(index)
            for field in {**self.modalities, **dict.fromkeys(self.annotated(index))}:
                if field in files and not is_file(files[field]):
                    told = self._told(files, field)
                    raise DataError(f"{self.place(index)}: no file {told} in {self.root}")

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples in this split."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Name of a sample, unique in the split."""

    @abstractmethod
    def read(self, field: str, index: int, modality: Modality) -> NDArray[Any]:
        """The raw array of one field of one sample.

        Raises:
            DataError: naming the file that cannot be used.
        """

    @abstractmethod
    def files(self, index: int) -> dict[str, Path]:
        """The files of a sample by field (a container of many samples counts for each)."""

    def annotated(self, index: int) -> tuple[str, ...]:
        """The targets that a sample has ground truth for: all, unless the data are partial."""
        if not self.partial:
            return tuple(self.targets)
        files = self.files(index)
        return tuple(name for name in self.targets if name not in files or is_file(files[name]))

    def place(self, index: int) -> str:
        """Where a sample comes from, for error messages."""
        return f"{self.root}, {self.name(index)}"

    def group(self, index: int) -> str:
        """The room, building or scene that a sample belongs to; by default its own name."""
        return self.name(index)

    def extra(self, index: int) -> dict[str, Any]:
        """Further entries of a sample, such as ``intrinsics``: (3, 3) float64, in pixels."""
        return {}

    def camera(self, index: int) -> NDArray[np.float64] | None:
        """(3, 3) intrinsics of a sample in pixels, where they are known."""
        given = self.extra(index).get(INTRINSICS)
        return None if given is None else as_intrinsics(given)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the first label target; empty without one."""
        return self._first().names

    @property
    def palette(self) -> NDArray[np.uint8]:
        """(C, 3) colours of these classes."""
        return self._first().palette

    def __getitem__(self, key: int | Key) -> Sample:
        epoch, index = split_key(key)
        sample = self.raw(index)
        if self.transform is None:
            return sample
        return self.transform(sample, sample_rng(self.seed, epoch, index))

    def raw(self, index: int) -> Sample:
        """The sample as it is on disk, before any transform.

        Raises:
            DataError: a file cannot be used, sizes differ, or a label is outside the classes; the
                message says where the sample is listed.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        try:
            sample: Sample = {}
            known = {name: self.targets[name] for name in self.annotated(index)}
            for field, modality in {**known, **self.modalities}.items():
                sample[field] = self.read(field, index, modality)
            self._check(sample, index)
        except DataError as error:
            raise DataError(f"{self.place(index)}: {error}") from error
        # Inputs first: pictures of a sample show them in this order.
        order = [*self.modalities, *(t for t in known if t not in self.modalities)]
        return {
            **{field: sample[field] for field in order},
            "name": self.name(index),
            **self.extra(index),
        }

    def plot(self, sample: Mapping[str, Any]) -> Figure:
        """A figure of a sample, raw or transformed, with a legend of the classes in it."""
        from cen.data.plotting import plot_sample

        return plot_sample(
            sample,
            self.modalities,
            self.classes,
            self.palette,
            self.ignore_index,
            targets=self.targets,
        )

    def _read_as(
        self, given: Mapping[str, Modality] | None, usual: Sequence[str]
    ) -> dict[str, Modality]:
        if given is None:
            return {name: Modality.of(**self.fields[name]) for name in usual if name in self.fields}
        for name in given:
            if name not in self.fields:
                hint = did_you_mean(name, self.fields)
                raise ConfigError(
                    f"{name}: no field of the data in {self.root}{hint}; "
                    f"there are {', '.join(self.fields)}"
                )
        return {name: m.read_as(self.fields[name]) for name, m in given.items()}

    def _first(self) -> Classes:
        for name in self.targets:
            if name in self.labels:
                return self.labels[name]
        return Classes((), np.zeros((0, 3), np.uint8))

    def _check(self, sample: Mapping[str, NDArray[Any]], index: int) -> None:
        """Refuses what would be learnt from silently: other sizes, labels that are no class."""
        files = self.files(index)
        sizes = {field: value.shape[:2] for field, value in sample.items()}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(
                f"{self._told(files, field)} {h} x {w}" for field, (h, w) in sizes.items()
            )
            why = "".join(turned(path) for field, path in files.items() if field in sizes)
            raise DataError(f"sizes differ: {listed}; align the sensors and resample first{why}")
        for field, value in sample.items():
            if field in self.labels:
                self._check_labels(self._told(files, field), value, len(self.labels[field].names))

    def _check_labels(self, told: str, labels: NDArray[Any], classes: int) -> None:
        known = (labels >= 0) & (labels < classes)
        wrong = ~known & (labels != self.ignore_index)
        if np.any(wrong):
            found = np.unique(labels[wrong])
            values = ", ".join(str(value) for value in found[:5])
            raise DataError(
                f"{told}: label {values} outside 0..{classes - 1}; set it to "
                f"{self.ignore_index} (ignore), name more classes, or say what every number means "
                f"(values: in the dataset.yaml of layout folder){smoothed(len(found))}"
            )

    def _told(self, files: Mapping[str, Path], field: str) -> str:
        """A file as a message names it: below the root where it is there."""
        path = files.get(field)
        if path is None:
            return field
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)


def check_split(split: str) -> None:
    """Refuses a split that does not exist.

    Raises:
        DataError: naming those that do.
    """
    if split not in get_args(Split):
        raise DataError(f"no split {split!r}; there are {', '.join(get_args(Split))}")


def cut_validation(
    groups: Sequence[str], share: float, split: Literal["train", "validation"], where: str
) -> list[int]:
    """Which samples of a training list belong to the training or the validation split.

    Frames of one room must not stand on both sides. Where the groups say which frames belong
    together, whole groups are held out, until their share is reached; where every sample is a
    group of its own, contiguous blocks are, because neighbouring frames often show one room.
    Several of them, evenly spaced, so that the validation split is not one kind of room only.

    Args:
        groups: the group of each sample, in the order of the list.
        share: of the list that is the validation split, 0 <= share < 1.
        split: which of the two is wanted.
        where: what the list is called in messages.

    Returns:
        Indices into the list, ascending.

    Raises:
        DataError: the share is out of range or leaves the split empty.
    """
    if not 0.0 <= share < 1.0:
        raise DataError(f"validation: {share} is no share of {where}, 0 <= share < 1")
    wanted = round(share * len(groups))
    known = len(set(groups)) < len(groups)
    held = _whole_groups(groups, wanted) if known else _blocks(len(groups), wanted)
    part = np.flatnonzero(held == (split == "validation")).tolist()
    if not part:
        unit = f"{len(set(groups))} scenes" if known else f"{len(groups)} lines"
        raise DataError(f"{where}: validation = {share} of {unit} leaves the {split} split empty")
    return [int(index) for index in part]


def _whole_groups(groups: Sequence[str], wanted: int) -> NDArray[np.bool_]:
    """Evenly spaced whole groups with ``wanted`` samples in all, or as close as they come."""
    names, member, counts = np.unique(np.array(groups), return_inverse=True, return_counts=True)
    held = np.zeros(len(names), dtype=bool)
    # Bit-reversed order spreads any number of groups over the sorted names.
    bits = max(1, int(len(names) - 1).bit_length())
    order = sorted(range(len(names)), key=lambda n: int(f"{n:0{bits}b}"[::-1], 2))
    total = 0
    for group in order[::-1]:
        # A tie is held out: of few frames a validation split rather than none.
        if abs(total + int(counts[group]) - wanted) <= abs(total - wanted):
            held[group] = True
            total += int(counts[group])
    return np.asarray(held[member])


def _blocks(length: int, wanted: int) -> NDArray[np.bool_]:
    """Up to five contiguous blocks, evenly spaced."""
    held = np.zeros(length, dtype=bool)
    blocks = min(_BLOCKS, wanted)
    end = 0
    for block in range(blocks):
        done = wanted * block // blocks
        size = wanted * (block + 1) // blocks - done
        centre = (2 * block + 1) * length // (2 * blocks)
        # Where nearly all is held out, rounding must push no block into the next or over the end.
        first = max(end, min(centre - size // 2, length - (wanted - done)))
        end = first + size
        held[first:end] = True
    return held
