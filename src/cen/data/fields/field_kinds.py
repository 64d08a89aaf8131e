"""The kinds of fields by name."""

from __future__ import annotations

from collections.abc import Mapping

from cen.data.fields.continuous_field import ContinuousField
from cen.data.fields.depth_field import DepthField
from cen.data.fields.edge_field import EdgeField
from cen.data.fields.field_kind import FieldKind
from cen.data.fields.image_field import ImageField
from cen.data.fields.label_field import LabelField
from cen.data.fields.normal_field import NormalField

_ALL: tuple[FieldKind, ...] = (
    ImageField(),
    DepthField(),
    NormalField(),
    LabelField(),
    EdgeField(),
    ContinuousField(),
)
KINDS: Mapping[str, FieldKind] = {kind.name: kind for kind in _ALL}
"""Every kind that a `FieldDescription` may name."""
