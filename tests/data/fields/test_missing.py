"""Values times their unit, NaN where missing."""

import numpy as np

from cen.data import Modality
from cen.data.formats.pictures import write_png


def test_depth_of_16_bits_is_the_same_in_large_and_small_files(tmp_path):
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 2**16, (300, 300), dtype=np.uint16)
    stored[0, :2] = 0, 65535
    write_png(tmp_path / "large.png", stored)
    write_png(tmp_path / "small.png", stored[:100, :100])
    for missing, hole in ((0, 0), (65535, 1)):
        modality = Modality.of("depth", unit=1 / 512, missing=missing)
        large = modality.read(tmp_path / "large.png")
        np.testing.assert_array_equal(large[:100, :100], modality.read(tmp_path / "small.png"))
        assert np.isnan(large[0, hole])
        assert not np.isnan(large[0, 1 - hole])
