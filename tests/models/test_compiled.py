"""Networks under torch.compile, and when training is compiled."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import fx, nn

import cen
from cen.bench.scales import set_rate
from cen.errors import ConfigError
from cen.models.compiled import (
    STEPS_TO_PAY,
    Compiled,
    check_compiler,
    compiles,
    subset_count,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("asked", "device", "steps", "expected"),
    [
        ("auto", CPU, 10 * STEPS_TO_PAY, False),
        ("auto", GPU, STEPS_TO_PAY - 1, False),
        ("auto", GPU, STEPS_TO_PAY, True),
        (True, CPU, 1, True),
        (False, GPU, 10 * STEPS_TO_PAY, False),
        ("cuda_graphs", GPU, 1, True),
    ],
)
def test_auto_is_for_long_runs_on_a_gpu(
    asked: Any, device: torch.device, steps: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cen.models.compiled._triton", lambda: True)
    assert compiles(asked, device, steps) is expected


def test_auto_needs_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cen.models.compiled._triton", lambda: False)
    assert not compiles("auto", GPU, STEPS_TO_PAY)
    with pytest.raises(ConfigError, match=r"train\.compile.*Triton"):
        check_compiler("train.compile", GPU)


def test_without_a_compiler_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ConfigError, match=r"train\.compile.*C\+\+ compiler"):
        check_compiler("train.compile", CPU)


def small(name: str = "unet", **options: Any) -> nn.Module:
    """A network of two streams that exchanges half of its own channels."""
    given: dict[str, Any] = {"inputs": {"rgb": 3, "depth": 1}, "outputs": {"segmentation": 3}}
    net = cen.build(name, width=4, **given, **(options or {"encoder": "unet4"}))
    set_rate(net, 0.5)
    return net.eval()


def test_a_compiled_network_gives_what_it_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    # Traced and differentiated as for any back end; code is generated in the slow test below.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    agrees(small(), [("rgb", "depth"), ("depth",)])


def test_cuda_graphs_are_asked_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without a GPU the mode compiles, and captures nothing: what is computed is the same.
    asked = []

    def compile_it(module: nn.Module, mode: str | None) -> Any:
        asked.append(mode)
        return module

    monkeypatch.setattr(torch, "compile", compile_it)
    marked: list[bool] = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: marked.append(True))
    net, given = small(), {"rgb": torch.randn(1, 3, 32, 32), "depth": torch.randn(1, 1, 32, 32)}
    for graphs in (True, False):
        got = Compiled(net, "train.compile", graphs)(given)["segmentation"].ensemble
        assert torch.equal(got, net(given)["segmentation"].ensemble)
    assert asked == ["reduce-overhead", None]
    assert len(marked) == 1


@pytest.mark.slow
def test_code_that_is_generated_gives_what_it_gave() -> None:
    agrees(small("refinenet", encoder="resnet18", decoder_channels=4), [("rgb", "depth")])


def agrees(net: nn.Module, subsets: list[tuple[str, ...]]) -> None:
    compiled = Compiled(net, "train.compile")
    inputs = {"rgb": torch.randn(2, 3, 32, 64), "depth": torch.randn(2, 1, 32, 64)}
    for names in subsets:
        given = {name: inputs[name] for name in names}
        expected, got = net(given)["segmentation"], compiled(given)["segmentation"]
        assert torch.allclose(got.ensemble, expected.ensemble, atol=1e-5)
        for name in names:
            assert torch.allclose(got.streams[name], expected.streams[name], atol=1e-5)
            assert not got.streams[name]._is_view(), "cut out by strides that code may not keep"


def test_every_subset_has_graphs_for_its_first_sizes(traced: list[fx.GraphModule]) -> None:
    def total(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return sum((value * 2 for value in inputs.values()), torch.zeros(()))

    names = ("rgb", "depth", "thermal")
    subsets = [s for n in (3, 2, 1) for s in combinations(names, n)]
    assert subset_count(names) == len(subsets)
    compiled = Compiled(total, "compile", subsets=subset_count(names))
    for width in (4, 5, 6):  # as it is, then free
        for subset in subsets:
            result = compiled({name: torch.ones(2, width) for name in subset})
            assert torch.equal(result, torch.full((2, width), 2.0 * len(subset)))
    assert len(traced) == 2 * len(subsets)


def test_what_cannot_be_compiled_is_told_in_one_line() -> None:
    def broken(graph: Any, example: Any) -> Any:
        raise ValueError("no such instruction")

    class Double(nn.Module):
        def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
            return inputs["x"] * 2

    compiled = Compiled(Double(), "train.compile")
    compiled._compiled = torch.compile(Double(), backend=broken)
    with pytest.raises(ConfigError, match=r"train\.compile: torch\.compile of PyTorch .* failed"):
        compiled({"x": torch.ones(2)})
