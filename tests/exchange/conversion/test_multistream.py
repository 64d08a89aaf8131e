"""Converted networks: called with any subset, results dealt out, compiled, exported."""

import copy
import dataclasses
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.exchange.conversion.plain_networks import inputs, small
from torch import Tensor, nn

from cen.errors import ConversionError, ShapeError, StreamError
from cen.exchange import (
    ExchangeRule,
    MultiStream,
    convert,
)


def test_a_scalar_result_is_refused() -> None:
    class Mean(nn.Sequential):
        def forward(self, values: Tensor) -> Tensor:
            return super().forward(values).mean()

    with pytest.raises(ShapeError, match=r"scalar, .* as a loss is; call it without .*labels="):
        convert(Mean(nn.BatchNorm2d(3)), ["a", "b"])(inputs("a", "b"))


def test_nested_results_are_dealt_out() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, values: Tensor, scale: float = 1.0) -> dict[str, object]:
            result = self.norm(values) * scale
            return {"maps": [result, result[:, :1]], "scale": scale}

    result = convert(Two(), ["a", "b"])(inputs("a", "b"), scale=2.0)
    assert result["b"]["maps"][1].shape == (2, 1, 7, 9)
    assert result["a"]["scale"] == 2.0


def test_subset_and_errors_of_the_call() -> None:
    net = convert(small(), ["rgb", "thermal"])
    assert list(net(inputs("thermal"))) == ["thermal"]
    with pytest.raises(StreamError, match="did you mean 'thermal'"):
        net(inputs("rgb", "termal"))
    with pytest.raises(StreamError, match="no stream given"):
        net({})
    with pytest.raises(ShapeError, match="'thermal' has shape"):
        net({**inputs("rgb"), **inputs("thermal", size=(8, 9))})
    # The subset of a call that failed is not left behind.
    with pytest.raises(RuntimeError):
        net({"rgb": torch.randn(2, 5, 7, 9)})
    assert net.streams.active == (0, 1)


@pytest.mark.parametrize("streams", [["a", "b"], ["a", "b", "c"]])
def test_compiles_into_one_graph(streams: list[str]) -> None:
    rule = ExchangeRule(threshold=0.7, scope="any")
    net = convert(small()[:4], streams, exchange=rule, weak_scales="keep").double()
    twin = copy.deepcopy(net)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    for present in (streams, streams, streams[1:2]):
        given = {name: value.double() for name, value in inputs(*present).items()}
        one, other = compiled(given), twin(given)
        for name in given:
            torch.testing.assert_close(one[name], other[name])
            one[name].square().sum().backward(retain_graph=True)
            other[name].square().sum().backward(retain_graph=True)
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    for (name, a), (_, b) in zip(net.named_buffers(), twin.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, msg=name)
    assert net.streams.active == tuple(range(len(streams)))


@pytest.mark.slow
def test_compiles_with_inductor() -> None:
    net = convert(small(), ["a", "b"], exchange=ExchangeRule(threshold=0.7), weak_scales="keep")
    compiled = torch.compile(copy.deepcopy(net), fullgraph=True)
    given = inputs("a", "b")
    one, other = compiled(given), net(given)
    for name in given:
        torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-4)


def test_pickle_and_copy() -> None:
    net = convert(small(), ["a", "b"]).eval()
    twin = copy.deepcopy(net)
    given = inputs("a", "b")
    torch.testing.assert_close(twin(given)["b"], net(given)["b"])
    assert isinstance(twin, MultiStream)
    twin.load_state_dict(net.state_dict())


@dataclasses.dataclass
class Result:
    """Two results and what is no tensor."""

    logits: Tensor
    levels: tuple[Tensor, ...]
    name: str = "result"


class ModelOutput(OrderedDict[str, Any]):
    """Attributes that are items too, in the way of the outputs of transformers."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setitem__(name, value)
        super().__setattr__(name, value)


@dataclasses.dataclass
class Segmented(ModelOutput):
    """Such an output."""

    logits: Any = None
    loss: Any = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is None:
                self.pop(field.name, None)


@pytest.mark.parametrize("kind", [Result, Segmented])
def test_dataclasses_are_dealt_out(kind: type) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Any:
            x = self.norm(x)
            return Result(x, (x, 2 * x)) if kind is Result else Segmented(logits=x)

    net, given = convert(Net(), ["a", "b"]).eval(), inputs("a", "b")
    found = net(given)
    for name in given:
        assert type(found[name]) is kind
        expected = net({name: given[name]})[name]
        assert torch.equal(found[name].logits, expected.logits)
        assert found[name].logits.shape == given[name].shape
    if kind is Result:
        assert torch.equal(found["b"].levels[1], 2 * found["b"].logits)
        assert found["b"].name == "result"
    else:
        assert list(found["a"]) == ["logits"]
        assert torch.equal(found["a"]["logits"], found["a"].logits)


def test_a_result_that_hides_its_tensors_is_refused() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Any:
            return SimpleNamespace(logits=self.norm(x))

    with pytest.raises(ConversionError, match="SimpleNamespace, which cannot be dealt out"):
        convert(Hidden(), ["a", "b"])(inputs("a", "b"))


def test_what_is_no_tensor_is_refused_without_being_printed() -> None:
    net = convert(small(), ["a", "b"])
    with pytest.raises(ShapeError, match=r"'b' is an ndarray.*torch\.from_numpy"):
        net({**inputs("a"), "b": inputs("b")["b"].numpy()})  # type: ignore[dict-item]
    with pytest.raises(StreamError, match=r"a dict of tensors by stream.*not with a Tensor"):
        net(inputs("a")["a"])  # type: ignore[arg-type]


def test_torch_export_keeps_the_batch_open() -> None:
    class Positional(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            found: dict[str, Tensor] = self.net({"a": a, "b": b})
            return found["a"]

    net = convert(small(), ["a", "b"], weak_scales="keep").eval()
    example = tuple(inputs("a", "b").values())
    dim = torch.export.Dim("batch")
    program = torch.export.export(Positional(net), example, dynamic_shapes=({0: dim}, {0: dim}))
    other = (torch.randn(5, 3, 7, 9), torch.randn(5, 3, 7, 9))
    expected = net({"a": other[0], "b": other[1]})["a"]
    torch.testing.assert_close(program.module()(*other), expected)


class Scaled(nn.Module):
    """Takes more than images: what belongs to samples, and what does not."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor, times: Tensor, table: Any = None, plus: float = 0.0) -> Tensor:
        result: Tensor = self.norm(x) * times.view(-1, 1, 1, 1) + plus
        return result + table["shift"][0].view(-1, 1, 1, 1) + table["channels"].view(3, 1, 1)


@pytest.mark.parametrize("names", ["ab", "b"])
def test_further_inputs_of_the_samples_belong_to_every_stream(names: str) -> None:
    plain = Scaled().eval()
    net = convert(plain, ["a", "b", "c"])
    times, given = torch.randn(2), inputs(*names)
    table = {"shift": [torch.randn(2)], "channels": torch.randn(3)}
    found = net(given, times, table=table, plus=2.0)
    for name in names:
        torch.testing.assert_close(found[name], plain(given[name], times, table, 2.0))
