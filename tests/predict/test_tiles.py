"""Tiles cover a picture, and the weights of overlapping ones sum to 1."""

import pytest
import torch
from tests.predict.local import local_network
from torch import nn

import cen
from cen.errors import ConfigError
from cen.predict.tiles import Axis, Tiling, check_tile, looks_afar, tile_side


@pytest.mark.parametrize("length", [100, 257, 640, 641, 1000, 3000, 4001])
@pytest.mark.parametrize(("tile", "align"), [(64, 32), (256, 32), (640, 32), (512, 256)])
def test_tiles_cover_an_axis_and_overlap(length, tile, align):
    tiling = Tiling.of(length, tile, align)
    assert tiling.spans[0][0] == 0
    assert tiling.spans[-1][1] == length
    assert all(start % align == 0 and stop - start <= tile for start, stop in tiling.spans)
    for (_, stop), (start, _) in zip(tiling.spans, tiling.spans[1:], strict=False):
        assert stop - start >= tiling.overlap


def test_weights_of_the_usual_overlap_sum_to_one():
    tiling = Tiling(((0, 256), (192, 448)), overlap=64, align=64)
    total = torch.zeros(112)
    for number, (start, stop) in enumerate(tiling.spans):
        weights = tiling.weights(number, (stop - start) // 4)
        total[start // 4 : stop // 4] += weights
    assert torch.allclose(total, torch.ones(112))
    first, second = tiling.weights(0, 64), tiling.weights(1, 64)
    assert first[:48].eq(1).all()  # alone, up to the border of the picture
    assert first[-4:].eq(0).all()  # a quarter of the overlap
    assert torch.allclose(first[48:], second[:16].flip(0))
    assert (first[48:].diff() <= 0).all()
    assert first[56:58].tolist() == pytest.approx([0.4375, 0.3125])


def test_pictures_of_two_megapixels_stay_whole():
    assert tile_side("auto", (1080, 1920), 32) is None
    assert tile_side("auto", (1536, 2048), 32) == 640
    assert tile_side(None, (9000, 9000), 32) is None
    assert tile_side(100, (100, 90), 32) is None
    assert tile_side(100, (101, 90), 32) == 96
    with pytest.raises(ConfigError, match=r"tile: 40 pixels are too small.*64"):
        tile_side(40, (101, 90), 32)


@pytest.mark.parametrize("tile", ["all", 0, -64, 1.5, True])
def test_what_is_no_side_is_refused(tile):
    with pytest.raises(ConfigError, match="tile:"):
        check_tile(tile)


def test_networks_that_go_by_the_whole_picture_are_known():
    options = {"encoder": "resnet18", "inputs": {"rgb": 3}, "width": 8, "outputs": {"s": 3}}
    assert looks_afar(cen.build("pspnet", decoder_channels=8, **options)) == ["pyramid pooling"]
    assert looks_afar(local_network(4)) == []
    upernet = cen.build("upernet", decoder_channels=8, **options)
    assert looks_afar(upernet) == ["pyramid pooling"]
    segformer = {**options, "encoder": "mit_b0"}
    assert looks_afar(cen.build("segformer", decoder_channels=8, **segformer)) == ["attention"]
    # Those of other libraries; the attention that fuses streams here looks at each place.
    squeezed = type("SqueezeExcite", (nn.Module,), {"__module__": "timm.layers"})()
    windows = type("WindowAttention", (nn.Module,), {"__module__": "timm.models.swin"})()
    assert looks_afar(nn.Sequential(squeezed, windows)) == ["pooling of whole maps"]
    assert looks_afar(nn.Sequential(nn.AdaptiveAvgPool2d(1))) == ["pooling of whole maps"]
    assert looks_afar(nn.MultiheadAttention(4, 2)) == ["attention"]
    own = type("Own", (nn.Module,), {"sees_whole": "a mean of all pixels"})()
    assert looks_afar(nn.Sequential(own, nn.MultiheadAttention(4, 2))) == [
        "attention",
        "a mean of all pixels",
    ]
    both = {**options, "inputs": {"rgb": 3, "depth": 1}}
    fused = cen.build("refinenet", fusion="attention", decoder_channels=8, **both)
    assert looks_afar(fused) == []


@pytest.mark.parametrize(
    ("end", "count"),
    [(45 // 4, 333 // 4), (-(-45 // 4), -(-333 // 4))],  # an encoder that rounds down, and up
)
def test_the_values_of_an_axis_are_counted_as_the_encoder_rounds(end, count):
    tiling = Tiling.of(333, 128, 32)
    assert (tiling.rest, tiling.end) == (13, 45)
    axis = Axis.of(tiling, 32, end)
    assert (axis.stride, axis.count, axis.at(96), axis.at(333)) == (4, count, 24, count)
    (start, stop) = tiling.spans[-1]
    assert axis.covered((start, stop), count - start // 4) == (start // 4, count)
    with pytest.raises(ConfigError, match=rf"tile: of {stop - start} pixels .* 7 values"):
        axis.covered((start, stop), 7)


@pytest.mark.parametrize("first", [9, 0, 128 // 64 + 1, 2])
def test_tiles_that_begin_between_values_are_refused(first):
    with pytest.raises(ConfigError, match=rf"of 128 pixels this network predicts {first} values"):
        Axis.of(Tiling.of(333, 128, 32), first, 10)
