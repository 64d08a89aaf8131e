"""Tiles with encoders that round the size of their maps in other ways than ResNets do."""

import pytest
import torch
from torch import nn

from cen.errors import ConfigError
from cen.models import build, encoders
from cen.predict.scenes import TensorScene
from cen.predict.views import Views, bands, joined


class Patches(nn.Module):
    """Cuts off what is left of the last patch, as ConvNeXt does, or takes no such size, as Swin."""

    def __init__(self, stride, multiple):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, stride, stride)
        self.norm = nn.BatchNorm2d(16)
        self.multiple = multiple

    def forward(self, x):
        height, width = x.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(f"{height} x {width} is no multiple of {self.multiple}")
        return [self.norm(self.conv(x))]


def network(monkeypatch, stride, multiple):
    torch.manual_seed(0)
    monkeypatch.setitem(encoders, "patches", lambda options, of: Patches(stride, multiple))
    inputs, outputs = {"rgb": 3, "depth": 1}, {"out": 4}
    return build(
        "segformer", encoder="patches", inputs=inputs, outputs=outputs, decoder_channels=8
    ).eval()


def predicted(net, given, size, tile):
    scene = TensorScene(given)
    with torch.inference_mode():
        return joined(bands(net, lambda _: scene, size, Views(tile=tile))).outputs["out"]


@pytest.mark.parametrize("resized", [False, True])
@pytest.mark.parametrize("size", [(224, 256), (200, 333), (131, 90), (90, 259)])
@pytest.mark.parametrize(("stride", "multiple"), [(4, 1), (8, 8), (4, 32), (14, 14)])
def test_tiles_give_what_the_whole_gives(monkeypatch, stride, multiple, size, resized):
    """Also where the last tile has fewer rows and columns than the stride divides."""
    net = network(monkeypatch, stride, multiple)
    given = {"rgb": torch.rand(2, 3, *size), "depth": torch.rand(2, 1, *size)}
    wanted = (301, 99) if resized else size
    whole = predicted(net, given, wanted, None)
    tiled = predicted(net, given, wanted, 128)
    torch.testing.assert_close(tiled.ensemble, whole.ensemble)
    for name, values in whole.streams.items():
        torch.testing.assert_close(tiled.streams[name], values)


def test_maps_by_whose_stride_tiles_cannot_begin_are_refused(monkeypatch):
    net = network(monkeypatch, 12, 1)
    given = {"rgb": torch.rand(1, 3, 200, 150)}
    assert predicted(net, given, (200, 150), None).ensemble.shape[2:] == (200, 150)
    with pytest.raises(ConfigError, match=r"of 128 pixels .* 10 values.*--tile none"):
        predicted(net, given, (200, 150), 128)
