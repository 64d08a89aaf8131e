"""What is looked at when a converted network is first called."""

import threading
import time

import pytest
import torch
from torch import nn

from cen.errors import CenWarning
from cen.exchange import ConversionSummary, FirstPass, Streams, convert, convert_layers
from cen.exchange.conversion.first_pass import LEFT_OUT


class Windows(nn.Module):
    """Folds the halves of a map into the batch, norms them, and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(3)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        halves = x.unflatten(3, (2, -1)).permute(0, 3, 2, 4, 1).flatten(0, 1)
        return self.norm(halves)


def test_rows_are_followed_once_for_every_shape_where_they_are_folded():
    module, streams, seen = Windows(), Streams(("a", "b")), FirstPass(ConversionSummary(()))
    convert_layers(module, streams)

    def look(width):
        seen.look(module, streams, torch.randn(4, 3, 2, width), module)
        return module.calls

    first = look(4)
    assert first > 0
    assert module.norm.folds
    assert look(4) == first
    assert look(6) > first
    seen.follows = False
    assert look(8) == look(6)


class Spare(nn.Module):
    """Has a norm that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.used(x)


def test_a_norm_that_is_not_called_is_told_of():
    net = convert(Spare(), ["a", "b"])
    assert LEFT_OUT not in str(net.summary())
    with pytest.warns(CenWarning, match="'spare' were chosen to exchange, and the first pass has"):
        net({"a": torch.randn(2, 3, 4, 4), "b": torch.randn(2, 3, 4, 4)})
    reasons = {norm.name: norm.reason for norm in net.summary().norms}
    assert LEFT_OUT in reasons["spare"]
    assert LEFT_OUT not in reasons["used"]


class Waiting(nn.Module):
    """Says whether it trains, slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.modes: list[bool] = []

    def forward(self, x):
        self.modes.append(self.training)
        time.sleep(0.02)
        return self.norm(x)


def test_a_second_thread_never_sees_the_modules_resting():
    net = convert(Waiting(), ["a", "b"])
    given = {"a": torch.randn(2, 3, 4, 4), "b": torch.randn(2, 3, 4, 4)}
    threads = [threading.Thread(target=net, args=(given,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    followed = net.module.modes.count(False)
    assert net.module.modes == [False] * followed + [True] * 4
