"""Which frames of Taskonomy a split holds: lists of the folder, of the user, of the authors."""

import shutil

import pytest

from cen.data.fields.modality import Modality
from cen.data.readers.taskonomy import DOMAINS, Taskonomy
from cen.errors import ConfigError, DataError

INPUTS = {"rgb": Modality.of(**DOMAINS["rgb"])}


def names(root, split, **options):
    data = Taskonomy(root, split, INPUTS, {}, **options)
    return [data.name(index) for index in range(len(data))]


def into_buildings(root, form):
    """Moves the frames into two buildings."""
    for path in sorted(root.glob("*/point_*.png")):
        building = "alpha" if int(path.name.split("_")[1]) % 2 else "beta"
        target = root / form.format(domain=path.parent.name, building=building, file=path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)


def test_the_lists_of_the_folder_are_followed(taskonomy):
    assert names(taskonomy, "train", validation=0.0) == [f"point_{n}_view_0" for n in range(12)]
    assert names(taskonomy, "test") == [f"point_{n}_view_0" for n in range(12, 16)]
    held = names(taskonomy, "validation", validation=0.25)
    assert len(held) == 3
    assert not set(held) & set(names(taskonomy, "train", validation=0.25))


def test_without_lists_a_hash_decides_for_good(bare):
    before = {split: names(bare, split, test=0.3) for split in ("train", "validation", "test")}
    every = [name for part in before.values() for name in part]
    assert sorted(every) == sorted(f"point_{n}_view_0" for n in range(16))
    for number in range(100, 110):
        for view in (0, 1):
            shutil.copy(
                bare / "rgb" / "point_0_view_0_domain_rgb.png",
                bare / "rgb" / f"point_{number}_view_{view}_domain_rgb.png",
            )
    after = {split: names(bare, split, test=0.3) for split in before}
    for split, old in before.items():
        assert set(old) <= set(after[split])
        views = [name.rpartition("_view_") for name in after[split] if len(name) > 15]
        assert all(sum(v[0] == point[0] for v in views) == 2 for point in views)


@pytest.mark.parametrize(
    "form",
    [
        "{building}/{domain}/{file}",
        "{domain}/{building}/{file}",
        "{domain}/taskonomy/{building}/{file}",
    ],
)
def test_buildings_are_split_whole(bare, form):
    into_buildings(bare, form)
    for folder in bare.glob("[a-z]*"):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    parts = {split: names(bare, split, test=0.5, validation=0.0) for split in ("train", "test")}
    assert {len(part) for part in parts.values()} == {8}
    for part in parts.values():
        assert len({name.split("/")[0] for name in part}) == 1
    data = Taskonomy(bare, "test", test=0.5)
    assert data.group(0) in ("alpha", "beta")
    assert data.raw(0)["segment_semantic"].shape == (24, 32)
    assert data.files(0)["rgb"].is_file()


def test_the_csv_of_the_authors_splits_buildings(bare):
    into_buildings(bare, "{domain}/taskonomy/{building}/{file}")
    table = bare / "split.csv"
    table.write_text("id,train,val,test\rAlpha,1,0,0\rbeta,0,1,0\rgamma,0,0,1\r")
    assert all(name.startswith("alpha/") for name in names(bare, "train", lists="split.csv"))
    assert len(names(bare, "validation", lists=str(table))) == 8
    with pytest.raises(DataError, match=r"split\.csv: leaves the test split"):
        names(bare, "test", lists="split.csv")
    table.write_text("id,train,val,test\ndelta,1,0,0\n")
    with pytest.raises(DataError, match=r"split\.csv: names none of the buildings \(alpha, beta\)"):
        names(bare, "train", lists="split.csv")
    table.write_text("building\nalpha\n")
    with pytest.raises(DataError, match="is no CSV with the columns id,train,val,test"):
        names(bare, "train", lists="split.csv")


def test_lists_of_the_user_in_the_forms_there_are(bare):
    (bare / "a.txt").write_text(
        "# 1,000 of them\n{domain}/point_3_view_0_domain_{domain}.png\n\npoint_1_view_0\n"
    )
    (bare / "b.txt").write_text("rgb/point_5_view_0_domain_rgb.png\n")
    lists = {"train": str(bare / "a.txt"), "test": "b.txt"}
    options = {"lists": lists, "validation": 0.0}
    assert names(bare, "train", **options) == ["point_3_view_0", "point_1_view_0"]
    assert names(bare, "test", **options) == ["point_5_view_0"]
    assert Taskonomy(bare, "test", INPUTS, {}, lists=lists).place(0).endswith("b.txt, line 1")
    (bare / "c.txt").write_text("point_6_view_0\n")
    lists["validation"] = "c.txt"
    assert names(bare, "validation", lists=lists) == ["point_6_view_0"]
    assert len(names(bare, "train", lists=lists)) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../point_1_view_0", r"a\.txt, line 2: path '\.\./point_1_view_0' leaves"),
        ("/rgb/point_1_view_0_domain_rgb.png", "line 2: path .* leaves"),
        ("image_1.png", r"line 2: 'image_1\.png' names no frame"),
        ("point_0_view_0", r"line 2: point_0_view_0 is also in .*a\.txt, line 1"),
        ("point_2_view_0", r"b\.txt, line 1: point_2_view_0 is also in .*a\.txt, line 2"),
        ("point_77_view_0", r"a\.txt, line 2: no file rgb/point_77_view_0_domain_rgb\.png"),
        (f"point_{2**40}_view_0", "line 2: point_.* numbers this large"),
    ],
)
def test_wrong_lines_are_named(bare, line, message):
    (bare / "a.txt").write_text(f"point_0_view_0\n{line}\n")
    (bare / "b.txt").write_text("point_2_view_0\n")
    with pytest.raises(DataError, match=message):
        names(bare, "train", lists={"train": "a.txt", "test": "b.txt"}, validation=0.0)


def test_wrong_lists_are_named(bare):
    (bare / "a.txt").write_text("\n")
    with pytest.raises(DataError, match=r"a\.txt: the list is empty"):
        names(bare, "train", lists={"train": "a.txt", "test": "a.txt"})
    with pytest.raises(DataError, match=r"no\.txt: cannot read the list"):
        names(bare, "train", lists={"train": "no.txt", "test": "a.txt"})
    with pytest.raises(ConfigError, match=r"data\.options\.lists: .* must be a CSV"):
        names(bare, "train", lists={"train": "a.txt"})
    for lists in ({"train": 1, "test": 2}, 5):
        with pytest.raises(ConfigError, match=r"data\.options\.lists.* expected: .*text"):
            names(bare, "train", lists=lists)
    with pytest.raises(ConfigError, match=r"data\.options\.test is half; expected: number"):
        names(bare, "train", test="half")
    (bare / "a.txt").write_text("point_1_view_0")
    (bare / "b.txt").write_text("point_2_view_0")
    lists = {"train": "a.txt", "test": "b.txt", "valid": "a.txt"}
    with pytest.raises(ConfigError, match=r"lists\.valid: no split \(did you mean 'validation'"):
        names(bare, "train", lists=lists)


def test_a_line_needs_its_building_where_there_are_some(bare):
    into_buildings(bare, "{domain}/{building}/{file}")
    (bare / "a.txt").write_text("{domain}/alpha/point_1_view_0_domain_{domain}.png\n")
    (bare / "b.txt").write_text("point_2_view_0\n")
    lists = {"train": "a.txt", "test": "b.txt"}
    with pytest.raises(DataError, match=r"b\.txt, line 1: 'point_2_view_0' names no building"):
        names(bare, "train", lists=lists)
