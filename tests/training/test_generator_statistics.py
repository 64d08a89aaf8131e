"""The ways in which a generator is run."""

from __future__ import annotations

import pytest
import torch
from tests.training.generation.pictures import network, translation

from cen.errors import ConfigError
from cen.training import generating


def test_ways_to_run_a_generator() -> None:
    config = translation({"encoder": "unet6", "dropout": 0.5})
    net = network(config)
    images = {name: torch.randn(2, c, 64, 64) for name, c in net.inputs.items()}
    net(images)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    found = {}
    with torch.no_grad():
        for mode in ("eval", "instance", "released"):
            with generating(net, mode):
                found[mode] = net(images)["rgb"].ensemble
            with generating(net, mode):
                assert torch.equal(net(images)["rgb"].ensemble, found[mode]), "is repeatable"
            assert net.training
    assert not torch.allclose(found["eval"], found["instance"])
    assert not torch.allclose(found["instance"], found["released"])
    after = net.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    with pytest.raises(ConfigError, match="there are eval, instance, released"):
        generating(net, "train").__enter__()
