"""Predictors fold where it pays, and never predict with weights that are gone."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from cen.bench.scales import set_rate
from cen.errors import ConfigError
from cen.exchange import exchange_layers
from cen.models import build
from cen.predict.folding_on_demand import FoldingOnDemand

RESNET = {"encoder": "resnet18", "decoder_channels": 8, "decoder_exchange": True}


def network(rate, name="segformer", **options):
    torch.manual_seed(0)
    net = build(
        name,
        inputs={"rgb": 3, "depth": 1},
        outputs={"segmentation": 3},
        width=4,
        **(options or RESNET),
    )
    set_rate(net, rate)
    return net.eval()


def inputs():
    return {"rgb": torch.randn(1, 3, 64, 64), "depth": torch.randn(1, 1, 64, 64)}


def predicted(net, given):
    with torch.inference_mode():
        return net(given)["segmentation"].ensemble.numpy()


@pytest.mark.parametrize(
    ("rate", "wanted", "folds"),
    [(1.0, None, True), (0.1, None, False), (0.1, True, True), (1.0, False, False)],
)
def test_what_is_run(rate, wanted, folds):
    net = network(rate)
    found = FoldingOnDemand(net, wanted)
    assert (found.network() is not net) == folds
    assert found.network() is found.network()
    given = inputs()
    expected = predicted(net, given)
    np.testing.assert_allclose(predicted(found.network(), given), expected, rtol=1e-3, atol=1e-5)


def compiled(rate, wanted, graphs):
    """A network that is compiled on demand, and what does so; both predict the same.

    Traced as for any back end; tests/models/test_compiled.py generates code.
    """
    # A network of few layers: tracing takes long for each.
    net, given = network(rate, "unet", encoder="unet4"), inputs()
    found = FoldingOnDemand(net, wanted, compile=True)
    for names in (("rgb", "depth"), ("depth",)):
        part = {name: given[name] for name in names}
        got, expected = predicted(found.network(), part), predicted(net, part)
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)
    assert len(graphs) == 2
    return net, found


@pytest.mark.parametrize("wanted", [True, False])
def test_what_is_compiled_gives_the_same(wanted, traced):
    net, found = compiled(0.8, wanted, traced)
    assert "predictions" not in vars(net)
    assert pickle.loads(pickle.dumps(found))._compile


def test_what_folding_would_hardly_spare_is_compiled_as_it_is(monkeypatch, traced):
    monkeypatch.setattr("cen.predict.folding_on_demand._SAVED", 0.99)
    compiled(0.3, None, traced)


def test_without_a_compiler_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ConfigError, match=r"compile: .*C\+\+ compiler"):
        FoldingOnDemand(network(0.8), None, compile=True)


def test_weights_that_change_are_folded_again():
    net, given = network(1.0), inputs()
    found = FoldingOnDemand(net, None)
    before = predicted(found.network(), given)
    with torch.no_grad():
        next(net.heads.parameters()).mul_(2)
    after = predicted(found.network(), given)
    np.testing.assert_allclose(after, predicted(net, given), rtol=1e-3, atol=1e-5)
    assert np.abs(after - before).max() > 0.01 * np.abs(before).max()
    net.load_state_dict(network(0.0).state_dict())
    assert found.network() is net


def write_data(net):
    for parameter in net.parameters():
        parameter.data.mul_(1.5)


def write_array(net):
    values = next(net.heads.parameters()).detach().numpy()
    values *= -1


def change_rule(net):
    for layer in exchange_layers(net).values():
        layer.exchange = replace(layer.exchange, enabled=False)


@pytest.mark.parametrize("change", [write_data, write_array, change_rule])
def test_changes_that_no_version_of_a_tensor_tells_are_seen(change):
    net, given = network(1.0), inputs()
    found = FoldingOnDemand(net, True)
    before = predicted(found.network(), given)
    change(net)
    after = predicted(found.network(), given)
    np.testing.assert_allclose(after, predicted(net, given), rtol=1e-3, atol=1e-5)
    assert np.abs(after - before).max() > 0.01 * np.abs(before).max()
    assert found.network() is found.network()


def test_it_is_copied_with_its_predictor():
    found = FoldingOnDemand(network(1.0), None)
    found.network()
    for again in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        given = inputs()
        np.testing.assert_allclose(
            predicted(again.network(), given), predicted(found.network(), given), rtol=1e-5
        )
