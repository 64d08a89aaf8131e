"""Opening a data set as a configuration or a command describes it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from cen.data.fields.field_kinds import KINDS
from cen.data.fields.modality import Modality
from cen.data.readers.aligned import AlignedDataset
from cen.data.readers.registry import LAYOUTS, check_layout
from cen.data.readers.splitting import Split
from cen.errors import ConfigError, DataError, did_you_mean

FieldOptions = Mapping[str, Mapping[str, Any]]
"""What the user says of fields, by name: arguments of `Modality.of`."""


def reader(layout: str) -> type[AlignedDataset]:
    """The reader of a layout."""
    check_layout(layout)
    module, _, name = LAYOUTS[layout].rpartition(".")
    dataset_class: type[AlignedDataset] = getattr(import_module(module), name)
    return dataset_class


def reader_options(layout: str) -> dict[str, Any]:
    """The options that are a layout's own, with their defaults (keys of ``data.options``)."""
    parameters = inspect.signature(reader(layout).open).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def open_layout(
    layout: str,
    root: str | Path,
    split: Split,
    *,
    inputs: FieldOptions | None = None,
    outputs: FieldOptions | None = None,
    options: Mapping[str, Any] | None = None,
    **common: Any,
) -> AlignedDataset:
    """Opens one split of a data set.

    Args:
        layout: a key of `cen.data.LAYOUTS`.
        root: where the data set is.
        split: "train", "validation" or "test".
        inputs: fields to read as inputs; for each, arguments of `Modality.of` that differ from
            what the data set says of it (None counts as not given). None: the usual ones.
        outputs: fields to read as ground truth, likewise.
        options: the layout's own options, see `reader_options`.
        **common: classes, validation, ignore_index, seed.

    Raises:
        ConfigError: an unknown layout, field or option, or a description that is impossible.
        DataError: the data set cannot be used.
    """
    dataset = _opened(layout, root, split, options or {}, common)
    # What a data set says of its fields is known once it is open.
    dataset.select(
        None if inputs is None else described(dataset, inputs, "data.modalities"),
        None if outputs is None else described(dataset, outputs, "model.outputs"),
    )
    return dataset


def _opened(
    layout: str,
    root: str | Path,
    split: Split,
    options: Mapping[str, Any],
    common: Mapping[str, Any],
) -> AlignedDataset:
    """A data set none of whose fields are read yet."""
    own = reader_options(layout)
    for name in options:
        if name not in own:
            there = f"its options are {', '.join(own)}" if own else "it has no options"
            raise ConfigError(
                f"data.options.{name}: layout {layout} has none{did_you_mean(name, own)}; {there}"
            )
    return reader(layout)(root, split, {}, {}, **options, **common)


def described(
    dataset: AlignedDataset, field_options: FieldOptions, key: str
) -> dict[str, Modality]:
    """The modalities wanted: what the data set says of them, overruled by what the user says."""
    fields, root = dataset.fields, dataset.root
    modalities = {}
    for name, options in field_options.items():
        if name not in fields:
            # What is said of an input is one key, that it is one another.
            raise dataset.no_field(name, "model.inputs" if key == "data.modalities" else key)
        own = {option: value for option, value in options.items() if value is not None}
        published = dict(fields[name])
        if own.get("kind", published.get("kind", "image")) != published.get("kind", "image"):
            published = {}  # what is said of a depth means nothing to an image
        try:
            modalities[name] = Modality.of(**{**published, **own})
        except (ConfigError, TypeError) as error:
            _check_published(root, name, published)
            raise ConfigError(f"{key}.{name}: {error}") from None
    return modalities


def _check_published(root: Path, name: str, published: Mapping[str, Any]) -> None:
    """Tells a data set that describes a field wrongly from a user who does."""
    try:
        Modality.of(**published)
    except (ConfigError, TypeError) as error:
        raise DataError(f"{root}: field {name} is described wrongly: {error}") from None


@dataclass(frozen=True)
class DatasetRecipe:
    """A data set as a command names it: what opens any of its splits, again and again.

    Attributes:
        layout: name of the layout.
        root: where the data set is.
        inputs, outputs: fields to read and what the user says of them; None: the usual ones.
        given: what the user says of fields, whether they are read or not.
        options: the layout's own options.
        common: classes, validation, ignore_index, seed.
        partial: samples may lack the files of some outputs.
        fields: read these fields in place of ``inputs`` and ``outputs``; ("all",) for all.
    """

    layout: str
    root: str
    inputs: FieldOptions | None = None
    outputs: FieldOptions | None = None
    given: FieldOptions = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    common: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    partial: bool = False

    def open(self, split: Split, *, tolerant: bool = False) -> AlignedDataset:
        """Opens one split, without transforms."""
        dataset = _opened(self.layout, self.root, split, self.options, self.common)
        for name in self.given:
            # A depth would silently keep its unit.
            if name not in dataset.fields and name not in dataset.possible_fields:
                raise dataset.no_field(name, "data.modalities")
        dataset.partial = dataset.partial or self.partial
        inputs, outputs = self._wanted(dataset)
        modalities = described(dataset, inputs, "data.modalities")
        targets = described(dataset, outputs, "model.outputs")
        # Every missing file shall be told, not the first one alone. The fields are chosen before
        # the files are looked for.
        try:
            dataset.select(modalities, targets)
        except DataError:
            # Without samples there is nothing that could tell more than this error.
            if not tolerant or not len(dataset):
                raise
        return dataset

    def _wanted(self, dataset: AlignedDataset) -> tuple[FieldOptions, FieldOptions]:
        """The fields to read as inputs and as ground truth, with what the user says of them."""
        if not self.fields and self.inputs is not None:
            return self.inputs, self.outputs or {}
        usual = (*dataset.usual_inputs, *dataset.usual_targets)
        names: Iterable[str] = self.fields or [name for name in usual if name in dataset.fields]
        if self.fields == ("all",):
            names = dataset.fields
        field_options = {**(self.outputs or {}), **(self.inputs or {}), **self.given}
        inputs_and_outputs: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        for name in names:
            kind = dataset.fields.get(name, {}).get("kind", "image")
            true = name in dataset.usual_targets or KINDS[kind].classes
            inputs_and_outputs[true][name] = field_options.get(name, {})
        return inputs_and_outputs
