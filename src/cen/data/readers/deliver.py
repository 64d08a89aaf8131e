"""Reader of DeLiVER (RGB, depth as HHA, events, LiDAR) as its authors distribute it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from cen.data.fields.geometry import resize
from cen.data.fields.modality import Modality
from cen.data.formats.file_bytes import read_with_header
from cen.data.readers.aligned import AlignedDataset, Frame
from cen.data.readers.dataset_yaml import published_classes
from cen.data.readers.splitting import PUBLISHED_NAMES
from cen.errors import DataError

Weather = Literal["cloud", "fog", "night", "rain", "sun"]
Failure = Literal["motionblur", "overexposure", "underexposure", "lidarjitter", "eventlowres"]
Case = Literal[Weather, Failure]

NAMES = (
    *("Building", "Fence", "Other", "Pedestrian", "Pole", "RoadLine", "Road", "SideWalk"),
    *("Vegetation", "Cars", "Wall", "TrafficSign", "Sky", "Ground", "Bridge", "RailTrack"),
    *("GroundRail", "TrafficLight", "Static", "Dynamic", "Water", "Terrain", "TwoWheeler"),
    *("Bus", "Truck"),
)
PALETTE = (
    *((70, 70, 70), (100, 40, 40), (55, 90, 80), (220, 20, 60), (153, 153, 153), (157, 234, 50)),
    *((128, 64, 128), (244, 35, 232), (107, 142, 35), (0, 0, 142), (102, 102, 156), (220, 220, 0)),
    *((70, 130, 180), (81, 0, 81), (150, 100, 100), (230, 150, 140), (180, 165, 180)),
    *((250, 170, 30), (110, 190, 160), (170, 120, 50), (45, 60, 150), (145, 170, 100)),
    *((0, 0, 230), (0, 60, 100), (0, 0, 70)),
)

_FILES = {
    "rgb": ("img", "rgb"),
    "hha": ("hha", "depth"),
    "event": ("event", "event"),
    "lidar": ("lidar", "lidar"),
    "segmentation": ("semantic", "semantic"),
}
"""Folder of a field, and the word for it in the names of its files."""


class DELIVER(AlignedDataset):
    """Four sensors in rendered streets, in five kinds of weather and with five kinds of failure.

    Front views, 25 classes. J. Zhang, R. Liu, H. Shi, K. Yang, S. Reiss, K. Peng, H. Fu, K. Wang,
    R. Stiefelhagen, "Delivering Arbitrary-Modal Semantic Segmentation", CVPR 2023. Layout::

        root/img/<weather>/<train, val or test>/<scene>/045050_rgb_front.png
        root/hha/                                       045050_depth_front.png
        root/event/                                     045050_event_front.png
        root/lidar/                                     045050_lidar_front.png
        root/semantic/                                  045050_semantic_front.png   1..25
        root/depth/                                     045050_depth_front.png      not read

    Source: github.com/jamycheung/DELIVER (README: folders; semseg/datasets/deliver.py: names of
    files, classes, colours, which labels are ignored, that labels are the first channel and that
    events, of which some have a lower resolution, are resized to the colours by nearest). All are
    8-bit pictures. Not confirmed, as no file of the data set was at hand: the size (others say
    1042 x 1042, low-resolution events 512 x 512, and 3,983, 2,005 and 1,897 frames). How depth/
    stores distances is not documented, so it is not read; the authors' networks take HHA.

    Fields: ``rgb``, ``hha``, ``event``, ``lidar``, images of three channels; ``segmentation``.

    Arguments that are not named here are those of every reader, see `AlignedDataset`.

    Args:
        split: those of the folders; ``validation`` (a share) is not used.
        classes: other names for the classes, as many.
        case: only one weather or one failure, for evaluation; None: all. (The authors' code looks
            for the word anywhere in the path, and so takes "train" for rain.)

    Raises:
        DataError: at once: no frames, a missing file; on reading: a picture that cannot be decoded,
            sizes that differ, a label that is no class.
    """

    usual_inputs = ("rgb", "hha", "event", "lidar")

    def open(self, classes: int | Sequence[str] | None, *, case: Case | None = None) -> None:
        """Lists the frames of the split by their colours; see the class for ``case``."""
        self.labels = {"segmentation": published_classes(classes, NAMES, PALETTE, self.root)}
        self.fields = {
            **{name: {"kind": "image"} for name in self.usual_inputs},
            "segmentation": {
                **{"kind": "label", "bands": (0,), "first": 1, "ignore": (0, 255)},
                "ignore_index": self.ignore_index,
            },
        }
        pattern = f"img/*/{PUBLISHED_NAMES[self.split]}/*/*_rgb_*.png"
        self.frames = [
            self._frame(path)
            for path in sorted(self.root.glob(pattern))
            if case is None or path.parts[-4] == case or case in path.parts[-2].lower()
        ]
        if not self.frames:
            only = f" of {case}" if case else ""
            raise DataError(f"{self.root}: no {pattern}{only}; see docs/datasets.md for the layout")

    def _frame(self, path: Path) -> Frame:
        weather, part, scene = path.parts[-4:-1]
        frame, _, view = path.stem.partition("_rgb_")
        files = {
            name: self.root / folder / weather / part / scene / f"{frame}_{word}_{view}.png"
            for name, (folder, word) in _FILES.items()
        }
        return Frame(f"{weather}-{scene}-{frame}_{view}", files, group=scene)

    def read(self, field: str, index: int, modality: Modality) -> NDArray[Any]:
        """Reads one picture; events of a lower resolution are resized to the colours."""
        values = super().read(field, index, modality)
        if field == "event":
            _, header = read_with_header(self.files(index)["rgb"])
            if values.shape[:2] != (header.height, header.width):
                return resize(values, (header.height, header.width), "nearest")
        return values
