"""Rooms: the embedded data set, rendered on the fly and deterministic in (seed, index).

``Rooms`` needs torch and is imported when first used; rendering and writing do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cen.data.rooms.domains import DOMAINS
from cen.data.rooms.labels import Labels, label_set
from cen.data.rooms.render import render_scene
from cen.data.rooms.splits import scene_index
from cen.data.rooms.write import write_rooms

if TYPE_CHECKING:
    from cen.data.rooms.dataset import Rooms

__all__ = ["DOMAINS", "Labels", "Rooms", "label_set", "render_scene", "scene_index", "write_rooms"]


def __getattr__(name: str) -> Any:
    if name != "Rooms":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cen.data.rooms.dataset import Rooms

    return Rooms
