"""Scales are set so that the rate asked for is exchanged, or it is said why not."""

import pytest

import cen
from cen.bench.scales import set_rate
from cen.errors import ConfigError


def network(**more):
    given = {"inputs": {"rgb": 3, "depth": 1}, "outputs": {"segmentation": 4}, "width": 16}
    return cen.build("refinenet", encoder="resnet18", decoder_channels=8, **given | more)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("count", [2, 4])
def test_the_share_of_own_channels_is_exchanged(rate, count) -> None:
    net = network(inputs={f"m{i}": 3 for i in range(count)})
    set_rate(net, rate)
    assert float(cen.exchange_rate(net)) == pytest.approx(rate, abs=1e-6)
    assert {layer.rate for layer in cen.inspect(net).layers} == {rate}


def test_a_rate_that_no_scale_gives_is_refused() -> None:
    random = network(exchange={"guide": "random", "rate": 0.5})
    for net in (random, network(exchange={"enabled": False}), network(exchange={"threshold": 0})):
        with pytest.raises(ConfigError, match=r"by scales: encoder\.layer"):
            set_rate(net, 0.5)
    with pytest.raises(ConfigError, match="exchanges nothing"):
        set_rate(network(fusion="ensemble"), 0.5)
    set_rate(network(fusion="ensemble"), 0.0)
