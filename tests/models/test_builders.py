import json

import pytest
import torch

from cen.errors import ConfigError, StreamError
from cen.exchange import ExchangeRule
from cen.models import Task, build


@pytest.mark.parametrize(
    ("encoder", "inputs", "millions"),
    # Computed from the released model (NYUDv2, 40 classes).
    [
        ("resnet101", {"rgb": 3, "depth": 3}, "118.20"),
        ("resnet101", {"rgb": 3}, "118.10"),
        ("resnet152", {"rgb": 3, "depth": 3}, "133.89"),
    ],
)
def test_number_of_parameters_is_that_of_the_released_model(encoder, inputs, millions):
    with torch.device("meta"):
        net = build("refinenet", encoder=encoder, inputs=inputs, outputs={"segmentation": 40})
    assert f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f}" == millions


def test_configuration_is_json(make_net):
    net = make_net(exchange=ExchangeRule(0.1), outputs={"segmentation": Task("segmentation", 2)})
    config = json.loads(json.dumps(net.config))
    assert build(**config).config == net.config


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": "refinnet"}, ConfigError, "'refinnet'.*did you mean 'refinenet'"),
        ({"encoder": "resnet51"}, ConfigError, "'resnet51'.*did you mean 'resnet50'"),
        ({"decoder_norm": "layer"}, ConfigError, "decoder_norm is 'none' or 'batch' .*not 'layer'"),
        ({"norm": "own"}, ConfigError, "norm is 'private' or 'shared', not 'own'"),
        ({"convolution": "own"}, ConfigError, "convolution is 'shared' or 'private'"),
        ({"decoder_exchange": True}, ConfigError, "set decoder_norm='batch'"),
        ({"inputs": {"rgb": 0}}, ConfigError, "'rgb' is at least 1"),
        ({"exchange": {"treshold": 1}}, ConfigError, "treshold"),
        ({"exchange": False}, ConfigError, "such as {'enabled': False} for .* nothing, not False"),
        ({"inputs": {}}, StreamError, "at least one input"),
        ({"outputs": {}}, StreamError, "at least one output"),
        ({"inputs": {"a/b": 3}}, StreamError, "'a/b' cannot be named so"),
        ({"inputs": {"train": 3}}, StreamError, "PyTorch uses this name itself"),
        ({"outputs": {"values": 3}}, StreamError, "PyTorch uses this name itself"),
    ],
)
def test_wrong_arguments_are_named(make_net, changes, error, message):
    with pytest.raises(error, match=message):
        make_net(**changes)


def test_names_that_would_hide_one_another_are_refused(make_net):
    with pytest.raises(StreamError, match="'depth' is an input and an output"):
        make_net(outputs={"depth": Task("depth", 1), "a": 3})
    for name in ("ensemble", "fused"):
        with pytest.raises(StreamError, match=f"input '{name}': this name is taken"):
            make_net(inputs={"rgb": 3, name: 1})
