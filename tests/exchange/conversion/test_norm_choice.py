"""Which norms of a network exchange, become private, or stay shared."""

import copy
import warnings

import pytest
import torch
from tests.exchange.conversion.plain_networks import FrozenBatchNorm2d, inputs, small
from torch import Tensor, nn
from torch.nn.utils import parametrize

from cen.errors import CenWarning, ConfigError, ConversionError
from cen.exchange import (
    convert,
    exchange_layers,
    exchange_rate,
)


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


class Guarded(nn.Sequential):
    """Keeps the statistics of its first norm, which it knows by its class, and its scales."""

    def train(self, mode: bool = True) -> "Guarded":
        super().train(mode)
        if isinstance(self[1], nn.BatchNorm2d):
            self[1].eval()
        self[0].weight.requires_grad_(False)
        return self


@pytest.mark.parametrize("training", [True, False])
def test_statistics_that_a_network_keeps_in_training_are_kept(training: bool) -> None:
    layers = (nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4))
    plain = nn.Sequential(Guarded(*layers), nn.Conv2d(4, 2, 1)).train(training)
    layers[0].weight.requires_grad_(True)
    layers[1].running_mean.fill_(0.5)
    modes = [part.training for part in plain.modules()]
    net = convert(plain, ["a", "b"])
    assert [part.training for part in net.module.modules()] == modes
    assert net.module[0][0].weight.requires_grad
    net.train()
    image = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(net({"a": image})["a"], plain.train()(image))
    assert net.module[0][1].running_mean.eq(0.5).all()
    assert not net.module[0][2].frozen


def hooked() -> nn.Module:
    norm = nn.BatchNorm2d(3)
    norm.register_full_backward_pre_hook(lambda _, gradient: None)
    return norm


def patched() -> nn.Module:
    norm = nn.BatchNorm2d(3)
    norm.forward = lambda x: 2 * nn.BatchNorm2d.forward(norm, x)  # type: ignore[method-assign]
    return norm


@pytest.mark.parametrize(
    ("norm", "why"),
    [
        (parametrize.register_parametrization(nn.BatchNorm2d(3), "weight", nn.Softplus()), "par"),
        (patched(), "a forward"),
        (hooked(), "hooks"),
    ],
)
def test_norms_that_compute_more_than_their_class_says_are_refused(
    norm: nn.Module, why: str
) -> None:
    with pytest.raises(ConversionError, match=rf"'0' \(.*BatchNorm2d\) has {why}"):
        convert(nn.Sequential(norm), ["a", "b"])


class Unscaled(nn.Module):
    """A layer norm without scales that says so by an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.eps, self.weight, self.normalized_shape = 1e-5, None, (3,)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x, self.normalized_shape)


def test_a_norm_without_scales_of_another_library_can_get_some() -> None:
    net = convert(nn.Sequential(Unscaled()), ["a", "b"], missing_scales="add")
    assert net.summary().exchanging == ("0",)


def test_a_weight_shared_with_what_stays_as_it_is_is_refused() -> None:
    """It would be one weight no longer, and both would learn on their own."""
    transposed = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 3, 3, bias=False)
    )
    transposed[2].weight = transposed[0].weight
    assert convert(transposed, ["a", "b"]).module[2].weight is not None
    with pytest.raises(ConversionError, match=r"'0' \(Conv2d\) shares its weight with '2'"):
        convert(transposed, ["a", "b"], convolution="private")
    norms = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    norms[1].weight = norms[0].weight
    with pytest.raises(ConversionError, match=r"'0' \(BatchNorm2d\) shares its weight with '1'"):
        convert(norms, ["a", "b"], shared="1")


def test_what_cannot_be_copied_is_refused_in_a_sentence() -> None:
    plain = nn.Sequential(nn.BatchNorm2d(3))
    plain.last = plain(torch.randn(2, 3, 4, 4))
    with pytest.raises(ConversionError, match=r"Sequential cannot be copied.*beside its weights"):
        convert(plain, ["a", "b"])
