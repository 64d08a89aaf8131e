"""What is looked at when a converted network is first called."""

import torch
from torch import nn

from cen.exchange import ConversionSummary, FirstPass, Streams, convert_layers


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
