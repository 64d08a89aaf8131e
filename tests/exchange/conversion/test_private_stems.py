"""Streams of other numbers of channels than the network takes."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from cen.errors import ConfigError, ConversionError, ShapeError, StreamError
from cen.exchange import ExchangeRule, StreamStem, adapt_channels, convert


class Net(nn.Module):
    """Images enter by one convolution, or by a second way, too."""

    def __init__(self, way: str = "") -> None:
        super().__init__()
        self.way = way
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.other = nn.Conv2d(3, 4, 1) if way == "other" else None

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "flipped":
            x = x.flip(1)
        out: Tensor = self.norm(self.first(x))
        if self.other is not None:
            out = out + self.other(x)
        return out + x.mean((1, 2, 3), keepdim=True) if self.way == "mean" else out


CHANNELS = {"rgb": 3, "thermal": 1, "bands": 5}


def images(**channels: int) -> dict[str, Tensor]:
    return {name: torch.randn(2, count, 6, 6) for name, count in channels.items()}


@pytest.mark.parametrize("subset", [("rgb", "thermal", "bands"), ("bands", "rgb"), ("thermal",)])
def test_each_stream_is_the_network_with_its_first_convolution(subset: tuple[str, ...]) -> None:
    plain = Net().eval()
    net = convert(plain, CHANNELS, exchange=ExchangeRule(threshold=0.0))
    given = {name: images(**CHANNELS)[name] for name in subset}
    found = net(given)
    for name in subset:
        weight = adapt_channels(plain.first.weight, CHANNELS[name])
        stem = nn.functional.conv2d(given[name], weight, plain.first.bias, padding=1)
        torch.testing.assert_close(found[name], plain.norm(stem), msg=name)
    grey = torch.randn(2, 1, 6, 6)
    three = plain(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(net({"thermal": grey})["thermal"], three)


def test_streams_that_fit_share_the_convolution_there_is() -> None:
    net = convert(Net(), {"rgb": 3, "nir": 3})
    assert isinstance(net.module.first, nn.Conv2d)
    with pytest.raises(ShapeError, match=r"'nir' has shape \(2, 1, 6, 6\) but 3 channels"):
        net(images(rgb=3, nir=1))
    other = convert(Net(), {"depth": 1, "thermal": 1}).module.first
    assert isinstance(other, StreamStem)
    assert other.shared is None


def test_the_weights_of_every_stem_learn() -> None:
    net = convert(Net(), CHANNELS)
    sum(out.square().sum() for out in net(images(**CHANNELS)).values()).backward()
    assert all(parameter.grad is not None for parameter in net.module.first.parameters())


def test_every_convolution_that_takes_the_image_is_named() -> None:
    with pytest.raises(ConversionError, match=r"elsewhere than through 'first'.*stem="):
        convert(Net("other"), CHANNELS)(images(**CHANNELS))
    net = convert(Net("other"), CHANNELS, stem=["first", "other"]).eval()
    found = net(images(**CHANNELS))
    assert found["bands"].shape == (2, 4, 6, 6)
    with pytest.raises(ConversionError, match="elsewhere than through"):
        convert(Net("mean"), CHANNELS)(images(**CHANNELS))
    with pytest.raises(ConversionError, match="channels have been mixed or moved"):
        convert(Net("flipped"), CHANNELS)(images(**CHANNELS))


@pytest.mark.parametrize("computed", [parametrizations.weight_norm, nn.utils.spectral_norm])
def test_a_kernel_that_is_computed_of_others_is_not_adapted(computed) -> None:
    plain = Net()
    computed(plain.first)
    with pytest.raises(ConversionError, match=r"first convolution.*computed of other weights"):
        convert(plain, CHANNELS)
    assert convert(plain, {"rgb": 3, "nir": 3}).module.first is not plain.first


@pytest.mark.parametrize(
    ("streams", "options", "error", "words"),
    [
        ({"rgb": 3, "depth": 0}, {}, ConfigError, "0 channels"),
        ({"rgb": 3, "a.b": 1}, {}, StreamError, "cannot be named so"),
        (["rgb", "depth"], {"stem": "first"}, ConfigError, "given with their channels"),
        (CHANNELS, {"stem": "norm"}, ConversionError, "no convolution of the network"),
        (CHANNELS, {"convolution": "private"}, ConfigError, "same number of channels"),
    ],
)
def test_what_cannot_be_is_refused(streams, options, error, words) -> None:
    with pytest.raises(error, match=words):
        convert(Net(), streams, **options)
