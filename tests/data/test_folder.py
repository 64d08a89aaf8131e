import contextlib
import shutil
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from cen.data.files import write_png
from cen.data.folder import AlignedFolder
from cen.data.layouts import open_layout
from cen.data.source import Source
from cen.errors import CenError, ConfigError, DataError

SIZE = (24, 32)
CLASSES = ["road", "person", "car"]
COLOURS = {"road": [128, 64, 128], "person": [220, 20, 60], "car": [0, 0, 142]}

MINIMAL = {
    "modalities": {
        "rgb": {"pattern": "rgb/{id}.png"},
        "thermal": {"pattern": "thermal/{id}.tif", "kind": "continuous"},
    },
    "outputs": {"segmentation": {"pattern": "labels/{id}.png", "classes": CLASSES}},
}


def say(root, /, *, at="dataset.yaml", **changes):
    """Writes the YAML: MINIMAL with dotted keys changed, None removing one."""
    said = yaml.safe_load(yaml.safe_dump(MINIMAL))
    for key, value in changes.items():
        node, *path = said, *key.split("__")
        for part in path[:-1]:
            node = node.setdefault(part, {})
        if value is None:
            del node[path[-1]]
        else:
            node[path[-1]] = value
    (root / at).write_text(yaml.safe_dump(said, sort_keys=False))


