"""Adaptive pooling as a product."""

import pytest
import torch
from torch.nn import functional as F

from cen.predict.export_graph import FreePooling


@pytest.mark.parametrize("bins", [1, 2, 3, 6, (2, 5), (None, 3)])
@pytest.mark.parametrize("size", [(6, 6), (13, 17), (4, 31)])
def test_products_are_the_pooling_of_torch(bins, size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = F.adaptive_avg_pool2d(x, bins)
    with FreePooling():
        torch.testing.assert_close(F.adaptive_avg_pool2d(x, bins), expected)
        torch.testing.assert_close(torch.nn.AdaptiveAvgPool2d(bins)(x), expected)
