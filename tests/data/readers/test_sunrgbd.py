"""SUN RGB-D as distributed, on Rooms written in its form."""

import pickle
import shutil
import warnings
import zipfile

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from torch.utils.data import DataLoader

from cen.data import Modality, Rooms, open_layout, write_rooms
from cen.data.formats.pictures import write_png
from cen.data.readers.opening import DatasetRecipe
from cen.data.readers.sunrgbd import SUNRGBD
from cen.data.rooms.matlab import cell, save_v5
from cen.data.tools.checking import check_data
from cen.errors import CenWarning, ConfigError, DataError
from cen.predict.inputs import of_unit

SIZE = (24, 32)
TOOLBOX = "SUNRGBDtoolbox"
ALLSPLIT = f"{TOOLBOX}/traintestSUNRGBD/allsplit.mat"
META = f"{TOOLBOX}/Metadata/SUNRGBDMeta.mat"
SEG = f"{TOOLBOX}/Metadata/SUNRGBD2Dseg.mat"
LIST37 = f"{TOOLBOX}/Metadata/seg37list.mat"
FIRST = "SUNRGBD/kv1/NYUdata/train_00000"


@pytest.fixture(scope="module")
def sun(tmp_path_factory):
    """Rooms as SUN RGB-D: 12 training and 4 test frames. Tests only read it."""
    root = tmp_path_factory.mktemp("sun")
    return write_rooms(root, "sunrgbd", size=SIZE, train=12, test=4, seed=3)


