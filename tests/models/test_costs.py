"""What networks cost, against counts by hand and against one another."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import cen
from cen.errors import ShapeError
from cen.models import build
from cen.models.costs import costs, folded_multiply_adds

SIZE = (64, 96)


def convolutions(net, inputs):
    """Multiply-adds counted with hooks, layer by layer, from what really runs."""
    total = 0

    def count(module, args, out):
        nonlocal total
        kernel = module.weight[0].numel()
        total += out.numel() * kernel

    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        net(inputs)
    return total


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "pspnet"},
        {"outputs": {"a": 3, "b": 2}, "decoder_exchange": False},
        {"fusion": "attention", "inputs": {"a": 3, "b": 3, "c": 2}},
        {"inputs": {"a": 3, "b": 3, "c": 3}, "decoder_norm": "batch", "decoder_exchange": True},
    ],
    ids=["two inputs", "pspnet", "two outputs", "three inputs fused", "three inputs exchanged"],
)
def test_multiply_adds_are_those_of_the_convolutions(make_net, make_inputs, changes):
    net = make_net(**changes).eval()
    counted = costs(net, SIZE)
    assert counted.parameters == sum(p.numel() for p in net.parameters())
    assert counted.multiply_adds == convolutions(net, make_inputs(net, SIZE, batch=1))


def test_streams_are_counted_as_often_as_they_run(make_net):
    small = {"name": "segformer"}
    one, two = costs(make_net(inputs={"rgb": 3}, **small), SIZE), costs(make_net(**small), SIZE)
    assert two.multiply_adds == 2 * one.multiply_adds
    assert one.parameters < two.parameters < 1.1 * one.parameters
    private = costs(make_net(convolution="private", **small), SIZE)
    assert private.multiply_adds == two.multiply_adds
    assert private.parameters > 1.9 * one.parameters


@pytest.mark.parametrize("name", ["segformer", "refinenet", "fpn"])
def test_what_is_exchanged_among_three_is_no_product_that_counts(make_net, make_inputs, name):
    """And what folding leaves is what a folded network does."""
    nets = [make_net(name=name, inputs=dict.fromkeys(names, 3)) for names in ("a", "abc")]
    one, three = (costs(net, SIZE).multiply_adds for net in nets)
    assert three == 3 * one
    net = nets[1].eval()
    folded, inputs = cen.fold(net), make_inputs(net, SIZE, batch=1)
    with torch.no_grad():
        folded(inputs)
        with FlopCounterMode(display=False) as counter:
            folded(inputs)
    assert folded_multiply_adds(net, SIZE, three) == counter.get_total_flops() // 2


def test_a_fused_network_costs_what_is_left_of_its_streams(make_net):
    small = {"name": "segformer"}
    one, two = costs(make_net(inputs={"rgb": 3}, **small), SIZE), costs(make_net(**small), SIZE)
    adds = [
        costs(make_net(fusion="average", fusion_at=place, **small), SIZE).multiply_adds
        for place in ("early", "middle", "all", "late")
    ]
    assert one.multiply_adds < adds[0] < adds[1] < adds[2] < adds[3] < two.multiply_adds


def test_released_network_costs_nothing_to_count():
    """The parameters are those published of the released model; no value is ever made."""
    with torch.device("meta"):
        net = build("refinenet", encoder="resnet50", inputs={"rgb": 3}, outputs={"x": 40})
    counted = costs(net, (96, 128))
    assert f"{counted.parameters / 1e6:.2f}" == "99.10"
    assert f"{counted.multiply_adds / 1e9:.1f}" == "11.4"


def test_network_stays_as_it_was(make_net):
    net = make_net().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    costs(net, SIZE)
    assert net.training
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert next(net.parameters()).device.type == "cpu"


@pytest.mark.parametrize("size", [(16, 64), (0, 64)])
def test_too_small_a_size_is_refused(make_net, size):
    with pytest.raises(ShapeError):
        costs(make_net(), size)
