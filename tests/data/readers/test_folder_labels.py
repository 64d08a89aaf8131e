"""Labels whose numbers and colours mean what dataset.yaml says, wherever they are read."""

import numpy as np
import pytest
from PIL import Image
from tests.data.own_folder import CLASSES, COLOURS, SIZE, make_root, say

from cen.data.fields.modality import Modality
from cen.data.formats.label_maps import read_labels
from cen.data.formats.pictures import write_png
from cen.data.readers.aligned_folder import AlignedFolder
from cen.data.readers.opening import DatasetRecipe, open_layout
from cen.data.tools.checking import check_data
from cen.data.tools.sharding import write_shards
from cen.data.tools.statistics import measure
from cen.errors import CenError, ConfigError, DataError

VALUES = {0: "background", 255: "road", "3, 4": "road", 7: "ignore"}
STORED = np.array([[0, 255, 3], [4, 7, 0]])
MEANT = np.array([[0, 1, 1], [1, 255, 0]])


@pytest.fixture
def root(tmp_path):
    """Masks of 0, 3, 4, 7 and 255, of which 3, 4 and 255 are the road."""
    root = make_root(tmp_path)
    tiled = np.tile(STORED, (SIZE[0] // 2, SIZE[1] // 3 + 1))[:, : SIZE[1]]
    for path in (root / "labels").iterdir():
        write_png(path, tiled.astype(np.uint8))
    say(root, outputs__segmentation={"pattern": "labels/{id}.png", "values": VALUES})
    return root


def meant():
    return np.tile(MEANT, (SIZE[0] // 2, SIZE[1] // 3 + 1))[:, : SIZE[1]]


def test_the_reader_the_check_and_the_statistics_take_values(root):
    data = AlignedFolder(root, "train")
    assert data.classes == ("background", "road")
    np.testing.assert_array_equal(data.raw(0)["segmentation"], meant())
    source = DatasetRecipe("folder", str(root))
    report = check_data(source)
    assert not report.errors
    counts = report.splits["train"].labels["segmentation"]
    assert set(counts) == {0, 1, 255}
    assert counts[1] == len(data) * (meant() == 1).sum()
    pixels = measure(data).classes["segmentation"].pixels
    assert pixels.tolist() == [counts[0], counts[1]]


def test_shards_keep_what_values_say(root, tmp_path_factory):
    pytest.importorskip("webdataset")
    for suffix in ("png", "npy"):
        pattern = f"labels/{{id}}.{suffix}"
        say(root, outputs__segmentation={"pattern": pattern, "values": VALUES})
        out = tmp_path_factory.mktemp("shards")
        write_shards(DatasetRecipe("folder", str(root)), out)
        shards = open_layout("shards", out, "train")
        np.testing.assert_array_equal(shards.raw(0)["segmentation"], meant())
        assert shards.classes == ("background", "road")
        for path in list((root / "labels").glob("*.png")):
            np.save(path.with_suffix(".npy"), read_labels(path))


def test_what_is_kept_with_a_network_reads_labels_by_values(root):
    data = open_layout("folder", root, "train", inputs={"segmentation": {"channels": 2}})
    kept = Modality.from_dict(data.modalities["segmentation"].to_dict())
    np.testing.assert_array_equal(kept.read(data.files(0)["segmentation"]), meant())
    by_hand = AlignedFolder(root, "train", {"rgb": Modality.of()}, {"segmentation": kept})
    np.testing.assert_array_equal(by_hand.raw(0)["segmentation"], meant())


def test_a_number_that_is_not_listed_is_told_with_its_file(root):
    path = AlignedFolder(root, "train").files(0)["segmentation"]
    write_png(path, np.full(SIZE, 8, np.uint8))
    with pytest.raises(DataError, match=rf"{path.name}: label 8 \(768 pixels\) is not listed"):
        AlignedFolder(root, "train").raw(0)
    many = np.arange(SIZE[0] * SIZE[1], dtype=np.uint16).reshape(SIZE)
    write_png(path, many)
    with pytest.raises(DataError, match=r"and 758 more .* resize them by nearest"):
        AlignedFolder(root, "train").raw(0)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"values": {0: "a", "x": "b"}}, r"'x' is no number"),
        ({"values": {0: "a", "1, y": "b"}}, r"'1, y' is no number"),
        ({"values": {0: "a", "0, 1": "b"}}, "0 stands there twice"),
        ({"values": {0: "a", 1: "c"}, "classes": ["a", "b"]}, "c is no class"),
        ({"values": {0: "a", 1: "a"}, "classes": ["a", "b"]}, "no number of the class b"),
        ({"values": {0: "a", 1: "b"}, "first": 1}, "first: means nothing beside values"),
        ({"values": {0: "a", 1: "b"}, "ignore": 7}, "ignore: means nothing beside values"),
        ({"values": {0: "ignore"}, "kind": "label"}, "how many classes"),
        ({"values": {0: "a", True: "b"}}, "is no number"),
        ({"values": {0: "a", "1-9": "b"}}, "'1-9' is no number"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_with_their_line(root, keys, told):
    say(root, outputs__segmentation={"pattern": "labels/{id}.png", **keys})
    with pytest.raises(ConfigError, match=told) as error:
        AlignedFolder(root, "train")
    assert "line" in str(error.value)


def test_the_lines_of_the_page_do_what_they_say(root):
    """A list as a key; classes that YAML 1.1 took for truth values are names."""
    lines = (
        "modalities: {{rgb: {{pattern: 'rgb/{{id}}.png'}}}}\n"
        "outputs:\n"
        "  segmentation:\n"
        "    pattern: labels/{{id}}.png\n"
        "    values: {{0: no, 255: yes, [3, 4]: {}, 7: ignore}}\n"
    )
    (root / "dataset.yaml").write_text(lines.format("yes"))
    data = AlignedFolder(root, "train")
    assert data.classes == ("no", "yes")
    np.testing.assert_array_equal(data.raw(0)["segmentation"], meant())
    (root / "dataset.yaml").write_text(
        lines.format("'on'").replace("values", "classes: [no, yes]\n    values")
    )
    with pytest.raises(ConfigError, match=r"line 6: .*values\.\[3, 4\]: on is no class"):
        AlignedFolder(root, "train")


def test_values_are_for_labels(root):
    say(root, modalities__thermal__values={0: "cold"})
    with pytest.raises(ConfigError, match="for kind: label"):
        AlignedFolder(root, "train")


def test_masks_of_colours_in_files_that_change_values_are_refused(root):
    for path in (root / "labels").glob("*.png"):
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path.with_suffix(".jpg"))
    field = {"pattern": "labels/{id}.jpg", "classes": CLASSES, "colours": COLOURS}
    say(root, outputs__segmentation=field)
    with pytest.raises(DataError, match="labels in a JPEG file"):
        AlignedFolder(root, "train").raw(0)


def test_a_label_as_input_is_checked_as_one_that_is_learnt(root):
    """Its pixels would be all 0 for a class that there is not."""
    field = {"pattern": "labels/{id}.png", "classes": 2}
    say(root, modalities__parts=field | {"kind": "label"}, outputs__segmentation=field)
    wanted = {"inputs": {"parts": {"channels": 2}}, "outputs": {}}
    with pytest.raises(DataError, match=r"label 3 \(\d+ pixels\), 4 .*, 7 .* outside 0\.\.1"):
        open_layout("folder", root, "train", **wanted).raw(0)


def test_a_label_that_is_no_class_is_told_as_it_is_stored(root):
    """Counted from 1, class 3 is the last of three; the fault is the 5 that stands in the file."""
    field = {"pattern": "labels/{id}.png", "classes": CLASSES}
    for path in (root / "labels").glob("*.png"):
        write_png(path, np.full(SIZE, 5, np.uint8))
    say(root, outputs__segmentation=field | {"first": 1, "ignore": [0]})
    with pytest.raises(
        DataError, match=r"label 5 \(768 pixels\) outside 1\.\.3; set it to a number"
    ):
        AlignedFolder(root, "train").raw(0)
    say(root, outputs__segmentation=field)
    with pytest.raises(DataError, match=r"label 5 .* outside 0\.\.2; .*first: 1 where classes are"):
        AlignedFolder(root, "train").raw(0)


def coloured(root, **more):
    colours = {"road": [0, 0, 0], "person": [255, 0, 0], "car": [0, 255, 0]}
    say(root, outputs__segmentation={"pattern": "labels/{id}.png", "colours": colours, **more})
    return np.array([colours[name] for name in colours], np.uint8)


def test_masks_of_colours_are_turned_as_the_field_says(root):
    meant = np.random.default_rng(0).integers(0, 3, SIZE)
    table = coloured(root, exif="turn")
    upside_down = Image.Exif()
    upside_down[274] = 3
    for path in (root / "labels").iterdir():
        stored = np.ascontiguousarray(table[meant][::-1, ::-1])
        Image.fromarray(stored).save(path, exif=upside_down)
    np.testing.assert_array_equal(AlignedFolder(root, "train").raw(0)["segmentation"], meant)
    coloured(root, exif="ignore")
    read = AlignedFolder(root, "train").raw(0)["segmentation"]
    np.testing.assert_array_equal(read, meant[::-1, ::-1])


@pytest.mark.parametrize("more", [{"bands": [0]}, {"first": 1}, {"ignore": 7}])
def test_keys_that_mean_nothing_beside_colours_are_refused(root, more):
    coloured(root, **more)
    key = next(iter(more))
    with pytest.raises(ConfigError, match=rf"line \d+.*{key}: means nothing beside colours"):
        AlignedFolder(root, "train")


@pytest.mark.parametrize("key", ["[3, [4]]", "{3: 4}", "[{3: 4}, 5]"])
def test_a_key_that_is_no_list_of_numbers_is_refused_with_its_line(root, key):
    text = (root / "dataset.yaml").read_text()
    (root / "dataset.yaml").write_text(text.replace("3, 4: road", f"? {key}\n      : road"))
    with pytest.raises(CenError, match=r"dataset\.yaml, line \d+: .*a key is a word, a number"):
        AlignedFolder(root, "train")
