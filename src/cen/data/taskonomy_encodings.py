"""The numbers that Taskonomy's files hold, for the reader and for the writer of Rooms.

Depth, normals and curvature: the authors' description of the data and of 2D-3D-Semantics, whose
axes they use. Edges: the greatest values that the released CEN code divides by.
"""

from __future__ import annotations

STEPS = 512.0
"""Stored depth per metre."""

MISSING_DEPTH = 65535
"""Stored depth where the mesh has a hole."""

EDGES = {"edge_occlusion": 11584.0, "edge_texture": 11355.0}
"""Stored value of an edge of strength 1."""

CURVATURE = 127.0
"""Stored curvature 0, and the step from it to 1 (unit not documented by the authors)."""

MISSING_NORMAL = 128
"""Stored value, in all channels, where there is no normal."""

SEMANTIC_SHIFT = 1
"""Stored label of class 0; what is below is "uncertain"."""
