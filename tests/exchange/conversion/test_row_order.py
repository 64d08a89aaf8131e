"""Norms get rows of the streams they think, or the network is refused; nothing is guessed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cen.errors import CenWarning, ConversionError, ShapeError
from cen.exchange import ExchangeRule, convert


class Windows(nn.Module):
    """Two by two windows as rows of their own, in the order of the samples or in another one."""

    def __init__(self, order: str = "samples first") -> None:
        super().__init__()
        self.order, self.norm = order, nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).permute(0, 2, 4, 3, 5, 1)
        rows = rows.flatten(3, 4).flatten(1, 2)  # (B, windows, 4, C)
        if self.order == "windows first":
            rows = rows.transpose(0, 1)
        shape = rows.shape
        normed = self.norm(rows.flatten(0, 1)).view(shape)
        if self.order == "windows first":
            normed = normed.transpose(0, 1)
        return normed.sum(1)


class SequenceFirst(nn.Module):
    """Tokens on the first axis, the batch on the second."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x.flatten(2).permute(2, 0, 1)).permute(1, 2, 0)
        return out


class Queries(nn.Module):
    """A norm of what does not depend on the input: one row for all."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.norm = nn.Parameter(torch.randn(1, 5, 4)), nn.LayerNorm(4)
        self.last = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.norm(self.query) + x.mean((2, 3))[:, None])
        return out


def given(size: int = 4, batch: int = 2) -> dict[str, Tensor]:
    return {name: torch.randn(batch, 4, size, size) for name in ("a", "b")}


@pytest.mark.parametrize("training", [True, False])
def test_windows_of_samples_are_right_at_every_size(training: bool) -> None:
    net = convert(Windows(), ["a", "b"], exchange=ExchangeRule(threshold=0.0)).train(training)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    for size in (4, 8, 2):  # 4, 16 and 1 windows a sample
        images = given(size)
        found = net(images)
        for stream, name in enumerate("ab"):
            plain = Windows()
            plain.load_state_dict({k: v[stream] for k, v in net.module.state_dict().items()})
            torch.testing.assert_close(found[name], plain(images[name]))
    assert net.training == training


def test_another_order_is_refused_by_name() -> None:
    net = convert(Windows("windows first"), ["a", "b"])
    with pytest.raises(ConversionError, match=r"'norm' gets rows that are not sample by sample"):
        net(given())
    kept = convert(
        nn.Sequential(nn.BatchNorm2d(4), Windows("windows first")), ["a", "b"], shared="1.*"
    )
    assert kept(given())["a"].shape == (2, 4, 4)


@pytest.mark.parametrize("size", [2, 3, 4, 8])
def test_tokens_on_the_first_axis_are_refused_even_where_numbers_agree(size: int) -> None:
    net = convert(SequenceFirst(), ["a", "b"])
    with pytest.raises(ConversionError, match="'norm' gets"):
        net(given(size))  # 4 tokens where 4 rows ride, 16 = 4 x 4


def test_rows_that_are_no_samples_are_refused_or_kept_shared() -> None:
    with pytest.raises(ConversionError, match=r"'norm' gets 1 rows where 4 ride"):
        convert(Queries(), ["a", "b"])(given())
    kept = convert(Queries(), ["a", "b"], shared="norm")
    assert kept(given())["b"].shape == (2, 5, 4)


def test_following_the_rows_draws_nothing_and_moves_nothing() -> None:
    plain = nn.Sequential(nn.BatchNorm2d(4), nn.Dropout(0.5))
    net = convert(plain, ["a", "b"])
    images = given()
    torch.manual_seed(1)
    first = net(images)["a"]
    after = torch.rand(1)
    counts = net.module[0].num_batches_tracked.tolist()
    torch.manual_seed(1)
    again = net(images)["a"]
    assert torch.equal(first, again)
    assert torch.equal(after, torch.rand(1))
    assert counts == [1, 1]
    assert net.training
    assert net.module[1].training


def test_folded_rows_that_no_pass_has_followed_raise() -> None:
    net = convert(Windows(), ["a", "b"])
    net.first_pass.follows = False
    with pytest.raises(ShapeError, match="16 rows where 4 ride through the network"):
        net(given())


def test_a_faint_input_is_seen_in_double_precision() -> None:
    net = convert(Windows(), ["a", "b"]).double()
    faint = {name: 1 + 1e-8 * image.double() for name, image in given().items()}
    assert net(faint)["a"].shape == (2, 4, 4)


class Head(nn.Module):
    """A norm, and behind it something that no norm sees."""

    def __init__(self, head: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm2d(4), head

    def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
        return {"maps": [self.head(self.norm(x))]}


@pytest.mark.parametrize(
    "head",
    [
        lambda x: x - x.mean(0, keepdim=True),
        lambda x: x / x.std(),
        lambda x: x / x.max(),
        lambda x: x.flatten(2).permute(2, 0, 1).softmax(1).permute(1, 2, 0),
    ],
)
@pytest.mark.parametrize("streams", [["a", "b"], ["a", "b", "c"]])
def test_results_that_depend_on_the_other_streams_are_told_of(
    head: Callable[[Tensor], Tensor], streams: list[str]
) -> None:
    with pytest.warns(CenWarning, match="changes with the other images of the batch"):
        convert(Head(head), streams)({"a": given()["a"]})


def test_results_of_each_sample_are_not(recwarn: pytest.WarningsRecorder) -> None:
    net = convert(Head(lambda x: x / x.amax((1, 2, 3), keepdim=True)), ["a", "b", "c"])
    net({"b": given()["b"]})
    assert not list(recwarn)


def test_results_without_values_are_none_that_could_mix() -> None:
    """Feature maps without channels, as encoders of smp hand them on."""
    net = convert(Head(lambda x: x[:, :0]), ["a", "b"])
    assert net(given())["a"]["maps"][0].shape == (2, 0, 4, 4)
