"""Every combination of the method's options builds and runs, or is refused with a reason."""

import itertools

import pytest
import torch

from cen.errors import ConfigError
from cen.exchange import ExchangeRule, exchange_layers, exchange_rate, sparsity

OPTIONS = list(
    itertools.product(
        ("shared", "private"),
        ("shared", "private"),
        ("none", "own", "all"),
        (True, False),
        ("own", "any"),
    )
)


@pytest.mark.parametrize(("convolution", "norm"), [o[:2] for o in OPTIONS[::12]])
def test_every_combination_builds_or_says_why_not(make_net, make_inputs, convolution, norm):
    for penalty, enabled, scope in {o[2:] for o in OPTIONS}:
        rule = ExchangeRule(scope=scope, penalty=penalty, enabled=enabled)
        options = {"name": "segformer", "convolution": convolution, "norm": norm, "exchange": rule}
        if norm == "shared" and (enabled or penalty != "none"):
            with pytest.raises(ConfigError, match="no stream has a part of its own"):
                make_net(**options)
            continue
        net = make_net(**options).eval()
        with torch.no_grad():
            out = net(make_inputs(net))["segmentation"]
        assert out.ensemble.isfinite().all()
        assert (exchange_rate(net) > 0) == enabled
        assert (sparsity(net) > 0) == (penalty != "none")


def test_shared_norms_without_a_rule_are_the_ablation_without_exchange(make_net):
    net = make_net(norm="shared")
    assert not exchange_layers(net)
    assert net.config["exchange"]["enabled"] is False
    assert make_net(**net.config).config == net.config


@pytest.mark.parametrize(
    ("stages", "layers"),
    [(None, {"1", "2", "3", "4"}), ([1], {"1"}), ([2, 4], {"2", "4"})],
)
def test_stages_that_exchange(make_net, stages, layers):
    net = make_net(exchange_stages=stages)
    names = exchange_layers(net)
    assert {name.removeprefix("encoder.layer")[0] for name in names} == layers
    assert all(name.endswith(".bn1") for name in names)


def test_decoder_alone_exchanges(make_net):
    net = make_net(exchange_stages=[], decoder_norm="batch", decoder_exchange=True)
    assert exchange_layers(net)
    assert all(name.startswith("decoder.") for name in exchange_layers(net))


def test_stages_of_a_unet(make_net):
    from cen.models import build

    unet = {"encoder": "unet4", "inputs": {"a": 3, "b": 3}, "outputs": {"x": 2}, "width": 4}
    net = build("unet", **unet, exchange_stages=[3])
    assert list(exchange_layers(net)) == ["encoder.downs.1.norm"]
    with pytest.raises(ConfigError, match="no norm of this encoder's stage 4"):
        build("unet", **unet, exchange_stages=[4])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exchange_stages": [0]}, "holds 0, but the stages of this encoder are 1 to 4"),
        ({"exchange_stages": [5]}, "holds 5"),
        ({"exchange_stages": []}, "nothing would be exchanged"),
    ],
)
def test_stages_that_cannot_be(make_net, changes, message):
    with pytest.raises(ConfigError, match=message):
        make_net(**changes)


def test_random_guide_exchanges_at_its_rate_whatever_is_learned(make_net):
    rule = ExchangeRule(guide="random", rate=0.4, penalty="none")
    net = make_net(exchange=rule, width=8)
    assert exchange_rate(net).item() == pytest.approx(0.4, abs=0.1)
    masks = {name: layer.replaced() for name, layer in exchange_layers(net).items()}
    other = make_net(
        exchange=ExchangeRule(guide="random", rate=0.4, penalty="none", seed=3), width=8
    )
    assert any(
        not torch.equal(mask, other.get_submodule(name).replaced()) for name, mask in masks.items()
    )
    wider = net.adapt(inputs={"rgb": 3, "depth": 1, "thermal": 1})
    for layer in exchange_layers(wider).values():
        assert not (layer.replaced() & ~layer.own).any()
    same = net.adapt(outputs={"segmentation": 2})
    assert all(torch.equal(same.get_submodule(n).replaced(), mask) for n, mask in masks.items())
