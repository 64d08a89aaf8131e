"""Reader of anybody's own folder of aligned files, described by a dataset.yaml of a few lines."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cen.data.fields.field_kinds import KINDS
from cen.data.fields.geometry import as_intrinsics
from cen.data.fields.modality import Modality
from cen.data.readers.aligned import AlignedDataset, Frame, lacking
from cen.data.readers.dataset_yaml import Classes, class_names, palette_of
from cen.data.readers.folder_labels import class_colours, class_list, class_values, decode_colours
from cen.data.readers.folder_splits import Places, check_splits, choose, groups, split_folder
from cen.data.readers.folder_yaml import Description, read_description
from cen.data.readers.patterns import held_instead, natural
from cen.data.transforms import INTRINSICS
from cen.errors import CenWarning, ConfigError, DataError
from cen.options.data_options import ReadingConfig


class AlignedFolder(AlignedDataset):
    """Aligned files of anybody's own sensors, in any folders, described by a dataset.yaml.

    This project's extension. The YAML file says where the files of every field are, what they hold
    and how they are split; docs/your-own-data.md explains every key::

        modalities:
          rgb: {pattern: "rgb/{id}.jpg"}
          thermal: {pattern: "thermal/{id}.tif", kind: continuous, mean: [20], std: [5]}
        outputs:
          segmentation: {pattern: "labels/{id}.png", kind: label, classes: [road, person, car]}
        splits: {test: 0.2}

    A sample is a name for which all fields that are read have a file. Labels are class numbers or,
    with ``colours``, colours. Raw values by kind: see ``Modality``.

    Arguments that are not named here are those of every reader, see `AlignedDataset`.

    Args:
        root: the folder that holds dataset.yaml, or the YAML file itself.
        modalities: fields read as inputs; by default those below ``modalities``.
        targets: fields read as ground truth; by default those below ``outputs``.
        classes: names or number of the classes of the first label field; None: what the YAML says.
        validation: share of the training samples that is the validation split, where the YAML does
            not say it.
        ignore_index: label value that is no class; None: 255, which then nobody has declared where
            the YAML does not (see ``undeclared`` of `AlignedDataset`).

    Raises:
        ConfigError: an unknown key or a value that does not fit, with its line.
        DataError: at once: no files, samples that lack some, two files of one sample, a path that
            leaves the root, an empty split; on reading: a file that cannot be decoded or is of
            another type, sizes that differ, a label or colour that is no class.
    """

    def open(self, classes: int | Sequence[str] | None) -> None:
        """Reads dataset.yaml; the files are looked for once it is known which fields are read."""
        description = self._description = read_description(self.root)
        self.root, ignored = description.root, self.ignore_index
        check_splits(description)
        if not description.root.is_dir():
            raise DataError(f"{description.at('root')}: there is no folder {description.root}")
        self.ungrouped = description.config.group is None
        about = description.config.about
        # The classes of Rooms are not the user's: in a few frames some do not occur.
        self.own_classes = not (isinstance(about, Mapping) and about.get("name") == "rooms")
        self._files: dict[str, dict[str, str]] = {}
        self._folder: str | None = None
        self.fields = {name: _arguments(description, name, ignored) for name in description.fields}
        self.labels = _labels(description, self.fields, classes)
        for name, field in description.fields.items():
            if field.values is not None:
                values, none = class_values(description, name, self.labels[name].names)
                more = {"values": values, "ignore": none, "ignore_index": ignored}
                self.fields[name] = {**self.fields[name], **more}
        if not self.ignore_declared:
            fields = {name: description.fields[name] for name in self.labels}
            # Values and colours say of every other number that it is refused.
            self.undeclared = frozenset(
                name
                for name, field in fields.items()
                if field.values is None and field.colours is None and field.ignore is None
            )
            self.half_declared = frozenset(
                name
                for name, field in fields.items()
                if field.ignore is not None and ignored not in field.ignored
            )
        self._colours = {
            name: class_colours(description, name, self.labels[name].names)
            for name, field in description.fields.items()
            if field.colours is not None
        }
        self.usual_inputs = tuple(description.config.modalities)
        self.usual_targets = tuple(description.config.outputs)

    def group(self, index: int) -> str:
        """What the expression ``group`` finds in the name, else the name."""
        return groups(self._description, [self.name(index)])[0]

    def files(self, index: int) -> dict[str, Path]:
        """The files of a sample; one that is missing as it would be called."""
        name = self.name(index)
        return {
            field: self.root / (paths.get(name) or self._usual_file(name, field))
            for field, paths in self._files.items()
        }

    def extra(self, index: int) -> dict[str, Any]:
        """``intrinsics`` where the YAML gives them."""
        camera = self._description.config.intrinsics
        return {} if camera is None else {INTRINSICS: as_intrinsics(camera)}

    def read(self, field: str, index: int, modality: Modality) -> NDArray[Any]:
        """The raw array of one field of one sample."""
        path = self.files(index)[field]
        if field in self._colours:
            part = modality.part(picture=False)
            return decode_colours(path, self._colours[field], self.ignore_index, part)
        return modality.read(path)

    def check_files(self) -> None:
        """Finds the files of the fields that are read and the samples of this split."""
        field_names = list({**self.modalities, **self.targets})
        if not field_names:
            return
        if any(self._description.patterns[name].by_split for name in field_names):
            samples = self._in_folders(field_names)
        else:
            self._find(field_names, None)
            names = sorted({name for paths in self._files.values() for name in paths}, key=natural)
            samples = choose(self._description, self.split, names, self.validation)
        self._require(field_names, samples)

    def _in_folders(self, field_names: Sequence[str]) -> Places:
        """The samples of this split where every split has folders of its own."""
        description, split = self._description, self.split
        folder = split_folder(description, split)
        cut = folder is None and split == "validation"
        if cut or (split == "train" and split_folder(description, "validation") is None):
            cut, folder = True, split_folder(description, "train")
        if folder is None:
            raise DataError(
                f"{description.path}: no folder of the {split} split; name it: "
                f"splits: {{{split}: FOLDER}}"
            )
        self._find(field_names, folder)
        split_ones = [
            self._files[name] for name in field_names if description.patterns[name].by_split
        ]
        names = sorted({name for paths in split_ones for name in paths}, key=natural)
        if cut:
            part = self.cut(groups(description, names), f"{description.root}, {folder}")
            names = [names[index] for index in part]
        return dict.fromkeys(names, "")

    def _find(self, field_names: Sequence[str], folder: str | None) -> None:
        self._files, self._folder = {}, folder
        for name in field_names:
            pattern = self._description.patterns[name]
            paths = pattern.find(self.root, folder)
            if not paths:
                raise DataError(
                    f"{pattern.where}: no file matches {pattern.text} in {self.root}"
                    f"{held_instead(self.root / pattern.folder(folder))}"
                )
            self._files[name] = paths

    def _require(self, field_names: Sequence[str], samples: Places) -> None:
        """Lists the samples; those that lack files are refused or skipped."""
        lacks = {name: lost for name in samples if (lost := self._lost(name, field_names))}
        self.frames = []
        path = self._description.path
        if lacks and len(lacks) == len(samples):
            raise DataError(f"{path}: {self._without(lacks, field_names)}")
        # Files are looked up by name: paths of millions would fill the memory.
        self.frames = [Frame(name, {}, place) for name, place in samples.items()]
        if not lacks:
            return
        told = (
            (name, [*lost[:-1], f"{lost[-1]} ({self._usual_file(name, lost[0])})"])
            for name, lost in lacks.items()
        )
        count = f"{len(samples)} samples of the {self.split} split"
        text = f"{path}: {lacking(len(lacks), count, told)}"
        if self._description.config.missing == "error":
            raise DataError(f"{text}; add them, or say 'missing: skip'")
        warnings.warn(f"{text}; they are skipped", CenWarning, stacklevel=4)
        self.frames = [frame for frame in self.frames if frame.name not in lacks]

    def _without(self, lacks: Mapping[str, Sequence[str]], field_names: Sequence[str]) -> str:
        """What is wrong where no sample has all files."""
        name, fields = next(iter(lacks.items()))
        if len(fields) == len(field_names) or any(lost != fields for lost in lacks.values()):
            examples = ", ".join(
                f"{field} such as {min(self._files[field])!r}" for field in field_names
            )
            return (
                f"no sample has all files; names ({{id}}) found: {examples}; the same sample must "
                "have the same name in every pattern; where a part of a name, such as a time "
                "stamp, is another one for every sensor, put {id} for the part that they share: "
                "'{id}_*.png'"
            )
        # As in a split without labels.
        learnt = all(field in self.targets for field in fields)
        return (
            f"none of the {len(lacks)} samples of the {self.split} split has {', '.join(fields)} "
            f"(no file such as {self._usual_file(name, fields[0])})"
            + ("; without ground truth nothing is learnt or measured" if learnt else "")
            + f"; add the files, or say in splits: which samples are {self.split}"
        )

    def _lost(self, name: str, field_names: Sequence[str]) -> list[str]:
        """The fields whose lack makes a sample useless."""
        lost = [field for field in field_names if name not in self._files[field]]
        if self.partial and not set(self.targets) <= set(lost):
            return [field for field in lost if field in self.modalities]
        return lost

    def _usual_file(self, name: str, field: str) -> str:
        return self._description.patterns[field].path_of(name, self._folder)


def _arguments(description: Description, name: str, ignore_index: int) -> dict[str, Any]:
    """What the YAML says of a field, as arguments of ``Modality.of``."""
    field = description.fields[name]
    if field.kind is None and name in description.config.outputs:
        if class_list(field) is None:
            raise ConfigError(f"{description.at_field(name)}: say its kind, such as kind: label")
        field = dataclasses.replace(field, kind="label")
    names = [item.name for item in dataclasses.fields(ReadingConfig)] + ["channels"]
    arguments = {key: getattr(field, key) for key in names if getattr(field, key) is not None}
    if KINDS[field.kind or "image"].classes and (field.first or field.ignore is not None):
        ignored = [*field.ignored, ignore_index]
        arguments |= {"first": field.first, "ignore": ignored, "ignore_index": ignore_index}
    try:
        Modality.of(**arguments)
    except ConfigError as error:
        raise ConfigError(f"{description.at_field(name)}: {error}") from None
    return arguments


def _labels(
    description: Description,
    fields: Mapping[str, Mapping[str, Any]],
    classes: int | Sequence[str] | None,
) -> dict[str, Classes]:
    """The classes of every label field."""
    labels: dict[str, Classes] = {}
    for name, field in description.fields.items():
        if fields[name].get("kind") != "label":
            for key in ("classes", "palette", "colours", "values", "ignore"):
                if getattr(field, key) is not None:
                    at = description.at_field(name, key)
                    raise ConfigError(f"{at}: is for kind: label; this field is of another kind")
            continue
        names_or_count = class_list(field) if classes is None or labels else classes
        where = description.at_field(name)
        if names_or_count is None:
            raise ConfigError(
                f"{where}: how many classes? Say classes: [road, person], or their number"
            )
        names = class_names(names_or_count)
        palette = field.palette
        if field.colours is not None:
            class_colours(description, name, names)  # refuses what is no colour
            palette = palette or [field.colours[n] for n in names]
        twice = [label for label in names if names.count(label) > 1 or not label.strip()]
        if twice or not names:
            raise ConfigError(
                f"{where}: classes: "
                + (f"{twice[0]!r} is empty or stands twice" if twice else "there are none")
                + "; give every class a name of its own"
            )
        if palette is not None and len(palette) != len(names):
            raise ConfigError(
                f"{where}: {len(names)} classes and {len(palette)} "
                "colours in the palette; give one colour for each class"
            )
        labels[name] = Classes(names, palette_of(palette, len(names)))
    return labels
