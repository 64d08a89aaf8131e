"""How convolutions are padded; the features are compared in test_features."""

import torch
from torch.nn import functional as F

from cen.metrics.efficientnet import SameConv2d


def test_padding_as_in_tensorflow():
    conv = SameConv2d(1, 1, 3, 2, bias=False)
    x = torch.randn(1, 1, 6, 7)
    # An even length is padded by one on its far side only, an odd one on both.
    expected = F.conv2d(F.pad(x, (1, 1, 0, 1)), conv.weight, stride=2)
    assert torch.equal(conv(x), expected)
