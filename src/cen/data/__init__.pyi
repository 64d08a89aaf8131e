from .fields.modality import Modality
from .readers.aligned import AlignedDataset
from .readers.dataset_yaml import Classes, describe
from .readers.nyudv2 import NYUDv2Folder
from .readers.opening import open_layout
from .readers.registry import LAYOUTS
from .readers.splitting import cut_validation
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
