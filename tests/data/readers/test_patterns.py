import unicodedata

import numpy as np
import pytest

from cen.data.readers.patterns import Pattern, natural
from cen.errors import DataError


def made(tmp_path, *files):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("")
    return tmp_path


def names(root, text, split=None):
    return sorted(Pattern(text, "here").find(root, split))


def test_the_name_is_what_differs(tmp_path):
    root = made(tmp_path, "rgb/a.png", "rgb/b.png", "rgb/b.txt", "rgb/.c.png", "depth/a.png")
    assert names(root, "rgb/{id}.png") == ["a", "b"]
    assert names(root, "{id}.txt") == ["rgb/b"]
    assert Pattern("rgb/{id}.png", "here").find(root)["a"] == "rgb/a.png"


def test_names_may_hold_folders_and_stand_twice(tmp_path):
    root = made(tmp_path, "s1/f1/s1_rgb.png", "s2/f1/s2_rgb.png", "s2/f1/s3_rgb.png")
    assert names(root, "{id}_rgb.png") == ["s1/f1/s1", "s2/f1/s2", "s2/f1/s3"]
    assert names(root, "{id}/f1/{id}_rgb.png") == ["s1", "s2"]


def test_a_star_is_anything_but_a_folder(tmp_path):
    root = made(tmp_path, "t/1_171.tif", "t/2_180.tif", "t/x/3_9.tif")
    assert names(root, "t/{id}_*.tif") == ["1", "2", "x/3"]
    made(tmp_path, "u/s1_1_a.tif", "u/s1_2_a.tif")
    assert names(root, "u/{id}_*.tif") == ["s1_1", "s1_2"]
    made(tmp_path, "t/1_172.tif")
    with pytest.raises(DataError, match=r"t/1_171\.tif and t/1_172\.tif are both sample '1'"):
        names(root, "t/{id}_*.tif")


def test_a_split_is_a_folder(tmp_path):
    root = made(tmp_path, "train/rgb/1.png", "val/rgb/2.png")
    assert names(root, "{split}/rgb/{id}.png", "val") == ["2"]
    assert Pattern("{split}/rgb/{id}.png", "here").folder("val") == "val/rgb"
    assert Pattern("{split}/rgb/{id}.png", "here").name_of("train/rgb/7.png") == "7"


def test_special_characters_are_meant_as_they_are(tmp_path):
    root = made(tmp_path, "a+b/1(x).png", "aab/1(x).png")
    assert names(root, "a+b/{id}(x).png") == ["1"]


def test_links_are_followed_once(tmp_path):
    root = made(tmp_path / "root", "rgb/a.png")
    made(tmp_path / "elsewhere", "b.png")
    (root / "rgb" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "rgb" / "loop").symlink_to(root / "rgb")
    assert names(root, "rgb/{id}.png") == ["a", "more/b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"leaves the folder"),
        ("/etc/{id}", r"here: pattern '/etc/\{id\}' leaves the folder"),
        ("~/{id}", "leaves the folder"),
        ("../{id}.png", "leaves the folder"),
        ("rgb/../../{id}.png", "leaves the folder"),
        ("rgb/a.png", r"has no \{id\}"),
        ("rgb/{name}.png", r"\{name\} in 'rgb/\{name\}\.png' means nothing"),
    ],
)
def test_impossible_patterns_are_refused(text, message):
    with pytest.raises(DataError, match=message):
        Pattern(text, "here")


def test_names_are_in_the_order_of_their_numbers():
    assert sorted(["f10", "f9", "f1", "e2", "f", "f9b", "f9a"], key=natural) == [
        *("e2", "f", "f1", "f9", "f9a", "f9b", "f10")
    ]
    assert sorted(["s10/f2", "s2/f10", "s2/f9", "9" * 9999, "7"], key=natural) == [
        *("7", "9" * 9999, "s2/f9", "s2/f10", "s10/f2")
    ]
    # Names of different length but one number keep an order that does not depend on the list.
    assert sorted(["f1", "f01"], key=natural) == sorted(["f01", "f1"], key=natural)


def test_padded_names_keep_their_order():
    rng = np.random.default_rng(0)
    for form in ("{:04d}", "scene{0:02d}_{1:06d}", "{:03d}_rgb", "a{:02d}/b{:02d}"):
        made = [form.format(*rng.integers(0, 99, 2)) for _ in range(500)]
        assert sorted(made, key=natural) == sorted(made)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_letters_of_two_characters_are_those_of_one(tmp_path, form):
    """As a disk, a pattern or an archive of another system writes them."""
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    name, twin = (unicodedata.normalize(how, "m\u00fchle/caf\u00e9") for how in (form, other))
    root = made(tmp_path, f"{name}1.png")
    (found,) = Pattern(f"{twin}{{id}}.png", "here").find(root).items()
    assert found == ("1", f"{name}1.png")
    pattern = Pattern("{id}.png", "here")
    assert pattern.name_of(f"{name}1.png") == pattern.name_of(f"{twin}1.png")


def test_a_backslash_in_a_pattern_is_told():
    with pytest.raises(DataError, match="has a backslash; between folders write /"):
        Pattern("rgb\\{id}.png", "here")
