"""The layouts of data on disk by name: the line that makes a reader known.

Choices of configurations and commands, and the errors about them, follow from it. Nothing is
imported here: a reader, or a writer, is when it is used.
"""

from __future__ import annotations

from cen.errors import ConfigError, did_you_mean

LAYOUTS: dict[str, str] = {
    "nyudv2": "cen.data.readers.nyudv2.NYUDv2Folder",
    "rooms": "cen.data.readers.rooms_layout.RoomsLayout",
    "nyudv2-mat": "cen.data.readers.nyudv2_mat.NYUDv2Mat",
    "sunrgbd": "cen.data.readers.sunrgbd.SUNRGBD",
    "taskonomy": "cen.data.readers.taskonomy.Taskonomy",
    "mfnet": "cen.data.readers.mfnet.MFNet",
    "pst900": "cen.data.readers.pst900.PST900",
    "deliver": "cen.data.readers.deliver.DELIVER",
    "mcubes": "cen.data.readers.mcubes.MCubeS",
    "folder": "cen.data.readers.aligned_folder.AlignedFolder",
    "shards": "cen.data.readers.shards.Shards",
}
"""Where the reader of each layout is."""

ROOMS_WRITERS: dict[str, str] = {
    "nyudv2": "cen.data.rooms.write_nyudv2.write",
    "nyudv2-mat": "cen.data.rooms.write_nyudv2_mat.write",
    "sunrgbd": "cen.data.rooms.write_sunrgbd.write",
    "taskonomy": "cen.data.rooms.write_taskonomy.write",
    "folder": "cen.data.rooms.write_folder.write",
}
"""What writes Rooms in a layout (see ``cen.data.rooms.plan.Plan``)."""


def check_layout(layout: str) -> None:
    """Refuses a name that no reader is registered under."""
    if layout not in LAYOUTS:
        hint = did_you_mean(layout, LAYOUTS)
        raise ConfigError(f"data.layout: no layout {layout!r}{hint}; known: {', '.join(LAYOUTS)}")
