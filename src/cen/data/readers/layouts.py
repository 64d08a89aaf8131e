"""The layouts of data on disk by name, and opening one as a configuration describes it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from cen.data.fields.modality import Modality
from cen.data.readers.aligned import AlignedDataset, Split
from cen.errors import ConfigError, DataError, did_you_mean

LAYOUTS: dict[str, str] = {
    "nyudv2": "cen.data.readers.nyudv2.NYUDv2Folder",
    "rooms": "cen.data.readers.rooms_layout.RoomsLayout",
    "nyudv2-mat": "cen.data.readers.nyudv2_mat.NYUDv2Mat",
    "sunrgbd": "cen.data.readers.sunrgbd.SUNRGBD",
    "taskonomy": "cen.data.readers.taskonomy.Taskonomy",
    "folder": "cen.data.readers.folder.AlignedFolder",
    "shards": "cen.data.readers.shards.Shards",
}
"""Where the reader of each layout is; imported when it is used."""

# What every reader takes, from keys of the configuration of their own.
_COMMON = ("classes", "validation", "ignore_index", "transform", "seed")


def reader(layout: str) -> type[AlignedDataset]:
    """The reader of a layout.

    Raises:
        ConfigError: there is no such layout.
    """
    if layout not in LAYOUTS:
        hint = did_you_mean(layout, LAYOUTS)
        raise ConfigError(f"data.layout: no layout {layout!r}{hint}; known: {', '.join(LAYOUTS)}")
    module, _, name = LAYOUTS[layout].rpartition(".")
    found: type[AlignedDataset] = getattr(import_module(module), name)
    return found


def reader_options(layout: str) -> dict[str, Any]:
    """The options that are a layout's own, with their defaults (keys of ``data.options``)."""
    parameters = inspect.signature(reader(layout).__init__).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name not in _COMMON
    }


def open_layout(
    layout: str,
    root: str | Path,
    split: Split,
    *,
    inputs: Mapping[str, Mapping[str, Any]] | None = None,
    outputs: Mapping[str, Mapping[str, Any]] | None = None,
    options: Mapping[str, Any] | None = None,
    **common: Any,
) -> AlignedDataset:
    """Opens one split of a data set.

    Args:
        layout: a key of `LAYOUTS`.
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
    made = reader(layout)
    known = reader_options(layout)
    for name in options or {}:
        if name not in known:
            hint = did_you_mean(name, known)
            own = f"its options are {', '.join(known)}" if known else "it has no options"
            raise ConfigError(f"data.options.{name}: layout {layout} has none{hint}; {own}")
    arguments = {**dict(options or {}), **common}
    dataset = made(root, split, {}, {}, **arguments)
    # What a data set says of its fields is known once it is open.
    dataset.select(
        None if inputs is None else described(dataset, inputs, "data.modalities"),
        None if outputs is None else described(dataset, outputs, "model.outputs"),
    )
    return dataset


def described(
    dataset: AlignedDataset, wanted: Mapping[str, Mapping[str, Any]], key: str
) -> dict[str, Modality]:
    """The modalities wanted: what the data set says of them, overruled by what the user says.

    Raises:
        ConfigError: naming the key, an unknown field or an impossible description.
    """
    fields, root = dataset.fields, dataset.root
    made = {}
    for name, given in wanted.items():
        if name not in fields:
            hint = did_you_mean(name, fields)
            raise ConfigError(
                f"{key}.{name}: no field of the data in {root}{hint}; there are {', '.join(fields)}"
            )
        own = {option: value for option, value in given.items() if value is not None}
        said = dict(fields[name])
        if own.get("kind", said.get("kind", "image")) != said.get("kind", "image"):
            said = {}  # what is said of a depth means nothing to an image
        try:
            made[name] = Modality.of(**{**said, **own})
        except ConfigError as error:
            _check_said(root, name, said)
            raise ConfigError(f"{key}.{name}: {error}") from None
        except TypeError as error:
            raise DataError(f"{root}: field {name} is described wrongly: {error}") from None
    return made


def _check_said(root: Path, name: str, said: Mapping[str, Any]) -> None:
    """Tells a data set that describes a field wrongly from a user who does.

    Raises:
        DataError: what the data set says of the field is impossible by itself.
    """
    try:
        Modality.of(**said)
    except ConfigError as error:
        raise DataError(f"{root}: field {name} is described wrongly: {error}") from None