@pytest.fixture
def root(sun, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(sun, tmp_path / "data")
    return tmp_path / "data"


def test_what_is_written_reads_back_as_rendered(sun):
    for split, length in (("train", 12), ("test", 4)):
        rooms = Rooms(split, size=SIZE, seed=3, domains=("rgb", "depth", "depth_clean"))
        raw = SUNRGBD(sun, split, validation=0.0, depth="raw")
        filled = SUNRGBD(sun, split, validation=0.0)
        assert len(raw) == len(filled) == length
        assert raw.classes == rooms.classes
        for index in range(length):
            read, rendered = raw[index], rooms[index]
            for name in ("depth", "segmentation"):
                np.testing.assert_array_equal(read[name], rendered[name], err_msg=name)
            # Whole millimetres: those of the sensor are, those of the exact depth become so.
            holes = np.isnan(rendered["depth"])
            exact = np.where(holes, rendered["depth_clean"], rendered["depth"])
            assert np.abs(filled[index]["depth"] - exact).max() <= 0.000501
            # JPEG of the highest quality rounds colours.
            error = np.abs(read["rgb"].astype(int) - rendered["rgb"])
            assert error.mean() < 1.0
            assert error.max() <= 8


def test_the_files_are_what_the_usual_scripts_expect(sun):
    """Paths, names and bits as in the distributed files, read without this package."""
    splits = scipy.io.loadmat(sun / ALLSPLIT)
    assert splits["alltrain"].shape == (1, 12)
    first = splits["alltrain"][0, 0].item()
    assert first == "/n/fs/sun3d/data/SUNRGBD/kv1/NYUdata/train_00000"
    meta = scipy.io.loadmat(sun / META, squeeze_me=True, struct_as_record=False)["SUNRGBDMeta"]
    where = [entry.rgbpath.rsplit("/", 2)[0] for entry in meta]
    assert where.index(first) == 4  # test frames come first
    stored = cv2.imread(str(sun / FIRST / "depth" / "train_00000.png"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16
    metres = ((stored >> 3) | (stored << 13)) / 1000.0
    expected = np.nan_to_num(Rooms("train", size=SIZE, seed=3)[0]["depth"])
    np.testing.assert_allclose(metres, expected, atol=1e-6)
    with h5py.File(sun / SEG, "r") as file:
        references = file["SUNRGBD2Dseg"]["seglabel"]
        assert references.shape == (16, 1)
        labels = file[references[4][0]][()].T
    np.testing.assert_array_equal(labels, Rooms("train", size=SIZE, seed=3)[0]["segmentation"] + 1)
    own = scipy.io.loadmat(sun / FIRST / "seg.mat")
    np.testing.assert_array_equal(own["seglabel"], labels)
    assert own["names"][0, 3].item() == "wood box"
    assert {path.parts[len(sun.parts) + 1] for path in sun.glob("SUNRGBD/*/*")} == {
        *("kv1", "kv2", "realsense", "xtion")
    }


def test_the_splits_share_no_frame_and_no_place(sun):
    parts = {
        split: SUNRGBD(sun, split, validation=0.25) for split in ("train", "validation", "test")
    }
    names = [data.name(index) for data in parts.values() for index in range(len(data))]
    assert len(set(names)) == len(names) == 16
    assert len(parts["validation"]) in (2, 3, 4)
    groups = {split: {d.group(i) for i in range(len(d))} for split, d in parts.items()}
    assert not groups["train"] & groups["validation"]


def test_depth_beyond_eight_metres_is_clipped_or_missing(root):
    millimetres = np.full(SIZE, 9000, np.uint16)
    millimetres[0], millimetres[1], millimetres[2] = 0, 8000, 8191
    write_png(root / FIRST / "depth_bfx" / "train_00000.png", millimetres << 3 | millimetres >> 13)
    clipped = SUNRGBD(root, "train", validation=0.0)[0]["depth"]
    assert np.isnan(clipped[0]).all()
    assert (clipped[1:] == 8.0).all()
    missing = SUNRGBD(root, "train", validation=0.0, beyond="missing")[0]["depth"]
    assert (missing[1] == 8.0).all()
    assert np.isnan(missing[2:]).all()
    with pytest.raises(ConfigError, match="beyond: 'cut' is none of clip, missing"):
        SUNRGBD(root, "train", beyond="cut")


def test_labels_come_from_every_frame_where_the_toolbox_has_none(root):
    toolbox = SUNRGBD(root, "train", validation=0.0)
    expected = [toolbox[index]["segmentation"] for index in range(12)]
    (root / SEG).unlink()
    (root / META).unlink()
    with pytest.warns(CenWarning, match=r"SUNRGBD2Dseg\.mat is missing: .*not comparable"):
        frames = SUNRGBD(root, "train", validation=0.0)
    for index in range(12):
        np.testing.assert_array_equal(frames[index]["segmentation"], expected[index])
    names = ["Floor", "wall", "ceiling ", "Wood_Box", "giraffe"]
    labels = np.arange(24 * 32).reshape(24, 32) % 6.0
    save_v5(root / FIRST / "seg.mat", {"names": cell(names), "seglabel": labels})
    found = frames[0]["segmentation"]
    table = np.array([255, 0, 1, 2, 3, 255])
    np.testing.assert_array_equal(found, table[labels.astype(int)])


def test_intrinsics_count_pixels_from_zero(sun):
    intrinsics = SUNRGBD(sun, "test")[0]["intrinsics"]
    assert intrinsics.shape == (3, 3)
    assert intrinsics[:2, 2].tolist() == [15.5, 11.5]
    written = (sun / FIRST / "intrinsics.txt").read_text().split()
    assert (float(written[2]), float(written[5])) == (16.5, 12.5)


def test_sizes_may_differ_between_frames(root):
    """As between the sensors of the real data set."""
    folder = root / FIRST
    for name in ("depth", "depth_bfx"):
        write_png(folder / name / "train_00000.png", np.full((12, 16), 800, np.uint16))
    cv2.imwrite(str(folder / "image" / "train_00000.jpg"), np.zeros((12, 16, 3), np.uint8))
    with h5py.File(root / SEG, "r+") as file:
        file["small"] = np.ones((16, 12), np.uint8)
        file["SUNRGBD2Dseg/seglabel"][4, 0] = file["small"].ref
    data = SUNRGBD(root, "train", validation=0.0)
    assert [data[index]["segmentation"].shape for index in (0, 1)] == [(12, 16), SIZE]


def test_unlabelled_pixels_are_ignored(root):
    with h5py.File(root / SEG, "r+") as file:
        file[file["SUNRGBD2Dseg/seglabel"][4, 0]][:, :5] = 0
    labels = SUNRGBD(root, "train", validation=0.0, ignore_index=200)[0]["segmentation"]
    assert (labels[:5] == 200).all()
    assert (labels[5:] < 15).all()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_and_pickles_read_the_same(sun):
    data = SUNRGBD(sun, "train", validation=0.0)
    here = [data[index] for index in range(len(data))]
    there = list(DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context="fork"))
    copied = pickle.loads(pickle.dumps(data))
    for index, (one, other) in enumerate(zip(here, there, strict=True)):
        for name in ("rgb", "depth", "segmentation", "intrinsics"):
            np.testing.assert_array_equal(one[name], other[name])
            np.testing.assert_array_equal(one[name], copied[index][name])


def test_the_layout_is_opened_by_name(sun):
    data = open_layout("sunrgbd", sun, "test", options={"depth": "raw"})
    assert np.isnan(data[0]["depth"]).any()
    assert data.name(0) == "kv1-NYUdata-test_00000"
    named = SUNRGBD(sun, "test", classes=[f"c{n}" for n in range(15)])
    assert named.classes[14] == "c14"
    with pytest.raises(DataError, match=r"seg37list\.mat: has 15 classes, not 37"):
        SUNRGBD(sun, "test", classes=37)


def lists(root, train, test=("/n/fs/sun3d/data/SUNRGBD/kv1/NYUdata/test_00000",)):
    save_v5(root / ALLSPLIT, {"alltrain": cell(train), "alltest": cell(test)})


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"x" * 2000)


def fewer_references(root):
    with h5py.File(root / SEG, "r+") as file:
        kept = file["SUNRGBD2Dseg/seglabel"][:9]
        del file["SUNRGBD2Dseg/seglabel"]
        file["SUNRGBD2Dseg"].create_dataset("seglabel", data=kept, dtype=h5py.ref_dtype)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: shutil.rmtree(r / "SUNRGBD"), r"no file .*train_00000/image"),
        (lambda r: (r / FIRST / "image" / "train_00000.jpg").unlink(), r"no file .*00000/image"),
        (
            lambda r: shutil.copy(
                r / FIRST / "image" / "train_00000.jpg", r / FIRST / "image" / "b.jpg"
            ),
            r"train_00000: no file .*train_00000/image",
        ),
        (lambda r: (r / ALLSPLIT).unlink(), r"allsplit\.mat: cannot be read"),
        (lambda r: zipped(r / ALLSPLIT), r"allsplit\.mat: .*a ZIP archive"),
        (lambda r: shutil.copy(r / SEG, r / ALLSPLIT), r"allsplit\.mat: .*of version 7\.3"),
        (
            lambda r: save_v5(r / ALLSPLIT, {"alltrain": cell(["SUNRGBD/a"])}),
            r"allsplit\.mat: has no variable alltest",
        ),
        (lambda r: save_v5(r / ALLSPLIT, {"alltrain": 1.0, "alltest": 2.0}), "no cell array of te"),
        (lambda r: lists(r, ["/n/fs/SUNRGBD/kv1/../../../x"]), r"alltrain: '/n.*no folder below"),
        (lambda r: lists(r, ["/etc/passwd"]), r"allsplit\.mat: alltrain: '/etc/passwd' is no fo"),
        (lambda r: lists(r, ["/SUNRGBD/"]), "is no folder below SUNRGBD"),
        (lambda r: lists(r, []), "alltrain is empty"),
        (lambda r: lists(r, ["/SUNRGBD/a", "/SUNRGBD//a/"]), "alltrain names a frame twice"),
        (lambda r: lists(r, ["SUNRGBD/a"], ["SUNRGBD/a"]), "a is in alltrain and in alltest"),
        (lambda r: lists(r, ["SUNRGBD/kv1/x"]), r"SUNRGBDMeta\.mat: has no frame kv1/x"),
        (lambda r: (r / LIST37).unlink(), r"seg37list\.mat: cannot be read"),
        (lambda r: (r / META).unlink(), r"SUNRGBDMeta\.mat: cannot be read"),
        (lambda r: save_v5(r / META, {"SUNRGBDMeta": 1.0}), "is no struct array with rgbpath"),
        (lambda r: zipped(r / SEG), r"SUNRGBD2Dseg\.mat: .*a ZIP archive"),
        (lambda r: shutil.copy(r / META, r / SEG), r"SUNRGBD2Dseg\.mat: .*of an older version"),
        (
            lambda r: (r / SEG).write_bytes((r / SEG).read_bytes()[:3000]),
            r"SUNRGBD2Dseg\.mat: damaged, or cut short",
        ),
        (lambda r: ((r / SEG).unlink(), (r / SEG).mkdir()), r"SUNRGBD2Dseg\.mat: cannot be read"),
        (
            lambda r: ((r / SEG).unlink(), (r / SEG).symlink_to("nowhere")),
            r"SUNRGBD2Dseg\.mat: cannot be read",
        ),
        (fewer_references, r"SUNRGBD2Dseg\.mat: 9 frames, but .*SUNRGBDMeta\.mat has 16"),
    ],
)
def test_what_is_wrong_is_said_at_once(root, spoil, message):
    spoil(root)
    with pytest.raises(DataError, match=message):
        SUNRGBD(root, "train", validation=0.0)


