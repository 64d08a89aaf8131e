"""Predictions of some streams alone: the same values, without what they do not read."""

import itertools
import math
from typing import Any

import pytest
import torch
from tests.folding.networks import scatter
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import cen
from cen.errors import ConfigError, StreamError
from cen.exchange import convert
from cen.folding import fold
from cen.models import ChannelExchangeNetwork

INPUTS = {"rgb": 3, "depth": 1, "thermal": 1}
SMALL: dict[str, Any] = {"encoder": "resnet18", "width": 8, "decoder_channels": 8}


def network(name: str = "fpn", rate: float = 0.5, **options: Any) -> ChannelExchangeNetwork:
    options = {**SMALL, **options} if name != "segformer" else {"encoder": "mit_b0", **options}
    options = {"inputs": dict(itertools.islice(INPUTS.items(), 2)), **options}
    net = cen.build(name, outputs={"parts": 5, "normals": cen.Task("normal", 3)}, **options)
    return scatter(net, rate).eval()  # type: ignore[return-value]


def pictures(net: Any, size: tuple[int, int] = (65, 71)) -> dict[str, Tensor]:
    return {name: torch.randn(2, channels, *size) for name, channels in net.inputs.items()}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fpn", {}),
        ("fpn", {"decoder_norm": "batch", "decoder_exchange": True}),
        ("fpn", {"inputs": INPUTS}),
        ("refinenet", {"task_streams": "shared"}),
        ("pspnet", {}),
        ("segformer", {}),
    ],
)
def test_what_is_kept_is_the_same(name: str, options: dict[str, Any]) -> None:
    net = network(name, **options)
    inputs = pictures(net)
    with torch.no_grad():
        expected = net(inputs)
    for count in range(1, len(inputs)):
        for streams in itertools.combinations(inputs, count):
            folded = fold(net, saved=-math.inf, streams=streams)
            found = folded(inputs)
            assert folded.plan(inputs).graph is not None
            for output, values in expected.items():
                assert list(found[output].streams) == list(streams)
                for stream in streams:
                    torch.testing.assert_close(
                        found[output].streams[stream],
                        values.streams[stream],
                        rtol=1e-5,
                        atol=1e-5 * float(values.streams[stream].abs().max()),
                    )
                alpha = torch.softmax(
                    torch.stack([net.alpha[output][net.sources(output).index(s)] for s in streams]),
                    0,
                )
                torch.testing.assert_close(found[output].alpha, alpha)


@pytest.mark.parametrize("streams", [["rgb"], ["depth"]])
@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_the_cost_is_what_is_computed(rate: float, streams: list[str]) -> None:
    net = network("refinenet", rate)
    inputs = pictures(net)
    folded = fold(net, saved=-math.inf, streams=streams)
    plan = folded.plan(inputs)
    counter = FlopCounterMode(display=False)
    with counter:
        folded(inputs)
    assert sum(layer.after for layer in plan.layers) * 2 * 2 == counter.get_total_flops()
    # The decoder, which exchanges nothing, is most of the work; of two it runs for one stream.
    assert plan.saved > 0.2 + fold(net, saved=-math.inf).plan(inputs).saved
    if not rate:  # one network is left of two
        assert plan.saved == pytest.approx(0.5, abs=0.05)
        assert all(layer.unread == 0.5 for layer in plan.layers)


def test_converted_networks_keep_streams_by_name() -> None:
    plain = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1))
    net = scatter(convert(plain, ["a", "b"]), 0.5).eval()
    given = {name: torch.randn(1, 4, 9, 9) for name in "ab"}
    found = fold(net, streams=["b"])(given)
    assert list(found) == ["b"]
    torch.testing.assert_close(found["b"], net(given)["b"], rtol=1e-5, atol=1e-5)


def test_what_is_run_as_it_is_keeps_the_streams_too() -> None:
    net = network()
    folded = fold(net, saved=1.0, streams=["depth"])
    inputs = pictures(net)
    found = folded(inputs)
    assert folded.plan(inputs).graph is None
    assert list(found["parts"].streams) == ["depth"]
    torch.testing.assert_close(found["parts"].ensemble, net(inputs)["parts"].streams["depth"])


def test_refusals() -> None:
    net = network()
    with pytest.raises(StreamError, match="no stream 'rbg'"):
        fold(net, streams=["rbg"])
    for wrong in ("rgb", [], [1]):
        with pytest.raises(StreamError, match="streams are a list of names"):
            fold(net, streams=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="saved is a share"):
        fold(net, {"rgb": 1})  # type: ignore[arg-type]
    folded = fold(net, streams=["rgb"])
    with pytest.raises(StreamError, match="'parts' is predicted from depth here"):
        folded({"depth": torch.randn(1, 1, 64, 64)})
    fused = network(fusion="average", exchange=None)
    with pytest.raises(StreamError, match="is predicted from"):
        fold(fused, streams=["rgb"])(pictures(fused))
