"""A data set as a command names it: what it takes to open any of its splits, again and again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cen.data.readers.aligned import AlignedDataset, Split
from cen.data.readers.layouts import described, open_layout
from cen.errors import ConfigError, DataError, did_you_mean

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

Given = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Source:
    """What `cen.data.readers.layouts.open_layout` needs for every split of one data set.

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
    inputs: Given | None = None
    outputs: Given | None = None
    given: Given = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    common: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    partial: bool = False

    def open(self, split: Split, *, tolerant: bool = False) -> AlignedDataset:
        """Opens one split, without transforms.

        Args:
            split: which.
            tolerant: go on where files are missing; reading them fails then.

        Raises:
            ConfigError: an unknown layout, field or option.
            DataError: the data set cannot be used.
        """
        dataset = open_layout(
            self.layout,
            self.root,
            split,
            inputs={},
            outputs={},
            options=self.options,
            **self.common,
        )
        self._check_given(dataset)
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

    def _check_given(self, dataset: AlignedDataset) -> None:
        """Refuses what is said of a field that there is not: a depth would silently keep its unit.

        Raises:
            ConfigError: with the nearest field.
        """
        for name in self.given:
            if name not in dataset.fields and name not in dataset.known:
                raise ConfigError(
                    f"data.modalities.{name}: no field of the data in {dataset.root}"
                    f"{did_you_mean(name, dataset.fields)}; there are {', '.join(dataset.fields)}"
                )

    def _wanted(self, dataset: AlignedDataset) -> tuple[Given, Given]:
        """The fields to read as inputs and as ground truth, with what the user says of them."""
        if not self.fields and self.inputs is not None:
            return self.inputs, self.outputs or {}
        usual = (*dataset.usual_inputs, *dataset.usual_targets)
        names: Iterable[str] = self.fields or [name for name in usual if name in dataset.fields]
        if self.fields == ("all",):
            names = dataset.fields
        given = {**(self.outputs or {}), **(self.inputs or {}), **self.given}
        true = [
            name
            for name in names
            if name in dataset.usual_targets or dataset.fields.get(name, {}).get("kind") == "label"
        ]
        return (
            {name: given.get(name, {}) for name in names if name not in true},
            {name: given.get(name, {}) for name in true},
        )
