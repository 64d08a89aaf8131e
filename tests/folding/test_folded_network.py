"""Folded networks give what the networks give, on any subset, with less work."""

import copy
import itertools
import math
from typing import Any

import pytest
import torch
from tests.folding.networks import Block, scatter
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cen.errors import ConversionError
from cen.exchange import ExchangeRule, StreamNorm, convert, exchange_layers
from cen.folding import fold, plan_of
from cen.models import Task, build, encoders

RESNET: dict[str, Any] = {"encoder": "resnet18", "decoder_channels": 8}
NORMS = {"decoder_norm": "batch", "decoder_exchange": True}
NETWORKS: dict[str, dict[str, Any]] = {
    "refinenet": {**RESNET, "name": "refinenet"},
    "refinenet with norms": {**RESNET, **NORMS, "name": "refinenet"},
    # Of far fewer convolutions, for what lies in the encoder or takes several networks.
    "segformer with norms": {**RESNET, **NORMS, "name": "segformer"},
    "bottlenecks": {**RESNET, "name": "segformer", "encoder": "resnet50"},
    "pspnet": {**RESNET, "name": "pspnet"},
    "unet": {"encoder": "unet5", "name": "unet"},
    "unet, statistics of the image": {
        "encoder": "unet5",
        "statistics": "instance",
        "name": "unet",
    },
    "private convolutions": {**RESNET, "convolution": "private", "name": "segformer"},
    "a decoder for each output": {
        **RESNET,
        **NORMS,
        "name": "segformer",
        "outputs": {"segmentation": 5, "distance": Task("depth", 1)},
        "task_streams": "separate",
    },
    "shared norms": {
        **RESNET,
        "norm": "shared",
        "exchange": {"enabled": False, "penalty": "none"},
        "name": "segformer",
    },
    "late concatenation": {
        **RESNET,
        "fusion": "concat",
        "fusion_at": "late",
        "name": "segformer",
    },
    "gates": {**RESNET, "fusion": "gate", "name": "segformer"},
}


def network(name: str, inputs: dict[str, int], rate: float, **more: Any) -> Any:
    torch.manual_seed(0)
    options = {"width": 4, "outputs": {"segmentation": 3}, **NETWORKS[name], **more}
    return scatter(build(**options, inputs=inputs), rate).double().eval()


def images(inputs: dict[str, int], size: tuple[int, int], batch: int = 2) -> dict[str, Tensor]:
    return {n: torch.randn(batch, c, *size, dtype=torch.float64) for n, c in inputs.items()}