@pytest.fixture
def root(tmp_path):
    """Ten frames of colour (PNG), thermal (float TIFF) and labels; a YAML of the fewest lines."""
    rng = np.random.default_rng(0)
    for folder in ("rgb", "thermal", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(10):
        write_png(tmp_path / f"rgb/{number:02d}.png", rng.integers(0, 255, (*SIZE, 3), np.uint8))
        write_png(tmp_path / f"labels/{number:02d}.png", rng.integers(0, 3, SIZE, np.uint8))
        heat = rng.normal(20, 5, SIZE).astype(np.float32)
        assert cv2.imwrite(str(tmp_path / f"thermal/{number:02d}.tif"), heat)
    say(tmp_path)
    return tmp_path


def names(root, split, **options):
    data = AlignedFolder(root, split, **options)
    return [data.name(index) for index in range(len(data))]


def all_names(root, **options):
    return {split: names(root, split, **options) for split in ("train", "validation", "test")}


def test_a_few_lines_are_enough(root):
    data = AlignedFolder(root, "train")
    sample = data.raw(0)
    assert list(sample) == ["rgb", "thermal", "segmentation", "name"]
    assert sample["rgb"].dtype == np.uint8
    assert sample["thermal"].dtype == np.float32
    assert 0 < sample["thermal"].mean() < 40
    assert data.classes == tuple(CLASSES)
    assert data.palette.shape == (3, 3)
    parts = all_names(root)
    assert sorted(n for part in parts.values() for n in part) == [f"{n:02d}" for n in range(10)]
    assert all(parts.values())


def test_the_yaml_file_itself_may_stand_elsewhere(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("yaml")
    say(elsewhere, at="mine.yaml", root=str(root))
    assert names(elsewhere / "mine.yaml", "train") == names(root, "train")


def test_any_number_of_fields(root):
    for name in ("near_infrared", "polarisation"):
        shutil.copytree(root / "rgb", root / name)
    more = {"near_infrared": "image", "polarisation": "continuous"}
    keys = {f"modalities__{n}": {"pattern": n + "/{id}.png", "kind": k} for n, k in more.items()}
    keys["modalities__polarisation"]["channels"] = 3
    say(root, outputs__parts={"pattern": "labels/{id}.png", "classes": 4}, **keys)
    sample = AlignedFolder(root, "train").raw(0)
    assert list(sample) == [
        *("rgb", "thermal", "near_infrared", "polarisation"),
        *("segmentation", "parts", "name"),
    ]
    some = open_layout("folder", root, "test", inputs={"polarisation": {}}, outputs={"parts": {}})
    assert list(some.raw(0)) == ["polarisation", "parts", "name"]
    assert some.classes == ("0", "1", "2", "3")


def test_formats_and_kinds(root):
    for name in ("01", "02"):
        np.save(root / f"rgb/{name}.npy", np.tile(np.float32((0, 0, -1)), (*SIZE, 1)))
        write_png(root / f"rgb/{name}_d.png", np.full(SIZE, 1500, np.uint16))
    say(
        root,
        modalities__normal={"pattern": "rgb/{id}.npy", "kind": "normal"},
        modalities__depth={"pattern": "rgb/{id}_d.png", "kind": "depth", "unit": 0.001},
        modalities__rgb={"pattern": "rgb/{id}.png"},
        missing="skip",
        splits={"test": 0.5},
    )
    wanted = {"normal": {}, "depth": {}}
    data = open_layout("folder", root, "test", inputs=wanted, outputs={})
    sample = data.raw(0)
    assert (sample["normal"] == (0, 0, -1)).all()
    np.testing.assert_allclose(sample["depth"], 1.5)
    other = {"depth": {"unit": 0.01}}
    data = open_layout("folder", root, "test", inputs=other, outputs={})
    np.testing.assert_allclose(data.raw(0)["depth"], 15)


def test_intrinsics_go_with_every_sample(root):
    say(root, intrinsics=[50, 51, 16, 12])
    expected = [[50, 0, 16], [0, 51, 12], [0, 0, 1]]
    np.testing.assert_array_equal(AlignedFolder(root, "train").raw(0)["intrinsics"], expected)
    say(root, intrinsics=[50, 51])
    with pytest.raises(ConfigError, match=r"dataset\.yaml, line \d+: intrinsics: give fx"):
        AlignedFolder(root, "train")


def test_splits_by_list(root):
    (root / "a.txt").write_text("# first\n03\n01\n\nrgb/04.png\n")
    (root / "b.txt").write_text("thermal/07.tif\n")
    say(root, splits={"train": "a.txt", "test": "b.txt"})
    assert names(root, "train", validation=0.0) == ["03", "01", "04"]
    assert names(root, "test") == ["07"]
    data = AlignedFolder(root, "train", validation=0.34)
    assert len(data) == 2
    assert data.place(0).endswith("a.txt, line 2")
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


def test_masks_of_colours(root):
    for number in range(10):
        path = root / f"labels/{number:02d}.png"
        stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        mask = np.array(list(COLOURS.values()), np.uint8)[stored]
        mask[0, 0] = (0, 0, 0)
        write_png(path, mask)
        np.save(root / f"labels/{number:02d}.npy", stored)
    say(root, outputs__segmentation__colours={**COLOURS, "ignore": [0, 0, 0]})
    data = AlignedFolder(root, "train")
    labels = data.raw(0)["segmentation"]
    assert labels[0, 0] == 255
    true = np.load(root / f"labels/{data.name(0)}.npy")
    np.testing.assert_array_equal(labels.ravel()[1:], true.ravel()[1:])
    assert data.palette.tolist() == list(COLOURS.values())
    say(root, outputs__segmentation__colours=COLOURS)
    with pytest.raises(DataError, match=r"labels/\d\d\.png: colour \[0, 0, 0\] \(1 pixels\)"):
        AlignedFolder(root, "train").raw(0)


@pytest.mark.parametrize(
    ("colours", "message"),
    [
        (
            {"raod": [1, 2, 3]},
            r"line \d+: outputs\.segmentation\.colours\.raod: is no class .*road",
        ),
        ({"road": [1, 2, 3]}, "says no colour of the class person"),
        ({"road": [1, 2]}, r"\[1, 2\] is no colour"),
        ({"road": [1, 2, 300]}, r"is no colour; give \[red, green, blue\]"),
        ({"road": [1, 2, 3], "car": [1, 2, 3]}, "is the colour of another class"),
    ],
)
def test_wrong_colours_are_refused(root, colours, message):
    say(root, outputs__segmentation__colours=colours)
    with pytest.raises(ConfigError, match=message):
        AlignedFolder(root, "train")


def test_numbers_that_do_not_start_at_0(root):
    path = root / "labels/00.png"
    stored = np.tile(np.array([0, 1, 2, 3, 255, 9, 1, 1], np.uint8), (24, 4))
    write_png(path, stored)
    say(root, splits={"train": "a.txt", "test": "b.txt"}, outputs__segmentation__first=1)
    (root / "a.txt").write_text("00\n")
    (root / "b.txt").write_text("01\n")
    with pytest.raises(DataError, match=r"a\.txt, line 1: labels/00\.png: label -1, 8 outside 0"):
        AlignedFolder(root, "train", validation=0.0).raw(0)
    say(
        root,
        splits={"train": "a.txt", "test": "b.txt"},
        outputs__segmentation__first=1,
        outputs__segmentation__ignore=[0, 9],
    )
    read = AlignedFolder(root, "train", validation=0.0).raw(0)["segmentation"]
    assert read[0, :6].tolist() == [255, 0, 1, 2, 255, 255]


def test_samples_that_lack_files_are_an_error_or_skipped(root):
    for number in (2, 5, 6, 7):
        (root / f"thermal/{number:02d}.tif").unlink()
    with pytest.raises(DataError, match=r"4 of 7 .*lack files|lack files") as raised:
        names(root, "train")
    assert "has no thermal (thermal/" in str(raised.value)
    assert "say 'missing: skip'" in str(raised.value)
    say(root, missing="skip")
    with pytest.warns(UserWarning, match=r"has no thermal \(thermal/\d\d\.tif\).*skipped"):
        kept = names(root, "train")
    assert not set(kept) & {"02", "05", "06", "07"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        some = open_layout("folder", root, "train", inputs={"rgb": {}}, outputs={})
    assert len(some) > len(kept)


def test_partly_annotated_samples_need_one_of_the_outputs(root):
    shutil.copytree(root / "labels", root / "parts")
    for folder, number in (("labels", 1), ("labels", 2), ("parts", 2), ("thermal", 3)):
        next((root / folder).glob(f"{number:02d}.*")).unlink()
    say(root, outputs__parts={"pattern": "parts/{id}.png", "classes": 3}, missing="skip")
    found = {}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for split in ("train", "validation", "test"):
            data = AlignedFolder(root, split, {}, {})
            data.partial = True
            data.select()
            found |= {data.name(index): data.annotated(index) for index in range(len(data))}
            samples = {data.name(index): data.raw(index) for index in range(len(data))}
            assert all(set(found[n]) <= set(sample) for n, sample in samples.items())
    assert "has no" in str(told[0].message)
    assert set(found) == {f"{n:02d}" for n in (0, 1, 4, 5, 6, 7, 8, 9)}
    assert found["01"] == ("parts",)
    assert found["00"] == ("segmentation", "parts")


def test_a_key_given_twice_is_refused(root):
    text = (root / "dataset.yaml").read_text()
    (root / "dataset.yaml").write_text(text + "outputs: {}\n")
    with pytest.raises(ConfigError, match=r"outputs: was given in line \d+ already"):
        AlignedFolder(root, "train")


@pytest.mark.parametrize("self_made", [False, True])
def test_a_yaml_that_would_fill_the_memory_is_refused(root, self_made):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    bomb = ["about: &a [*a]"] if self_made else [*lines, "about: *a8"]
    with (root / "dataset.yaml").open("a") as file:
        file.write("\n".join(bomb))
    with pytest.raises(DataError, match=r"dataset\.yaml: its aliases"):
        AlignedFolder(root, "train")


def test_a_check_goes_on_where_files_are_missing(root):
    (root / "thermal/02.tif").unlink()
    with contextlib.suppress(DataError):
        for split in ("train", "validation", "test"):
            data = AlignedFolder(root, split, {}, {})
            data.select(None, None)
    missing = [path for i in range(len(data)) for path in data.files(i).values()]
    assert root / "thermal/02.tif" in missing


def test_a_check_tells_what_leaves_no_sample(root):
    shutil.move(root / "labels", root / "masks")
    for split in ("train", "validation", "test"):
        with pytest.raises(DataError, match=r"no file matches labels"):
            Source("folder", str(root)).open(split, tolerant=True)


def test_names_that_do_not_match_are_shown(root):
    for file in sorted((root / "thermal").glob("*")):
        file.rename(file.with_name(f"heat_{file.name}"))
    with pytest.raises(DataError, match=r"rgb such as '\d\d', thermal such as 'heat_\d\d'"):
        AlignedFolder(root, "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modalitis": {}}, r"dataset\.yaml, line \d+: modalitis: is no key.* mean modalities"),
        ({"modalities__rgb__patern": "x"}, r"line 4: modalities\.rgb\.patern: .*mean pattern"),
        (
            {"modalities__rgb__pattern": None},
            r"line 2: modalities\.rgb: say where its files are",
        ),
        (
            {"modalities__rgb__pattern": "rgb/a.png"},
            r"line 3: modalities\.rgb\.pattern: .*no \{id\}",
        ),
        ({"modalities__rgb__pattern": "../{id}.png"}, "line 3: .* leaves the folder"),
        ({"modalities__rgb__kind": "colour"}, r"modalities\.rgb\.kind: 'colour' is not possible"),
        ({"modalities__rgb__unit": "much"}, r"rgb\.unit: 'much' does not fit; expected: number"),
        ({"modalities__rgb__std": [0]}, r"line 2: modalities\.rgb: std: 1 numbers for 3"),
        ({"modalities__rgb__classes": 3}, r"rgb\.classes: is for kind: label"),
        ({"modalities": {}}, "modalities: is empty"),
        ({"outputs__segmentation__classes": None}, r"outputs\.segmentation: say its kind"),
        ({"outputs__segmentation__palette": [[0, 0, 0]]}, "3 classes and 1 colours"),
        ({"outputs__rgb": {"pattern": "rgb/{id}.png"}}, r"outputs\.rgb: is a modality, too"),
        ({"splits": {"val": 0.2}}, r"splits\.val: no split \(did you mean 'validation'"),
        ({"splits": {"train": 0.5}}, r"splits\.train: training gets what is left"),
        ({"splits": {"test": "../a.txt"}}, r"splits\.test: '\.\./a\.txt' leaves"),
        ({"splits": {"test": [1]}}, r"splits\.test: \[1\]; give a list file or a share"),
        ({"splits": {"train": "a.txt", "test": 0.1}}, r"splits\.test: a share of what"),
        ({"splits": {"test": 1.5}}, r"test = 1\.5 is no share"),
        ({"missing": "ignore"}, r"missing: 'ignore' is not possible"),
        ({"root": "elsewhere"}, r"root: there is no folder .*elsewhere"),
    ],
)
def test_a_wrong_yaml_is_refused_by_key_and_line(root, changes, message):
    say(root, **changes)
    with pytest.raises(CenError, match=message):
        AlignedFolder(root, "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modalities: [rgb", r"dataset\.yaml: is not valid YAML"),
        ("just words", "holds no keys"),
        ("modalities: rgb", "modalities: 'rgb' holds no keys"),
        ("", "holds no keys"),
    ],
)
def test_what_is_no_description_is_refused(root, text, message):
    (root / "dataset.yaml").write_text(text)
    with pytest.raises(CenError, match=message):
        AlignedFolder(root, "train")
    (root / "dataset.yaml").unlink()
    with pytest.raises(DataError, match=r"dataset\.yaml: cannot be read .*your-own-data"):
        AlignedFolder(root, "train")


