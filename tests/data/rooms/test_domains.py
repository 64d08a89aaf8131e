"""What a domain shows of a scene."""

import numpy as np


def test_values_are_in_their_ranges(scenes):
    for scene in scenes:
        for name in ("reshading", "edge_texture", "edge_occlusion"):
            assert scene[name].min() >= 0.0
            assert scene[name].max() <= 1.0
        assert np.isfinite(scene["depth_clean"]).all()
        assert scene["depth_clean"].min() > 0.3
        assert scene["depth_clean"].max() < 12.0
        np.testing.assert_allclose(np.linalg.norm(scene["normal"], axis=-1), 1.0, atol=1e-5)
        assert scene["parts"].max() < 15
        assert scene["functions"].max() < 6


def test_sensed_depth_is_in_millimetres_with_noise_and_holes(scenes):
    holes = np.mean([np.isnan(s["depth"]).mean() for s in scenes])
    assert 0.01 < holes < 0.15
    for scene in scenes:
        known = np.isfinite(scene["depth"])
        millimetres = 1000.0 * scene["depth"][known].astype(np.float64)
        np.testing.assert_allclose(millimetres, np.rint(millimetres), atol=1e-2)
        error = scene["depth"][known] - scene["depth_clean"][known]
        assert 0.002 < error.std() < 0.06
        assert abs(error.mean()) < 0.01
