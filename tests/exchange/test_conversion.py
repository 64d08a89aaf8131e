"""Conversion of arbitrary modules."""

import copy
import dataclasses
import warnings
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cen.errors import CenWarning, ConfigError, ConversionError, ShapeError, StreamError
from cen.exchange import (
    ExchangeRule,
    MultiStream,
    StreamBatchNorm,
    StreamConv2d,
    StreamGroupNorm,
    StreamInstanceNorm,
    Streams,
    StreamSyncBatchNorm,
    convert,
    convert_layers,
    exchange_layers,
    exchange_rate,
)


class BatchNormAct2d(nn.BatchNorm2d):
    """Normalises, drops and activates, in the way of the combined layers of timm."""

    def __init__(self, channels: int, act: nn.Module) -> None:
        super().__init__(channels)
        self.drop = nn.Identity()
        self.act = act

    def forward(self, values: Tensor) -> Tensor:
        result: Tensor = self.act(self.drop(super().forward(values)))
        return result


class ScaledBatchNorm(nn.BatchNorm2d):
    """Does something else after the norm."""

    def forward(self, values: Tensor) -> Tensor:
        return 2 * super().forward(values)


class SplitBatchNorm(nn.BatchNorm2d):
    """Does something else in training."""

    def forward(self, values: Tensor) -> Tensor:
        if not self.training:
            return super().forward(values)
        return torch.cat([super(SplitBatchNorm, self).forward(part) for part in values.split(1)])


class FrozenBatchNorm2d(nn.Module):
    """Normalises without being a subclass of a PyTorch norm."""


def small() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, stride=2),
        nn.InstanceNorm2d(4, affine=True),
        nn.GroupNorm(2, 4),
        nn.Conv2d(4, 5, 1),
    )
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net


def inputs(*names: str, size: tuple[int, int] = (7, 9)) -> dict[str, Tensor]:
    return {name: torch.randn(2, 3, *size) for name in names}


@pytest.mark.parametrize("streams", [1, 2, 3])
@pytest.mark.parametrize("training", [True, False])
def test_without_small_scales_each_stream_is_the_plain_network(
    streams: int, training: bool
) -> None:
    plain = small().train(training)
    names = [f"s{i}" for i in range(streams)]
    # θ = 0: no |γ| is below it.
    net = convert(plain, names, exchange=ExchangeRule(threshold=0.0))
    given = inputs(*names)
    result = net(given)
    assert list(result) == names
    for name in names:
        torch.testing.assert_close(result[name], copy.deepcopy(plain)(given[name]))


def test_kinds_modes_and_options_are_kept() -> None:
    plain = small()
    plain[1].eps, plain[1].momentum = 1e-3, 0.3
    plain[1].weight.requires_grad_(False)
    plain[4].eval()
    net = convert(plain.double(), ["a", "b"]).module
    assert isinstance(net[1], StreamBatchNorm)
    assert isinstance(net[4], StreamInstanceNorm)
    assert isinstance(net[5], StreamGroupNorm)
    assert (net[1].eps, net[1].momentum) == (1e-3, 0.3)
    assert net[1].weight.dtype == torch.float64
    assert not net[1].weight.requires_grad
    assert net[1].bias.requires_grad
    assert not net[4].training
    assert net[1].training
    assert torch.equal(net[1].weight[1], plain[1].weight)


def test_the_original_is_left_alone() -> None:
    plain = small()
    before = copy.deepcopy(plain.state_dict())
    net = convert(plain, ["a", "b"])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    assert isinstance(plain[1], nn.BatchNorm2d)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, ["module.1", "module.4", "module.5"]),
        ("4", ["module.4"]),
        (["1", "5"], ["module.1", "module.5"]),
        (lambda name, layer: isinstance(layer, nn.GroupNorm), ["module.5"]),
    ],
)
def test_where_chooses_the_exchanging_norms(where, expected: list[str]) -> None:
    assert list(exchange_layers(convert(small(), ["a", "b"], where=where))) == expected


def test_a_norm_used_twice_stays_one_norm() -> None:
    norm = nn.BatchNorm2d(3)
    plain = nn.Sequential(norm, nn.Sequential(nn.ReLU(), norm))
    net = convert(plain, ["a", "b"], where="1.1").module
    assert net[0] is net[1][1]
    assert net[0].exchange is not None


def test_a_bare_norm_is_converted() -> None:
    streams = Streams(["a", "b"])
    assert isinstance(convert_layers(nn.BatchNorm2d(3), streams), StreamBatchNorm)


def test_sync_batch_norm_stays_synchronised() -> None:
    net = convert(nn.Sequential(nn.SyncBatchNorm(3)), ["a", "b"]).module
    assert isinstance(net[0], StreamSyncBatchNorm)


