"""Normals that are read with wrong axes are found by geometry: depth, and the camera's rays."""

import itertools
import json
import shutil

import numpy as np
import pytest

from cen import cli
from cen.data import Modality, write_rooms
from cen.data.fields.geometry import rays
from cen.data.fields.normal_field import parse_axes
from cen.data.readers.opening import DatasetRecipe
from cen.data.tools.checking import check_data
from cen.data.tools.normal_facts import (
    _SIGNED,
    NormalFacts,
    _axes_of,
    compare,
    judged,
    normal_doubts,
)

SIZE = (60, 80)
K = np.array([[70.0, 0, 39.5], [0, 70.0, 29.5], [0, 0, 1]])
WALL, FLOOR, LEFT = (0.0, 0.0, -1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0)


def corner():
    """What a camera in a room sees: the wall ahead, the floor below and the wall at the left.

    Written down from the planes z = 4, y = 1.2 and x = -1.5, in metres, y down.
    """
    sight = rays(K, SIZE)
    with np.errstate(divide="ignore"):
        distances = np.stack(
            [
                np.full(SIZE, 4.0),
                np.where(sight[..., 1] > 0, 1.2 / sight[..., 1], np.inf),
                np.where(sight[..., 0] < 0, -1.5 / sight[..., 0], np.inf),
            ]
        )
    nearest = distances.argmin(axis=0)
    assert set(np.unique(nearest)) == {0, 1, 2}
    return distances.min(axis=0), np.array([WALL, FLOOR, LEFT], np.float32)[nearest]


def stored_as(normals, axes):
    """The values of a file whose three channels point where ``axes`` says."""
    words = axes.split()
    signs = [-1.0 if word[0] == "-" else 1.0 for word in words]
    return np.stack(
        [s * normals[..., "xyz".index(w[1])] for w, s in zip(words, signs, strict=True)], -1
    )


AXES = [
    " ".join(sign + name for sign, name in zip(signs, names, strict=True))
    for names in itertools.permutations("xyz")
    for signs in itertools.product("+-", repeat=3)
]


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("camera", [K, None], ids=["known", "assumed"])
def test_wrong_axes_are_told_with_the_right_ones(axes, camera):
    depth, normals = corner()
    as_read = Modality.of("normal").from_stored(stored_as(normals, axes).astype(np.float32))
    facts = compare(as_read, depth, camera, name="depth")
    told = list(judged("normal", "+x +y +z", facts))
    if axes == "+x +y +z":
        assert told == []
        assert facts.share_away == 0
        assert facts.median() <= (1 if camera is not None else 10)
    else:
        assert f"axes: '{axes}'" in told[0]
        assert "face away from the camera" in told[0]


@pytest.mark.parametrize("read_with", ["+x +y -z", "+y -z +x", "-z +x -y"])
def test_the_advice_counts_from_the_axes_that_were_given(read_with):
    """Files as CEN has them, read as if they were otherwise: the advice undoes that."""
    _, normals = corner()
    read = Modality.of("normal", axes=read_with).from_stored(normals)
    for choice, (order, signs) in enumerate(_SIGNED):
        turned = read[..., list(order)] * np.array(signs, np.float32)
        again = Modality.of("normal", axes=_axes_of(choice, read_with)).from_stored(normals)
        np.testing.assert_allclose(again, turned, atol=1e-6)


def test_a_turned_z_is_told_without_any_depth():
    _, normals = corner()
    facts = compare(normals * np.array((1, 1, -1)), None, None)
    assert facts.share_away > 0.3
    assert np.isnan(facts.median())
    assert "axes: '+x +y +z'" in next(judged("normal", "+x +y -z", facts))
    assert list(judged("normal", "+x +y +z", compare(normals, None, None))) == []


def test_normals_of_another_frame_are_told():
    """In the axes of a world that lies otherwise no choice of axes helps."""
    depth, normals = corner()
    angle = np.radians(50.0)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    turn = turn @ np.array([[1, 0, 0], [0, 0.64, -0.768], [0, 0.768, 0.64]])
    told = list(judged("normal", "+x +y +z", compare(normals @ turn.T, depth, K, name="depth")))
    assert "of the same frame?" in told[0]


def test_depth_along_the_ray_is_brought_to_the_axis():
    depth, normals = corner()
    along = depth * np.linalg.norm(rays(K, SIZE), axis=-1)
    assert compare(normals, along, K, name="d", along_ray=True).median() <= 1
    assert compare(normals, along, K, name="d").median() > 1


