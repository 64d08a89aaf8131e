import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cen.data.fields.holes import fill_holes


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.floats(0, 1),
    st.sampled_from(["nearest", "inpaint"]),
    st.integers(0, 1000),
)
def test_what_was_measured_stays_and_nothing_is_left_missing(size, share, how, seed):
    generator = np.random.default_rng(seed)
    depth = generator.uniform(1, 5, size).astype(np.float32)
    holes = generator.random(size) < share
    given_depth = np.where(holes, np.nan, depth).astype(np.float32)
    filled = fill_holes(given_depth, how)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[~holes], depth[~holes])
    if not holes.all():
        assert np.isfinite(filled).all()
        low, high = depth[~holes].min(), depth[~holes].max()
        assert low <= filled.min()
        assert filled.max() <= high
    else:
        assert np.isnan(filled).all()


def test_nearest_keeps_the_edge_of_an_object():
    depth = np.full((20, 20), 4.0, np.float32)
    depth[:, :10] = 1.0
    depth[5:15, 7:12] = np.nan  # reaches three pixels into the object and two into the wall
    filled = fill_holes(depth, "nearest")
    assert set(np.unique(filled)) == {1.0, 4.0}
    # The middle of the hole is as near to the one as to the other.
    np.testing.assert_array_equal(filled[10, :9], 1.0)
    np.testing.assert_array_equal(filled[10, 10:], 4.0)


def test_inpainting_continues_a_slope():
    depth = np.tile(np.linspace(1, 3, 41, dtype=np.float32), (41, 1))
    holed = depth.copy()
    holed[15:26, 15:26] = np.nan
    smooth = np.abs(fill_holes(holed, "inpaint") - depth).max()
    assert smooth < 0.01
    assert smooth < np.abs(fill_holes(holed, "nearest") - depth).max()


@pytest.mark.parametrize("how", ["nearest", "inpaint"])
def test_infinity_is_a_hole(how):
    depth = np.array([[2.0, np.inf, 2.0]], np.float32)
    np.testing.assert_allclose(fill_holes(depth, how), 2.0)
