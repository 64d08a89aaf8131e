"""NYUDv2 in the authors' form, on Rooms written in it."""

import pickle
import shutil
import tracemalloc
import zipfile
from collections import Counter

import h5py
import numpy as np
import pytest
import scipy.io
from torch.utils.data import DataLoader

from cen.data import Rooms, open_layout
from cen.data.readers.nyudv2_mat import KINECT, NYUDv2Mat
from cen.data.rooms.matlab import cell, create_v73, save_v5
from cen.errors import ConfigError, DataError

SIZE = (24, 32)
LABELED = "nyu_depth_v2_labeled.mat"


@pytest.fixture
def root(mat, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(mat, tmp_path / "data")
    return tmp_path / "data"


def kept(**others):
    return {"validation": 0.0, **others}


def test_what_is_written_reads_back_as_rendered(mat):
    for split, length in (("train", 12), ("test", 4)):
        rooms = Rooms(split, size=SIZE, seed=3, domains=("rgb", "depth", "depth_clean"))
        raw = NYUDv2Mat(mat, split, **kept(depth="raw"))
        filled = NYUDv2Mat(mat, split, **kept())
        assert len(raw) == len(filled) == length
        assert raw.classes == rooms.classes
        np.testing.assert_array_equal(raw.palette, rooms.palette)
        for index in range(length):
            read, rendered = raw[index], rooms[index]
            for name in ("rgb", "depth", "segmentation"):
                np.testing.assert_array_equal(read[name], rendered[name], err_msg=name)
            holes = np.isnan(rendered["depth"])
            expected = np.where(holes, rendered["depth_clean"], rendered["depth"])
            np.testing.assert_array_equal(filled[index]["depth"], expected)
            assert read["rgb"].dtype == np.uint8
            assert read["depth"].dtype == np.float32


def test_the_files_are_what_the_usual_scripts_expect(mat):
    """Names, shapes, types and numbering as in the distributed files, read without this package."""
    splits = scipy.io.loadmat(mat / "splits.mat")
    assert splits["trainNdxs"].shape == (12, 1)
    assert sorted(np.concatenate((splits["trainNdxs"], splits["testNdxs"])).ravel()) == [
        *range(1, 17)
    ]
    mapping = scipy.io.loadmat(mat / "classMapping40.mat")
    assert mapping["mapClass"].shape == mapping["allClassName"].shape == (1, 894)
    assert mapping["className"][0, 0].item() == "floor"
    thirteen = scipy.io.loadmat(mat / "class13Mapping.mat")["classMapping13"][0, 0]
    assert thirteen["labels13"].shape == (1, 15)
    with h5py.File(mat / LABELED, "r") as file:
        kinds = {
            name: (file[name].shape, str(file[name].dtype)) for name in file if name != "#refs#"
        }
        assert kinds["images"] == ((16, 3, 32, 24), "uint8")
        assert kinds["depths"] == kinds["rawDepths"] == ((16, 32, 24), "float32")
        assert kinds["labels"] == ((16, 32, 24), "uint16")
        assert kinds["instances"] == ((16, 32, 24), "uint8")
        assert kinds["names"][0] == (1, 894)
        assert kinds["scenes"][0] == kinds["rawRgbFilenames"][0] == (1, 16)
        assert file["labels"][()].max() > 150
        test_image = int(splits["testNdxs"][0, 0]) - 1
        text = file[file["rawRgbFilenames"][0, test_image]]
        assert "".join(chr(code) for code in text[:, 0]) == "test_room_0000/r-test_00000.ppm"


def test_validation_takes_whole_scenes(mat):
    parts = {split: NYUDv2Mat(mat, split, validation=0.25) for split in ("train", "validation")}
    groups = {split: {d.group(i) for i in range(len(d))} for split, d in parts.items()}
    assert len(parts["train"]) + len(parts["validation"]) == 12
    assert len(parts["validation"]) >= 2
    assert not groups["train"] & groups["validation"]
    counts = Counter(d.group(index) for d in parts.values() for index in range(len(d)))
    assert set(counts.values()) == {2}
    names = [d.name(i) for d in (*parts.values(), NYUDv2Mat(mat, "test")) for i in range(len(d))]
    assert sorted(names) == [f"{number:04d}" for number in range(1, 17)]


def test_unlabelled_pixels_are_ignored(root):
    with h5py.File(root / LABELED, "r+") as file:
        file["labels"][:, :5, :] = 0
    image = NYUDv2Mat(root, "test", ignore_index=200)[0]
    assert (image["segmentation"][:, :5] == 200).all()
    assert (image["segmentation"][:, 5:] < 15).all()


def frames_of_480_by_640(path):
    """Two images of the real size, of which almost nothing is stored."""
    with create_v73(path) as file:
        images = file.array("images", (2, 3, 640, 480), np.uint8)
        images[1, 0, 41, 45] = 7
        for name, kind in (("depths", np.float32), ("rawDepths", np.float32)):
            file.array(name, (2, 640, 480), kind)[1, 600, 470] = 2.5
        file.array("labels", (2, 640, 480), np.uint16)
        file.cell("names", ["wall", "floor"])
        file.cell("scenes", ["kitchen_0001", "kitchen_0002"])


def test_the_border_is_cut_where_asked(root):
    frames_of_480_by_640(root / LABELED)
    resplit(root, [[1.0]], [[2.0]])
    remap(root, [[1.0, 2.0]])
    (root / "dataset.yaml").unlink()
    whole, cut = (NYUDv2Mat(root, "test", crop=crop)[0] for crop in (False, True))
    assert whole["rgb"].shape == (480, 640, 3)
    assert cut["rgb"].shape == (426, 560, 3)
    assert cut["depth"].shape == cut["segmentation"].shape == (426, 560)
    assert cut["rgb"][0, 0, 0] == 7
    assert cut["depth"][-1, -1] == 2.5
    np.testing.assert_array_equal(whole["intrinsics"], KINECT)
    moved = whole["intrinsics"] - cut["intrinsics"]
    assert moved[:2, 2].tolist() == [41.0, 45.0]


def test_intrinsics_are_those_of_the_pictures(mat, root):
    intrinsics = NYUDv2Mat(mat, "test")[0]["intrinsics"]
    assert intrinsics[:2, 2].tolist() == [15.5, 11.5]
    (root / "dataset.yaml").unlink()
    # The Kinect's are not those of 24 x 32 pixels.
    assert "intrinsics" not in NYUDv2Mat(root, "test")[0]
    (root / "dataset.yaml").write_text("intrinsics: [1, 2]")
    with pytest.raises(DataError, match=r"dataset\.yaml: intrinsics"):
        NYUDv2Mat(root, "test")
    with pytest.raises(DataError, match="crop is meant for frames of 480 x 640"):
        NYUDv2Mat(mat, "test", crop=True)


def test_opening_and_reading_keep_no_more_than_a_frame(tmp_path, mat):
    """A file as large as the real one: 1,449 images, 4.7 GB if it were read."""
    shutil.copy(mat / "classMapping40.mat", tmp_path)
    with h5py.File(tmp_path / LABELED, "w") as file:
        # Nothing of the pictures is stored; all names are one.
        for name, shape, kind in (
            ("images", (1449, 3, 640, 480), "u1"),
            ("depths", (1449, 640, 480), "f4"),
            ("labels", (1449, 640, 480), "u2"),
        ):
            file.create_dataset(name, shape, kind, chunks=(1, *shape[1:]))
        file["kitchen"] = np.array([[ord("k")]], np.uint16)
        for name, count in (("names", 894), ("scenes", 1449)):
            cells = np.full((1, count), file["kitchen"].ref, dtype=h5py.ref_dtype)
            file.create_dataset(name, data=cells)
    save_v5(tmp_path / "splits.mat", {"trainNdxs": [[1.0]], "testNdxs": [[5.0], [1449.0]]})
    tracemalloc.start()
    try:
        data = NYUDv2Mat(tmp_path, "test")
        opened = tracemalloc.get_traced_memory()[1]
        for index in range(2):
            data[index]
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert opened < 20e6
    assert read < 40e6


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_forked_workers_read_the_same(mat):
    data = NYUDv2Mat(mat, "train", validation=0.0)
    here = [data[index] for index in range(len(data))]
    there = list(DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context="fork"))
    assert [sample["name"] for sample in there] == [sample["name"] for sample in here]
    for one, other in zip(here, there, strict=True):
        for name in ("rgb", "depth", "segmentation"):
            np.testing.assert_array_equal(one[name], other[name])