def relabel(root, values):
    with h5py.File(root / SEG, "r+") as file:
        file["other"] = values
        file["SUNRGBD2Dseg/seglabel"][4, 0] = file["other"].ref


def dangle(root):
    with h5py.File(root / SEG, "r+") as file:
        file["SUNRGBD2Dseg/seglabel"][4, 0] = h5py.Reference()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda r: relabel(r, np.full((32, 24), 16, np.uint8)),
            r"2Dseg\.mat: label 16 outside 0\.\.15",
        ),
        (lambda r: relabel(r, np.full((32, 24), -1, np.int8)), r"2Dseg\.mat: label -1 outside"),
        (lambda r: relabel(r, np.full((32, 24), 0.5)), "seglabel holds numbers that are not whole"),
        (lambda r: relabel(r, np.ones((2, 32, 24))), r"seglabel of frame 5 is \(24, 32, 2\)"),
        (lambda r: relabel(r, np.ones((31, 24))), r"sizes differ: .*2Dseg\.mat 24 x 31"),
        (dangle, r"2Dseg\.mat: an entry of seglabel refers to nothing"),
        (
            lambda r: write_png(
                r / FIRST / "depth_bfx" / "train_00000.png", np.ones(SIZE, np.uint8)
            ),
            r"depth_bfx/train_00000\.png: is .* uint8; depth .* in SUN RGB-D, is 16-bit",
        ),
        (
            lambda r: (r / FIRST / "image" / "train_00000.jpg").write_bytes(b"\xff\xd8\xff"),
            r"train_00000: .*image/train_00000\.jpg: ",
        ),
        (lambda r: (r / FIRST / "intrinsics.txt").unlink(), r"intrinsics\.txt: cannot be read"),
        (lambda r: (r / FIRST / "intrinsics.txt").write_text("1 2"), "does not hold 3 x 3"),
        (
            lambda r: (r / FIRST / "intrinsics.txt").write_text("nan 0 1 0 5 1 0 0 1"),
            r"intrinsics\.txt: does not hold .*intrinsics \[\[nan",
        ),
    ],
)
def test_what_is_wrong_with_a_frame_is_said_when_it_is_read(root, spoil, message):
    spoil(root)
    data = SUNRGBD(root, "train", validation=0.0)
    data[1]
    with pytest.raises(DataError, match=message):
        data[0]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"names": cell(["floor"]), "seglabel": np.full(SIZE, 2.0)},
            r"no picture of numbers 0\.\.1",
        ),
        ({"names": cell(["floor"])}, "has no variable seglabel"),
        ({"names": np.ones(3), "seglabel": np.ones(SIZE)}, "names is no cell array of texts"),
    ],
)
def test_what_is_wrong_with_a_frames_own_labels_is_said(root, variables, message):
    (root / SEG).unlink()
    save_v5(root / FIRST / "seg.mat", variables)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = SUNRGBD(root, "train", validation=0.0)
    with pytest.raises(DataError, match=rf"train_00000: .*seg\.mat: .*{message}"):
        data[0]


