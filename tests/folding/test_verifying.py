"""Programs of others that no recording follows run as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.folding.networks import scatter
from torch import Tensor, nn

import cen
from cen.folding.verifying import difference, foreign

WRITTEN: dict[str, Callable[[Tensor], object]] = {
    "into a slice": lambda y: y[:, :4].mul_(0.0),
    "into a chunk": lambda y: y.chunk(2, 1)[0].mul_(0.5),
    "into a view": lambda y: y.view(y.shape[0], -1).mul_(0.5),
    "as out": lambda y: torch.mul(y, 2.0, out=y),
    "past torch": lambda y: y.data.mul_(3.0),
}


class Writing(nn.Module):
    """A network of others that writes into a tensor between its layers."""

    def __init__(self, write: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.last, self.write = nn.Conv2d(8, 4, 1), write

    def forward(self, x: Tensor) -> Any:
        y = self.norm(self.first(x))
        self.write(y)
        return self.last(y)


@pytest.mark.parametrize("write", WRITTEN)
@torch.no_grad()
def test_what_is_written_past_the_recording_is_not_lost(write: str) -> None:
    net: Any = cen.convert(Writing(WRITTEN[write]), {"a": 3, "b": 3}, outputs={"segmentation": 4})
    scatter(net, 0.7).eval()
    given = {"a": torch.randn(1, 3, 32, 32), "b": torch.randn(1, 3, 32, 32)}
    folded = cen.fold(net)
    for _ in range(2):  # the second call takes what the first one decided
        found, expected = folded(given)["segmentation"], net(given)["segmentation"]
        assert torch.allclose(found.ensemble, expected.ensemble, atol=1e-5)
    assert "would not give" in folded.plan(given).summary()


def test_what_rounding_may_do_and_what_not() -> None:
    x = torch.tensor([1.0, float("nan"), -4.0])
    assert difference({"y": x}, {"y": x + 1e-6}) is None
    assert "off" in str(difference({"y": x}, {"y": x * 1.01}))
    assert difference(x, torch.tensor([1.0, 0.0, -4.0])) is not None
    assert "should be" in str(difference(x, x[:2]))


def test_only_modules_of_others_are_compared() -> None:
    outputs = {"segmentation": 3}
    built = cen.build("unet", encoder="unet3", inputs={"rgb": 3}, outputs=outputs, width=4)
    assert not foreign(built)
    assert foreign(Writing(lambda y: None))