def test_a_data_set_can_be_sent_to_a_spawned_process(mat):
    data = NYUDv2Mat(mat, "test")
    data[0]
    copied = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(copied[1]["rgb"], data[1]["rgb"])


def test_the_layout_is_opened_by_name(mat):
    data = open_layout(
        "nyudv2-mat",
        mat,
        "train",
        inputs={"rgb": {}, "depth": {}},
        outputs={"segmentation": {}},
        options={"depth": "raw"},
        validation=0.0,
    )
    assert np.isnan(data[0]["depth"]).any()
    with pytest.raises(ConfigError, match=r"data\.options\.crops: .*did you mean 'crop'"):
        open_layout("nyudv2-mat", mat, "train", options={"crops": True})
    with pytest.raises(ConfigError, match="depth: 'row' is none of filled, raw"):
        open_layout("nyudv2-mat", mat, "train", options={"depth": "row"})


def change(root, name, edit):
    """Replaces a variable of the large file."""
    with h5py.File(root / LABELED, "r+") as file:
        values = edit(file[name][()])
        del file[name]
        file[name] = values


def resplit(root, train, test):
    save_v5(root / "splits.mat", {"trainNdxs": np.array(train), "testNdxs": np.array(test)})


def remap(root, values, names=("a", "b")):
    save_v5(root / "classMapping40.mat", {"mapClass": values, "className": cell(names)})


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"x" * 2000)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: (r / LABELED).unlink(), r"labeled\.mat: cannot be read"),
        (lambda r: zipped(r / LABELED), r"labeled\.mat: not .*, but a ZIP archive; unpack it"),
        (lambda r: shutil.copy(r / "splits.mat", r / LABELED), r"labeled\.mat: .*of an older"),
        (
            lambda r: (r / LABELED).write_bytes((r / LABELED).read_bytes()[:20000]),
            r"labeled\.mat: damaged, or cut short",
        ),
        (lambda r: change(r, "images", lambda v: v[:, :2]), r"labeled\.mat: images is \(16, 2"),
        (lambda r: change(r, "images", lambda v: v.astype("u2")), r"images is .* uint16, not"),
        (lambda r: change(r, "depths", lambda v: v[:, 1:]), r"depths is \(16, 31, 24\) .*expected"),
        (
            lambda r: change(r, "labels", lambda v: v.astype("f4")),
            "labels is .*expected .*unsigned",
        ),
        (lambda r: change(r, "labels", lambda v: v[:15]), r"labels is \(15, 32, 24\)"),
        (
            lambda r: change(r, "scenes", lambda v: v[:, :9]),
            r"labeled\.mat: 9 scenes for 16 images",
        ),
        (lambda r: change(r, "scenes", lambda v: np.ones(16)), "scenes is no cell array"),
        (
            lambda r: change(r, "names", lambda v: v[:, :40]),
            r"mapClass maps 894 labels, the data have 40",
        ),
        (lambda r: (r / "splits.mat").unlink(), r"splits\.mat: cannot be read"),
        (
            lambda r: shutil.copy(r / LABELED, r / "splits.mat"),
            r"splits\.mat: .*before 7\.3, but of",
        ),
        (lambda r: zipped(r / "splits.mat"), r"splits\.mat: .*a ZIP archive"),
        (
            lambda r: resplit(r, [[1.0]], [[17.0]]),
            r"splits\.mat: testNdxs names image 17, .*1\.\.16",
        ),
        (lambda r: resplit(r, [[0.0]], [[1.0]]), r"splits\.mat: trainNdxs names image 0"),
        (lambda r: resplit(r, [[1.0], [2.0]], [[2.0]]), "image 2 is in trainNdxs and in testNdxs"),
        (lambda r: resplit(r, [[1.0], [1.0]], [[2.0]]), "trainNdxs names an image twice"),
        (lambda r: resplit(r, [[1.5]], [[2.0]]), "trainNdxs holds numbers that are not whole"),
        (lambda r: resplit(r, np.zeros((0, 1)), [[2.0]]), "trainNdxs is no list of numbers"),
        (lambda r: (r / "classMapping40.mat").unlink(), r"classMapping40\.mat: cannot be read"),
        (lambda r: remap(r, np.ones((1, 40))), r"mapClass maps 40 labels, the data have 894"),
        (lambda r: remap(r, np.full((1, 894), 3.0)), "mapClass maps to class 3, but there are 2"),
        (lambda r: remap(r, np.full((1, 894), -1.0)), "mapClass maps to class -1"),
        (
            lambda r: save_v5(r / "classMapping40.mat", {"className": cell(["a"])}),
            r"classMapping40\.mat: has no variable mapClass",
        ),
    ],
)
def test_what_is_wrong_is_said_at_once(root, spoil, message):
    spoil(root)
    with pytest.raises(DataError, match=message):
        NYUDv2Mat(root, "train", validation=0.0)


