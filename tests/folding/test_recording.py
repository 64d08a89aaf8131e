"""What a program writes into tensors is in the graph, or there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.folding.networks import scatter
from torch import Tensor, nn

from cen.exchange import convert
from cen.folding import fold

Write = Callable[[Tensor], Tensor]


def bands(x: Tensor, mask: Tensor) -> Tensor:
    """Numbers the bands of a window as Swin does, in a mask that is given."""
    for number, rows in enumerate((slice(0, -3), slice(-3, -1), slice(-1, None))):
        mask[:, rows] = number
    return x + mask


def accumulated(x: Tensor) -> Tensor:
    mask = torch.zeros((1, x.shape[1], x.shape[2], 1), dtype=x.dtype, device=x.device)
    view = mask[:, 1:]
    view[:, :, 2:] += 0.5
    view.add_(1.0)  # nothing takes what it returns
    torch.nn.functional.relu(mask.sub_(0.7), inplace=True)
    return x * mask


def padded(x: Tensor) -> Tensor:
    wide = x.new_zeros((x.shape[0], x.shape[1] + 2, x.shape[2], x.shape[3]))
    wide[:, 1:-1] = x
    wide[:, 0] = 2 * x[:, 1]
    return wide[:, 2:] + wide[:, :-2]


class Tokens(nn.Module):
    """A network of others with a layer norm over maps whose channels are last."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.last, self.write = nn.Linear(8, 4), write
        self.register_buffer("kept", torch.zeros(64, 4, 4, 8))

    def forward(self, x: Tensor) -> Any:
        return self.last(self.write(self.norm(self.conv(x).permute(0, 2, 3, 1))))


WRITTEN: dict[str, Write] = {
    "a mask of sizes": lambda x: bands(
        x, torch.zeros((1, x.shape[1], x.shape[2], 1), dtype=x.dtype, device=x.device)
    ),
    "one like the features": lambda x: bands(x, torch.zeros_like(x)),
    "views and in place": accumulated,
    "features into zeros": padded,
}


def folded(write: Write) -> tuple[Any, Any]:
    torch.manual_seed(0)
    net = scatter(convert(Tokens(write), ["a", "b"], weak_scales="keep"), 0.6).double().eval()
    return net, fold(net, saved=-9)


def images(batch: int, size: tuple[int, int]) -> dict[str, Tensor]:
    return {name: torch.randn(batch, 3, *size, dtype=torch.float64) for name in "ab"}


@pytest.mark.parametrize("write", WRITTEN)
@torch.no_grad()
def test_what_is_written_into_a_tensor_made_of_sizes_is_in_the_graph(write: str) -> None:
    net, other = folded(WRITTEN[write])
    for batch, size in ((2, (32, 40)), (2, (32, 40)), (3, (24, 28))):
        given = images(batch, size)
        assert other.plan(given).graph is not None, other.plan(given).reason
        for name, expected in net(given).items():
            torch.testing.assert_close(other(given)[name], expected)


def into_features(x: Tensor) -> Tensor:
    x[:, 0] = 0.0
    return x


def into_a_view_of_them(x: Tensor) -> Tensor:
    x.flatten(2)[:, :, 3] = 1.0
    return x


REFUSED: dict[str, Write] = {
    "features": into_features,
    "a view of features": into_a_view_of_them,
}


@pytest.mark.parametrize("write", REFUSED)
@torch.no_grad()
def test_what_is_written_into_features_is_run_unfolded(write: str) -> None:
    net, other = folded(REFUSED[write])
    given = images(2, (32, 40))
    for name, expected in net(given).items():
        torch.testing.assert_close(other(given)[name], expected)
    assert "holds inputs or weights" in other.plan(given).summary()


class Maps(nn.Module):
    """A network of others that writes into maps behind a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Any:
        return into_features(self.norm(self.conv(x)))


@torch.no_grad()
def test_what_is_written_into_what_streams_have_in_common_is_run_unfolded() -> None:
    net = scatter(convert(Maps(), ["a", "b"]), 0.6).double().eval()
    other, given = fold(net, saved=-9), images(2, (12, 12))
    for name, expected in net(given).items():
        torch.testing.assert_close(other(given)[name], expected)
    assert "holds inputs" in other.plan(given).summary()


@torch.no_grad()
def test_what_is_written_into_a_buffer_is_run_unfolded() -> None:
    net, other = folded(lambda x: x)
    for one in (net, other.net):
        part = one.module

        def write(x: Tensor, part: Any = part) -> Tensor:
            part.kept[: len(x), :2, :2] = x[:, :2, :2]
            return x + part.kept[: len(x)].mean((1, 2), keepdim=True)

        part.write = write
    given = images(2, (32, 40))
    for name, expected in net(given).items():
        torch.testing.assert_close(other(given)[name], expected)
    assert "that was not recorded" in other.plan(given).summary()
