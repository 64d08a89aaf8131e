"""How encoder and decoder become those of streams: which norms are private, which exchange."""

import pytest
import torch

from cen.errors import ConfigError
from cen.exchange import ExchangeRule, StreamConv2d, StreamNorm, exchange_layers
from cen.models import Task, build, finetune
from cen.training.absent_streams import absent_rows


def names(net):
    return {name.rpartition(".")[2] for name in exchange_layers(net)}


def test_bottlenecks_exchange_after_their_second_norm(make_net):
    net = make_net(encoder="resnet50")
    assert names(net) == {"bn2"}
    assert len(exchange_layers(net)) == 16
    assert all(".layer" in name for name in exchange_layers(net))


def test_basic_blocks_exchange_after_their_first_norm(make_net):
    net = make_net()
    assert names(net) == {"bn1"}
    assert len(exchange_layers(net)) == 8  # and not after the norm of the stem, which is bn1 too


def test_decoder_exchanges_after_every_norm_or_none(make_net):
    assert not exchange_layers(make_net(decoder_norm="batch").decoder)
    assert len(exchange_layers(make_net(decoder_norm="batch", decoder_exchange=True).decoder)) == 66


@pytest.mark.parametrize(
    ("options", "exchanges"),
    [
        ({}, True),
        ({"name": "pspnet"}, True),
        ({"name": "unet", "encoder": "unet5"}, True),
        ({"decoder_exchange": False}, False),
        ({"decoder_norm": "none"}, False),
        ({"task_streams": "shared"}, False),
        ({"fusion": "ensemble", "inputs": {"rgb": 3, "depth": 1}}, False),
        ({"exchange": ExchangeRule(enabled=False)}, False),
        ({"norm": "shared", "convolution": "private"}, False),
        ({"outputs": {"a": 3}}, False),
    ],
)
def test_several_outputs_exchange_by_themselves(make_net, options, exchanges):
    given = {"inputs": {"rgb": 3}, "outputs": {"a": 3, "b": Task("depth", 1)}} | options
    unet = options.get("name") == "unet"
    make = (lambda **o: build(width=4, **o)) if unet else make_net
    net = make(**given)
    assert net.config["decoder_exchange"] is exchanges
    rules = [layer.exchange for layer in exchange_layers(net.decoder).values()]
    assert any(rule is not None and rule.enabled for rule in rules) is exchanges


def test_every_norm_is_private_unless_shared(make_net):
    norms = [m for m in make_net().modules() if isinstance(m, StreamNorm)]
    assert len(norms) == 20
    assert not [m for m in make_net(norm="shared").modules() if isinstance(m, StreamNorm)]


def test_rule_reaches_the_layers(make_net):
    rule = ExchangeRule(0.3, scope="any", penalty="all")
    net = make_net(exchange=rule)
    assert {layer.exchange for layer in exchange_layers(net).values()} == {rule}


def test_several_outputs_get_norms_of_their_own(make_net):
    net = make_net(outputs={"segmentation": 5, "distance": Task("depth", 1)})
    assert net.config["decoder_norm"] == "batch"
    assert any(isinstance(m, StreamNorm) for m in net.decoder.modules())


def test_private_convolutions_multiply_the_weights(make_net):
    shared, private = make_net(), make_net(convolution="private")
    count = {True: 0, False: 0}
    for net in (shared, private):
        kernels = [p.numel() for name, p in net.named_parameters() if p.ndim >= 4]
        count[net is private] = sum(kernels)
    assert count[True] == 2 * count[False]


def test_a_decoder_for_each_output_is_that_of_a_network_of_this_output_alone(make_net, make_inputs):
    outputs = {"a": Task("depth", 1), "b": 5, "c": Task("normal", 3)}
    more = {"task_streams": "separate", "decoder_exchange": True, "decoder_norm": "batch"}
    net = make_net(outputs=outputs, **more).eval()
    with torch.no_grad():
        for layer in net.decoder.modules():
            if isinstance(layer, StreamConv2d | StreamNorm):
                layer.weight.mul_(torch.rand_like(layer.weight) + 0.5)
    inputs = make_inputs(net)
    shared = sum(p.numel() for p in net.encoder.parameters()) + sum(
        p.numel() for p in net.stems.parameters()
    )
    total = 0
    for name, task in outputs.items():
        one = finetune(net, outputs={name: task})
        assert not any(isinstance(layer, StreamConv2d) for layer in one.modules())
        total += sum(p.numel() for p in one.parameters()) - shared
        for present in ({**inputs}, {"depth": inputs["depth"]}):
            expected, found = one(present)[name], net(present)[name]
            for stream, values in expected.streams.items():
                torch.testing.assert_close(found.streams[stream], values, rtol=1e-3, atol=1e-3)
    assert sum(p.numel() for p in net.parameters()) - shared == total
    # The others' losses do not reach it, and both inputs' do.
    net.train()
    out = net(inputs)["b"].streams
    out["rgb"].square().mean().backward()
    convs = [layer for layer in net.decoder.modules() if isinstance(layer, StreamConv2d)]
    assert convs
    for conv in convs:
        assert conv.kernels == (0, 0, 1, 1, 2, 2)
        assert [bool(grad.abs().sum()) for grad in conv.weight.grad] == [False, True, False]
    rows = absent_rows(net, ["rgb"])
    assert not [conv for conv in convs if any(p is conv.weight for p, _ in rows)]


def test_a_decoder_for_each_output_has_norms_of_its_own(make_net):
    several = {"outputs": {"a": 3, "b": 4}, "task_streams": "separate"}
    with pytest.raises(ConfigError, match="take norm='private'"):
        make_net(norm="shared", **several)
    assert not make_net(**several).config["decoder_exchange"]  # as in the fusion of one output
    assert make_net(decoder_norm="none", **several).outputs_apart
    assert not make_net(outputs={"a": 3}, task_streams="separate").outputs_apart
