"""What becomes of the ground truth and predictions of many classes."""

import numpy as np
import pytest
import torch

from cen.models import Task
from cen.predict.arrays import read_prediction, read_truth
from cen.report.painting import error_text


@pytest.mark.parametrize(
    ("classes", "ignored", "kind"),
    [(2, 255, np.uint8), (255, 255, np.uint8), (40, 65535, np.uint16), (894, 65535, np.uint16)],
)
def test_no_ignored_pixel_becomes_a_class(classes: int, ignored: int, kind: type) -> None:
    truth = torch.tensor([[0, classes - 1], [ignored, 1]])
    read = read_truth(Task("segmentation", classes, None, ignored), truth)
    assert read.dtype == kind
    np.testing.assert_array_equal(read, truth.numpy())


@pytest.mark.parametrize(("classes", "none"), [(4, 255), (300, 65535)])
def test_an_ignored_class_is_none_in_pictures(classes: int, none: int) -> None:
    """A class 0 of pixels that nobody knows: neither right nor wrong in a report."""
    task = Task("segmentation", classes, None, 0)
    truth = torch.tensor([[0, 1], [3, 0]])
    read = read_truth(task, truth)
    assert read.tolist() == [[none, 1], [3, none]]
    assert truth.tolist() == [[0, 1], [3, 0]]
    guess = np.array([[1, 1], [2, 2]])
    assert error_text("segmentation", guess, read, classes) == "50 % right"


def test_an_ignored_value_between_does_not_wrap_around() -> None:
    """300 in 8 bits would be class 44."""
    read = read_truth(Task("segmentation", 100, None, 300), torch.tensor([[300, 99]]))
    assert read.tolist() == [[300, 99]]


@pytest.mark.parametrize(("classes", "kind"), [(256, np.uint8), (894, np.uint16)])
def test_predicted_classes_keep_their_numbers(classes: int, kind: type) -> None:
    values = torch.zeros(classes, 1, 2)
    values[classes - 1] = 1
    read = read_prediction(Task("segmentation", classes), values)
    assert read.dtype == kind
    assert read.tolist() == [[classes - 1] * 2]
