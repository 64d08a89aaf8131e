"""Predictions in tiles, at several scales and mirrored, against those of the whole picture."""

import numpy as np
import pytest
import torch
from tests.predict.local import local_network
from tests.predict.scene import MODALITIES

from cen.errors import CenWarning, ConfigError
from cen.models import Task, build
from cen.predict import tiled_rows
from cen.predict.predictor import Predictor
from cen.predict.scenes import MirroredScene, TensorScene
from cen.predict.views import Views, bands, joined


def inputs(height, width, batch=1):
    torch.manual_seed(1)
    return {
        "rgb": torch.rand(batch, 3, height, width),
        "depth": torch.rand(batch, 1, height, width),
    }


def predicted(net, given, views, size=None):
    whole = TensorScene(given)

    def scene(mirrored):
        return MirroredScene(whole, MODALITIES) if mirrored else whole

    with torch.inference_mode():
        return joined(bands(net, scene, size or whole.size, views)).outputs["out"]


@pytest.mark.parametrize("kind", ["segmentation", "depth", "normal"])
@pytest.mark.parametrize(("height", "width"), [(320, 256), (333, 250), (129, 500)])
def test_tiles_give_what_the_whole_gives(kind, height, width):
    """A network that sees 8 pixels to each side, of overlaps of 32: a quarter of them."""
    tasks = {"segmentation": Task("segmentation", 4), "depth": Task("depth", 1)}
    net = local_network(8, tasks.get(kind) or Task("normal", 3))
    given = inputs(height, width, batch=2)
    whole = predicted(net, given, Views())
    tiled = predicted(net, given, Views(tile=128))
    torch.testing.assert_close(tiled.ensemble, whole.ensemble)
    for name, values in whole.streams.items():
        torch.testing.assert_close(tiled.streams[name], values)
    assert tiled.alpha.equal(whole.alpha)


def test_of_a_network_that_sees_further_only_what_is_near_a_seam_differs():
    net, given = local_network(32), inputs(224, 128)
    whole, tiled = predicted(net, given, Views()), predicted(net, given, Views(tile=128))
    differs = (whole.ensemble - tiled.ensemble).abs().amax((0, 1, 3))
    assert differs[:88].max() < 1e-5  # from row 96 on two tiles overlap; 8 more for the resizing
    assert differs[136:].max() < 1e-5
    assert 1e-4 < differs.max() < 0.5


def test_the_size_of_what_is_predicted_may_be_another_one():
    net, given = local_network(8), inputs(160, 192)
    whole = predicted(net, given, Views(), (301, 99))
    torch.testing.assert_close(predicted(net, given, Views(tile=64), (301, 99))[1], whole[1])


def test_scales_and_mirrors_in_tiles_are_those_of_the_whole():
    net, given = local_network(8), inputs(256, 200)
    views = {"scales": (0.75, 1.5), "flip": True}
    whole, tiled = (predicted(net, given, Views(tile, **views)) for tile in (None, 128))
    torch.testing.assert_close(whole.ensemble.sum(1), torch.ones(1, 256, 200))
    torch.testing.assert_close(tiled.ensemble, whole.ensemble)


def test_large_rows_of_tiles_are_kept_in_a_file(monkeypatch):
    net, given = local_network(8), inputs(320, 256)
    expected = predicted(net, given, Views(tile=128)).ensemble
    monkeypatch.setattr(tiled_rows, "_IN_MEMORY", 1000)
    assert predicted(net, given, Views(tile=128)).ensemble.equal(expected)


def test_of_a_picture_in_tiles_few_rows_are_there_at_a_time(monkeypatch):
    monkeypatch.setattr("cen.predict.views._OF_BAND", 4 * 256 * 10)
    net, scene = local_network(8), TensorScene(inputs(320, 256))
    with torch.inference_mode():
        found = list(bands(net, lambda _: scene, scene.size, Views(tile=128)))
    assert [band.first for band in found] == list(range(0, 320, 10))
    assert all(band.outputs["out"].ensemble.shape[2] == 10 for band in found)


def test_a_fused_network_and_one_of_several_outputs_are_cut_alike():
    torch.manual_seed(0)
    options = {"encoder": "resnet18", "inputs": {"rgb": 3, "depth": 1}, "width": 4}
    outputs = {"out": 3, "normal": Task("normal", 3)}
    for more in ({"fusion": "concat"}, {}):
        net = build("refinenet", outputs=outputs, decoder_channels=4, **options, **more).eval()
        given = inputs(96, 200)
        whole, tiled = predicted(net, given, Views()), predicted(net, given, Views(tile=128))
        assert tiled.ensemble.shape == whole.ensemble.shape
        assert list(tiled.streams) == list(whole.streams)
        agree = (tiled.ensemble.argmax(1) == whole.ensemble.argmax(1)).float().mean()
        assert agree > 0.6  # a third by chance; it sees the whole picture


def test_half_precision_is_near():
    net, given = local_network(8), inputs(64, 64)
    exact, half = (predicted(net, given, Views(precision=p)).ensemble for p in ("fp32", "bf16"))
    assert 0 < (exact - half).abs().max() < 0.05


@pytest.mark.parametrize(
    "views", [{"tile": 0}, {"scales": ()}, {"scales": (0.0,)}, {"precision": "int4"}]
)
def test_views_that_are_none_are_refused(views):
    with pytest.raises(ConfigError, match=next(iter(views))):
        Views(**views)


def test_a_predictor_cuts_large_pictures(scene, tmp_path):
    net = local_network(8)
    preprocessing = {name: m.to_dict() for name, m in MODALITIES.items()}
    net.metadata = {"preprocessing": preprocessing}
    rng = np.random.default_rng(0)
    arrays = {
        "rgb": rng.integers(0, 255, (250, 300, 3), dtype=np.uint8),
        "depth": rng.uniform(1, 4, (250, 300)).astype(np.float32),
    }
    whole = Predictor(net, tile=None)(arrays, probabilities=True)
    tiled = Predictor(net, tile=96)(arrays, probabilities=True)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    assert (tiled.labels == whole.labels).mean() > 0.9999
    assert list(tiled.streams) == ["rgb", "depth"]
    flipped = Predictor(net, tile=96, flip=True)(arrays, probabilities=True)
    mirrored = {name: value[:, ::-1] for name, value in arrays.items()}
    other = Predictor(net, tile=None)(mirrored, probabilities=True).probabilities[..., ::-1]
    np.testing.assert_allclose(flipped.probabilities, (whole.probabilities + other) / 2, atol=1e-5)


def test_tiles_of_a_network_that_goes_by_the_whole_picture_are_told_of():
    torch.manual_seed(0)
    options = {"encoder": "resnet18", "inputs": {"rgb": 3}, "width": 4, "outputs": {"s": 3}}
    net = build("pspnet", decoder_channels=4, **options).eval()
    predictor = Predictor(net, preprocessing={"rgb": MODALITIES["rgb"]}, tile=64)
    picture = np.random.default_rng(0).integers(0, 255, (80, 90, 3), dtype=np.uint8)
    with pytest.warns(CenWarning, match="pyramid pooling"):
        predictor({"rgb": picture})
