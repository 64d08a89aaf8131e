import pytest
import torch
from torch import nn

from cen.models import adapt_channels, build
from cen.models.resnet import ResNet
from cen.models.stems import private_stem, tile


@pytest.mark.parametrize("channels", range(1, 10))
@pytest.mark.parametrize("known", [2, 3, 5])
def test_response_to_equal_channels_is_kept(channels, known):
    weight = torch.randn(4, known, 3, 3, dtype=torch.float64)
    grey = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    expected = nn.functional.conv2d(grey.expand(-1, known, -1, -1), weight)
    adapted = adapt_channels(weight, channels)
    assert adapted.shape == (4, channels, 3, 3)
    found = nn.functional.conv2d(grey.expand(-1, channels, -1, -1), adapted)
    torch.testing.assert_close(found, expected)


def test_same_number_of_channels_changes_nothing():
    weight = torch.randn(4, 3, 7, 7)
    assert torch.equal(adapt_channels(weight, 3), weight)


def test_first_three_channels_stay_red_green_blue():
    weight = torch.randn(4, 3, 7, 7)
    adapted = adapt_channels(weight, 4)
    assert torch.equal(adapted[:, 0], weight[:, 0] / 2)
    assert torch.equal(adapted[:, 1:3], weight[:, 1:])
    assert torch.equal(adapted[:, 3], weight[:, 0] / 2)


def test_one_channel_answers_as_a_tiled_image():
    shared = nn.Conv2d(3, 4, 7, 2, 3, bias=False)
    stem = private_stem(shared, 1)
    image = torch.randn(2, 1, 33, 35)
    torch.testing.assert_close(stem(image), shared(tile(image)))


def test_a_stem_keeps_the_options_of_the_convolution():
    shared = nn.Conv2d(3, 4, (5, 7), (2, 1), (2, 3), bias=True).double()
    image = torch.randn(1, 3, 11, 13, dtype=torch.float64)
    torch.testing.assert_close(private_stem(shared, 3)(image), shared(image))


def test_a_fresh_stem_has_no_two_channels_alike():
    """From random weights nothing says that depth should begin as the red channel does."""
    shared = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    stem = private_stem(shared, 4, fresh=True)
    size = shared.weight.std().item()
    assert stem.weight.std().item() == pytest.approx(size, rel=0.05)
    assert not torch.equal(stem.weight[:, 0], stem.weight[:, 3])
    assert (stem.weight[:, 0] - stem.weight[:, 3]).std().item() == pytest.approx(
        size * 2**0.5, rel=0.1
    )


@pytest.mark.parametrize("pretrained", [False, True])
def test_early_concatenation_starts_from_weights_that_are_worth_it(tmp_path, pretrained):
    weights = tmp_path / "resnet18.pth"
    plain = ResNet(18, 64)
    torch.save(plain.state_dict(), weights)
    net = build(
        "refinenet",
        encoder="resnet18",
        inputs={"rgb": 3, "depth": 1},
        outputs={"a": 3},
        decoder_channels=4,
        fusion="concat",
        fusion_at="early",
        weights=weights if pretrained else None,
    )
    (stem,) = net.stems.values()
    assert torch.equal(stem.weight[:, 0], stem.weight[:, 3]) is pretrained