def keep_two(root):
    """Of a dozen frames two, as of 10,335 those that somebody has downloaded."""
    for picture in list((root / "SUNRGBD").rglob("image")):
        name = picture.parent.name
        if "train_" in name and "train_00000" not in name and "train_00001" not in name:
            shutil.rmtree(picture.parent)


def test_a_part_of_the_frames_is_read_where_that_is_asked_for(root):
    keep_two(root)
    with pytest.raises(DataError, match=r"no file .* data\.options\.missing: skip"):
        SUNRGBD(root, "train", validation=0.0)
    with pytest.warns(CenWarning, match=r"10 of 12 frames of the train split .*left out"):
        data = SUNRGBD(root, "train", validation=0.0, missing="skip")
    assert len(data) == 2
    whole = [data.name(index) for index in range(2)]
    assert ["train_00000" in whole[0], "train_00001" in whole[1]] == [True, True]
    rooms = Rooms("train", size=SIZE, seed=3)
    for index in range(2):
        labels = data[index]["segmentation"]
        np.testing.assert_array_equal(labels, rooms[index]["segmentation"])
    shutil.rmtree(root / "SUNRGBD")
    with pytest.raises(DataError, match=r"12 of 12 frames .* nothing is left of this split"):
        SUNRGBD(root, "train", validation=0.0, missing="skip")
    with pytest.raises(ConfigError, match="missing: 'maybe' is none of error, skip"):
        SUNRGBD(root, "train", missing="maybe")