def test_facts_add_up_and_few_pixels_say_nothing():
    depth, normals = corner()
    one, total = compare(-normals[:20, :20], depth[:20, :20], None, name="depth"), NormalFacts()
    assert list(judged("normal", "+x +y +z", one)) == []
    for _ in range(3):
        total.add(one)
    assert total.pixels == 3 * one.pixels == 1200
    assert list(judged("normal", "+x +y +z", total))


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    """Rooms by layout. Tests only read them."""
    out = tmp_path_factory.mktemp("normals")
    return {
        layout: write_rooms(out / layout, layout, size=(48, 64), train=6, test=2, seed=1)
        for layout in ("taskonomy", "folder")
    }


@pytest.mark.parametrize("layout", ["taskonomy", "folder"])
def test_check_compares_normals_with_depth_though_they_are_not_read(rooms, layout, capsys):
    """The usual fields hold no normals."""
    assert cli.main(["data", layout, "check", str(rooms[layout]), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["normals"]["normal"]
    assert said["away"] < 0.001
    assert said["median_degrees"] < 12
    assert said["depth"] == {"taskonomy": "depth_zbuffer", "folder": "depth"}[layout]
    assert said["camera"] == {"taskonomy": "assumed", "folder": "known"}[layout]
    assert cli.main(["data", layout, "check", str(rooms[layout])]) == 0
    assert "facing away %" in capsys.readouterr().out


@pytest.mark.parametrize("layout", ["taskonomy", "folder", "rooms"])
def test_check_calls_out_a_turned_z(rooms, layout):
    given = {"normal": {"axes": "+x +y -z"}}
    depth = "depth_zbuffer" if layout == "taskonomy" else "depth"
    options = {"size": [48, 64], "train": 8, "test": 2} if layout == "rooms" else {}
    source = DatasetRecipe(
        layout, str(rooms.get(layout, "")), inputs={**given, depth: {}}, options=options
    )
    told = [f.text for f in check_data(source, workers=1).findings if f.kind == "normal"]
    if layout == "rooms":  # rendered, not stored: there are no axes to be wrong
        assert told == []
    else:
        assert "axes: '+x +y +z'" in told[0]


@pytest.mark.parametrize("layout", ["taskonomy", "folder"])
@pytest.mark.parametrize("beside", [True, False])
def test_training_warns_of_a_turned_z(rooms, layout, beside):
    """Whether depth is read, too, or only there."""
    depth = "depth_zbuffer" if layout == "taskonomy" else "depth"
    others = {depth: {}} if beside else {"rgb": {}}
    for axes, told in (("+x +y -z", 1), ("+x +y +z", 0)):
        inputs = {"normal": {"axes": axes}, **others}
        data = DatasetRecipe(layout, str(rooms[layout]), inputs=inputs).open("train")
        texts = list(normal_doubts(data))
        assert len(texts) == told
        assert all("axes: '+x +y +z'" in t for t in texts)


def test_a_field_of_view_beside_the_frames_is_the_camera(rooms, tmp_path, capsys):
    root = tmp_path / "data"
    shutil.copytree(rooms["taskonomy"], root)
    (root / "point_info").mkdir()
    focal = 0.82 * np.sqrt(48 * 64)
    view = {"field_of_view_rads": float(2 * np.arctan(0.5 * 64 / focal))}
    for path in (root / "rgb").iterdir():
        name = path.name.replace("rgb.png", "point_info.json")
        (root / "point_info" / name).write_text(json.dumps(view))
    assert cli.main(["data", "taskonomy", "check", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["normals"]["normal"]["camera"] == "known"
    (root / "point_info" / name).write_text('{"field_of_view_rads": 7}')
    args = ["data", "taskonomy", "check", str(root), "--fields", "depth_zbuffer"]
    assert cli.main([*args, "--data.modalities.depth_zbuffer.encoding", "normals", "--json"]) == 1
    assert "field_of_view_rads 7" in capsys.readouterr().out


def test_parse_axes_is_the_inverse_of_storing():
    _, normals = corner()
    for axes in AXES:
        channels, signs = parse_axes(axes)
        read = stored_as(normals, axes)[..., channels] * np.array(signs)
        np.testing.assert_array_equal(read, normals)
