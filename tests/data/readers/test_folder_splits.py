"""Splits of a folder of own files: by list, by share and by folder."""

import shutil

import pytest
from tests.data.own_folder import SIZE, all_names, make_root, names, say

from cen.data.readers.aligned_folder import AlignedFolder
from cen.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path):
    return make_root(tmp_path)


def test_splits_by_list(root):
    (root / "a.txt").write_text("# first\n03\n01\n\nrgb/04.png\n")
    (root / "b.txt").write_text("thermal/07.tif\n")
    say(root, splits={"train": "a.txt", "test": "b.txt"})
    assert names(root, "train", validation=0.0) == ["03", "01", "04"]
    assert names(root, "test") == ["07"]
    data = AlignedFolder(root, "train", validation=0.34)
    assert len(data) == 2
    assert data.place(0).endswith("a.txt, line 3")
    (root / "c.txt").write_text("09")
    say(root, splits={"train": "a.txt", "test": "b.txt", "validation": "c.txt"})
    assert names(root, "validation") == ["09"]
    assert len(names(root, "train")) == 3


def test_a_list_for_the_test_split_alone(root):
    (root / "b.txt").write_text("07\n02\n")
    say(root, splits={"test": "b.txt", "validation": 0.2})
    parts = all_names(root)
    assert parts["test"] == ["07", "02"]
    assert len(parts["train"]) + len(parts["validation"]) == 8
    assert not set(parts["test"]) & {*parts["train"], *parts["validation"]}