def test_check_counts_what_is_not_there(tmp_path):
    root = write_rooms(tmp_path / "sun", "sunrgbd", size=(16, 16), train=50, test=2)
    frames = [p.parent for p in (root / "SUNRGBD").rglob("image") if "train_" in p.parent.name]
    for frame in sorted(frames)[3:]:
        shutil.rmtree(frame)
    source = DatasetRecipe("sunrgbd", str(root), common={"validation": 0.0})
    found = check_data(source, ["train"], workers=1).errors
    assert [finding.kind for finding in found] == ["missing"]
    assert found[0].text.startswith("47 of 50 samples lack 94 files")
    assert len(found[0].files) == 94
    options = {"missing": "skip"}
    source = DatasetRecipe("sunrgbd", str(root), common={"validation": 0.0}, options=options)
    with pytest.warns(CenWarning, match="47 of 50 frames"):
        assert not check_data(source, ["train"], workers=1).errors


@pytest.mark.parametrize("beyond", ["clip", "missing"])
def test_a_prediction_reads_the_files_as_training_did(root, beyond):
    """What is kept with a network is enough: rotated bits, and what is beyond 8 m."""
    path = root / FIRST / "depth_bfx" / "train_00000.png"
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    millimetres = np.uint16(9000)
    stored[0, 0] = millimetres << 3 | millimetres >> 13
    stored[0, 1] = 0
    write_png(path, stored)
    data = SUNRGBD(root, "train", validation=0.0, beyond=beyond)
    kept = Modality.from_dict(data.modalities["depth"].to_dict())
    raw = data.raw(0)["depth"]
    np.testing.assert_array_equal(kept.read(path), raw)
    assert np.isnan(raw[0, 1])
    assert raw[0, 0] == 8.0 if beyond == "clip" else np.isnan(raw[0, 0])
    assert np.nanmedian(raw) < 6
    by_hand = SUNRGBD(root, "train", {"depth": Modality.of("depth")}, validation=0.0, beyond=beyond)
    assert by_hand.modalities["depth"] == Modality.of(**data.fields["depth"])
    # --unit is for files of another camera, whose bits lie as usual.
    assert of_unit({"depth": kept}, 0.001)["depth"].bit_rotation == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "image", "bit_rotation": 3}, "bit_rotation: is for kind depth"),
        ({"kind": "depth", "bit_rotation": 16}, "bit_rotation: 16 is not within"),
        ({"kind": "depth", "farthest": 0}, "farthest: 0.0 is no distance"),
        ({"kind": "depth", "beyond": "x"}, "beyond: 'x' is none of clip, missing"),
    ],
)
def test_impossible_ways_of_storing_depth_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Modality.of(**options)
