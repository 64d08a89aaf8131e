"""Where a prediction is wrong, as a picture."""

import numpy as np

from cen.report.colours import NEUTRAL
from cen.report.painting import paint_errors


def test_errors_are_red_and_what_does_not_count_is_grey():
    truth = np.array([[0, 1, 255]])
    picture = paint_errors("segmentation", np.array([[0, 0, 0]]), truth, 2)
    right, wrong, ignored = picture[0].tolist()
    assert min(right) > 200
    assert wrong[0] > 150 > max(wrong[1:])
    assert ignored == np.broadcast_to(NEUTRAL, 3).tolist()


def test_kinds_without_right_and_wrong_have_no_picture_of_errors():
    assert paint_errors("depth", np.ones((2, 2)), np.ones((2, 2)), 0) is None
    assert paint_errors("segmentation", np.ones((2, 2)), np.ones((3, 2)), 2) is None
