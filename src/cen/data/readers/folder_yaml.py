"""What dataset.yaml says of a folder of anybody's own files: typed, with errors by key and line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from cen import parsing
from cen.data.readers.patterns import Pattern
from cen.documents import read_yaml
from cen.errors import ConfigError, DataError
from cen.options.data_options import ReadingConfig

FILE = "dataset.yaml"

IGNORED = "ignore"
"""In place of a class name: the colour of pixels without a label."""


_OF_A_FIELD = dict.fromkeys(
    ("values", "colours", "classes", "palette", "ignore", "first", "pattern", "kind", "bands"),
    "it stands below the name of a field, as in outputs: {segmentation: {...}}",
)


@dataclass
class FieldConfig(ReadingConfig):
    """One field: where its files are and what they hold; the other keys are those of a modality.

    Attributes:
        pattern: Files below the root: {id} is the name of the sample, {split} the folder of a
            split, * anything without a slash.
        channels: What the network gets; null: the default of the kind.
        classes: Names of the classes in the order of their numbers, or how many, for labels.
        palette: One RGB colour per class, for pictures.
        colours: For masks that hold colours: the RGB colour of each class by name, and under
            "ignore" that of pixels without a label.
        values: For labels that hold numbers: the class of each by its name, several numbers of one
            class as ``[3, 4]``, and "ignore" for those that are no class; others are refused.
        first: Stored number of the first class, for labels.
        ignore: Stored numbers that are no class, for labels, besides ``data.ignore_index``.
    """

    pattern: str = ""
    channels: int | None = None
    classes: int | list[str] | None = None
    palette: list[list[int]] | None = None
    colours: dict[str, list[int]] | None = None
    values: dict[Any, str | int] | None = None
    first: int = 0
    ignore: list[int] | int | None = None

    @property
    def ignored(self) -> list[int]:
        """The numbers that ``ignore`` names."""
        if self.ignore is None:
            return []
        return self.ignore if isinstance(self.ignore, list) else [self.ignore]


@dataclass
class FolderConfig:
    """A folder of aligned files.

    Attributes:
        root: Where the files are, from the folder of the YAML file; or absolute.
        modalities: What a network usually takes, by name.
        outputs: What it usually learns, by name.
        splits: For train, validation and test: a list file of sample names, a share (0..1), or,
            where the patterns have {split}, the name of the folder.
        group: Regular expression whose first group is what must not be torn apart when shares are
            taken, such as the scene: ``^([^_]+)_``.
        missing: A sample that lacks a file is an error, or skipped with a warning.
        intrinsics: fx, fy, cx, cy of the camera in pixels.
        about: Anything; it is not read.
    """

    root: str = "."
    modalities: dict[str, FieldConfig] = field(default_factory=dict)
    outputs: dict[str, FieldConfig] = field(default_factory=dict)
    splits: dict[str, Any] = field(default_factory=dict)
    group: str | None = None
    missing: Literal["error", "skip"] = "error"
    intrinsics: list[float] | None = None
    about: Any = None


@dataclass(frozen=True)
class Description:
    """A dataset.yaml that was read: the file, what it says, and where its keys stand."""

    path: Path
    config: FolderConfig
    places: parsing.Places

    @property
    def root(self) -> Path:
        """The folder of the data."""
        return self.path.parent / self.config.root

    @property
    def fields(self) -> dict[str, FieldConfig]:
        """Modalities, then outputs."""
        return {**self.config.modalities, **self.config.outputs}

    @cached_property
    def patterns(self) -> dict[str, Pattern]:
        """Where the files of every field are."""
        return {
            name: Pattern(field.pattern, self.at_field(name, "pattern"))
            for name, field in self.fields.items()
        }

    def at(self, key: str) -> str:
        """The file, the line and the name of a key."""
        return self.places.of(key)

    def at_field(self, *keys: object) -> str:
        """The same of a field, or of a key below it."""
        part = "modalities" if keys[0] in self.config.modalities else "outputs"
        return self.at(".".join(map(str, (part, *keys))))


def read_description(root: str | Path) -> Description:
    """Reads the dataset.yaml of a folder, or the YAML file itself."""
    path = Path(root)
    path = path / FILE if path.is_dir() else path
    read = read_yaml(path, DataError, f"; a folder needs a {FILE}, see docs/your-own-data.md")
    values = read.value
    if not isinstance(values, dict):
        raise DataError(f"{path}: holds no keys; start with 'modalities:'")
    lines = {key: f"{path}, line {line}" for key, line in read.lines.items()}
    places = parsing.Places(str(path), lines, "folder of data", _OF_A_FIELD)
    config: FolderConfig = parsing.parse(_given(values), FolderConfig, "", places)
    if not config.modalities:
        raise DataError(f"{path}: modalities: is empty; name at least one, such as rgb")
    for name in config.outputs:
        if name in config.modalities:
            raise ConfigError(
                f"{places.of(f'outputs.{name}')}: is a modality, too; name it once, and choose in "
                "the configuration (model.inputs, model.outputs) what it is used for"
            )
    camera = config.intrinsics
    if camera is not None and (len(camera) != 4 or not min(camera[:2]) > 0):
        raise ConfigError(
            f"{places.of('intrinsics')}: give fx, fy, cx, cy, in pixels; the first two above 0"
        )
    description = Description(path, config, places)
    for name, config_of in description.fields.items():
        if not config_of.pattern:
            raise ConfigError(
                f"{description.at_field(name)}: say where its files are, such as "
                f'pattern: "{name}/{{id}}.png"'
            )
    return description


def _given(value: Any) -> Any:
    """Nested values without those that are null, which mean the default."""
    if not isinstance(value, Mapping):
        return value
    return {key: _given(item) for key, item in value.items() if item is not None}
