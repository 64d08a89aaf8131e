"""Reader of PST900 (RGB, thermal and stereo depth) as its authors distribute it."""

from __future__ import annotations

from collections.abc import Sequence

from cen.data.readers.aligned import AlignedDataset, Frame
from cen.data.readers.dataset_yaml import published_classes
from cen.errors import DataError

NAMES = ("background", "fire_extinguisher", "backpack", "hand_drill", "rescue_randy")
PALETTE = ((0, 0, 0), (0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255))

DEPTH_STEPS = 2560.0
"""Stored depth of 1 (toolkit/utilities.py: DEPTH_SCALING)."""

_FOLDERS = {
    **{name: name for name in ("rgb", "thermal", "thermal_raw", "depth")},
    "segmentation": "labels",
}


class PST900(AlignedDataset):
    """Colour and thermal pictures of what a rescue robot looks for below ground.

    894 frames of 720 x 1280 pixels, 606 to train on and 288 to test; 4 classes and the background.
    S. Shivakumar, N. Rodrigues, A. Zhou, I. Miller, V. Kumar, C. Taylor, "PST900: RGB-Thermal
    Calibration, Dataset and Segmentation Network", ICRA 2020. Layout::

        root/train/rgb/NAME.png          8-bit colour
                   thermal/NAME.png      8-bit grey, FLIR's automatic gain; 0 = a hole
                   thermal_raw/NAME.png  16-bit grey
                   depth/NAME.png        16-bit grey, from stereo
                   labels/NAME.png       8-bit labels 0..4
        root/test/                       the same

    Sources: github.com/ShreyasSkandanS/pst900_thermal_rgb (README: layout, types, holes;
    toolkit/utilities.py: depth = stored / 2560, holes of thermal pictures are 0, colours;
    pstnet/README.md: classes in this order). Not confirmed, as no file of the data set was at
    hand: that the depth so scaled is in metres and 0 where there is none, that holes of thermal_raw
    are 0, and the unit of thermal_raw (here the share of 65535). The README's comments count 606
    frames in test and 288 in train; it is taken to be the other way round, and nothing counts them.

    Fields: ``rgb``; ``thermal`` and ``thermal_raw``, continuous in 0..1, missing in holes;
    ``depth``, ``segmentation``. The mean 0.5 and deviation 0.25 of thermal values are this
    project's.

    Arguments that are not named here are those of every reader, see `AlignedDataset`.

    Args:
        root: the folder that holds train and test.
        split: "train" and "validation" share the folder train; validation takes whole recordings,
            by the names before ``_frame``, or, of one recording, blocks of neighbouring frames.
        classes: other names for the classes, as many.

    Raises:
        DataError: at once: a missing folder or file; on reading: a picture that cannot be decoded
            or has other bits, a label that is no class.
    """

    usual_inputs = ("rgb", "thermal")

    def open(self, classes: int | Sequence[str] | None) -> None:
        """Lists the frames of the split by their labels, as the authors do."""
        self.labels = {"segmentation": published_classes(classes, NAMES, PALETTE, self.root)}
        grey = {"kind": "continuous", "channels": 1, "missing": 0.0, "mean": [0.5], "std": [0.25]}
        self.fields = {
            "rgb": {"kind": "image"},
            "thermal": {**grey, "unit": 1.0 / 255.0, "bits": 8},
            "thermal_raw": {**grey, "unit": 1.0 / 65535.0, "bits": 16},
            "depth": {"kind": "depth", "unit": 1.0 / DEPTH_STEPS, "missing": 0.0, "bits": 16},
            "segmentation": {"kind": "label"},
        }
        part = self.root / ("test" if self.split == "test" else "train")
        names = sorted(file.stem for file in (part / "labels").glob("*.png"))
        if not names:
            raise DataError(f"{part / 'labels'}: no *.png; see docs/datasets.md for the layout")
        recordings = [name.rpartition("_frame")[0] for name in names]
        groups = recordings if len(set(recordings)) > 1 else names
        self.frames = [
            Frame(
                names[index],
                {field: part / at / f"{names[index]}.png" for field, at in _FOLDERS.items()},
                group=groups[index],
            )
            for index in self.cut(groups, str(part))
        ]
