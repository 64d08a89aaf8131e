import pytest
import torch
from torch import nn

from cen.errors import ConfigError, ShapeError
from cen.models import PatchGAN


def test_released_discriminator_judges_patches_of_70_pixels():
    with torch.device("meta"):
        net = PatchGAN()
        logits = net(torch.empty(1, 3, 256, 256), torch.empty(1, 3, 256, 256))
    assert logits.shape == (1, 1, 30, 30)
    assert [conv.out_channels for conv in net.convs] == [64, 128, 256, 512, 1]
    assert [conv.stride[0] for conv in net.convs] == [2, 2, 2, 1, 1]
    # The released one also holds two norms that nothing uses, with 130 numbers.
    assert sum(p.numel() for p in net.parameters()) == 2_769_601


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_what_one_logit_sees(layers, patch):
    net = PatchGAN(2, 2, layers=layers, statistics="running").eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.1)
    image = torch.zeros(1, 1, 128, 128, requires_grad=True)
    logits = net(torch.zeros(1, 1, 128, 128), image)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    rows = image.grad[0, 0].abs().sum(1).nonzero()
    assert rows.max() - rows.min() + 1 == patch


def test_all_streams_share_it_as_samples_of_one_batch():
    torch.manual_seed(0)
    net = PatchGAN(4, 4, layers=2, statistics="instance")
    source, image = torch.randn(2, 3, 32, 32), torch.randn(2, 1, 32, 32)
    both = net(source, image)
    each = [net(source[k : k + 1], image[k : k + 1]) for k in range(2)]
    torch.testing.assert_close(both, torch.cat(each))


def test_logits_are_finite_in_half_precision():
    net = PatchGAN(2, 4, layers=1)
    pair = torch.randn(1, 1, 32, 32) * 100, torch.randn(1, 1, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(*pair)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    assert torch.isfinite(loss)


def test_what_does_not_fit():
    net = PatchGAN(6, 4)
    with pytest.raises(ShapeError, match=r"6 channels together, not 3 \+ 1"):
        net(torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64))
    with pytest.raises(ShapeError, match="must agree"):
        net(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 32))
    assert net(*[torch.zeros(1, 3, 24, 40)] * 2).shape == (1, 1, 1, 3)
    with pytest.raises(ShapeError, match="at least 24 pixels"):
        net(*[torch.zeros(1, 3, 23, 40)] * 2)
    with pytest.raises(ConfigError, match="layers of a discriminator are at least 1"):
        PatchGAN(6, 4, layers=0)
