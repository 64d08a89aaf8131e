"""The ``augment`` part of a modality: what training changes of an input, beside its geometry."""

from dataclasses import dataclass
from typing import Annotated

from cen.options.constraints import Amount, Share, Within

IMAGES = ("brightness", "contrast", "saturation", "hue", "blur")
"""Options that are for images alone."""
CHANGES = (*IMAGES, "noise", "holes")
"""Options that are for some kinds of fields; a sensor of any kind may fail in patches."""


@dataclass
class AugmentConfig:
    """What training changes of one input, at random and anew for every sample and epoch.

    This project's choice of what differs between sensors and days. Ground truth stays, and so does
    evaluation. 0 is off.

    Attributes:
        brightness: Of an image: most by which it gets brighter or darker, as a share (factors of
            1 ± so much).
        contrast: Of an image: most by which the distance from its mean grows or shrinks.
        saturation: Of a colour image: most by which the distance from grey grows or shrinks.
        hue: Of a colour image: most by which its hues turn, as a share of the circle.
        blur: Of an image: greatest deviation of a Gaussian blur, in pixels of the crop.
        noise: Greatest deviation of Gaussian noise: of an image as a share of white, of a depth as
            a share of the distance, of edges and continuous values in their unit.
        holes: Greatest share of a depth or of continuous values that goes missing, in blobs.
        patches: Most rectangles in which the sensor fails: there is nothing but ``fill``.
        patch_size: Longest side of such a rectangle, as a share of the side of the crop.
    """

    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[float, Within(0, 0.5)] = 0.0
    blur: Annotated[float, Within(0, 100)] = 0.0
    noise: Amount = 0.0
    holes: Annotated[float, Within(0, 1, below=True)] = 0.0
    patches: Annotated[int, Within(0, 100)] = 0
    patch_size: Annotated[float, Within(0.01, 1)] = 0.25

    @property
    def off(self) -> bool:
        """Whether nothing is changed."""
        return self == AugmentConfig(patch_size=self.patch_size)