def same(found: Any, expected: Any) -> None:
    """Outputs agree in double precision far beyond what single precision could show."""
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name].streams.keys() == expected[name].streams.keys()
        for stream, values in expected[name].streams.items():
            torch.testing.assert_close(found[name].streams[stream], values, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(
            found[name].ensemble, expected[name].ensemble, rtol=1e-9, atol=1e-10
        )


@pytest.mark.parametrize(
    ("name", "rate"),
    [*((name, 0.6) for name in NETWORKS), *(("segformer with norms", r) for r in (0.0, 1.0))],
)
def test_every_network_on_every_subset(name: str, rate: float) -> None:
    inputs = {"rgb": 3, "depth": 1}
    net = network(name, inputs, rate)
    folded = fold(net)
    for names in (["rgb", "depth"], ["depth"]):
        given = {n: images(inputs, (33, 47), batch=1)[n] for n in names}
        with torch.no_grad():
            same(folded(given), net(given))
    assert folded.unfolded == {} or name in ("late concatenation", "gates")


@pytest.mark.parametrize(
    ("scope", "parts", "rate"),
    [
        ("own", "paper", 0.5),
        ("any", "paper", 0.5),
        ("own", "paper", 1.0),
        ("own", "keeper", 0.5),
        ("own", "keeper", 1.0),
    ],
)
def test_three_modalities(scope: str, parts: str, rate: float) -> None:
    inputs = {"rgb": 3, "depth": 1, "flow": 2}
    rule = {"scope": scope, "parts": parts}
    net = network("segformer with norms", inputs, rate, exchange=rule)
    folded, given = fold(net, saved=-math.inf), images(inputs, (32, 32), batch=1)
    for count in (3, 2):
        for names in itertools.combinations(inputs, count):
            with torch.no_grad():
                same(
                    folded({n: given[n] for n in names}),
                    net({n: given[n] for n in names}),
                )


def test_several_outputs_and_cycles() -> None:
    outputs = {"segmentation": 3, "normal": Task("normal", 3)}
    inputs = {"rgb": 3, "depth": 1}
    plain = {"decoder_norm": "none", "decoder_exchange": None}
    net = network("segformer with norms", inputs, 0.7, outputs=outputs, **plain)
    given = images(inputs, (64, 64))
    with torch.no_grad():
        same(fold(net)(given), net(given))
    names = {"rgb": 3, "depth": 1, "edge": 1}
    tasks = {"rgb": Task("image", 3), "depth": Task("depth", 1), "edge": Task("edge", 1)}
    cycle = scatter(build("cycle", encoder="unet3", inputs=names, outputs=tasks, width=4), 0.7)
    cycle = cycle.double().eval()
    given = images(names, (32, 40))
    with torch.no_grad():
        same(fold(cycle)(given), cycle(given))


def test_the_original_and_later_changes_of_it_are_left_alone() -> None:
    inputs = {"rgb": 3, "depth": 1}
    net = network("unet", inputs, 0.5)
    state = copy.deepcopy(net.state_dict())
    folded, given = fold(net), images(inputs, (64, 64))
    with torch.no_grad():
        before = folded(given)["segmentation"].ensemble
        next(net.parameters()).add_(1)
        assert torch.equal(folded(given)["segmentation"].ensemble, before)
    assert not folded.train().training
    assert all(not module.training for module in folded.modules())
    assert all(torch.equal(v, state[k]) for k, v in folded.net.state_dict().items() if k in state)


def test_other_dtypes_and_copies() -> None:
    inputs = {"rgb": 3, "depth": 1}
    net = network("segformer with norms", inputs, 0.5)
    folded, given = fold(net), images(inputs, (64, 64))
    with torch.no_grad():
        folded(given)  # makes slices of weights in double precision
        single = folded.float()
        small = {name: value.float() for name, value in given.items()}
        expected = copy.deepcopy(net).float()(small)["segmentation"].ensemble
        found = single(small)["segmentation"].ensemble
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        again = copy.deepcopy(single)(small)["segmentation"].ensemble
    assert torch.equal(again, found)


def flops(net: nn.Module, given: dict[str, Tensor]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(given)
    return counter.get_total_flops()


def test_less_is_computed_the_more_is_exchanged() -> None:
    """At full exchange where streams meet in the branch: what one stream costs, and the trunk."""
    inputs = {"rgb": 3, "depth": 1}
    given = images(inputs, (64, 96))
    ratio = {}
    for rate in (0.0, 0.5, 1.0):
        net = network("segformer with norms", inputs, rate, width=16, decoder_channels=32)
        folded = fold(net)
        plan = folded.plan(given)
        counted = flops(net, given), flops(folded, given)
        ratio[rate] = counted[0] / counted[1]
        assert sum(layer.before for layer in plan.layers) * 2 * 2 == counted[0]
        assert sum(layer.after for layer in plan.layers) * 2 * 2 == counted[1]
    assert ratio[0.0] < ratio[0.5] < ratio[1.0]
    assert ratio[1.0] > 1.5


def test_more_than_two_streams_cost_little_more_than_one_by_keeper_parts() -> None:
    """And by the paper's parts, which never make them equal, more: there nothing may be folded."""
    share = {}
    for parts in ("paper", "keeper"):
        names = [f"s{i}" for i in range(4)]
        plain = nn.Sequential(*(Block("plain", 16) for _ in range(4)))
        net = convert(plain, names, exchange=ExchangeRule(parts=parts))  # type: ignore[arg-type]
        net = scatter(net, 1.0).eval()  # type: ignore[assignment]
        given = {name: torch.randn(1, 16, 32, 32) for name in names}
        share[parts] = 1 - plan_of(net, given).saved
    assert share["keeper"] < 1.3 / 4 < 0.6 < share["paper"]


def test_what_would_save_too_little_is_run_as_it_is() -> None:
    net = scatter(convert(nn.Sequential(Block("plain", 4), Block("plain", 4)), ["a", "b"]), 0.5)
    given = {name: torch.randn(1, 4, 9, 9) for name in "ab"}
    folded = fold(net.eval(), saved=0.9)
    with torch.no_grad():
        found, expected = folded(given), net(given)
    assert all(torch.equal(found[name], expected[name]) for name in given)
    assert "of the multiply-adds would be saved, and at least 90%" in folded.plan(given).summary()


@pytest.mark.slow
def test_torch_export_makes_a_plain_graph_of_a_whole_network() -> None:
    class Positional(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, rgb: Tensor, depth: Tensor) -> Tensor:
            ensemble: Tensor = self.net({"rgb": rgb, "depth": depth})["segmentation"].ensemble
            return ensemble

    inputs = {"rgb": 3, "depth": 1}
    net = network("refinenet with norms", inputs, 0.8)
    module = Positional(fold(net))
    example = tuple(images(inputs, (64, 96)).values())
    module(*example)
    auto = torch.export.Dim.AUTO
    shapes = ({0: auto, 2: auto, 3: auto}, {0: auto, 2: auto, 3: auto})
    program = torch.export.export(module, example, dynamic_shapes=shapes)
    other = tuple(images(inputs, (96, 64), batch=3).values())
    with torch.no_grad():
        expected = net(dict(zip(inputs, other, strict=True)))["segmentation"].ensemble
        torch.testing.assert_close(program.module()(*other), expected, rtol=1e-9, atol=1e-10)
    assert "unflatten" not in str(program.graph)


class Deciding(nn.Module):
    """Decides by the size of its input, or by its values."""

    def __init__(self, by: str) -> None:
        super().__init__()
        self.by, self.block = by, Block("plain", 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        if self.by == "size":
            return y[:, :, ::2] if y.shape[2] > 6 else y
        return y * 2 if float(y.sum()) > 0 else y - 1


@pytest.mark.parametrize("by", ["size", "values"])
def test_programs_that_decide(by: str) -> None:
    """By sizes: one graph for each. By values: no graph can follow, and the summary says so."""
    net = scatter(convert(Deciding(by), ["a", "b"]), 0.7).eval()
    folded = fold(net)
    for height in (9, 5, 6, 9):
        for sign in (1, -1):
            given = {name: sign * torch.randn(2, 4, height, 7) for name in "ab"}
            with torch.no_grad():
                found, expected = folded(given), net(given)
            for name in given:
                torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5)
    plan = folded.plan(given)
    assert (plan.graph is None) == (by == "values")
    assert ("values of a tensor" in plan.summary()) == (by == "values")


def test_the_graph_holds_no_stream_layers_and_tells_what_it_costs() -> None:
    inputs = {"rgb": 3, "depth": 1}
    plan = fold(network("segformer with norms", inputs, 1.0)).plan(images(inputs, (64, 64)))
    kinds = {type(module).__name__ for module in plan.modules()}
    assert kinds == {"Plan", "FoldedGraph"}
    layers = {layer.name: layer for layer in plan.layers}
    second = layers["encoder.layer1.0.conv2.weight"]
    assert second.common == 1
    assert layers["encoder.layer1.0.conv1.weight"].unread == 0.5
    assert "encoder.layer1.0.conv2.weight" in plan.summary()
    assert "MB of weights" in plan.summary()


def test_what_is_no_network_of_streams_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"cen\.convert, not"):
        fold(nn.Conv2d(3, 3, 1))


@pytest.mark.parametrize("kind", ["large", "tiny", "equal", "at the threshold", "zero"])
def test_adversarial_scales(kind: str) -> None:
    """Scales far from 1, equal in all streams, just at θ (kept) and 0."""
    net = network("segformer with norms", {"rgb": 3, "depth": 1}, 0.5)
    value = {"large": 1e3, "tiny": 1e-6, "equal": 1.0, "zero": 0.0}.get(kind)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, StreamNorm):
                theta = layer.exchange.threshold if layer.exchange is not None else 1.0
                half = torch.arange(layer.num_features) % 2 == 0
                layer.weight[:, half] = theta if value is None else value
                layer.bias[:, half] = 0.25
    given = images({"rgb": 3, "depth": 1}, (35, 50))
    with torch.no_grad():
        found, expected = fold(net)(given), net(given)
    largest = float(expected["segmentation"].ensemble.abs().max())
    error = (found["segmentation"].ensemble - expected["segmentation"].ensemble).abs().max()
    assert float(error) <= 1e-12 * largest


