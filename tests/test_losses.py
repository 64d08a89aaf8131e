"""Losses on streams and ensembles."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cen.errors import ConfigError, DataError, ShapeError
from cen.losses import (
    depth_loss,
    fusion_loss,
    segmentation_loss,
)
from cen.models import Output, Task


def outputs(channels: int, size: tuple[int, int] = (4, 5)) -> Output:
    streams = {n: torch.randn(2, channels, *size, requires_grad=True) for n in ("a", "b")}
    return Output(streams, torch.randn(2, channels, *size), torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize("weighted", [False, True])
def test_segmentation_is_cross_entropy_over_labelled_pixels(weighted: bool) -> None:
    logits, target = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 8, 10))
    target[:, :2] = 255
    weight = torch.tensor([1.0, 2.0, 0.5]) if weighted else None
    upsampled = F.interpolate(logits, size=(8, 10), mode="bilinear")
    expected = F.cross_entropy(upsampled, target, weight, ignore_index=255)
    torch.testing.assert_close(segmentation_loss(logits, target, weight), expected)


@pytest.mark.parametrize("weight", [None, torch.ones(3)])
def test_a_batch_without_labels_costs_nothing(weight: Tensor | None) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((1, 4, 4), 255), weight)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_the_sum_over_streams_and_ensemble() -> None:
    tasks = {"segmentation": Task("segmentation", 3), "depth": Task("depth", 1)}
    predicted = {"segmentation": outputs(3), "depth": outputs(1)}
    targets = {"segmentation": torch.randint(0, 3, (2, 8, 9)), "depth": torch.rand(2, 1, 8, 9)}
    losses = fusion_loss(predicted, targets, tasks)
    assert list(losses.terms) == [
        f"{task}/{part}" for task in tasks for part in ("a", "b", "ensemble")
    ]
    torch.testing.assert_close(losses.total, sum(losses.terms.values()))
    expected = segmentation_loss(predicted["segmentation"].ensemble, targets["segmentation"])
    torch.testing.assert_close(losses.terms["segmentation/ensemble"], expected)


def test_errors_name_the_output() -> None:
    tasks = {"segmentation": Task("segmentation", 3)}
    predicted = {"segmentation": outputs(3)}
    with pytest.raises(ConfigError, match=r"no target for output 'segmentation'.*did you mean"):
        fusion_loss(predicted, {"segmentatio": torch.zeros(2, 4, 5).long()}, tasks)
    with pytest.raises(ShapeError, match=r"'segmentation'.*\(B, H, W\) with B = 2"):
        fusion_loss(predicted, {"segmentation": torch.zeros(1, 4, 5).long()}, tasks)
    with pytest.raises(ShapeError, match=r"\(B, 1, H, W\)"):
        fusion_loss({"d": outputs(1)}, {"d": torch.zeros(2, 4, 5)}, {"d": Task("depth", 1)})


def test_outputs_are_weighed_and_terms_are_not() -> None:
    tasks = {"segmentation": Task("segmentation", 3), "depth": Task("depth", 1)}
    predicted = {"segmentation": outputs(3), "depth": outputs(1)}
    targets = {"segmentation": torch.randint(0, 3, (2, 8, 9)), "depth": torch.rand(2, 1, 8, 9)}
    plain = fusion_loss(predicted, targets, tasks)
    heavy = fusion_loss(predicted, targets, tasks, weights={"depth": 3.0})
    assert heavy.terms == plain.terms
    torch.testing.assert_close(heavy.total, plain.total + 2 * plain.by_output()["depth"])


def test_a_network_without_streams_has_the_ensemble_alone() -> None:
    prediction = torch.rand(2, 1, 4, 5, requires_grad=True)
    target = torch.rand(2, 1, 4, 5)
    output = {"depth": Output({}, prediction, torch.empty(0))}
    losses = fusion_loss(output, {"depth": target}, {"depth": Task("depth", 1)})
    assert list(losses.terms) == ["depth/ensemble"]
    torch.testing.assert_close(losses.total, depth_loss(prediction, target))


@pytest.mark.parametrize(("kind", "channels"), [("depth", 1), ("normal", 3), ("edge", 1)])
def test_an_output_without_ground_truth_teaches_nothing(kind, channels) -> None:
    """A sample of the other sort is in the batch: its loss is that of the sample alone."""
    torch.manual_seed(0)
    prediction = torch.randn(2, channels, 4, 5, requires_grad=True)
    target = torch.rand(2, channels, 4, 5)
    target = F.normalize(target, dim=1) if kind == "normal" else target
    target[1] = torch.nan
    tasks = {"t": Task(kind, channels)}

    def loss(rows: slice) -> Tensor:
        values = Output({"a": prediction[rows]}, prediction[rows].detach(), torch.ones(1))
        return fusion_loss({"t": values}, {"t": target[rows]}, tasks).total

    both = loss(slice(0, 2))
    torch.testing.assert_close(both, loss(slice(0, 1)))
    both.backward()
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()
    assert prediction.grad[0].any()
    assert not prediction.grad[1].any()
    assert loss(slice(1, 2)).item() == 0


SEGMENTED = {"s": Output({}, torch.rand(1, 3, 4, 4), torch.ones(0))}
LABELS = {"s": torch.zeros(1, 4, 4).long()}
TASKS = {"s": Task("segmentation", 3)}


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"outputs": {}}, ConfigError, "dict of cen.models.Output"),
        ({"outputs": {"s": torch.rand(1, 3, 4, 4)}}, ConfigError, "Tensor of shape"),
        ({"targets": {}}, ConfigError, "no target"),
        ({"tasks": {}}, ConfigError, "no task"),
        ({"weights": {"s": "much"}}, ConfigError, "'much'"),
        ({"weights": {"s": math.nan}}, ConfigError, "nan"),
        ({"weights": {"s": -1.0}}, ConfigError, "0 or more"),
        ({"class_weights": {"t": torch.ones(3)}}, ConfigError, "no output"),
        ({"class_weights": {"s": torch.ones(2)}}, ShapeError, "class weights"),
        ({"class_weights": {"s": torch.tensor([1, math.nan, 1])}}, DataError, "finite"),
        ({"class_weights": {"s": torch.tensor([1, -1, 1])}}, DataError, "negative"),
        ({"tallies": {"t": torch.ones(2)}}, ConfigError, "no output"),
    ],
)
def test_arguments_that_do_not_fit(given, error, words) -> None:
    arguments = {"outputs": SEGMENTED, "targets": LABELS, "tasks": TASKS, **given}
    with pytest.raises(error, match=words):
        fusion_loss(**arguments)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.float16])
def test_class_weights_of_another_type_are_computed_with_as_float32(dtype) -> None:
    weight = torch.tensor([1.0, 2.0, 3.0])
    losses = [
        fusion_loss(SEGMENTED, LABELS, TASKS, {"s": w}).total for w in (weight, weight.to(dtype))
    ]
    assert losses[0] == losses[1]
