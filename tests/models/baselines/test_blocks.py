"""What each fusion block computes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cen.models.baselines import FUSIONS, Attention, Average, Concat, Gate, Sum


@pytest.mark.parametrize("kind", FUSIONS.values(), ids=FUSIONS)
def test_blocks_compile_as_one_graph(kind):
    block = kind(4, 3).eval()
    compiled = torch.compile(block, fullgraph=True, backend="eager")
    for present in ((0, 1, 2), (0, 2)):
        packed = torch.randn(2 * len(present), 4, 3, 5)
        torch.testing.assert_close(compiled(packed, present), block(packed, present))


def test_averages_leave_out_what_is_absent():
    packed = torch.randn(6, 4, 3, 5)
    a, b, c = packed.view(2, 3, 4, 3, 5).unbind(1)
    torch.testing.assert_close(Average(4, 3)(packed, (0, 1, 2)), (a + b + c) / 3)
    torch.testing.assert_close(Sum(4, 3)(packed, (0, 1, 2)), a + b + c)
    pair = torch.stack([a, c], 1).flatten(0, 1)
    torch.testing.assert_close(Average(4, 3)(pair, (0, 2)), (a + c) / 2)
    torch.testing.assert_close(Sum(4, 3)(pair, (0, 2)), a + c)


@pytest.mark.parametrize("kind", [Concat, Attention])
def test_absent_streams_count_as_zeros_in_their_place(kind):
    block = kind(4, 3).eval()
    packed = torch.randn(4, 4, 3, 5)
    zeros = torch.zeros(2, 4, 3, 5)
    b, c = packed.view(2, 2, 4, 3, 5).unbind(1)
    full = torch.stack([zeros, b, c], 1).flatten(0, 1)
    torch.testing.assert_close(block(packed, (1, 2)), block(full, (0, 1, 2)))


def test_concatenation_is_a_convolution_of_all_channels():
    block = Concat(2, 2, norm=False)
    packed = torch.randn(2, 2, 3, 3)
    expected = F.conv2d(packed.view(1, 4, 3, 3), block.conv.weight, block.conv.bias)
    torch.testing.assert_close(block(packed, (0, 1)), expected)
    assert (Concat(2, 2).eval()(packed, (0, 1)) >= 0).all()


def test_attention_multiplies_the_features_with_its_gates():
    block = Attention(4, 2, norm=False).eval()
    assert block.squeeze.out_channels == 4
    assert Attention(64, 2).squeeze.out_channels == 8
    packed = torch.randn(2, 4, 5, 5)
    nn.init.zeros_(block.excite.weight)
    nn.init.zeros_(block.excite.bias)
    half = block.join(packed.view(1, 8, 5, 5) / 2)
    torch.testing.assert_close(block(packed, (0, 1)), half)
    nn.init.constant_(block.excite.bias, -50.0)  # all gates shut
    torch.testing.assert_close(block(packed, (0, 1)), block.join(torch.zeros(1, 8, 5, 5)))


def test_gates_are_weights_that_add_up_over_those_present():
    block = Gate(4, 3)
    packed = torch.randn(6, 4, 3, 5)
    torch.testing.assert_close(block(packed, (0, 1, 2)), Average(4, 3)(packed, (0, 1, 2)))
    nn.init.normal_(block.conv.weight)
    equal = packed[:2].repeat_interleave(2, 0)
    torch.testing.assert_close(block(equal, (0, 2)), packed[:2])
    with torch.no_grad():
        block.conv.weight.zero_()
        block.conv.bias[4:8] = 50.0  # the second stream alone has a say
    torch.testing.assert_close(block(packed, (0, 1, 2)), packed[1::3])