class Positions(nn.Module):
    """An encoder of one's own with a layer norm of tokens, as in transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 4, 4)
        self.norm = nn.LayerNorm(8)
        self.second = nn.Conv2d(8, 8, 2, 2)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.first(image)
        tokens = self.norm(fine.flatten(2).transpose(1, 2))
        fine = torch.unflatten(tokens.transpose(1, 2), 2, fine.shape[2:])
        return [fine, self.second(fine)]


@pytest.mark.parametrize(
    ("encoder", "fusion"),
    [
        pytest.param("mit_b0", "exchange", marks=pytest.mark.slow),
        pytest.param("mit_b0", "tokenfusion", marks=pytest.mark.slow),
        ("own", "exchange"),
    ],
)
def test_layer_norms_fold_at_the_first_call(
    encoder: str, fusion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first pass follows the rows of an encoder of others."""
    monkeypatch.setitem(encoders, "own", lambda options, output_stride: Positions())
    torch.manual_seed(0)
    net = build(
        "segformer",
        encoder=encoder,
        inputs={"rgb": 3, "depth": 1},
        outputs={"segmentation": 3},
        decoder_channels=4,
        fusion=fusion,
        exchange={"threshold": 0.4},
        width=4 if encoder == "mit_b0" else None,
    )
    for layer in exchange_layers(net).values():
        nn.init.uniform_(layer.weight)
    given = images(net.inputs, (64, 72))
    net.double().eval()
    found = fold(net, saved=-math.inf)
    with torch.no_grad():
        one, other = (n(given)["segmentation"].ensemble for n in (found, net))
    assert found.plan(given).graph is not None, found.plan(given).reason
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))


