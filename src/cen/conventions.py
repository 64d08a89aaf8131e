"""Which conventions a network or shards keep to, and how those are told that kept to others.

What CEN's own normals are is said in `cen.data.fields.geometry`. Versions before 0.2.0 read z of
Taskonomy's with the wrong sign, and wrote Rooms in that layout so that the two mistakes met.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONVENTIONS = {"normals": 1}
"""Kept with networks and shards. ``normals`` 1: Taskonomy's are read as stored, z forward."""

REVERSED_AXES = "+x +y -z"
"""``Modality.axes`` by which Taskonomy's normals were read before; right for Rooms of that time."""


def normals_in_doubt(metadata: Mapping[str, Any]) -> list[str]:
    """Fields of normals that may have been read with z reversed, by the metadata of a network."""
    if "conventions" in metadata:
        return []
    kept = [metadata.get(key) for key in ("preprocessing", "targets")]
    fields = {n: f for one in kept if isinstance(one, Mapping) for n, f in one.items()}
    return [
        str(name)
        for name, field in fields.items()
        if isinstance(field, Mapping)
        and field.get("kind") == "normal"
        and field.get("axes") == REVERSED_AXES
    ]
