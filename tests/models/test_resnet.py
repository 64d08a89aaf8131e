import pytest
import torch

from cen.errors import ConfigError
from cen.models import ResNet


@pytest.mark.parametrize(
    ("depth", "parameters"),
    # Published sizes of torchvision's ResNets less the classifier of 1000 classes (fc).
    [
        (18, 11_689_512 - 513_000),
        (34, 21_797_672 - 513_000),
        (50, 25_557_032 - 2_049_000),
        (101, 44_549_160 - 2_049_000),
        (152, 60_192_808 - 2_049_000),
    ],
)
def test_size_and_feature_maps(depth, parameters):
    with torch.device("meta"):
        net = ResNet(depth)
        features = net(torch.zeros(1, 3, 65, 95))
    assert sum(p.numel() for p in net.parameters()) == parameters
    sizes = [(17, 24), (9, 12), (5, 6), (3, 3)]
    assert [tuple(f.shape) for f in features] == [
        (1, c, *size) for c, size in zip(net.channels, sizes, strict=True)
    ]


def test_names_are_those_of_torchvision():
    with torch.device("meta"):
        keys = set(ResNet(50).state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer4.2.conv3.weight"} <= keys
    assert {"layer1.0.downsample.0.weight", "layer1.0.downsample.1.bias"} <= keys
    assert len(keys) == 318  # 53 convolutions, 53 norms of 5 tensors each


def test_width_scales_every_stage():
    assert ResNet(18, 8).channels == (8, 16, 32, 64)
    assert ResNet(50, 8).channels == (32, 64, 128, 256)


@pytest.mark.parametrize(("depth", "width", "message"), [(19, 64, "depth 19"), (18, 0, "width")])
def test_what_is_no_resnet(depth, width, message):
    with pytest.raises(ConfigError, match=message):
        ResNet(depth, width)


@pytest.mark.parametrize(("stride", "strides"), [(16, (4, 8, 16, 16)), (8, (4, 8, 8, 8))])
@pytest.mark.parametrize("depth", [18, 50])
def test_output_stride_is_kept_by_dilation(depth, stride, strides):
    plain, dilated = ResNet(depth, 4), ResNet(depth, 4, output_stride=stride)
    dilated.load_state_dict(plain.state_dict())  # the weights are those of the plain network
    image = torch.randn(1, 3, 65, 97)
    sizes = [tuple(f.shape[2:]) for f in dilated(image)]
    assert sizes == [(-(-65 // s), -(-97 // s)) for s in strides]


def test_dilated_stages_see_what_the_strided_ones_see():
    """At the strided network's own positions a dilated stage computes the same, but at borders."""
    torch.manual_seed(0)
    plain, dilated = ResNet(50, 4).eval(), ResNet(50, 4, output_stride=8).eval()
    dilated.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 353, 353)
    with torch.no_grad():
        deep, wide = plain(image)[3], dilated(image)[3]
    inner = slice(4, -4)
    expected, got = deep[..., inner, inner], wide[..., ::4, ::4][..., inner, inner]
    assert (got - expected).norm() < 0.02 * expected.norm()


def test_a_step_between_the_stages_reaches_the_next_one():
    net = ResNet(18, 4).eval()
    stem = net.conv1(torch.randn(1, 3, 64, 64))
    seen = []

    def after(stage, feature):
        seen.append((stage, tuple(feature.shape[1:])))
        return feature * 0 if stage == 2 else feature

    features = net.body(stem, after)
    assert seen == [(1, (4, 16, 16)), (2, (8, 8, 8)), (3, (16, 4, 4)), (4, (32, 2, 2))]
    assert not features[1].any()
    assert torch.equal(features[2], net.layer3(torch.zeros(1, 8, 8, 8)))


def test_output_stride_that_cannot_be():
    with pytest.raises(ConfigError, match="8, 16 or 32, not 4"):
        ResNet(18, 4, output_stride=4)
