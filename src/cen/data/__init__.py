"""Data sets as dicts of aligned pictures, their readers and their transforms.

The names are imported when first used: rendering Rooms needs NumPy and OpenCV but not torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cen.data.base import AlignedDataset, Classes, cut_validation
    from cen.data.layouts import LAYOUTS, open_layout
    from cen.data.modality import Modality
    from cen.data.nyudv2 import NYUDv2Folder, describe
    from cen.data.rooms import Rooms, render_scene, write_rooms
    from cen.data.sampling import EvaluationShard, StepBatches, sample_rng
    from cen.data.transforms import Transform, eval_transform, train_transform

_HOME = {
    "AlignedDataset": "cen.data.base",
    "Classes": "cen.data.base",
    "EvaluationShard": "cen.data.sampling",
    "LAYOUTS": "cen.data.layouts",
    "Modality": "cen.data.modality",
    "NYUDv2Folder": "cen.data.nyudv2",
    "Rooms": "cen.data.rooms",
    "StepBatches": "cen.data.sampling",
    "Transform": "cen.data.transforms",
    "cut_validation": "cen.data.base",
    "describe": "cen.data.nyudv2",
    "eval_transform": "cen.data.transforms",
    "open_layout": "cen.data.layouts",
    "render_scene": "cen.data.rooms",
    "sample_rng": "cen.data.sampling",
    "train_transform": "cen.data.transforms",
    "write_rooms": "cen.data.rooms",
}

__all__ = [
    "LAYOUTS",
    "AlignedDataset",
    "Classes",
    "EvaluationShard",
    "Modality",
    "NYUDv2Folder",
    "Rooms",
    "StepBatches",
    "Transform",
    "cut_validation",
    "describe",
    "eval_transform",
    "open_layout",
    "render_scene",
    "sample_rng",
    "train_transform",
    "write_rooms",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
