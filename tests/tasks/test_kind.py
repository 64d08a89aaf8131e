"""The contract of kinds, and what may be read of them without torch."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

from cen.tasks import KINDS, KindName, Task

SOURCE = Path(__file__).parents[2] / "src" / "cen"
TASKS = {
    name: Task(name, kind.fixed_channels or 4)  # type: ignore[arg-type]
    for name, kind in KINDS.items()
}


def test_the_table_and_the_type_agree() -> None:
    assert tuple(KINDS) == get_args(KindName)
    assert all(name == kind.name for name, kind in KINDS.items())


def test_facts_are_read_without_torch() -> None:
    code = (
        "import sys, cen.tasks, cen.scores; assert len(cen.scores.SCORES) > 10;"
        "print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_headlines_tell_kinds_apart() -> None:
    """Stored scores do not say of which kind they are."""
    for kind in KINDS.values():
        assert {kind.main_score, kind.headline_score} <= set(kind.scores)
        others = [other for other in KINDS.values() if kind.headline_score in other.scores]
        assert others == [kind]


@pytest.mark.parametrize("kind", TASKS)
def test_missing_ground_truth_counts_nowhere(kind: str) -> None:
    rules = TASKS[kind].rules
    target = rules.missing((16, 12))[None]
    assert not rules.valid(target).any()
    assert rules.counted(target) == 0
    prediction = torch.randn(1, rules.channels, 16, 12, requires_grad=True)
    loss = rules.loss(prediction, target)
    loss.backward()
    assert loss == 0
    assert prediction.grad is not None
    assert not prediction.grad.any()
    assert rules.excess(target).item() <= 1
    counts = rules.count(rules.decide(prediction.detach()), target)
    assert rules.headline(rules.score(counts).to_dict()) is None


@pytest.mark.parametrize("kind", TASKS)
def test_counts_add_up(kind: str) -> None:
    """Empty counts are those of no batch: the scores of a batch added to them are its own."""
    rules, torch_rng = TASKS[kind].rules, torch.Generator().manual_seed(0)
    values = torch.randn(2, rules.channels, 16, 12, generator=torch_rng)
    target = rules.activate(values).clamp(0.01, 1)
    target = values.argmax(1) if rules.labels else rules.constrain(target)
    counts = rules.count(rules.decide(values), target)
    empty = rules.counts()
    assert list(empty) == list(counts)
    summed = {name: empty[name] + counts[name] for name in empty}
    assert {name: value.dtype for name, value in summed.items()} == {
        name: value.dtype for name, value in empty.items()
    }
    assert rules.score(summed).to_dict() == rules.score(counts).to_dict()
    assert set(rules.score(counts).to_dict()) & set(rules.scores)


@pytest.mark.parametrize("kind", TASKS)
def test_what_is_scored_is_the_same_of_predictions_and_of_a_mean_of_one(kind: str) -> None:
    """Validation decides of what the network gives; flips and scales of a mean of `comparable`."""
    rules, torch_rng = TASKS[kind].rules, torch.Generator().manual_seed(0)
    values = rules.constrain(torch.randn(2, rules.channels, 16, 12, generator=torch_rng))
    direct, of_mean = rules.decide(values), rules.decide(rules.comparable(values))
    torch.testing.assert_close(direct, of_mean)


@pytest.mark.parametrize("kind", TASKS)
def test_arrays_are_what_files_may_hold(kind: str) -> None:
    rules = TASKS[kind].rules
    array = rules.array(torch.randn(rules.channels, 5, 6))
    truth = rules.truth(rules.missing((5, 6)))
    for values in (array, truth):
        assert values.shape[:2] == (5, 6)
        assert rules.expected(values) is None
    assert array.shape == truth.shape


def test_normals_are_of_unit_length_in_ensembles() -> None:
    rules = TASKS["normal"].rules
    long, short = 9 * torch.tensor([1.0, 0, 0]), torch.tensor([0, 0.1, 0])
    streams = [value.view(1, 3, 1, 1) for value in (long, short)]
    ensemble = rules.ensemble(streams, torch.tensor([0.5, 0.5])).flatten()
    torch.testing.assert_close(ensemble, torch.tensor([0.5**0.5, 0.5**0.5, 0]))
    plain = TASKS["depth"].rules.ensemble([s[:, :1] for s in streams], torch.tensor([0.25, 0.75]))
    assert plain.item() == pytest.approx(0.25 * 9)


def test_a_loss_that_is_none_is_refused_with_the_names() -> None:
    from cen.errors import ConfigError

    with pytest.raises(ConfigError, match=r"depth task has no loss 'l2'.*has l1"):
        Task("depth", 1, loss="l2")
    task = Task("segmentation", 3)
    assert task == Task("segmentation", 3, loss="cross_entropy")
    assert "loss" not in task.to_dict()


def test_no_room_outside_asks_for_the_name_of_a_kind() -> None:
    """What differs between kinds stands in their files; kinds of fields of the data are others."""
    asked = []
    for path in sorted(SOURCE.rglob("*.py")):
        if path.is_relative_to(SOURCE / "tasks"):
            continue
        content = path.read_text("utf-8")
        for node in ast.walk(ast.parse(content)) if ".kind" in content else ():
            sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            text = " ".join(map(ast.unparse, sides))
            of_outputs = re.search(r"(task|output)\w*(\[.*\])?\.kind\b", text)
            named = any(isinstance(part, ast.Constant) for side in sides for part in ast.walk(side))
            if of_outputs and named:
                asked.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert asked == []
