"""The steps that are timed do what a step does, in every form."""

from typing import Any

import pytest
import torch
from tests.bench.tiny import FEW_LAYERS, small_matmul, tiny
from torch import nn

import cen
from cen.bench import model_steps
from cen.bench.model_steps import (
    Case,
    make_step,
    matmul_step,
    modalities,
    multiply_adds,
)
from cen.cli.sources import load_config, shipped
from cen.errors import ConfigError
from cen.exchange import exchange_layers
from cen.models.costs import costs


def test_modalities_are_those_configured_and_then_their_likes() -> None:
    given = {"rgb": 3, "depth": 1}
    assert modalities(given, 1) == {"rgb": 3}
    assert modalities(given, 2) == given
    assert modalities(given, 5) == {"rgb": 3, "depth": 1, "rgb2": 3, "depth2": 1, "rgb3": 3}
    assert len(modalities({"rgb": 3, "rgb2": 3}, 4)) == 4


@pytest.mark.parametrize("streams", [1, 2, 5])
def test_the_network_has_the_streams_and_the_rate(streams: int) -> None:
    config = tiny(model__width=16, model__decoder_channels=20)
    net = Case(config, streams, 1, (64, 64), 0.5).network()
    assert len(net.inputs) == streams
    assert float(cen.exchange_rate(net)) == pytest.approx(0.5 if streams > 1 else 0, abs=0.1)


def test_no_pretrained_weights_are_read() -> None:
    config = tiny("nyudv2-refinenet101")
    assert config.model.weights == "imagenet"
    assert Case(config, 2, 1, (64, 64)).network().outputs["segmentation"].channels == 40


def test_without_scales_a_rate_is_refused_and_none_is_needed() -> None:
    config = tiny(model__fusion="ensemble", model__decoder_exchange="null")
    assert float(cen.exchange_rate(Case(config, 2, 1, (64, 64)).network())) == 0
    with pytest.raises(ConfigError, match="exchanges nothing"):
        Case(config, 2, 1, (64, 64), 0.5).network()
    with pytest.raises(ConfigError, match="leave --streams out"):
        Case(tiny("rooms-cycle"), 5, 1, (64, 64)).network()


@pytest.mark.parametrize("form", ["list", "packed", "folded"])
def test_all_forms_predict_the_same(form: str) -> None:
    case = Case(tiny(**FEW_LAYERS), 3, 2, (64, 96), 0.5)
    net = case.network().eval()
    inputs, _ = case.batch_of(net)
    with torch.inference_mode():
        expected = net(inputs)["segmentation"].ensemble
    found = make_step(case, "evaluation", form)()["segmentation"].ensemble
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def loss_of(step, monkeypatch) -> float:
    """The loss whose gradients a step takes."""
    seen = []
    backward = torch.autograd.backward
    monkeypatch.setattr(
        torch.autograd, "backward", lambda loss: (seen.append(loss.item()), backward(loss))
    )
    step()
    return seen[0]


@pytest.mark.parametrize(
    "config", ["rooms-demo", "rooms-multitask", "rooms-cycle", "nyudv2-refinenet101"]
)
def test_a_step_of_training_has_the_same_loss_in_both_forms(config, monkeypatch) -> None:
    given = tiny(config, model__dropout=0.0)
    size = (64, 64) if config != "rooms-cycle" else (256, 256)
    case = Case(given, len(given.model.inputs), 2, size)
    made = [loss_of(make_step(case, "training", f), monkeypatch) for f in ("packed", "list")]
    assert made[0] == pytest.approx(made[1], rel=1e-4)
    assert made[0] > 0


def test_every_step_of_training_works_on_the_same_weights(monkeypatch) -> None:
    nets: list[nn.Module] = []
    original = Case.network

    def kept(self):
        nets.append(original(self))
        return nets[-1]

    monkeypatch.setattr(Case, "network", kept)
    step = make_step(Case(tiny(**FEW_LAYERS), 2, 2, (64, 64)), "training", "packed")
    before = [p.detach().clone() for p in nets[0].parameters()]
    step()
    step()
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), before, strict=True))
    assert all(p.grad is not None for p in nets[0].parameters())


def test_statistics_are_frozen_where_the_training_freezes_them(monkeypatch) -> None:
    frozen: list[object] = []
    monkeypatch.setattr(model_steps, "freeze_statistics", frozen.append)
    for name in ("rooms-demo", "nyudv2-refinenet101"):
        make_step(Case(tiny(name), 2, 1, (64, 64)), "training", "packed")
    assert len(frozen) == 1


def test_multiply_adds_are_those_that_costs_counts(monkeypatch) -> None:
    small_matmul(monkeypatch)
    case = Case(tiny(), 2, 3, (64, 96), 0.5)
    net = case.network()
    known = costs(net, (64, 96)).multiply_adds
    # The loss resizes two streams and their ensemble from a quarter, by products, there and back.
    classes = net.outputs["segmentation"].channels
    resizing = 2 * 3 * 3 * classes * (16 * 24 * 96 + 16 * 64 * 96)
    for form in ("list", "packed"):
        assert multiply_adds(make_step(case, "evaluation", form)) == 3 * known
        training = multiply_adds(make_step(case, "training", form))
        assert 2.5 * 3 * known < training - resizing <= 3 * 3 * known
    assert multiply_adds(matmul_step("cpu")) == model_steps.MATMUL**3


def test_what_three_streams_exchange_is_no_product_that_counts() -> None:
    """Of the packed form; the list form makes the mean in another way."""
    case = Case(tiny(**FEW_LAYERS), 3, 2, (64, 96), 0.5)
    net = case.network()
    names, known = exchange_layers(net), 2 * costs(net, (64, 96)).multiply_adds
    steps = {form: make_step(case, "evaluation", form) for form in ("list", "packed")}
    assert {form: multiply_adds(step, names) for form, step in steps.items()} == dict.fromkeys(
        steps, known
    )
    assert multiply_adds(steps["packed"]) > known
    training = {
        form: multiply_adds(make_step(case, "training", form), names) for form in ("list", "packed")
    }
    assert training["packed"] == pytest.approx(training["list"], rel=1e-3)


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_configuration_can_be_measured(name: str) -> None:
    """Its network is built with outputs that only the data would tell more of."""
    small: dict[str, Any] = {
        "model.width": 4,
        "model.decoder_channels": 4,
        "model.encoder": "resnet18",
    }
    text = shipped()[name].read_text("utf-8")
    if "resnet" not in text:
        small = {"model.width": 4}
    if "timm/" in text:
        pytest.importorskip("timm")
        small = {"model.decoder_channels": 4, "model.encoder": "timm/test_convnext"}
    config = load_config(name, small)
    case = Case(config, len(config.model.inputs), 1, (64, 64))
    net = case.network()
    inputs, truth = case.batch_of(net)
    assert inputs.keys() == net.inputs.keys()
    assert truth.keys() == net.outputs.keys()