def test_combined_norm_and_activation_exchanges_before_the_activation() -> None:
    plain = nn.Sequential(BatchNormAct2d(4, nn.ReLU())).eval()
    with torch.no_grad():
        plain[0].weight[:] = torch.tensor([1e-3, 1.0, 1.0, 1.0])
        plain[0].bias.fill_(-0.5)
    net = convert(plain, ["a", "b"])
    given = {name: torch.randn(2, 4, 3, 3) for name in ("a", "b")}
    result = net(given)
    normalised = nn.functional.batch_norm(
        given["b"], plain[0].running_mean, plain[0].running_var, plain[0].weight, plain[0].bias
    )
    torch.testing.assert_close(result["b"], normalised.relu())
    torch.testing.assert_close(result["a"][:, 0], normalised[:, 0].relu())


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.BatchNorm2d(3, affine=False), "no affine scale"),
        (nn.InstanceNorm2d(3), "affine=True"),
        (ScaledBatchNorm(3), "forward of its own"),
        (SplitBatchNorm(3), "forward of its own"),
        (FrozenBatchNorm2d(), "no subclass"),
        (nn.LazyBatchNorm2d(), "no weights yet"),
        (nn.Sequential(StreamBatchNorm(3, Streams(["x"]))), "already"),
    ],
)
def test_layers_that_cannot_be_converted_are_named(layer: nn.Module, words: str) -> None:
    plain = nn.Sequential(nn.Sequential(nn.BatchNorm2d(3), layer))
    with pytest.raises(ConversionError, match=rf"'0\.1.*{words}"):
        convert(plain, ["a", "b"])


def test_nothing_to_convert_and_nothing_matched() -> None:
    with pytest.raises(ConversionError, match="holds no BatchNorm"):
        convert(nn.Sequential(nn.Conv2d(3, 3, 1)), ["a", "b"])
    with pytest.raises(ConversionError, match="matches none"):
        convert(small(), ["a", "b"], where="*.bn2")
    with pytest.raises(ConfigError, match="'private' or 'shared'"):
        convert(small(), ["a", "b"], norm="mine")


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
@pytest.mark.parametrize("groups", [1, 2])
def test_private_convolutions(padding_mode: str, groups: int) -> None:
    plain = nn.Sequential(
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups, padding_mode=padding_mode),
        nn.BatchNorm2d(6),
    )
    net = convert(plain, ["a", "b", "c"], convolution="private", where="1").eval()
    conv = net.module[0]
    assert isinstance(conv, StreamConv2d)
    with torch.no_grad():
        conv.weight[1] += 1
        conv.bias[1] += 1
    given = {name: torch.randn(2, 4, 5, 5) for name in ("b", "c")}
    result = net(given)
    plain.eval()
    torch.testing.assert_close(result["c"], plain(given["c"]))
    with torch.no_grad():
        plain[0].weight += 1
        plain[0].bias += 1
    torch.testing.assert_close(result["b"], plain(given["b"]))
    torch.testing.assert_close(net(inputs_of(4, "a", "b"))["b"].shape, result["b"].shape)


def inputs_of(channels: int, *names: str) -> dict[str, Tensor]:
    return {name: torch.randn(2, channels, 5, 5) for name in names}


def test_private_convolutions_go_channels_last() -> None:
    net = convert(small(), ["a", "b"], convolution="private", where="1").eval()
    given = inputs("a", "b")
    expected = net(given)
    net.to(memory_format=torch.channels_last)
    last = {k: v.to(memory_format=torch.channels_last) for k, v in given.items()}
    for name, value in net(last).items():
        torch.testing.assert_close(value, expected[name])


def test_a_container_named_after_its_norm_is_converted() -> None:
    class ConvBatchNormReLU(nn.Sequential):
        pass

    plain = nn.Sequential(ConvBatchNormReLU(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU()))
    assert isinstance(convert(plain, ["a", "b"]).module[0][1], StreamBatchNorm)


@pytest.mark.parametrize("buffers", [True, False])
def test_statistics_switched_off_afterwards_stay_off(buffers: bool) -> None:
    plain = nn.Sequential(nn.BatchNorm2d(3))
    plain[0].track_running_stats = False
    if not buffers:
        plain[0].running_mean = plain[0].running_var = None
    net = convert(plain, ["a", "b"])
    given = inputs("a", "b")
    for training in (True, False):
        net.train(training)
        plain.train(training)
        torch.testing.assert_close(net(given)["b"], plain(given["b"]))


def test_momentum_none_of_an_instance_norm_is_that_of_the_plain_one() -> None:
    plain = nn.Sequential(nn.InstanceNorm2d(3, affine=True, track_running_stats=True))
    plain[0].momentum = None
    net = convert(plain, ["a", "b"])
    given = inputs("a", "b")
    torch.testing.assert_close(net(given)["b"], plain(given["b"]))
    torch.testing.assert_close(net.module[0].running_mean[1], plain[0].running_mean)


