"""Edges: their loss, and their scores against every threshold in numpy."""

import math

import numpy as np
import pytest
import torch
from tests.metrics.processes import edge_batch

from cen.errors import DataError, ShapeError
from cen.losses import edge_loss
from cen.tasks import Task
from cen.tasks.edge import edge_counts, edge_scores


def test_edges_against_every_threshold() -> None:
    guess, truth = edge_batch(4)
    known = torch.isfinite(truth)
    p, t = guess[known].double().numpy(), truth[known].numpy() >= 0.5
    best, at = 0.0, 0.0
    for k in range(1, 100):
        called = np.floor(p * 100) >= k
        hits = (called & t).sum()
        if hits:
            precision, recall = hits / called.sum(), hits / t.sum()
            f = 2 * precision * recall / (precision + recall)
            best, at = (f, k / 100) if f > best else (best, at)
    scores = edge_scores(edge_counts(guess, truth))
    assert scores.max_f.item() == pytest.approx(best)
    assert scores.threshold.item() == pytest.approx(at)
    assert scores.pixels == len(p)


def test_edges_are_balanced() -> None:
    target = torch.tensor([[[[1.0, 0, 0, 0, math.nan]]]])
    logits = torch.zeros(1, 1, 1, 5, requires_grad=True)
    loss = edge_loss(logits, target)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2) * (0.75 + 3 * 0.25) / 4)
    assert logits.grad is not None
    # Edge and other pixels pull equally hard in sum.
    assert logits.grad.sum().item() == pytest.approx(0, abs=1e-7)


def test_edges_of_a_part_are_balanced_by_the_whole() -> None:
    """The mean over two halves, weighed by their pixels, is the loss of both together."""
    torch.manual_seed(0)
    logits, target = torch.randn(2, 1, 4, 5), (torch.rand(2, 1, 4, 5) > 0.7).float()
    target[0, :, 2:] = torch.nan
    tally = Task("edge", 1).rules.tally(target)
    parts = [edge_loss(logits[k : k + 1], target[k : k + 1], tally[0] / tally[1]) for k in (0, 1)]
    torch.testing.assert_close((10 * parts[0] + 20 * parts[1]) / 30, edge_loss(logits, target))


@pytest.mark.parametrize("share", [torch.rand(3), torch.tensor(7.0), torch.tensor(1), 0.5])
def test_a_share_of_edges_that_is_none(share) -> None:
    with pytest.raises((ShapeError, DataError), match="share of edges"):
        edge_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), share)
