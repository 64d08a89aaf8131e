"""Subsets of the modalities, and predictions that cannot be scored."""

from __future__ import annotations

import pytest
import torch
from tests.training.toy import Blocks, toy_network

from cen.errors import DataError
from cen.models import Output, Task
from cen.tasks import KINDS
from cen.training.fusion_scores import FusionScores, subsets
from cen.training.scoring_pass import score_network


def test_subsets_of_three() -> None:
    found = subsets(("a", "b", "c"))
    assert found[0] == ("a", "b", "c")
    assert len(found) == len(set(found)) == 7
    assert ("a", "c") in found


def test_a_prediction_that_is_not_finite_is_refused() -> None:
    """The greatest of logits that are all NaN would be class 0, and a score."""
    net = toy_network()
    with torch.no_grad():
        net.heads["segmentation"].bias.fill_(torch.nan)  # type: ignore[union-attr,operator]
    with pytest.raises(DataError, match=r"prediction of 'segmentation' \(.*holds NaN or infinity"):
        score_network(net, Blocks(2), batch_size=2, accelerator="cpu")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_scores_of_what_is_not_finite(
    kind: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of validation, too: at once on the CPU, elsewhere when they are read."""
    channels = {"segmentation": 3, "depth": 1, "normal": 3, "edge": 1, "image": 2}[kind]
    tasks = {"out": Task(kind, channels)}  # type: ignore[arg-type]
    truth = torch.ones(1, channels, 8, 8) / channels**0.5
    target = torch.zeros(1, 8, 8).long() if kind == "segmentation" else truth
    guess = truth.clone()
    guess[0, 0, 2, 2] = value
    wrong = {"out": Output({"rgb": guess}, truth, torch.ones(1))}
    scores = FusionScores(["rgb"], tasks)
    with pytest.raises(DataError, match=r"'out' \(stream rgb\).*in 1 values"):
        scores.update(wrong, {"out": target})
    monkeypatch.setattr("cen.training.fusion_scores.values_checked", lambda values: False)
    monkeypatch.setattr("cen.tasks.pairs.values_checked", lambda values: False)
    scores.update(wrong, {"out": target})
    with pytest.raises(DataError, match=r"'out' \(stream rgb\).*in 1 values"):
        scores.compute()
    scores.reset()
    scores.update({"out": Output({"rgb": truth}, truth, torch.ones(1))}, {"out": target})
    assert scores.compute()["out"]["ensemble"]