def test_tied_scales_stay_tied() -> None:
    plain = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    plain[1].weight = plain[0].weight
    net = convert(plain, ["a", "b"]).module
    assert net[0].weight is net[1].weight
    assert net[0].bias is not net[1].bias


def test_hooks_are_not_dropped_silently() -> None:
    plain = nn.Sequential(nn.BatchNorm2d(3))
    plain[0].register_forward_hook(lambda *_: None)
    with pytest.raises(ConversionError, match=r"'0'.*hooks"):
        convert(plain, ["a", "b"])


def test_a_scalar_result_is_refused() -> None:
    class Mean(nn.Sequential):
        def forward(self, values: Tensor) -> Tensor:
            return super().forward(values).mean()

    with pytest.raises(ShapeError, match="scalar"):
        convert(Mean(nn.BatchNorm2d(3)), ["a", "b"])(inputs("a", "b"))


def test_shared_norms_stay_plain() -> None:
    net = convert(small(), ["a", "b"], norm="shared")
    assert isinstance(net.module[1], nn.BatchNorm2d)
    assert not exchange_layers(net)


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
    net = convert(
        small()[:4], streams, exchange=ExchangeRule(threshold=0.7, scope="any"), weak_scales="keep"
    )
    twin = copy.deepcopy(net)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    for given in (inputs(*streams), inputs(*streams), inputs(streams[1])):
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


