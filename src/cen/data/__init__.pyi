from .fields.modality import Modality
from .readers.aligned import AlignedDataset, Classes, cut_validation
from .readers.layouts import LAYOUTS, open_layout
from .readers.nyudv2 import NYUDv2Folder, describe
from .rooms import Rooms, render_scene, write_rooms
from .sampling import EvaluationShard, StepBatches, sample_rng
from .transforms import Transform, eval_transform, train_transform

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
