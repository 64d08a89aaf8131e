"""The list-of-tensors form computes what the network computes, and is a list of tensors."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import cen
from cen.bench.list_form import ListForm
from cen.bench.scales import set_rate
from cen.errors import ConfigError
from cen.exchange import StreamConv2d, StreamNorm, exchange_layers, freeze_statistics
from cen.losses import fusion_loss
from cen.models import Task

SMALL: dict[str, Any] = {"encoder": "resnet18", "width": 4, "decoder_channels": 4, "dropout": 0.0}
TWO = {"rgb": 3, "depth": 1}
LABELS = {"s": Task("segmentation", 5)}
BOTH = {**LABELS, "d": Task("depth", 1)}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "paper": ("refinenet", {**SMALL, "inputs": TWO}),
    "bottlenecks": ("segformer", {**SMALL, "encoder": "resnet50", "inputs": TWO}),
    "demo": (
        "refinenet",
        {**SMALL, "inputs": TWO, "decoder_norm": "batch", "decoder_exchange": True},
    ),
    "released scope": ("segformer", {**SMALL, "inputs": TWO, "exchange": {"scope": "any"}}),
    "four streams": ("segformer", {**SMALL, "inputs": {f"m{i}": 3 for i in range(4)}}),
    "private stem": ("segformer", {**SMALL, "inputs": {"rgb": 3, "many": 5}}),
    "one stream": ("segformer", {**SMALL, "inputs": {"rgb": 3}}),
    "no exchange": ("segformer", {**SMALL, "inputs": TWO, "fusion": "ensemble"}),
    "random": (
        "segformer",
        {**SMALL, "inputs": TWO, "exchange": {"guide": "random", "rate": 0.5}},
    ),
    "private convolutions": ("segformer", {**SMALL, "inputs": TWO, "convolution": "private"}),
    "a decoder for each output": (
        "segformer",
        {**SMALL, "inputs": TWO, "outputs": BOTH, "task_streams": "separate"},
    ),
    "shared norms": ("segformer", {**SMALL, "inputs": TWO, "norm": "shared"}),
    "two outputs": (
        "refinenet",
        {**SMALL, "inputs": TWO, "decoder_norm": "batch", "outputs": BOTH},
    ),
    "late fusion": ("refinenet", {**SMALL, "inputs": TWO, "fusion": "concat"}),
    "pspnet": ("pspnet", {**SMALL, "inputs": TWO}),
    "unet": ("unet", {"encoder": "unet4", "width": 4, "inputs": TWO, "dropout": 0.0}),
    "cycle": (
        "cycle",
        {
            "encoder": "unet4",
            "width": 4,
            "dropout": 0.0,
            "inputs": {"a": 3, "b": 1, "c": 1},
            "outputs": {"a": Task("image", 3), "b": Task("image", 1), "c": Task("depth", 1)},
        },
    ),
}
# Code that works across the batch axis: repeating features per output, dealing out directions.
ACROSS = {"late fusion", "cycle", "shared norms"}


def network(case: str) -> cen.models.ChannelExchangeNetwork:
    """In float64, with scales, shifts and statistics that differ, and half of the own exchanged."""
    torch.manual_seed(0)
    name, options = CASES[case]
    net = cen.build(name, **{"outputs": LABELS, **options})
    if exchange_layers(net) and case != "random":
        set_rate(net, 0.5)
    for layer in net.modules():
        if isinstance(layer, StreamNorm):
            with torch.no_grad():
                layer.weight *= 0.5 + torch.rand_like(layer.weight)
                layer.bias.normal_()
                for statistic in ("running_mean", "running_var"):
                    if getattr(layer, statistic, None) is not None:
                        getattr(layer, statistic).uniform_(0.5, 1.5)
    return net.double()


def images(net: Any) -> dict[str, Tensor]:
    return {n: torch.randn(2, c, 64, 64, dtype=torch.float64) for n, c in net.inputs.items()}


def predictions(outputs: Any) -> dict[str, Tensor]:
    named = {f"{o}/{s}": v for o, out in outputs.items() for s, v in out.streams.items()}
    return named | {f"{o}/ensemble": out.ensemble for o, out in outputs.items()}


def scalar(outputs: Any) -> Tensor:
    """A loss whose weights differ from value to value, so that rows mixed up would show."""
    torch.manual_seed(1)
    return torch.stack(
        [(v * torch.rand_like(v)).sum() for v in predictions(outputs).values()]
    ).sum()


def gradients(module: nn.Module) -> dict[str, Tensor | None]:
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def as_packed(found: dict[str, Tensor | None], net: nn.Module) -> dict[str, Tensor | None]:
    """Gradients of the list form by the names of the network, those of streams stacked."""
    grown = {}
    for name, module in net.named_modules():
        if isinstance(module, StreamNorm | StreamConv2d):
            part = "norms" if isinstance(module, StreamNorm) else "convs"
            for kind, parameter in module.named_parameters():
                rows = [found.pop(f"net.{name}.{part}.{s}.{kind}") for s in range(len(parameter))]
                filled = [torch.zeros_like(parameter[0]) if r is None else r for r in rows]
                grown[f"{name}.{kind}"] = torch.stack([r.view_as(parameter[0]) for r in filled])
    return {name.removeprefix("net."): g for name, g in found.items()} | grown


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_those_of_the_network(case: str, training: bool) -> None:
    net = network(case).train(training)
    listed = ListForm(net)
    inputs = images(net)
    own, other = net(inputs), listed(inputs)
    ours, theirs = predictions(own), predictions(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-9, atol=1e-9)
    scalar(own).backward()
    scalar(other).backward()
    expected, got = gradients(net), as_packed(gradients(listed), net)
    assert expected.keys() == got.keys()
    for name, gradient in expected.items():
        given = got[name]
        if gradient is None or given is None:
            assert given is None or not given.any()
            continue
        scale = gradient.abs().max().item() + 1e-12
        assert (given - gradient).abs().max().item() < 1e-8 * max(scale, 1.0), name
    assert bool(listed.packed_by) == (case in ACROSS), listed.packed_by


@pytest.mark.parametrize("case", ["paper", "demo", "released scope", "four streams", "no exchange"])
def test_the_penalty_is_that_of_the_network(case: str) -> None:
    net = network(case)
    torch.testing.assert_close(ListForm(net).sparsity(), cen.sparsity(net), check_dtype=False)


def test_statistics_move_alike_and_frozen_ones_stay() -> None:
    net = network("paper").train()
    freeze_statistics(net.encoder.layer1)
    listed = ListForm(net)
    before = net.encoder.layer1[0].bn1.running_mean.clone()
    inputs = images(net)
    net(inputs)
    listed.train()(inputs)
    for name in ("layer1.0.bn1", "layer2.0.bn1"):
        ours = net.encoder.get_submodule(name).running_mean
        norms = listed.net.encoder.get_submodule(name).norms
        torch.testing.assert_close(torch.stack([norm.running_mean for norm in norms]), ours)
    assert torch.equal(net.encoder.layer1[0].bn1.running_mean, before)


def test_each_shared_layer_is_called_once_per_stream() -> None:
    net = network("four streams").eval()
    listed = ListForm(net)
    calls: list[int] = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten.convolution.default:
                calls.append(len(args[0]))
            return function(*args, **(kwargs or {}))

    with Counting(), torch.no_grad():
        listed(images(net))
        apart = list(calls)
        calls.clear()
        net(images(net))
    assert set(apart) == {2}
    assert set(calls) == {8}
    assert len(apart) == 4 * len(calls)


def test_the_network_itself_stays_as_it_was() -> None:
    net = network("demo").eval()
    inputs = images(net)
    before = predictions(net(inputs))
    listed = ListForm(net)
    with torch.no_grad():
        for parameter in listed.parameters():
            parameter.zero_()
    for name, value in predictions(net(inputs)).items():
        assert torch.equal(value, before[name])


def test_a_subset_of_the_inputs_runs_alike() -> None:
    net = network("four streams").eval()
    inputs = {name: value for name, value in images(net).items() if name != "m1"}
    ours, theirs = predictions(net(inputs)), predictions(ListForm(net)(inputs))
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-9, atol=1e-9)


def test_the_loss_of_the_packed_network_holds_for_the_list() -> None:
    net = network("demo").eval()
    inputs, labels = images(net), {"s": torch.randint(0, 5, (2, 64, 64))}
    ours = fusion_loss(net(inputs), labels, net.outputs).total
    torch.testing.assert_close(fusion_loss(ListForm(net)(inputs), labels, net.outputs).total, ours)


def test_other_networks_are_refused() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    converted = cen.convert(plain, ("rgb", "depth"))
    with pytest.raises(ConfigError, match="converted network has no list form"):
        ListForm(converted)
