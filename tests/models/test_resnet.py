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
