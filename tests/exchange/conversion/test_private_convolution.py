"""Kernels of each stream's own: of plain convolutions alone."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from cen.errors import ConversionError
from cen.exchange import StreamConv2d, Streams, convert


class Standardised(nn.Conv2d):
    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(x, weight - weight.mean((1, 2, 3), keepdim=True), bias)


def hooked() -> nn.Module:
    conv = nn.Conv2d(3, 4, 3)
    conv.register_forward_pre_hook(lambda _, given: (2 * given[0],))
    return conv


def patched() -> nn.Module:
    conv = nn.Conv2d(3, 4, 3)
    conv.forward = lambda x: 2 * nn.Conv2d.forward(conv, x)  # type: ignore[method-assign]
    return conv


@pytest.mark.parametrize(
    ("conv", "why"),
    [
        (Standardised(3, 4, 3), r"\(Standardised\) has a forward of its own"),
        (patched(), "has a forward of its own"),
        (hooked(), "has hooks"),
        (parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)), "computed of other weights"),
        (nn.LazyConv2d(4, 3), "no weights yet"),
    ],
)
def test_what_computes_more_than_its_kernel_says_is_refused(conv: nn.Module, why: str) -> None:
    plain = nn.Sequential(conv, nn.BatchNorm2d(4))
    with pytest.raises(ConversionError, match=rf"convolution='private': '0' .*{why}"):
        convert(plain, ["a", "b"], convolution="private")


def test_shared_it_is_called_as_it_is() -> None:
    plain = nn.Sequential(Standardised(3, 4, 3), nn.BatchNorm2d(4)).eval()
    image = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(convert(plain, ["a", "b"])({"b": image})["b"], plain(image))


def test_kernels_that_two_convolutions_share_stay_shared() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1))
    plain[2].weight = plain[0].weight
    net = convert(plain, ["a", "b"], convolution="private").module
    assert net[0].weight is net[2].weight
    assert net[0].bias is not net[2].bias


def test_the_streams_of_a_group_share_a_kernel() -> None:
    streams = Streams(["a1", "b1", "a2", "b2"], [["a1", "a2"], ["b1", "b2"]])
    plain = nn.Conv2d(4, 6, 3, 2, padding=1, groups=2).double()
    conv = StreamConv2d(plain, streams, by_group=True)
    assert conv.kernels == (0, 1, 0, 1)
    assert (conv.weight.shape, conv.bias.shape) == ((2, 6, 2, 9), (2, 6))
    torch.nn.init.normal_(conv.weight)
    torch.nn.init.normal_(conv.bias)
    images = {name: torch.randn(3, 4, 7, 9).double() for name in streams.names}
    for present in (["a1", "b1", "a2", "b2"], ["b1", "b2"], ["a1", "b2"], ["b1"]):
        with streams.activate(present):
            found = streams.unpack(conv(streams.pack({n: images[n] for n in present})))
        for name in present:
            kernel = 0 if name.startswith("a") else 1
            own = torch.unflatten(conv.weight[kernel], -1, (3, 3))
            expected = nn.functional.conv2d(images[name], own, conv.bias[kernel], 2, 1, 1, 2)
            torch.testing.assert_close(found[name], expected)