def test_a_transformer_of_three_streams_has_a_graph() -> None:
    inputs = {"a": 3, "b": 1, "c": 3}
    net: Any = build(
        "segformer",
        encoder="mit_b0",
        inputs=inputs,
        outputs={"segmentation": 3},
        width=4,
        decoder_channels=8,
    )
    scatter(net, 0.7).eval()
    given = {name: torch.randn(1, channels, 64, 64) for name, channels in inputs.items()}
    folded = fold(net, saved=-math.inf)
    with torch.no_grad():
        found, expected = folded(given)["segmentation"], net(given)["segmentation"]
    assert torch.allclose(found.ensemble, expected.ensemble, atol=1e-5)
    assert folded.plan(given).graph is not None


class Patches(nn.Module):
    """An encoder of one's own that takes multiples of 8 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 2, 2)

    def forward(self, image: Tensor) -> list[Tensor]:
        if image.shape[-1] % 8 or image.shape[-2] % 8:
            raise ValueError("takes multiples of 8")
        fine = self.norm(self.first(image))
        return [fine, self.second(fine)]


@pytest.mark.parametrize("fusion", ["exchange", "average"])
@torch.no_grad()
def test_images_that_have_to_be_padded_and_others_have_a_graph(
    fusion: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fits gives results of the decoder's size, what is padded those of its own."""
    monkeypatch.setitem(encoders, "own", lambda options, output_stride: Patches())
    inputs = {"rgb": 3, "depth": 1}
    options: dict[str, Any] = {"inputs": inputs, "outputs": {"s": 3}, "decoder_channels": 4}
    net: Any = build("fpn", encoder="own", fusion=fusion, **options)
    scatter(net, 0.7).double().eval()
    folded = fold(net, saved=-math.inf)
    for size, expected in (((40, 48), (10, 12)), ((37, 50), (37, 50)), ((40, 56), (10, 14))):
        given = images(inputs, size)
        same(folded(given), net(given))
        assert folded(given)["s"].ensemble.shape[-2:] == expected
        assert folded.plan(given).graph is not None, folded.plan(given).reason
