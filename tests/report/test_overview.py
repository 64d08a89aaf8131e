"""The picture of samples and curves."""

import cv2
import pytest

from cen.errors import DataError
from cen.report import figure_overview


def test_overview_is_a_picture_of_samples_and_curves(run, tmp_path):
    whole = cv2.imread(str(figure_overview(run)))
    (run / "metrics.csv").unlink()
    samples = cv2.imread(str(figure_overview(run, tmp_path / "figure.png", samples=1)))
    assert whole.shape[0] > samples.shape[0] > 100
    assert whole.std() > 10


def test_overview_of_nothing_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0")
    with pytest.raises(DataError, match="to show yet"):
        figure_overview(tmp_path)
