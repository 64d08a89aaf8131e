"""Depth in metres, of files of any unit."""

import numpy as np
import pytest

from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.errors import DataError


def test_depth_is_metres_with_nan_for_missing(tmp_path):
    stored = np.array([[0, 1000], [2500, 65535]], dtype=np.uint16)
    write_png(tmp_path / "d.png", stored)
    depth = Modality.of("depth").read(tmp_path / "d.png")
    np.testing.assert_allclose(depth, [[np.nan, 1.0], [2.5, 65.535]])
    assert depth.dtype == np.float32
    taskonomy = Modality.of("depth", unit=1 / 512, missing=65535).read(tmp_path / "d.png")
    np.testing.assert_allclose(taskonomy, [[0.0, 1000 / 512], [2500 / 512, np.nan]])


def test_the_released_depth_encoding():
    """Stored value / 5000, nothing else, 0 stays 0: whatever the unit."""
    for unit in (0.001, 0.0002):
        released = Modality.of("depth", unit=unit, scale=1 / (5000 * unit), mean=[0], std=[1])
        stored = np.array([[0, 100, 12345]])
        metres = np.where(stored == 0, np.nan, stored * unit).astype(np.float32)
        np.testing.assert_allclose(released.to_network(metres)[0], stored / 5000, rtol=1e-6)


def test_depth_is_not_blended_when_resized():
    depth = np.array([[1.0, np.nan], [4.0, 2.0]], dtype=np.float32)
    larger = Modality.of("depth").resize(depth, (8, 8))
    assert np.isnan(larger).mean() == 0.25
    assert set(np.unique(larger[np.isfinite(larger)])) == {1.0, 2.0, 4.0}


def test_eight_bits_where_sixteen_are_declared(tmp_path):
    write_png(tmp_path / "d.png", np.full((4, 5), 77, np.uint8))
    depth = Modality.of("depth", bits=16)
    with pytest.raises(DataError, match=r"d\.png: holds values of 8 bits, not of 16 as declared"):
        depth.read(tmp_path / "d.png")
    assert Modality.of("depth").read(tmp_path / "d.png")[0, 0] == pytest.approx(0.077)
    write_png(tmp_path / "d.png", np.full((4, 5), 77, np.uint16))
    assert depth.read(tmp_path / "d.png")[0, 0] == pytest.approx(0.077)
