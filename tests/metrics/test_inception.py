"""How images come to the size of Inception; its features are compared in test_features."""

import torch

from cen.metrics.inception import resize_like_tensorflow


def test_resizing_as_in_tensorflow():
    ramp = torch.arange(4.0).view(1, 1, 1, 4)
    wide = resize_like_tensorflow(ramp, (1, 8))
    assert wide.flatten().tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]
    assert torch.equal(resize_like_tensorflow(wide, (1, 4)), ramp)