def test_files_that_are_not_there_are_told_with_those_that_are(root):
    shutil.rmtree(root / "labels")
    with pytest.raises(DataError, match=r"no file matches labels/\{id\}\.png .*no folder .*labels"):
        AlignedFolder(root, "train")
    say(root, modalities__thermal__pattern="thermal/{id}.tiff")
    with pytest.raises(DataError, match=r"matches thermal/\{id\}\.tiff .*thermal holds 00\.tif"):
        AlignedFolder(root, "train")


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


def test_wrong_files_are_named_when_read(root):
    say(root, modalities__depth={"pattern": "rgb/{id}.png", "kind": "depth"})
    data = open_layout("folder", root, "test", inputs={"depth": {}}, outputs={})
    with pytest.raises(DataError, match=r"rgb/\d\d\.png: 3 channels; depth is a file of one"):
        data.raw(0)
    say(root)
    data = AlignedFolder(root, "test")
    write_png(root / f"rgb/{data.name(0)}.png", np.zeros((12, 16, 3), np.uint8))
    with pytest.raises(DataError, match=r"sizes differ: .*rgb/\d\d\.png 12 x 16"):
        AlignedFolder(root, "test").raw(0)


def test_files_of_other_bits_or_swapped_patterns_are_named(root):
    depth = {"pattern": "labels/{id}.png", "kind": "depth", "unit": 0.001, "bits": 16}
    say(root, modalities__depth=depth)
    data = open_layout("folder", root, "test", inputs={"depth": {}}, outputs={})
    with pytest.raises(DataError, match=r"labels/\d\d\.png: holds values of 8 bits, not of 16"):
        data.raw(0)
    say(
        root,
        modalities__rgb__pattern="labels/{id}.png",
        outputs__segmentation__pattern="rgb/{id}.png",
    )
    with pytest.raises(DataError, match=r"rgb/\d\d\.png: a label image has one integer"):
        AlignedFolder(root, "test").raw(0)


def test_a_plot_shows_every_picture(root):
    say(root, intrinsics=[50, 51, 16, 12])
    data = AlignedFolder(root, "train")
    figure = data.plot(data.raw(0))
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["rgb", "thermal", "segmentation"]


def test_the_configuration_may_name_the_classes(root):
    data = AlignedFolder(root, "train", classes=["a", "b", "c", "d"])
    assert data.classes == ("a", "b", "c", "d")
    assert Path(data.files(0)["segmentation"]).parent.name == "labels"