def test_what_is_wrong_with_an_image_is_said_when_it_is_read(root):
    with h5py.File(root / LABELED, "r+") as file:
        file["labels"][0, 3, 3] = 895
    data = NYUDv2Mat(root, "train", validation=0.0)
    data[1]
    with pytest.raises(
        DataError, match=r"labeled\.mat, image 1 \(train_room_0000\): label 895, but"
    ):
        data[0]


def test_a_damaged_frame_is_named(root):
    with h5py.File(root / LABELED, "r") as file:
        chunk = file["images"].id.get_chunk_info(0)
    content = bytearray((root / LABELED).read_bytes())
    # Offsets count from the end of MATLAB's block where the library says so, else from its start.
    for start in (chunk.byte_offset, chunk.byte_offset + 512):
        content[start + 20 : start + 40] = bytes(20)
    (root / LABELED).write_bytes(bytes(content))
    data = NYUDv2Mat(root, "train", validation=0.0)
    with pytest.raises(DataError, match=r"image 1 \(train_room_0000\): .*labeled\.mat: damaged"):
        data[0]


def test_wrong_arguments_are_named(mat, tmp_path):
    with pytest.raises(DataError, match="no split 'val'"):
        NYUDv2Mat(mat, "val")
    with pytest.raises(DataError, match=r"labeled\.mat: cannot be read"):
        NYUDv2Mat(tmp_path / "gone", "train")
    with pytest.raises(DataError, match=r"validation: 1\.5"):
        NYUDv2Mat(mat, "train", validation=1.5)
