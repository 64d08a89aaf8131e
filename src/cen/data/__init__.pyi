from .fields.hha import hha
from .fields.modality import Modality
from .readers.aligned import AlignedDataset
from .readers.aligned_folder import AlignedFolder
from .readers.dataset_yaml import Classes, describe
from .readers.deliver import DELIVER
from .readers.mcubes import MCubeS
from .readers.mfnet import MFNet
from .readers.nyudv2 import NYUDv2Folder
from .readers.nyudv2_mat import NYUDv2Mat
from .readers.opening import open_layout
from .readers.pst900 import PST900
from .readers.registry import LAYOUTS
from .readers.shards import Shards
from .readers.splitting import cut_validation
from .readers.sunrgbd import SUNRGBD
from .readers.taskonomy import Taskonomy
from .rooms.dataset import Rooms
from .rooms.render import render_scene
from .rooms.write import write_rooms
from .sampling import EvaluationShard, StepBatches, sample_rng
from .transforms import Transform, eval_transform, train_transform

__all__ = [
    "DELIVER",
    "LAYOUTS",
    "PST900",
    "SUNRGBD",
    "AlignedDataset",
    "AlignedFolder",
    "Classes",
    "EvaluationShard",
    "MCubeS",
    "MFNet",
    "Modality",
    "NYUDv2Folder",
    "NYUDv2Mat",
    "Rooms",
    "Shards",
    "StepBatches",
    "Taskonomy",
    "Transform",
    "cut_validation",
    "describe",
    "eval_transform",
    "hha",
    "open_layout",
    "render_scene",
    "sample_rng",
    "train_transform",
    "write_rooms",
]
