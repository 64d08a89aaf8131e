"""Conversion of arbitrary modules."""

import copy

import pytest
import torch
from tests.exchange.conversion.plain_networks import FrozenBatchNorm2d, inputs, small
from torch import Tensor, nn

from cen.errors import ConfigError, ConversionError
from cen.exchange import (
    ExchangeRule,
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


def test_shared_norms_stay_plain() -> None:
    net = convert(small(), ["a", "b"], norm="shared")
    assert isinstance(net.module[1], nn.BatchNorm2d)
    assert not exchange_layers(net)


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


class Listed(nn.Module):
    """Calls its layers from a list of its own, in the way of the heads of transformers."""

    def __init__(self, kept: type) -> None:
        super().__init__()
        layers = [nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)]
        for index, layer in enumerate(layers):
            self.add_module(str(index), layer)
        self.layers = {"all": layers} if kept is dict else kept(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers["all"] if isinstance(self.layers, dict) else self.layers:
            x = layer(x)
        return x


@pytest.mark.parametrize("kept", [list, tuple, dict])
def test_layers_that_a_module_holds_in_a_list_are_replaced_there(kept: type) -> None:
    net = convert(Listed(kept), ["a", "b"])
    net.module.get_submodule("1").weight.data[:, :] = 1e-3
    given = inputs("a", "b")
    found = net(given)
    torch.testing.assert_close(found["a"][:, :2], found["b"][:, :2])  # exchanged


class Closed(nn.Module):
    """Calls its norm where nobody can see it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = norm = nn.BatchNorm2d(3)
        self.run = lambda x: norm(x)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.run(x)
        return out


def test_a_norm_that_is_still_called_in_its_old_form_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"F\.batch_norm.*still called in its old form"):
        convert(Closed(), ["a", "b"])(inputs("a", "b"))
