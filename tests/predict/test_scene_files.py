"""Scenes of folders, patterns and lists, matched by name."""

import pytest

from cen.errors import ConfigError, DataError
from cen.predict.scene_files import find_scenes, names_many


@pytest.fixture
def photos(tmp_path):
    for name in ("rgb/f2.jpg", "rgb/f10.jpg", "rgb/sub/f1.v2.jpg", "depth/f2.png", "depth/f10.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path


def test_folders_are_matched_by_name(photos):
    (photos / "depth" / "sub").mkdir()
    (photos / "depth" / "sub" / "f1.v2.tif").touch()
    found = find_scenes({"rgb": str(photos / "rgb"), "depth": str(photos / "depth")})
    assert list(found) == ["f2", "f10", "sub/f1.v2"]
    assert found["f10"] == {
        "rgb": photos / "rgb" / "f10.jpg",
        "depth": photos / "depth" / "f10.png",
    }


def test_scenes_that_lack_a_modality_are_not_passed_over(photos):
    places = {"rgb": str(photos / "rgb"), "depth": str(photos / "depth")}
    with pytest.raises(DataError, match=r"1 of 3 scenes lack files: sub/f1\.v2 has no depth"):
        find_scenes(places)
    assert list(find_scenes(places, "skip")) == ["f2", "f10"]
    assert list(find_scenes(places, "predict")["sub/f1.v2"]) == ["rgb"]


def test_time_stamps_of_each_camera_are_no_names(photos):
    for place, ending in (("rgb", "jpg"), ("depth", "png")):
        for number in (1, 2):
            (photos / place / f"{number:03d}_{hash(place) % 1000}.{ending}").touch()
    for path in [*(photos / "rgb").rglob("f*.jpg"), *(photos / "depth").rglob("f*.png")]:
        path.unlink()
    places = {"rgb": str(photos / "rgb"), "depth": str(photos / "depth")}
    with pytest.raises(
        DataError, match=r"none of 4 scenes has a file of every modality.*\{id\}_\*"
    ):
        find_scenes(places)
    told = {"rgb": str(photos / "rgb/{id}_*.jpg"), "depth": str(photos / "depth/{id}_*.png")}
    assert list(find_scenes(told)) == ["001", "002"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("rgb/*.jpg", ["f2", "f10"]),
        ("rgb/**/*.jpg", ["f2", "f10", "sub/f1.v2"]),
        ("rgb/{id}.jpg", ["f2", "f10", "sub/f1.v2"]),
        ("rgb/f*.jpg", ["2", "10"]),
        ("rgb/{id}0.jpg", ["f1"]),
        ("**/*.png", ["depth/f2", "depth/f10"]),
    ],
)
def test_what_a_star_stands_for_is_the_name(photos, pattern, expected, monkeypatch):
    assert list(find_scenes({"rgb": str(photos / pattern)})) == expected
    monkeypatch.chdir(photos)
    assert list(find_scenes({"rgb": pattern})) == expected


def test_lists_go_line_by_line(photos):
    (photos / "a.txt").write_text("rgb/f10.jpg\nrgb/sub/f1.v2.jpg\n\n")
    (photos / "b.txt").write_text("depth/f2.png\ndepth/f10.png\n")
    places = {"rgb": str(photos / "a.txt"), "depth": str(photos / "b.txt")}
    found = find_scenes(places)
    assert list(found) == ["f10", "sub/f1.v2"]
    assert found["f10"]["depth"] == photos / "depth" / "f2.png"
    (photos / "b.txt").write_text("depth/f2.png\n")
    with pytest.raises(DataError, match=r"b\.txt has 1 lines"):
        find_scenes(places)
    (photos / "b.txt").write_text("depth/f2.png\ndepth/f3.png\n")
    with pytest.raises(DataError, match=r"b\.txt: 1 of 2 files are not there, such as .*f3\.png"):
        find_scenes(places)
    with pytest.raises(ConfigError, match="is a list"):
        find_scenes({**places, "depth": str(photos / "depth")})


def test_two_files_of_one_name_are_refused(photos):
    (photos / "rgb" / "f2.png").touch()
    with pytest.raises(DataError, match="both sample 'f2'"):
        find_scenes({"rgb": str(photos / "rgb")})


def test_one_file_is_one_scene(photos):
    assert not names_many(str(photos / "rgb" / "f2.jpg"))
    assert names_many(str(photos / "rgb"))
    odd = photos / "rgb" / "a*.jpg"
    odd.touch()
    assert not names_many(str(odd))
