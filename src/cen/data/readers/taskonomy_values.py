"""The numbers that Taskonomy's files hold, for the reader and for the writer of Rooms.

Depth and curvature: the authors' description of the data. Normals: measured on their
files. Edges: the greatest values that the released CEN code divides by.
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

NORMAL_AXES = "+x +y +z"
"""Where the stored channels of a normal point: z away from the camera, as CEN has it.

Measured on real frames: normals computed from the z-buffer lie 1.0 degree (median) from those
stored so, and 95 to 100 % of the pixels face the camera.
"""

FIRST = 1
"""Stored label of class 0; what is below is "uncertain"."""
