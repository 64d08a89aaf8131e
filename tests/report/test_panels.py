"""Panels on disk."""

import numpy as np
import pytest

from cen.errors import DataError
from cen.report import Panel, PanelOutput, load_panel, save_panel


def test_a_panel_is_read_as_it_was_written(tmp_path):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (4, 6, 3), dtype=np.uint8)
    depth = np.full((4, 6), np.nan, np.float32)
    labels = rng.integers(0, 3, (4, 6))
    outputs = {
        "segmentation": PanelOutput(
            labels, {"rgb": labels + 1, "depth": labels}, labels, without={"rgb": labels + 2}
        ),
        "other/name": PanelOutput(None, {}, labels),
    }
    path = save_panel(
        tmp_path / "new" / "0.npz", Panel("kitchen/1", {"rgb": rgb, "d": depth}, outputs)
    )
    panel = load_panel(path)
    assert panel.name == "kitchen/1"
    assert list(panel.inputs) == ["rgb", "d"]
    assert np.array_equal(panel.inputs["rgb"], rgb)
    assert np.isnan(panel.inputs["d"]).all()
    shown = panel.outputs["segmentation"]
    assert list(shown.streams) == ["rgb", "depth"]
    assert np.array_equal(shown.streams["rgb"], labels + 1)
    assert np.array_equal(shown.truth, labels)
    titles = ["truth", "stream rgb", "stream depth", "ensemble", "without rgb"]
    assert list(shown.predictions()) == titles
    assert np.array_equal(shown.predictions()["without rgb"], labels + 2)
    assert [f.name for f in path.parent.iterdir()] == ["0.npz"]  # no temporary file is left


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", None])
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "3.npz"
    if content is None:
        np.savez(path, weights=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"3\.npz"):
        load_panel(path)


def test_pickled_content_is_never_loaded(tmp_path):
    path = tmp_path / "0.npz"
    np.savez(path, **{"inputs/rgb": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(DataError, match="pickle"):
        load_panel(path)
