"""What every reader of a data set shares: named fields, splits, checks, keys, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from cen.data.fields.geometry import as_intrinsics
from cen.data.fields.label_field import first_number
from cen.data.fields.modality import Modality
from cen.data.fields.option_checks import check_option
from cen.data.formats.file_bytes import is_file
from cen.data.formats.label_maps import no_classes
from cen.data.formats.pictures import turned
from cen.data.readers.dataset_yaml import Classes
from cen.data.readers.splitting import Split, check_split, cut_validation
from cen.data.sampling import Key, sample_rng, split_key
from cen.data.transforms import INTRINSICS, Sample, Transform
from cen.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Fields = Mapping[str, Mapping[str, Any]]

_LARGEST_BYTE = 255
# Samples that a message names of those that lack files.
_TOLD = 3


@dataclass(frozen=True)
class Frame:
    """One sample of a reader that lists them when it is opened.

    Attributes:
        name: unique in its split.
        files: by field.
        place: where it is listed, for messages; empty: nowhere.
        group: the room, building or scene that it belongs to; empty: it stands alone.
        number: its place in a container of many.
    """

    name: str
    files: Mapping[str, Path]
    place: str = ""
    group: str = ""
    number: int = 0


class AlignedDataset(Dataset[Sample]):
    """A data set of aligned pictures: each sample has the same fields, all of one size.

    A field is one picture of a sample under its name: ``rgb``, ``depth``, ``segmentation``. A run
    reads some fields as inputs (``modalities``) and some as ground truth (``targets``). A sample is
    a dict: raw arrays by field name as `Modality.read` gives them, ``name``, and what `extra` adds
    (``intrinsics``); with a transform what that makes of it. The key of a sample is its index, or
    (epoch, index) to draw other random transforms in every epoch; the random numbers depend on
    (seed, epoch, index) alone.

    A reader implements `open`, which says what the fields are and fills ``frames``; one whose
    samples are not files of their own overrides `read`.

    Args:
        root: the folder or file of the data set.
        split: "train", "validation" or "test".
        modalities: fields read as inputs, and how; None for ``usual_inputs``.
        targets: fields read as ground truth; None for ``usual_targets``.
        classes: names of the classes, or their number; None: what the data set says.
        validation: share of an official training list that is the validation split.
        ignore_index: label value that is no class; None: what the data set says, else 255.
        transform: applied to every sample.
        seed: of the random transforms.
        **options: the reader's own, see its `open`.

    Attributes:
        fields: every field the data set can give, with the arguments of `Modality.of` that
            describe its files.
        labels: what the values of every label field mean.
        modalities, targets: as read.
        frames: the samples of this split.
        address: the root as it was given, which may be a URL.
        partial: whether a sample may lack the files of some targets, see `annotated`.
        undeclared: label fields whose stored ``ignore_index`` neither the data set nor the user
            has said to be no class.
        half_declared: label fields of which other stored values are said to be no class, and
            ``ignore_index`` is not among them.
        along_ray: depth fields that hold distances from the camera's centre along the ray of each
            pixel; those of all others are along the optical axis.
        rendered: the files are Rooms, written in the layout.
        own_classes: whether the user declares the classes, rather than whoever published the data;
            each of them should then occur.
        ungrouped: whether the user could say what belongs together, and has not.
        possible_fields: names of fields that such data may have, where these are more than
            ``fields``.

    Raises:
        ConfigError: a modality or target is no field of the data set.
        DataError: there is no such split.
    """

    partial: bool = False
    undeclared: frozenset[str] = frozenset()
    half_declared: frozenset[str] = frozenset()
    own_classes: bool = False
    possible_fields: Sequence[str] = ()
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
        classes: int | Sequence[str] | None = None,
        validation: float = 0.1,
        ignore_index: int | None = None,
        transform: Transform | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        check_split(split)
        self.root, self.address, self.split, self.seed = Path(root), str(root), split, seed
        self.validation, self.transform = validation, transform
        self.ignore_declared = ignore_index is not None
        self.ignore_index = 255 if ignore_index is None else ignore_index
        self.frames: Sequence[Frame] = ()
        self.modalities: dict[str, Modality] = {}
        self.targets: dict[str, Modality] = {}
        hints = get_type_hints(type(self).open, include_extras=True)
        for name, value in options.items():
            # Python itself refuses what is no option at all.
            check_option(f"data.options.{name}", value, hints.get(name, Any))
        self.open(classes, **options)
        self.select(modalities, targets)

    def open(self, classes: int | Sequence[str] | None, *args: Any, **options: Any) -> None:
        """Finds the samples of the split: sets ``fields``, ``labels`` and ``frames``.

        A reader declares its own options here, as keywords with types, by which they are checked,
        and defaults; they are the keys of ``data.options`` in a configuration.

        Args:
            classes: as given to the constructor.
            *args: none.
            **options: the reader's own.

        Raises:
            ConfigError: an option is out of its range.
            DataError: the layout is not there, damaged, or the split is empty.
        """
        raise NotImplementedError

    def cut(self, groups: Sequence[str], where: str) -> list[int]:
        """Which samples of an official list belong to this split: of a test list all.

        Args:
            groups: of each sample of the list, what must not be torn apart.
            where: what the list is called in messages.

        Raises:
            DataError: the split would be empty.
        """
        if self.split == "test":
            return list(range(len(groups)))
        return cut_validation(groups, self.validation, self.split, where)

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
            for field in self.fields_of(index):
                if field in files and not is_file(files[field]):
                    file_name = self._file_name(files, field)
                    raise DataError(f"{self.place(index)}: no file {file_name} in {self.root}")

    def __len__(self) -> int:
        """Number of samples in this split."""
        return len(self.frames)

    def name(self, index: int) -> str:
        """Name of a sample, unique in the split."""
        return self.frames[index].name

    def read(self, field: str, index: int, modality: Modality) -> NDArray[Any]:
        """The raw array of one field of one sample.

        Raises:
            DataError: naming the file that cannot be used.
        """
        return modality.read(self.files(index)[field])

    def files(self, index: int) -> Mapping[str, Path]:
        """The files of a sample by field; a container of many samples counts for each."""
        return self.frames[index].files

    def annotated(self, index: int) -> tuple[str, ...]:
        """The targets that a sample has ground truth for: all, unless the data are partial."""
        if not self.partial:
            return tuple(self.targets)
        files = self.files(index)
        return tuple(name for name in self.targets if name not in files or is_file(files[name]))

    def fields_of(self, index: int) -> list[str]:
        """The fields that are read of a sample: the inputs, then the targets that it has."""
        return list(dict.fromkeys((*self.modalities, *self.annotated(index))))

    def place(self, index: int) -> str:
        """Where a sample comes from, for error messages."""
        return self.frames[index].place or f"{self.root}, {self.name(index)}"

    def group(self, index: int) -> str:
        """The room, building or scene that a sample belongs to; by default its own name."""
        return self.frames[index].group or self.name(index)

    def extra(self, index: int) -> dict[str, Any]:
        """Further entries of a sample, such as ``intrinsics``: (3, 3) float64, in pixels."""
        return {}

    def camera(self, index: int) -> NDArray[np.float64] | None:
        """(3, 3) intrinsics of a sample in pixels, where they are known."""
        intrinsics = self.extra(index).get(INTRINSICS)
        return None if intrinsics is None else as_intrinsics(intrinsics)

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
            sample: Sample = {
                field: self.read(field, index, self.modalities.get(field) or self.targets[field])
                for field in self.fields_of(index)
            }
            self._check(sample, index)
        except DataError as error:
            raise DataError(f"{self.place(index)}: {error}") from error
        return {**sample, "name": self.name(index), **self.extra(index)}

    def plot(self, sample: Mapping[str, Any]) -> Figure:
        """A figure of a sample, raw or transformed, with a legend of the classes in it."""
        from cen.data.plotting import plot_sample

        return plot_sample(sample, self.modalities, self.targets, self.labels, self.ignore_index)

    def _repr_html_(self) -> str:
        """For notebooks: what is read, and the pictures of the first sample."""
        from cen.data.plotting import describe_in_html

        return describe_in_html(self)

    def no_field(self, name: str, key: str = "") -> ConfigError:
        """The error about a name, below a key of a configuration, that is no field."""
        return ConfigError(
            f"{f'{key}.' if key else ''}{name}: no field of the data in {self.root}"
            f"{did_you_mean(name, self.fields)}; there are {', '.join(self.fields)}"
        )

    def _read_as(
        self, modalities: Mapping[str, Modality] | None, usual: Sequence[str]
    ) -> dict[str, Modality]:
        if modalities is None:
            return {name: Modality.of(**self.fields[name]) for name in usual if name in self.fields}
        for name in modalities:
            if name not in self.fields:
                raise self.no_field(name)
        return {name: m.read_as(self.fields[name]) for name, m in modalities.items()}

    def _first(self) -> Classes:
        for name in self.targets:
            if name in self.labels:
                return self.labels[name]
        return Classes((), np.zeros((0, 3), np.uint8))

    def _check(self, sample: Mapping[str, NDArray[Any]], index: int) -> None:
        """Refuses what would be learnt from silently: other sizes, labels that are no class."""
        files = self.files(index)
        sizes = {field: value.shape[:2] for field, value in sample.items()}
        names = {field: self._file_name(files, field) for field in sizes}
        if problem := differing_sizes(sizes, files, names):
            raise DataError(problem)
        for field in (field for field in sample if field in self.labels):
            if problem := self.label_problem(field, sample[field]):
                raise DataError(f"{names[field]}: {problem}")

    def label_problem(self, field: str, labels: NDArray[Any]) -> str:
        """What is wrong where a label of a field is no class of it, else empty."""
        first = first_number(self.targets.get(field) or self.modalities[field])
        return no_classes(labels, len(self.labels[field].names), self.ignore_index, first)

    def _file_name(self, files: Mapping[str, Path], field: str) -> str:
        """A file as a message names it: below the root where it is there."""
        path = files.get(field)
        if path is None:
            return field
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)


def lacking(count: int, of: str, lacks: Iterable[tuple[str, Sequence[str]]]) -> str:
    """How many samples lack files, and what the first of them lack; more are not drawn."""
    examples = [f"{name} has no {', '.join(lost)}" for name, lost in islice(lacks, _TOLD)]
    more = f" and {count - _TOLD} more" if count > _TOLD else ""
    return f"{count} of {of} lack files: {'; '.join(examples)}{more}"


def differing_sizes(
    sizes: Mapping[str, tuple[int, ...]],
    files: Mapping[str, Path],
    names: Mapping[str, str] | None = None,
) -> str:
    """What is wrong with pictures of several sizes (H, W), by field; empty where they have one."""
    if len(set(sizes.values())) <= 1:
        return ""
    called = names or {}
    listed = ", ".join(f"{called.get(name, name)} {h} x {w}" for name, (h, w) in sizes.items())
    why = "".join(turned(path) for name, path in files.items() if name in sizes)
    return f"sizes differ: {listed}; align the sensors and resample first{why}"