def test_scenes_of_a_list_stay_out_of_the_other_splits(root):
    scenes = {n: "abc"[min(n // 3, 2)] for n in range(10)}
    for folder, suffix in (("rgb", "png"), ("thermal", "tif"), ("labels", "png")):
        for number, scene in scenes.items():
            (root / folder / f"{number:02d}.{suffix}").rename(
                root / folder / f"{scene}{number}.{suffix}"
            )
    (root / "b.txt").write_text("c7\na2\n")
    say(root, splits={"test": "b.txt"}, group="^([abc])")
    assert names(root, "test") == ["c7", "a2"]
    assert names(root, "train", validation=0.0) == ["b3", "b4", "b5"]


def test_shares_hold_scenes_together_and_last(root):
    for folder, suffix in (("rgb", "png"), ("thermal", "tif"), ("labels", "png")):
        for number in range(10):
            file = root / folder / f"{number:02d}.{suffix}"
            for scene in range(4):
                shutil.copy(file, root / folder / f"s{scene}_{number}.{suffix}")
            file.unlink()
    say(root, splits={"test": 0.4}, group="^(s[0-9])_")
    parts = all_names(root, validation=0.3)
    scenes = {split: {name[:2] for name in part} for split, part in parts.items()}
    assert all(scenes.values())
    assert sum(len(part) for part in scenes.values()) == 4
    assert AlignedFolder(root, "test").group(0) in scenes["test"]
    say(root, group="^(x)")
    with pytest.raises(DataError, match=r"group: does not match the sample 's0_0'"):
        AlignedFolder(root, "train")
    say(root, group="(")
    with pytest.raises(ConfigError, match="group: is no regular expression"):
        AlignedFolder(root, "train")


@pytest.mark.parametrize("called", ["val", "held"])
def test_splits_by_folder(root, called):
    for folder in ("rgb", "thermal", "labels"):
        for number, file in enumerate(sorted((root / folder).glob("*"))):
            split = "train" if number < 6 else called if number < 8 else "test"
            target = root / "all" / split / folder / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, target)
    patterns = {
        "modalities__rgb__pattern": "all/{split}/rgb/{id}.png",
        "modalities__thermal__pattern": "all/{split}/thermal/{id}.tif",
        "outputs__segmentation__pattern": "all/{split}/labels/{id}.png",
    }
    say(root, **patterns)
    if called == "val":
        assert {split: len(part) for split, part in all_names(root).items()} == {
            "train": 6,
            "validation": 2,
            "test": 2,
        }
    else:
        assert len(names(root, "validation", validation=0.34)) == 2
        assert len(names(root, "train", validation=0.34)) == 4
        say(root, splits={"validation": "held"}, **patterns)
        assert names(root, "validation") == ["06", "07"]
        assert len(names(root, "train")) == 6
    say(root, splits={"test": 0.2}, **patterns)
    with pytest.raises(ConfigError, match=r"splits\.test: 0\.2; the patterns have \{split\}"):
        AlignedFolder(root, "test")
    say(root, splits={"test": "prüfung"}, **patterns)
    with pytest.raises(DataError, match="no folder of the test split"):
        AlignedFolder(root, "test")


def test_blocks_are_cut_in_the_order_of_the_numbers(root):
    """f9 before f10: else a block would hold the neighbours of another one."""
    for folder in ("rgb", "thermal", "labels"):
        for path in sorted((root / folder).iterdir()):
            path.rename(path.with_name(f"f{int(path.stem) + 4}{path.suffix}"))
    patterns = {f"modalities__{n}__pattern": "train/" + n + "/{id}.png" for n in ("rgb",)}
    (root / "train").mkdir()
    for folder in ("rgb", "thermal", "labels"):
        (root / folder).rename(root / "train" / folder)
    patterns["modalities__rgb__pattern"] = "{split}/rgb/{id}.png"
    patterns["modalities__thermal__pattern"] = "{split}/thermal/{id}.tif"
    patterns["outputs__segmentation__pattern"] = "{split}/labels/{id}.png"
    say(root, **patterns)
    assert names(root, "validation", validation=0.2) == ["f6", "f11"]
    assert names(root, "train", validation=0.2) == [
        *("f4", "f5", "f7", "f8", "f9", "f10", "f12", "f13")
    ]


def test_a_list_of_another_system_is_read(root):
    """With a byte-order mark, backslashes, and é as two characters."""
    for folder in ("rgb", "thermal", "labels"):
        for path in list((root / folder).iterdir()):
            path.rename(path.with_name("\u00e9" + path.name))
    lines = ["e\u030100", "rgb\\e\u030101.png", "\u00e902"]
    (root / "train.txt").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    (root / "test.txt").write_text("e\u030103")
    (root / "lists").mkdir()
    (root / "train.txt").rename(root / "lists/train.txt")
    say(root, splits={"train": "lists\\train.txt", "test": "test.txt"})
    assert names(root, "train", validation=0.0) == ["\u00e900", "\u00e901", "\u00e902"]
    assert AlignedFolder(root, "test").raw(0)["segmentation"].shape == SIZE


def test_blocks_of_a_list_are_cut_in_the_order_of_the_numbers(root):
    """A list as ``ls`` writes it has f10 before f4; the samples keep its order."""
    for folder in ("rgb", "thermal", "labels"):
        for path in sorted((root / folder).iterdir()):
            path.rename(path.with_name(f"f{int(path.stem) + 4}{path.suffix}"))
    listed = sorted(f"f{n}" for n in range(4, 14))
    (root / "train.txt").write_text("\n".join(f"./rgb/{name}.png" for name in listed))
    say(root, splits={"train": "train.txt"})
    assert names(root, "validation", validation=0.2) == ["f11", "f6"]
    kept = [name for name in listed if name not in ("f6", "f11")]
    assert names(root, "train", validation=0.2) == kept


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../../etc/passwd", r"a\.txt, line 2: '\.\./\.\./etc/passwd' leaves"),
        ("/etc/passwd", "line 2: '/etc/passwd' leaves"),
        ("77", r"line 2: there is no sample '77'.* such as '00'"),
        ("01", r"line 2: 01 is also in .*a\.txt, line 1"),
        ("05", r"a\.txt, line 2|b\.txt, line 1: 05 is also in"),
    ],
)
def test_wrong_lines_of_a_list_are_named(root, line, message):
    (root / "a.txt").write_text(f"01\n{line}\n")
    (root / "b.txt").write_text("05\n")
    say(root, splits={"train": "a.txt", "test": "b.txt"})
    with pytest.raises(DataError, match=message):
        AlignedFolder(root, "train")


def test_empty_and_absent_lists_are_named(root):
    say(root, splits={"train": "a.txt", "test": "b.txt"})
    with pytest.raises(DataError, match=r"a\.txt: cannot read the list"):
        AlignedFolder(root, "train")
    (root / "a.txt").write_text("# nothing\n")
    with pytest.raises(DataError, match=r"a\.txt: the list is empty"):
        AlignedFolder(root, "train")
    (root / "a.txt").write_text("01")
    say(root, splits={"train": "a.txt"})
    with pytest.raises(ConfigError, match="splits: says nothing of test"):
        AlignedFolder(root, "test")
