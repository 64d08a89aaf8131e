import shutil

import numpy as np
import pytest

from cen.data import Modality, NYUDv2Folder, eval_transform, train_transform
from cen.data.formats.pictures import read_array, write_png
from cen.errors import ConfigError, DataError


@pytest.fixture
def root(written, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(written, tmp_path / "data")
    return tmp_path / "data"


def first_line(root, change):
    """Changes the first line of train.txt."""
    lines = (root / "train.txt").read_text().splitlines()
    lines[0] = change(lines[0])
    (root / "train.txt").write_text("\n".join(lines))


def test_the_splits_share_no_file(written):
    names = {
        split: [sample["name"] for sample in NYUDv2Folder(written, split, validation=0.25)]
        for split in ("train", "validation", "test")
    }
    assert {split: len(part) for split, part in names.items()} == {
        "train": 9,
        "validation": 3,
        "test": 4,
    }
    assert len({name for part in names.values() for name in part}) == 16
    assert all(name.startswith("test") for name in names["test"])


def test_files_of_one_name_in_several_folders_are_samples_of_several_names(root):
    stems = NYUDv2Folder(root, "test").name(0), NYUDv2Folder(root, "test").name(1)
    (root / "other").mkdir()
    lines = (root / "val.txt").read_text().splitlines()
    shutil.move(root / lines[1].split("\t")[0], root / "other" / f"{stems[0]}.png")
    lines[1] = "\t".join([f"other/{stems[0]}.png", *lines[1].split("\t")[1:]])
    (root / "val.txt").write_text("\n".join(lines))
    data = NYUDv2Folder(root, "test")
    assert [data.name(0), data.name(1)] == [f"rgb/{stems[0]}", f"other/{stems[0]}"]
    assert data[1]["name"] == f"other/{stems[0]}"
    depth = NYUDv2Folder(root, "test", {"depth": Modality.of("depth")})
    assert [depth.name(0), depth.name(1)] == list(stems)


def test_a_picture_in_both_lists_is_refused(root):
    """Figures of the test split would be measured on what was trained on."""
    line = (root / "train.txt").read_text().splitlines()[4]
    with (root / "val.txt").open("a") as file:
        file.write(line.replace("/", "\\") + "\n")
    for split, place in (
        ("train", r"train\.txt, line 5: .* also in .*val\.txt, line 5"),
        ("test", r"val\.txt, line 5: .* also in .*train\.txt, line 5"),
    ):
        with pytest.raises(DataError, match=place):
            NYUDv2Folder(root, split)
    (root / "val.txt").write_text("")
    NYUDv2Folder(root, "train")


def test_samples_are_raw_without_and_tensors_with_a_transform(written):
    raw = NYUDv2Folder(written, "train")
    assert raw[0]["rgb"].dtype == np.uint8
    assert np.isnan(raw[0]["depth"]).any()
    ready = NYUDv2Folder(written, "train", transform=eval_transform(raw.modalities))
    assert tuple(ready[0]["depth"].shape) == (1, 24, 32)


def test_an_epoch_draws_other_random_numbers(written):
    modalities = NYUDv2Folder(written, "train").modalities
    transform = train_transform(modalities, shorter_side=20, crop=(24, 24))
    folder = NYUDv2Folder(written, "train", transform=transform, seed=5)
    assert (folder[(0, 2)]["rgb"] == folder[2]["rgb"]).all()
    assert not (folder[(1, 2)]["rgb"] == folder[2]["rgb"]).all()
    other = NYUDv2Folder(written, "train", transform=transform, seed=6)
    assert not (other[2]["rgb"] == folder[2]["rgb"]).all()


def test_a_subset_of_the_modalities_is_read(root):
    shutil.rmtree(root / "depth")
    folder = NYUDv2Folder(root, "train", {"rgb": Modality.of("image")})
    assert set(folder[0]) == {"rgb", "segmentation", "name"}


def test_one_more_column_is_one_more_modality(root):
    lines = (root / "train.txt").read_text().splitlines()
    more = [line + "\t" + line.split("\t")[0].replace("rgb", "thermal") for line in lines]
    (root / "thermal").mkdir()
    for path in (root / "rgb").iterdir():
        write_png(root / "thermal" / path.name, read_array(path)[..., 1])
    (root / "train.txt").write_text("\n".join(more))
    modalities = {"rgb": Modality.of("image"), "thermal": Modality.of("image", 1)}
    folder = NYUDv2Folder(
        root, "train", modalities, columns=("rgb", "segmentation", "depth", "thermal")
    )
    np.testing.assert_array_equal(folder[0]["thermal"], folder[0]["rgb"][..., 1])
    assert folder[0]["thermal"].shape == (24, 32)


def test_the_unit_comes_from_the_folder(root):
    text = (root / "dataset.yaml").read_text()
    (root / "dataset.yaml").write_text(text.replace("depth_unit: 0.001", "depth_unit: 0.002"))
    double = NYUDv2Folder(root, "train")[0]["depth"]
    single = NYUDv2Folder(root, "train", {"depth": Modality.of("depth", unit=0.001)})[0]["depth"]
    np.testing.assert_allclose(double, 2 * single, rtol=1e-6)


def test_links_to_another_disk_are_followed(root, tmp_path):
    (root / "depth").rename(tmp_path / "elsewhere")
    (root / "depth").symlink_to(tmp_path / "elsewhere")
    assert "depth" in NYUDv2Folder(root, "train")[0]


def test_plot_names_the_classes(written):
    folder = NYUDv2Folder(written, "test")
    figure = folder.plot(folder[0])
    assert {text.get_text() for text in figure.legends[0].get_texts()} <= set(folder.classes)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: (r / "train.txt").write_text("\n \n"), r"train\.txt: the list is empty"),
        (lambda r: (r / "train.txt").unlink(), r"train\.txt: cannot read the list"),
        (
            lambda r: first_line(r, lambda line: line.replace("\t", " ")),
            r"train\.txt, line 1: 1 columns instead of 3",
        ),
        (
            lambda r: first_line(r, lambda line: line.replace("rgb/", "../rgb/")),
            r"train\.txt, line 1: path '\.\./rgb/train_00000\.png' leaves",
        ),
        (
            lambda r: first_line(r, lambda line: line.replace("rgb/", "rgb/../../rgb/")),
            r"line 1: path .* leaves",
        ),
        (
            lambda r: first_line(r, lambda line: line.replace("rgb/", "/rgb/")),
            r"line 1: path '/rgb/train_00000\.png' leaves",
        ),
        (
            lambda r: (r / "depth" / "train_00003.png").unlink(),
            r"train\.txt, line 4: no file depth/train_00003\.png",
        ),
        (
            lambda r: (r / "dataset.yaml").write_text("a: [1"),
            r"dataset\.yaml, line 2: is not valid YAML",
        ),
        (
            lambda r: (r / "dataset.yaml").write_text("classes: [a]\npalette: [[1, 2], [3]]"),
            r"dataset\.yaml: palette: must be",
        ),
        (
            lambda r: (r / "dataset.yaml").write_text("classes: road"),
            "classes must be their number",
        ),
        (lambda r: (r / "dataset.yaml").write_text("- 1"), r"dataset\.yaml: must hold keys"),
    ],
)
def test_what_is_wrong_with_the_folder_is_said_at_once(root, spoil, message):
    spoil(root)
    with pytest.raises(DataError, match=message):
        NYUDv2Folder(root, "train", validation=0.0)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda r: (r / "rgb" / "train_00000.png").write_bytes(b"\x89PNG\r\n"),
            r"line 1: .*rgb/train_00000\.png: its header cannot be read",
        ),
        (
            lambda r: write_png(r / "depth" / "train_00000.png", np.ones((24, 31), np.uint16)),
            r"line 1: sizes differ: .*depth/train_00000\.png 24 x 31",
        ),
        (
            lambda r: write_png(r / "depth" / "train_00000.png", np.ones((24, 32, 3), np.uint8)),
            r"line 1: .*depth/train_00000\.png: 3 channels; depth",
        ),
        (
            lambda r: write_png(r / "masks" / "train_00000.png", np.full((24, 32), 15, np.uint8)),
            r"line 1: masks/train_00000\.png: label 15 .*outside 0\.\.14",
        ),
        (
            lambda r: write_png(r / "masks" / "train_00000.png", np.zeros((24, 32, 3), np.uint8)),
            r"line 1: .*masks/train_00000\.png: a label image has one integer per pixel",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_when_it_is_read(root, spoil, message):
    spoil(root)
    folder = NYUDv2Folder(root, "train", validation=0.0)
    folder[1]
    with pytest.raises(DataError, match=message):
        folder[0]


def test_ignored_pixels_are_no_class(root):
    mask = root / "masks" / "train_00000.png"
    write_png(mask, np.full((24, 32), 255, np.uint8))
    folder = NYUDv2Folder(root, "train", validation=0.0)
    assert (folder[0]["segmentation"] == 255).all()
    folder.plot(folder[0])


def test_wrong_arguments_are_named(written, tmp_path):
    with pytest.raises(DataError, match="no split 'val'"):
        NYUDv2Folder(written, "val")
    with pytest.raises(DataError, match="no such folder"):
        NYUDv2Folder(tmp_path / "gone", "train")
    with pytest.raises(ConfigError, match="thermal: no field"):
        NYUDv2Folder(written, "train", {"thermal": Modality.of("image")})
    with pytest.raises(DataError, match=r"validation: 1\.5"):
        NYUDv2Folder(written, "train", validation=1.5)
    with pytest.raises(DataError, match="at least one class"):
        NYUDv2Folder(written, "train", classes=0)


def test_lists_of_other_systems_are_read(root):
    """With a byte-order mark, backslashes, and é as two characters where the disk has one."""
    before = [NYUDv2Folder(root, "train").raw(index) for index in range(2)]
    for path in (root / "rgb").iterdir():
        path.rename(path.with_name("\u00e9" + path.name))
    text = (root / "train.txt").read_text().replace("rgb/", "rgb/e\u0301").replace("/", "\\")
    (root / "train.txt").write_text("\ufeff" + text, encoding="utf-8")
    after = NYUDv2Folder(root, "train")
    for index, sample in enumerate(before):
        np.testing.assert_array_equal(after.raw(index)["rgb"], sample["rgb"])