class Residual(nn.Module):
    """A block whose last norm starts at zero, as in many libraries."""

    def __init__(self) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        nn.init.zeros_(self.bn2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bn2(self.bn1(x).relu())


def test_norms_that_start_at_zero_are_refused_reset_or_kept_as_asked() -> None:
    with pytest.raises(ConversionError, match=r"'bn2' would exchange .*weak_scales='reset'"):
        convert(Residual(), ["a", "b"])
    assert convert(Residual(), ["a", "b"], where="bn1").module.bn2.exchange is None
    fresh = convert(Residual(), ["a", "b"], weak_scales="reset")
    assert torch.equal(fresh.module.bn2.weight, torch.ones(2, 4))
    assert float(exchange_rate(fresh)) == 0
    kept = convert(Residual(), ["a", "b"], weak_scales="keep")
    assert float(exchange_rate(kept)) == 0.5
    convert(Residual(), ["a"])  # nobody to exchange with
    with pytest.raises(ConfigError, match="weak_scales"):
        convert(Residual(), ["a", "b"], weak_scales="rest")  # type: ignore[arg-type]


def test_a_trained_norm_with_some_small_scales_is_converted() -> None:
    plain = Residual()
    nn.init.ones_(plain.bn2.weight)
    plain.bn2.weight.data[:2] = 0
    assert float(exchange_rate(convert(plain, ["a", "b"]))) == 0.25  # of stream a's part, all


class Frames(nn.Module):
    """Folds the rows of an image into the batch before a norm, as video networks do with frames."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.transpose(1, 2).flatten(0, 1)[..., None]
        out: Tensor = self.norm(rows)
        return out[..., 0].unflatten(0, (len(x), -1)).transpose(1, 2)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_rows_folded_behind_the_sample_keep_their_stream(names: list[str], training: bool) -> None:
    net = convert(Frames(), ["a", "b", "c"], exchange=ExchangeRule(threshold=0.0)).train(training)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    given = inputs(*names)
    found = net(given)
    for name in names:
        plain = Frames().train(training)
        stream = net.streams.names.index(name)
        plain.load_state_dict({k: v[stream] for k, v in net.module.state_dict().items()})
        if training:  # as it was before that pass
            plain.norm.reset_running_stats()
        torch.testing.assert_close(found[name], plain(given[name]))
        torch.testing.assert_close(
            net.module.norm.running_var[stream], plain.norm.running_var, msg=name
        )


class Response(nn.Module):
    """Has weights and a name, but is no norm of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight[:, None, None] * x.norm(dim=(2, 3), keepdim=True)


class ResponseNorm(Response):
    """The same under a name that says otherwise."""


class Mixed(nn.Module):
    """A norm that is converted, one that is not, and one that is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.bn, self.grn = nn.BatchNorm2d(3), ResponseNorm(3)
        self.scale = nn.Parameter(torch.ones(9))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = nn.functional.layer_norm(self.grn(self.bn(x)), (9,), self.scale)
        return out


def test_norms_that_stay_shared_are_named() -> None:
    with pytest.warns(CenWarning, match="'grn' stay as they are, shared by all streams"):
        net = convert(Mixed(), ["a", "b"])
    with pytest.warns(CenWarning, match="'scale' belong to norms that are no modules"):
        net(inputs("a", "b"))
    fates = {norm.name: norm.fate for norm in net.summary().norms}
    assert fates == {"bn": "exchanging", "grn": "shared", "scale": "shared"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net(inputs("a"))  # told once
        convert(small(), ["a", "b"])(inputs("a"))  # nothing to tell
        convert(Mixed(), ["a", "b"], norm="shared")
        convert(Mixed(), ["a", "b"], shared="grn")  # as asked for


class Block(nn.Module):
    """A block of a transformer that has no attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.mix = nn.LayerNorm(channels), nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Tokens(nn.Module):
    """An encoder with layer norms, a decoder with batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.blocks = nn.Linear(3, 6), nn.Sequential(Block(6), Block(6))
        self.norm, self.plain = nn.LayerNorm(6), nn.LayerNorm(6, elementwise_affine=False)
        self.decoder = nn.Sequential(nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.flatten(2).transpose(1, 2))
        tokens = self.plain(self.norm(self.blocks(tokens)))
        out: Tensor = self.decoder(tokens.transpose(1, 2).unflatten(2, x.shape[2:]))
        return out


def test_layer_norms_exchange_before_the_mlp_of_each_block_unless_told() -> None:
    net = convert(Tokens(), ["a", "b"])
    summary = net.summary()
    assert summary.exchanging == ("blocks.0.norm2", "blocks.1.norm2", "decoder.1")
    assert summary.private == ("blocks.0.norm1", "blocks.1.norm1", "norm")
    assert summary.shared == ("plain",)
    assert "7 norms: 3 exchanging, 3 private, 1 shared" in str(summary)
    reasons = {norm.name: norm.reason for norm in summary.norms}
    assert "before the MLP" in reasons["blocks.1.norm2"]
    assert reasons["plain"] == "it has no scale"
    assert convert(Tokens(), ["a", "b"], where="*norm1").summary().exchanging == (
        "blocks.0.norm1",
        "blocks.1.norm1",
    )
    for training in (True, False):
        plain, given = Tokens().train(training), inputs("a", "b")
        net = convert(plain, ["a", "b"])
        torch.testing.assert_close(net(given)["b"], copy.deepcopy(plain)(given["b"]))


def test_without_blocks_all_layer_norms_exchange() -> None:
    net = convert(nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6)), ["a", "b"])
    assert net.summary().exchanging == ("1",)


def test_scales_are_added_where_that_is_asked_for() -> None:
    plain = nn.Sequential(nn.InstanceNorm2d(3), nn.BatchNorm2d(3, affine=False), nn.Conv2d(3, 3, 1))
    net = convert(plain.double(), ["a", "b"], missing_scales="add", shared="9").eval()
    assert len(net.summary().exchanging) == 2
    assert net.module[0].weight.dtype == torch.float64
    assert net.module[0].bias is None
    given = {name: value.double() for name, value in inputs("a", "b").items()}
    torch.testing.assert_close(net(given)["b"], plain.eval()(given["b"]))
    with torch.no_grad():
        net.module[0].weight[0, 0] = 0
    assert float(exchange_rate(net)) > 0
    with pytest.raises(ConfigError, match="missing_scales"):
        convert(plain, ["a", "b"], missing_scales="some")  # type: ignore[arg-type]


def test_norms_of_batches_that_nobody_knows_are_refused_or_kept_as_asked() -> None:
    class Statistics(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("running_mean", torch.zeros(3))

        def forward(self, x: Tensor) -> Tensor:
            return x

    plain = nn.Sequential(nn.BatchNorm2d(3), Statistics(), FrozenBatchNorm2d())
    with pytest.raises(ConversionError, match=r"'1' \(Statistics\).*shared="):
        convert(plain, ["a", "b"])
    with pytest.raises(ConversionError, match=r"'1' \(FrozenBatchNorm2d"):
        convert(nn.Sequential(plain[0], plain[2]), ["a", "b"])
    kept = convert(nn.Sequential(plain[0], plain[2]), ["a", "b"], shared="1")
    assert kept.summary().shared == ("1",)
    reasons = {norm.name: norm.reason for norm in kept.summary().norms}
    assert reasons["1"] == "asked for (shared=)"


def test_the_fast_path_of_an_encoder_layer_reads_no_scales_behind_our_back() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    plain = nn.TransformerEncoder(layer, 2).eval()
    for parameter in plain.parameters():
        nn.init.normal_(parameter)
    net = convert(plain, ["a", "b"])
    given = {name: torch.randn(2, 5, 8) for name in ("a", "b")}
    with torch.no_grad():
        found = net(given)
        for name, value in given.items():
            torch.testing.assert_close(found[name], plain(value), rtol=1e-4, atol=1e-4)


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
