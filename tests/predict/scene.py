"""What the networks and the scene of these tests have in common."""

from cen.data import Modality

CLASSES = ("wall", "floor", "box", "ball")
PALETTE = [[10, 20, 30], [200, 30, 30], [30, 200, 30], [30, 30, 200]]
MODALITIES = {"rgb": Modality.of("image"), "depth": Modality.of("depth", unit=0.001)}
