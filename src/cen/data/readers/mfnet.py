"""Reader of the MFNet data set (MF, RGB and thermal) as its authors distribute it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from cen.data.readers.aligned import AlignedDataset, Frame
from cen.data.readers.dataset_yaml import published_classes
from cen.data.readers.split_lists import official_list

Unlabelled = Literal["class", "ignore"]

NAMES = (
    *("unlabelled", "car", "person", "bike", "curve"),
    *("car_stop", "guardrail", "color_cone", "bump"),
)
PALETTE = (
    *((0, 0, 0), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 192)),
    *((128, 128, 0), (64, 64, 128), (192, 128, 128), (192, 64, 0)),
)

MIRRORED = "_flip"
"""End of the names of mirrored copies."""


class MFNet(AlignedDataset):
    """Colour and thermal pictures of streets by day and by night.

    1,569 frames (820 by day, 749 by night) of 480 x 640 pixels, 8 classes and the unlabelled.
    Q. Ha, K. Watanabe, T. Karasawa, Y. Ushiku, T. Harada, "MFNet: Towards Real-Time Semantic
    Segmentation for Autonomous Vehicles with Multi-Spectral Scenes", IROS 2017. Layout::

        root/images/NAME.png     8-bit, 4 channels: red, green, blue, thermal
        root/labels/NAME.png     8-bit labels 0..8
        root/train.txt           names, one a line; val.txt and test.txt are the same

    Sources: folders, lists and number of frames: github.com/haqishen/MFNet-pytorch
    (util/MF_dataset.py, README); that the fourth channel is thermal: its model/MFNet.py; names and
    colours of the classes: github.com/yuxiangsun/RTFNet (util/util.py). Not confirmed, as no file
    of the data set was at hand: whether train.txt lists mirrored copies (NAME_flip). Such lines are
    left out, since ``transforms.flip`` mirrors. The unit of thermal values is not documented.

    Fields: ``rgb``, ``thermal`` (an 8-bit grey image), ``segmentation``.

    Arguments that are not named here are those of every reader, see `AlignedDataset`.

    Args:
        split: those of the three lists; ``validation`` (a share) is not used.
        classes: other names for the classes, as many.
        unlabelled: stored label 0 is a "class", as in the figures published since RTFNet, which
            average over nine, or is not trained and does not count ("ignore").

    Raises:
        DataError: at once: a missing list or file, a name in two lists; on reading: a picture that
            cannot be decoded or has no fourth channel, a label that is no class.
    """

    usual_inputs = ("rgb", "thermal")

    def open(
        self, classes: int | Sequence[str] | None, *, unlabelled: Unlabelled = "class"
    ) -> None:
        """Reads the list of the split; see the class for ``unlabelled``."""
        first = int(unlabelled == "ignore")
        self.labels = {
            "segmentation": published_classes(classes, NAMES[first:], PALETTE[first:], self.root)
        }
        label: dict[str, Any] = {"kind": "label"}
        if first:
            label |= {"first": 1, "ignore": (0,), "ignore_index": self.ignore_index}
        self.fields = {
            "rgb": {"kind": "image", "bands": (0, 1, 2)},
            "thermal": {"kind": "image", "channels": 1, "bands": (3,)},
            "segmentation": label,
        }
        images, labels = self.root / "images", self.root / "labels"
        self.frames = [
            Frame(
                name,
                {
                    **dict.fromkeys(("rgb", "thermal"), images / f"{name}.png"),
                    "segmentation": labels / f"{name}.png",
                },
                place,
            )
            for name, place in official_list(self.root, self.split).items()
            if not name.endswith(MIRRORED)
        ]
