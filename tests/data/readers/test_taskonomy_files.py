"""Where the files of Taskonomy are, in its layouts."""

import json

import numpy as np
import pytest

from cen.data.readers.opening import open_layout
from cen.data.readers.taskonomy import Taskonomy
from cen.errors import DataError


def test_label_files_may_be_called_as_their_folder_is(frames):
    for path in sorted((frames / "segment_semantic").glob("*.png")):
        path.rename(path.with_name(path.name.replace("segmentsemantic", "segment_semantic")))
    assert Taskonomy(frames, "train").raw(0)["segment_semantic"].shape == (24, 32)


def test_point_info_gives_the_camera_to_encodings(frames):
    """The field of view of 90 degrees over 32 pixels has a focal length of 16."""
    (frames / "point_info").mkdir()
    info = frames / "point_info" / "point_0_view_0_domain_point_info.json"
    info.write_text(json.dumps({"field_of_view_rads": np.pi / 2}))
    wanted = {"depth_zbuffer": {"encoding": "normals", "channels": 3}}
    data = open_layout("taskonomy", frames, "train", inputs=wanted, outputs={}, validation=0.0)
    camera = data.raw(0)["intrinsics"]
    np.testing.assert_allclose(camera, [[16, 0, 15.5], [0, 16, 11.5], [0, 0, 1]])
    plain = open_layout(
        "taskonomy", frames, "train", inputs={"rgb": {}}, outputs={}, validation=0.0
    )
    assert "intrinsics" not in plain.raw(0)
    info.write_text("{}")
    with pytest.raises(DataError, match="says no field_of_view_rads"):
        data.raw(0)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        Taskonomy(tmp_path / "x", "train")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"no folder of a Taskonomy domain .* there are images"):
        Taskonomy(tmp_path, "train")
    (tmp_path / "rgb").mkdir()
    with pytest.raises(DataError, match="the folders rgb hold no point_"):
        Taskonomy(tmp_path, "train")
