"""Measured values in the unit of the data."""

import numpy as np
import pytest

from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.errors import DataError


def test_continuous_values_of_files(tmp_path):
    values = np.random.default_rng(0).normal(size=(6, 7, 2)).astype(np.float32)
    np.save(tmp_path / "c.npy", values)
    field = Modality.of("continuous", 2, mean=[1, 2], std=[2, 4], scale=3.0)
    read = field.read(tmp_path / "c.npy")
    np.testing.assert_array_equal(read, values)
    expected = (3 * values - (1, 2)) / (2, 4)
    np.testing.assert_allclose(field.to_target(read).transpose(1, 2, 0), expected, rtol=1e-5)
    np.testing.assert_allclose(field.to_network(read), field.to_target(read))
    np.testing.assert_allclose(field.from_network(field.to_network(read)), values, atol=1e-5)
    thermal = Modality.of("continuous", 1, unit=0.01, missing=65535)
    write_png(tmp_path / "t.png", np.array([[2731, 65535]], np.uint16))
    np.testing.assert_allclose(thermal.read(tmp_path / "t.png"), [[27.31, np.nan]], rtol=1e-6)


def test_an_array_of_stored_values_is_told_what_it_lacks():
    warmth = Modality.of("continuous", unit=0.01)
    stored = np.full((4, 5), 2950, np.uint16)
    with pytest.raises(DataError, match=r"stored values times their unit \(0\.01\), got uint16"):
        warmth.field_kind.check_array("warmth", stored, warmth)
    with pytest.raises(DataError, match="must be of float, got uint16"):
        Modality.of("continuous").field_kind.check_array(
            "warmth", stored, Modality.of("continuous")
        )
