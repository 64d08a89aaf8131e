"""Tiles with encoders that round the size of their maps in other ways than ResNets do."""

import pytest
import torch
from tests.predict.local import patch_network

from cen.errors import ConfigError
from cen.predict.scenes import TensorScene
from cen.predict.views import Views, bands, joined


def predicted(net, given, size, tile):
    scene = TensorScene(given)
    with torch.inference_mode():
        return joined(bands(net, lambda _: scene, size, Views(tile=tile))).outputs["out"]


@pytest.mark.parametrize("resized", [False, True])
@pytest.mark.parametrize("size", [(224, 256), (200, 333), (131, 90), (90, 259)])
@pytest.mark.parametrize(("stride", "multiple"), [(4, 1), (8, 8), (4, 32), (14, 14)])
def test_tiles_give_what_the_whole_gives(monkeypatch, stride, multiple, size, resized):
    """Also where the last tile has fewer rows and columns than the stride divides."""
    net = patch_network(monkeypatch, stride, multiple)
    given = {"rgb": torch.rand(2, 3, *size), "depth": torch.rand(2, 1, *size)}
    wanted = (301, 99) if resized else size
    whole = predicted(net, given, wanted, None)
    tiled = predicted(net, given, wanted, 128)
    torch.testing.assert_close(tiled.ensemble, whole.ensemble)
    for name, values in whole.streams.items():
        torch.testing.assert_close(tiled.streams[name], values)


def test_maps_by_whose_stride_tiles_cannot_begin_are_refused(monkeypatch):
    net = patch_network(monkeypatch, 12, 1)
    given = {"rgb": torch.rand(1, 3, 200, 150)}
    assert predicted(net, given, (200, 150), None).ensemble.shape[2:] == (200, 150)
    with pytest.raises(ConfigError, match=r"of 128 pixels .* 10 values.*--tile none"):
        predicted(net, given, (200, 150), 128)
