"""What becomes of the ground truth and predictions of many classes."""

import numpy as np
import pytest
import torch

from cen.models import Task
from cen.predict.arrays import read_prediction, read_truth


@pytest.mark.parametrize(
    ("classes", "ignored", "kind"),
    [(2, 255, np.uint8), (255, 255, np.uint8), (40, 65535, np.uint16), (894, 65535, np.uint16)],
)
def test_no_ignored_pixel_becomes_a_class(classes: int, ignored: int, kind: type) -> None:
    truth = torch.tensor([[0, classes - 1], [ignored, 1]])
    read = read_truth(Task("segmentation", classes, None, ignored), truth)
    assert read.dtype == kind
    np.testing.assert_array_equal(read, truth.numpy())


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
