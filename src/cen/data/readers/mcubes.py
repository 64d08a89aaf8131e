"""Reader of MCubeS (RGB, polarisation, near infrared) as its authors distribute it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cen.data.fields.modality import Modality
from cen.data.formats.file_bytes import is_file, read_with_header
from cen.data.formats.pictures import read_array
from cen.data.readers.aligned import AlignedDataset, Frame
from cen.data.readers.dataset_yaml import published_classes
from cen.data.readers.split_lists import official_list
from cen.errors import ConfigError, DataError

NAMES = (
    *("asphalt", "concrete", "metal", "road_marking", "fabric", "glass", "plaster", "plastic"),
    *("rubber", "sand", "gravel", "ceramic", "cobblestone", "brick", "grass", "wood", "leaf"),
    *("water", "human_body", "sky"),
)
PALETTE = (
    *((44, 160, 44), (31, 119, 180), (255, 127, 14), (214, 39, 40), (140, 86, 75)),
    *((127, 127, 127), (188, 189, 34), (255, 152, 150), (23, 190, 207), (174, 199, 232)),
    *((196, 156, 148), (197, 176, 213), (247, 182, 210), (199, 199, 199), (219, 219, 141)),
    *((158, 218, 229), (57, 59, 121), (107, 110, 207), (156, 158, 222), (99, 121, 57)),
)

LEFT = 192
"""Columns at the left that the authors cut off."""

_FILES = {
    "rgb": "polL_color/{}.png",
    "aolp": "polL_aolp_sin/{}.npy",
    "dolp": "polL_dolp/{}.npy",
    "nir": "NIR_warped/{}.png",
    "segmentation": "GT/{}.png",
}


class MCubeS(AlignedDataset):
    """Materials of streets in colour, polarisation and near infrared.

    500 frames of 1024 x 1224 pixels, 20 classes. Y. Liang, R. Wakaki, S. Nobuhara, K. Nishino,
    "Multimodal Material Segmentation", CVPR 2022. Layout::

        root/polL_color/NAME.png        colour, 8 or 16 bits
        root/polL_aolp_sin/NAME.npy     sine of the angle of linear polarisation; polL_aolp_cos
        root/polL_dolp/NAME.npy         degree of linear polarisation
        root/NIR_warped/NAME.png        grey, 8 or 16 bits
        root/NIR_warped_mask/NAME.png   where it is not 0 there is no infrared
        root/GT/NAME.png                labels 0..19, 255 = ignore
        root/list_folder/train.txt      names, one a line; val.txt and test.txt are the same

    Source: github.com/kyotovision-public/multimodal-material-segmentation (README: folders and
    masks; dataloaders/datasets/multimodal_dataset.py: names, bits, the size and the 192 columns
    that are cut off; dataloaders/utils.py: classes and colours; utils/loss.py: masked pixels are
    ignored, in training and, as labels are changed in place, in figures with infrared, too). Not
    confirmed, as no file of the data set was at hand: which of 8 and 16 bits files have (the first
    of a split decides for all), and whether sine and cosine are of the angle or of its double.
    Mirroring (``transforms.flip``) leaves their signs as they are, as the authors' code does.

    Fields: ``rgb``; ``aolp``, continuous: sine and cosine; ``dolp``, continuous; ``nir``, grey;
    ``segmentation``.

    Arguments that are not named here are those of every reader, see `AlignedDataset`.

    Args:
        root: the folder (multimodal_dataset).
        split: those of the three lists; ``validation`` (a share) is not used. CMNeXt's published
            figures were chosen on the test list.
        classes: other names for the classes, as many.
        left: columns to cut off at the left.
        masked: pixels without infrared are ignored.

    Raises:
        ConfigError: ``left`` is negative.
        DataError: at once: a missing list or file, a name in two lists; on reading: a file that
            cannot be decoded, sizes that differ, a label that is no class.
    """

    usual_inputs = ("rgb", "aolp", "dolp", "nir")

    def open(
        self, classes: int | Sequence[str] | None, *, left: int = LEFT, masked: bool = True
    ) -> None:
        """Reads the list of the split; see the class for the options."""
        if left < 0:
            raise ConfigError(f"data.options.left: {left} is no number of columns")
        self._left, self._masked = left, masked
        self.labels = {"segmentation": published_classes(classes, NAMES, PALETTE, self.root)}
        self.frames = [
            Frame(
                name,
                {field: self.root / file.format(name) for field, file in _FILES.items()},
                place,
                group=name.rpartition("_")[0],
            )
            for name, place in official_list(self.root / "list_folder", self.split).items()
        ]
        first = self.files(0)
        self.fields = {
            "rgb": {"kind": "image", "bits": _bits(first["rgb"])},
            "aolp": {"kind": "continuous", "channels": 2},
            "dolp": {"kind": "continuous", "channels": 1},
            "nir": {"kind": "image", "channels": 1, "bits": _bits(first["nir"])},
            "segmentation": {"kind": "label", "ignore": (255,), "ignore_index": self.ignore_index},
        }

    def check_files(self) -> None:
        """Also looks for the cosines and the masks."""
        super().check_files()
        for index in range(len(self)):
            further = [self._cosine(index)] if "aolp" in self.modalities else []
            further += [self._mask(index)] if self._masked and self.targets else []
            for path in further:
                if not is_file(path):
                    raise DataError(f"{self.place(index)}: no file {path}")

    def read(self, field: str, index: int, modality: Modality) -> NDArray[Any]:
        """Reads one field, without the columns that are cut off."""
        if field == "aolp":
            sine, cosine = read_array(self.files(index)["aolp"]), read_array(self._cosine(index))
            if sine.ndim != 2 or sine.shape != cosine.shape:
                raise DataError(
                    f"{self._cosine(index)}: is {cosine.shape}, the sine beside it {sine.shape}; "
                    "both are (H, W)"
                )
            stored = np.stack([sine, cosine], axis=2)
            values = modality.from_stored(stored, str(self._cosine(index)))
        else:
            values = super().read(field, index, modality)
        if field == "segmentation" and self._masked:
            mask = Modality.of("image", 1).read(self._mask(index))
            if mask.shape != values.shape:
                raise DataError(f"{self._mask(index)}: is {mask.shape}, the labels {values.shape}")
            values = np.where(mask > 0, self.ignore_index, values)
        return np.ascontiguousarray(values[:, self._left :])

    def _cosine(self, index: int) -> Path:
        return self.root / "polL_aolp_cos" / f"{self.name(index)}.npy"

    def _mask(self, index: int) -> Path:
        return self.root / "NIR_warped_mask" / f"{self.name(index)}.png"


def _bits(path: Path) -> int:
    """Bits of a value of a PNG; 8 where the file is missing or none, which is told later."""
    try:
        return 16 if read_with_header(path)[1].bits == 16 else 8
    except DataError:
        return 8
