"""The layouts of data on disk by name: the one line that makes a reader known.

Configurations, commands and their choices follow from it. Nothing here imports torch; a reader is
imported when it is used.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cen.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from cen.data.readers.aligned import AlignedDataset

LAYOUTS: dict[str, str] = {
    "nyudv2": "cen.data.readers.nyudv2.NYUDv2Folder",
    "rooms": "cen.data.readers.rooms_layout.RoomsLayout",
    "nyudv2-mat": "cen.data.readers.nyudv2_mat.NYUDv2Mat",
    "sunrgbd": "cen.data.readers.sunrgbd.SUNRGBD",
    "taskonomy": "cen.data.readers.taskonomy.Taskonomy",
    "folder": "cen.data.readers.folder.AlignedFolder",
    "shards": "cen.data.readers.shards.Shards",
}
"""Where the reader of each layout is."""


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
    parameters = inspect.signature(reader(layout).open).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
