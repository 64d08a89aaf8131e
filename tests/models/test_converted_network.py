"""A network of somebody's own, converted, does what those of `cen.build` do."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cen
from cen.data import Modality
from cen.errors import CheckpointError, ConfigError, ShapeError
from cen.exchange import MultiStream
from cen.models import ConvertedNetwork, convert, read_header


@dataclass
class Result:
    """What networks of transformers give."""

    logits: Tensor
    loss: None = None


class Own(nn.Module):
    """An encoder with norms, and a head."""

    def __init__(self, gives: str = "tensor", classes: int = 4) -> None:
        super().__init__()
        self.gives = gives
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.GroupNorm(2, 8),
            nn.ReLU(),
        )
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x: Tensor) -> Tensor | Result | dict[str, Tensor]:
        found = self.head(self.encoder(x))
        if self.gives == "several":
            return {"parts": found[:, :3], "depth": found[:, 3:]}
        return {"tensor": found, "dataclass": Result(found), "out": {"out": found}}[self.gives]


INPUTS, OUTPUTS = {"rgb": 3, "thermal": 1}, {"parts": 4}


def network(gives: str = "tensor") -> ConvertedNetwork:
    torch.manual_seed(0)
    return convert(Own(gives), INPUTS, OUTPUTS, where="encoder.1")


def images(size: int = 32) -> dict[str, Tensor]:
    return {name: torch.randn(2, channels, size, size) for name, channels in INPUTS.items()}


@pytest.mark.parametrize("gives", ["tensor", "dataclass", "out"])
def test_streams_and_ensemble_of_an_output(gives: str) -> None:
    net, given = network(gives).eval(), images()
    out = net(given, size=(32, 32))["parts"]
    assert list(out.streams) == list(INPUTS)
    assert out.ensemble.shape == (2, 4, 32, 32)
    torch.testing.assert_close(out.ensemble, (out.streams["rgb"] + out.streams["thermal"]) / 2)
    alone = net({"thermal": given["thermal"]})["parts"]
    assert alone.ensemble.shape == (2, 4, 16, 16)
    assert torch.equal(alone.alpha, torch.ones(1))
    assert net.summary().exchanging == ("encoder.1",)
    assert cen.inspect(net).alpha["parts"] == {"rgb": 0.5, "thermal": 0.5}


def test_several_outputs_come_by_name() -> None:
    outputs = {"parts": 3, "depth": cen.Task("depth", 1)}
    net = convert(Own("several"), INPUTS, outputs).eval()
    found = net(images())
    assert {name: out.ensemble.shape[1] for name, out in found.items()} == {"parts": 3, "depth": 1}
    with pytest.raises(ConfigError, match=r"returns \['parts', 'depth'\], in which edges, parts"):
        convert(Own("several"), INPUTS, {"edges": cen.Task("edge", 1), "parts": 3})(images())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"'parts' of the network is \(2, 4, 16, 16\).*\(B, 5,"):
        convert(Own(), INPUTS, {"parts": 5})(images())
    with pytest.raises(ConfigError, match="channels by name"):
        convert(Own(), ["rgb", "thermal"], OUTPUTS)  # type: ignore[call-overload]
    assert isinstance(convert(Own(), ["rgb", "thermal"]), MultiStream)


def test_encoder_and_the_rest_learn_at_their_own_rates() -> None:
    net = network()
    groups = cen.param_groups(net, 0.1, 0.2)
    sizes = {group["name"]: len(group["params"]) for group in groups}
    assert sizes == {"encoder": len(list(net.encoder.parameters())), "decoder": 3}
    losses = cen.losses.fusion_loss(
        net(images()), {"parts": torch.randint(4, (2, 16, 16))}, net.outputs
    )
    (losses.total + 1e-3 * cen.sparsity(net)).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_a_saved_network_is_loaded_into_a_plain_one(tmp_path: Path) -> None:
    net, path = network(), tmp_path / "net.safetensors"
    net.train()(images())
    cen.save(net, path, metadata={"step": 3})
    given = images()
    loaded = cen.load(path, module=Own())
    assert isinstance(loaded, ConvertedNetwork)
    assert loaded.metadata["step"] == 3
    assert torch.equal(loaded(given)["parts"].ensemble, net.eval()(given)["parts"].ensemble)
    assert loaded.summary().exchanging == ("encoder.1",)
    assert read_header(path)["config"]["network"] == "Own"
    with pytest.raises(CheckpointError, match=r"a converted Own.*cen\.load\(path, module="):
        cen.load(path)
    with pytest.raises(CheckpointError, match=r"head\.weight has shape"):
        cen.load(path, module=Own(classes=5))


class Twice(Own):
    """Holds its encoder under two names, and one kernel in two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(8, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
        self.head[2].weight = self.head[1].weight
        self.again = self.encoder


def test_a_network_with_one_weight_under_two_names_is_saved(tmp_path: Path) -> None:
    net = convert(Twice(), INPUTS, OUTPUTS, where="encoder.1").eval()
    cen.save(net, tmp_path / "net.safetensors")
    loaded = cen.load(tmp_path / "net.safetensors", module=Twice())
    given = images()
    torch.testing.assert_close(loaded(given)["parts"].ensemble, net(given)["parts"].ensemble)
    parts = dict(loaded.module.module.named_modules(remove_duplicate=False))
    assert parts["head.1"].weight is parts["head.2"].weight
    assert parts["again"] is parts["encoder"]


def test_a_header_of_a_converted_network_is_checked(tmp_path: Path) -> None:
    net, path = network(), tmp_path / "net.safetensors"
    net.config["exchanging"] = 3
    cen.save(net, path)
    with pytest.raises(CheckpointError, match="exchanging"):
        cen.load(path, module=Own())


def test_weights_go_on_for_other_inputs() -> None:
    net = network().eval()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, cen.exchange.StreamNorm):
                layer.weight.copy_(torch.rand_like(layer.weight))
    inputs = {"thermal": 1, "rgb": 3, "bands": 5}
    new = cen.finetune(net, inputs=inputs)
    given = images()
    both = {name: given[name] for name in ("rgb", "thermal")}
    for name in both:
        one, other = (made({name: given[name]})["parts"].ensemble for made in (net, new))
        torch.testing.assert_close(one, other)
    given["bands"] = torch.randn(2, 5, 32, 32)
    assert list(new(given)["parts"].streams) == ["rgb", "thermal", "bands"]  # as they stood
    only = cen.finetune(net, inputs={"rgb": 3})
    torch.testing.assert_close(
        only({"rgb": given["rgb"]})["parts"].ensemble, net({"rgb": given["rgb"]})["parts"].ensemble
    )
    with pytest.raises(ConfigError, match="its own last layers"):
        cen.finetune(net, outputs={"parts": 7})


def test_a_predictor_takes_it() -> None:
    net = network()
    preprocessing = {
        "rgb": Modality("image", channels=3),
        "thermal": Modality("image", channels=1, mean=(0.5,), std=(0.5,)),
    }
    predictor = cen.Predictor(net, preprocessing=preprocessing)
    picture = np.zeros((40, 48, 3), np.uint8)
    found = predictor({"rgb": picture})
    assert found.labels.shape == (40, 48)


@pytest.mark.parametrize("gives", ["tensor", "dataclass", "out"])
def test_a_folded_one_gives_the_same_with_less(gives: str) -> None:
    net, given = network(gives).eval(), images()
    with torch.no_grad():
        norm = net.module.module.encoder[1]
        norm.weight[0, :4] = norm.weight[1, 4:] = 0.001
    folded = cen.fold(net)
    for subset in (given, {"thermal": given["thermal"]}):
        torch.testing.assert_close(folded(subset)["parts"].ensemble, net(subset)["parts"].ensemble)
    plan = folded.plan(given)
    assert plan.reason == ""
    assert plan.saved > 0
