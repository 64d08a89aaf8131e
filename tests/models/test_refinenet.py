import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cen.errors import ConfigError
from cen.models import RefineNetDecoder
from cen.models.refinenet import ChainedPooling, ResidualConv, pool5


def test_shortcut_of_a_residual_unit_is_rectified():
    block = ResidualConv(3, norm=False)
    nn.init.zeros_(block.conv2.conv.weight)
    x = torch.randn(2, 3, 5, 7)
    assert torch.equal(block(x), F.relu(x))


def test_residual_unit_has_a_bias_in_its_first_convolution_alone():
    plain, normed = ResidualConv(3, norm=False), ResidualConv(3, norm=True)
    assert plain.conv1.conv.bias is not None
    assert plain.conv2.conv.bias is None
    assert normed.conv1.conv.bias is None
    assert isinstance(normed.conv2.norm, nn.BatchNorm2d)


def test_chained_pooling_sums_its_stages():
    block = ChainedPooling(2, norm=False, stages=2)
    x = torch.randn(1, 2, 9, 9)
    first = block.convs[0](F.max_pool2d(x, 5, 1, 2))
    second = block.convs[1](F.max_pool2d(first, 5, 1, 2))
    torch.testing.assert_close(block(x), x + first + second)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_pooling_is_that_of_pytorch(memory_format):
    x = torch.randn(2, 8, 7, 9).contiguous(memory_format=memory_format)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    pooled, expected = pool5(mine), F.max_pool2d(theirs, 5, 1, 2)
    assert torch.equal(pooled, expected)
    assert pooled.is_contiguous(memory_format=memory_format)
    weights = torch.randn_like(pooled)
    (pooled * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize("norm", [False, True])
def test_any_sizes_of_features(norm):
    decoder = RefineNetDecoder((4, 8, 8, 16), 4, norm=norm)
    sizes = [(9, 12), (5, 6), (3, 3), (2, 2)]
    features = [torch.randn(2, c, *s) for c, s in zip((4, 8, 8, 16), sizes, strict=True)]
    assert decoder(features).shape == (2, 4, 9, 12)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in decoder.modules()) == (66 if norm else 0)


def test_coarser_path_is_upsampled_with_aligned_corners():
    """A corner of the coarse path lands exactly on the corner of the finer one."""
    level = RefineNetDecoder((2, 2, 2, 2), 2).levels[1]
    for name, parameter in level.named_parameters():
        if not name.startswith("project"):
            nn.init.zeros_(parameter)
    coarse = torch.rand(1, 2, 2, 2)
    rectified = level.refine(
        F.relu(F.interpolate(coarse, (3, 5), mode="bilinear", align_corners=True))
    )
    assert torch.equal(rectified[..., 0, 0], coarse[..., 0, 0])
    out = level(torch.randn(1, 2, 3, 5), coarse)
    torch.testing.assert_close(out, level.project(rectified))


def test_dropout_acts_on_the_two_deepest_features_and_the_output():
    decoder = RefineNetDecoder((2, 2, 2, 2), 2, dropout=0.5)
    seen = []
    decoder.dropout.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    features = [torch.randn(1, 2, 2**k, 2**k) for k in (4, 3, 2, 1)]
    decoder(features)
    assert seen[0] is features[3]
    assert seen[1] is features[2]
    assert len(seen) == 3
    assert seen[2].shape == (1, 2, 16, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "decoder_channels"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
    ],
)
def test_values_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        RefineNetDecoder((2, 2, 2, 2), **options)
