"""Palettes, painted label maps, overlays and depth."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cen.errors import ShapeError
from cen.report import colorize, colorize_depth, overlay, palette
from cen.report.colours import NEUTRAL, as_palette, to_picture


@pytest.mark.parametrize("n", [0, 1, 10, 40, 80])
def test_palette_colours_are_distinct_and_never_grey(n):
    colours = palette(n)
    assert colours.shape == (n, 3)
    assert colours.dtype == np.uint8
    if n < 2:
        return
    lab = cv2.cvtColor((colours / 255).astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1e3 * np.eye(n)
    assert distance.min() > 8  # a difference of 2.3 is just visible
    assert np.hypot(lab[:, 1], lab[:, 2]).min() > 20  # no grey: grey means "no value"


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 45), st.integers(0, 45))
def test_a_class_keeps_its_colour_when_others_are_added(a, b):
    small, large = sorted((a, b))
    assert np.array_equal(palette(large)[:small], palette(small))


def test_ids_outside_the_palette_are_neutral():
    painted = colorize(np.array([[0, 1], [255, 2]]), [[1, 2, 3], [4, 5, 6]])
    assert painted.tolist() == [[[1, 2, 3], [4, 5, 6]], [list(NEUTRAL), list(NEUTRAL)]]
    assert colorize(np.array([[-1]]), palette(3))[0, 0].tolist() == list(NEUTRAL)


def test_a_colour_image_is_no_label_map():
    with pytest.raises(ShapeError, match=r"\(4, 4, 3\)"):
        colorize(np.zeros((4, 4, 3), np.uint8), palette(2))


def test_overlay_tints_labelled_pixels_and_leaves_the_others():
    image = np.full((8, 8, 3), (10, 120, 200), np.uint8)
    labels = np.zeros((8, 8), np.int64)
    labels[:, 4:] = 255
    mixed = overlay(image, labels, [[250, 0, 0]])
    assert mixed[0, 7].tolist() == [10, 120, 200]
    assert mixed[0, 0, 0] > 120 > mixed[0, 0, 2]
    with pytest.raises(ShapeError, match="differ in size"):
        overlay(image, labels[:4], palette(1))


def test_of_other_numbers_of_bands_the_first_is_shown_in_grey():
    """As an image of one band is: the network gives both in -1..1."""
    bands = np.zeros((1, 4, 2), np.float16)
    bands[0, :, 0] = (-1, 0, 1.5, np.nan)
    assert to_picture(bands)[0].tolist() == [[0] * 3, [128] * 3, [255] * 3, list(NEUTRAL)]
    four = np.arange(8, dtype=np.uint8).reshape(1, 2, 4)
    assert to_picture(four)[0].tolist() == [[0] * 3, [4] * 3]


def test_depth_is_bright_when_near_and_neutral_when_missing():
    depth = np.array([[1.0, 4.0], [np.nan, 0.0]])
    painted = colorize_depth(depth, limits=(1, 4)).astype(int)
    assert painted[0, 0].sum() > painted[0, 1].sum()
    assert painted[1].tolist() == [list(NEUTRAL)] * 2


def test_depth_without_any_value_is_all_neutral():
    assert (colorize_depth(np.full((3, 3), np.nan)) == NEUTRAL).all()


def test_pictures_of_the_stored_kinds():
    assert to_picture(np.full((2, 2), 7, np.uint8)).tolist() == [[[7] * 3] * 2] * 2
    assert to_picture(np.full((2, 2, 3), 0.5)).max() == 128
    assert to_picture(np.ones((2, 2, 1), np.float32)).shape == (2, 2, 3)
    with pytest.raises(ShapeError, match=r"\(1, 2, 2, 5\)"):
        to_picture(np.zeros((1, 2, 2, 5)))


def test_a_palette_that_is_too_short_is_not_used():
    assert as_palette([[1, 2, 3]], 1).tolist() == [[1, 2, 3]]
    assert np.array_equal(as_palette([[1, 2, 3]], 2), palette(2))
