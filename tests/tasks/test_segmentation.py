"""The scores against slow, independent implementations."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multiclass_jaccard_index,
)

from cen.errors import ConfigError, DataError, ShapeError
from cen.metrics import SegmentationMetric, confusion_matrix, segmentation_scores
from cen.tasks.segmentation import Segmentation

Case = tuple[list[int], list[int], int, int | None]  # pred, target, classes, ignored label


def slow_scores(
    pred: list[int], target: list[int], classes: int, ignore: int | None
) -> dict[str, Any]:
    """Sets of pixel positions per class; no matrix anywhere."""
    keep = [i for i, t in enumerate(target) if 0 <= t < classes and t != ignore]
    true = {c: {i for i in keep if target[i] == c} for c in range(classes)}
    found = {c: {i for i in keep if pred[i] == c} for c in range(classes)}
    iou, accuracy = [], []
    for c in range(classes):
        union = true[c] | found[c]
        iou.append(len(true[c] & found[c]) / len(union) if union else math.nan)
        accuracy.append(len(true[c] & found[c]) / len(true[c]) if true[c] else math.nan)
    right = sum(pred[i] == target[i] for i in keep)
    return {
        "pixel_accuracy": right / len(keep) if keep else math.nan,
        "mean_accuracy": _mean(accuracy),
        "mean_iou": _mean(iou),
        "iou": iou,
        "accuracy": accuracy,
        "pixels": [len(true[c]) for c in range(classes)],
    }


def _mean(values: list[float]) -> float:
    present = [v for v in values if not math.isnan(v)]
    return sum(present) / len(present) if present else math.nan


@st.composite
def label_pairs(draw: st.DrawFn) -> Case:
    classes = draw(st.integers(1, 7))
    ignore = draw(st.sampled_from([255, None, 0]))
    size = draw(st.integers(0, 60))
    pred = draw(st.lists(st.integers(0, classes - 1), min_size=size, max_size=size))
    labels = st.one_of(st.integers(0, classes + 2), st.just(255))
    target = draw(st.lists(labels, min_size=size, max_size=size))
    return pred, target, classes, ignore


@settings(deadline=None, max_examples=150)
@given(label_pairs())
def test_scores_equal_the_slow_implementation(case: Case) -> None:
    pred, target, classes, ignore = case
    matrix = confusion_matrix(
        torch.tensor(pred, dtype=torch.int64),
        torch.tensor(target, dtype=torch.int64),
        classes,
        ignore,
    )
    scores = segmentation_scores(matrix)
    for name, expected in slow_scores(pred, target, classes, ignore).items():
        got = getattr(scores, name).numpy()
        np.testing.assert_allclose(got, np.array(expected), rtol=1e-12, err_msg=name)


@settings(deadline=None, max_examples=30)
@given(label_pairs(), st.integers(0, 60))
def test_matrix_of_two_halves_sums_to_the_whole(case: Case, cut: int) -> None:
    pred, target, classes, ignore = case
    p, t = torch.tensor(pred, dtype=torch.int64), torch.tensor(target, dtype=torch.int64)
    whole = confusion_matrix(p, t, classes, ignore)
    halves = [confusion_matrix(p[part], t[part], classes, ignore) for part in _cut(cut)]
    assert torch.equal(halves[0] + halves[1], whole)


def _cut(at: int) -> list[slice]:
    return [slice(None, at), slice(at, None)]


def test_matrix_and_miou_equal_torchmetrics() -> None:
    generator = torch.Generator().manual_seed(0)
    pred = torch.randint(0, 6, (2, 17, 23), generator=generator)
    target = torch.randint(0, 6, (2, 17, 23), generator=generator)
    target[target == 4] = 255  # class 4 never true
    pred[pred == 5] = 0
    target[target == 5] = 255  # class 5 nowhere
    matrix = confusion_matrix(pred, target, 6)
    assert torch.equal(matrix, multiclass_confusion_matrix(pred, target, 6, ignore_index=255))
    scores = segmentation_scores(matrix)
    expected = multiclass_jaccard_index(pred, target, 6, ignore_index=255)
    assert scores.mean_iou.item() == pytest.approx(expected.item(), rel=1e-6)
    assert scores.iou[4].item() == 0.0  # predicted, never true: counts as 0
    assert math.isnan(scores.iou[5].item())  # nowhere: left out


def test_an_ignored_class_is_none_of_the_mean() -> None:
    """A class 0 of pixels that nobody knows, which a network predicts here and there."""
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(0, 4, (2, 17, 23), generator=generator)
    pred = torch.randint(0, 4, (2, 17, 23), generator=generator)
    rules = Segmentation(4, ignore_index=0)
    scores = rules.score(rules.count(pred, target))
    assert math.isnan(scores.iou[0].item())
    assert scores.pixels[0].item() == 0
    expected = multiclass_jaccard_index(pred, target, 4, ignore_index=0)
    assert scores.mean_iou.item() == pytest.approx(expected.item(), rel=1e-6)
    true = target > 0
    accuracy = (pred == target)[true].double().mean().item()
    assert scores.pixel_accuracy.item() == pytest.approx(accuracy)


def test_uint8_maps_do_not_overflow() -> None:
    labels = torch.full((4, 4), 39, dtype=torch.uint8)
    assert confusion_matrix(labels, labels, 40)[39, 39].item() == 16


def test_json_holds_none_for_absent_classes() -> None:
    metric = SegmentationMetric(3)
    metric.update(torch.tensor([0, 0, 1]), torch.tensor([0, 0, 1]))
    plain = json.loads(json.dumps(metric.compute().to_dict(), allow_nan=False))
    assert plain["iou"] == [1.0, 1.0, None]
    assert plain["pixels"] == [2, 1, 0]


def test_metric_accumulates_one_matrix_and_resets() -> None:
    metric = SegmentationMetric(2)
    # Per-image IoUs would average to another value than the one of the summed matrix.
    metric.update(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1]))
    metric.update(torch.tensor([1, 1]), torch.tensor([1, 1]))
    assert metric.compute().iou.tolist() == pytest.approx([3 / 4, 2 / 3])
    metric.reset()
    assert metric.matrix.sum().item() == 0


def test_update_reads_nothing_back() -> None:
    """On the meta device any read of a value raises, as a hidden synchronisation would."""
    metric = SegmentationMetric(3).to("meta")
    metric.update(
        torch.zeros(2, 4, 4, dtype=torch.int64, device="meta"),
        torch.zeros(2, 4, 4, dtype=torch.int64, device="meta"),
    )
    assert metric.matrix.device.type == "meta"


@pytest.mark.parametrize(
    ("pred", "target", "error", "message"),
    [
        (torch.zeros(2, 3).long(), torch.zeros(3).long(), ShapeError, "(2, 3)"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), DataError, "float32"),
        (torch.tensor([0, 7]), torch.tensor([0, 1]), DataError, "label 7"),
        (torch.tensor([0, -1]), torch.tensor([0, 1]), DataError, "label -1"),
    ],
)
def test_what_would_be_miscounted_is_refused(
    pred: Tensor, target: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message.replace("(", r"\(").replace(")", r"\)")):
        confusion_matrix(pred, target, 3)


def test_prediction_of_ignored_pixels_may_be_anything() -> None:
    assert confusion_matrix(torch.tensor([9, 1]), torch.tensor([255, 1]), 2).sum().item() == 1


def test_numbers_of_classes_and_counts_that_are_none() -> None:
    labels = torch.zeros(2, 3, dtype=torch.int64)
    for classes in (0, 2.5, "3", True):
        with pytest.raises(ConfigError, match="classes"):
            confusion_matrix(labels, labels, classes)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="classes"):
            SegmentationMetric(classes)  # type: ignore[arg-type]
    for value in (torch.nan, -1.0):
        with pytest.raises(DataError, match="counts"):
            segmentation_scores(torch.full((2, 2), value))
