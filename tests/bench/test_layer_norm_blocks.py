"""The blocks differ in their norms alone, and their norms do what their names say."""

import pytest
import torch

from cen.bench.layer_norm_blocks import KINDS, layer_norm_blocks
from cen.exchange import exchange_layers, inspect


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_each_stage_differ_in_their_norms_alone(kind):
    torch.manual_seed(0)
    made = layer_norm_blocks(kind, 2, (32, 64), 16)
    assert len(exchange_layers(made["exchange"])) == 4
    assert 0.05 < inspect(made["exchange"]).rate < 0.15
    assert not exchange_layers(made["no exchange"])
    features = [torch.randn(shape) for shape in made["plain layer norm"].shapes]
    with torch.no_grad():
        found = {name: blocks(features) for name, blocks in made.items()}
    for one, other, plain in zip(*found.values(), strict=True):
        torch.testing.assert_close(other, plain)
        assert not torch.allclose(one, plain)
