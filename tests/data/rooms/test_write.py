import numpy as np
import pytest
import yaml

from cen.cli import build_parser
from cen.data import NYUDv2Folder, Rooms, write_rooms
from cen.data.readers.registry import ROOMS_WRITERS
from cen.errors import DataError


def test_what_is_written_reads_back_as_rendered(written):
    for split, rows in (("train", 12), ("test", 4)):
        folder = NYUDv2Folder(written, split, validation=0.0)
        rooms = Rooms(split, size=(24, 32), seed=3)
        assert len(folder) == rows
        assert folder.classes == rooms.classes
        np.testing.assert_array_equal(folder.palette, rooms.palette)
        for index in range(rows):
            read, rendered = folder[index], rooms[index]
            assert read["name"] == rendered["name"]
            for name in ("rgb", "depth", "segmentation"):
                np.testing.assert_array_equal(read[name], rendered[name], err_msg=name)
                assert read[name].dtype == rendered[name].dtype


def test_the_folder_describes_itself(written):
    described = yaml.safe_load((written / "dataset.yaml").read_text())
    assert described["depth_unit"] == 0.001
    assert described["seed"] == 3
    assert described["splits"] == {"train": 12, "test": 4}
    first = (written / "train.txt").read_text().splitlines()[0]
    assert first == "rgb/train_00000.png\tmasks/train_00000.png\tdepth/train_00000.png"


def test_several_processes_write_the_same(tmp_path, written):
    seen = []
    write_rooms(
        tmp_path / "b",
        size=(24, 32),
        train=12,
        test=4,
        seed=3,
        workers=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(n, 16) for n in range(1, 17)]
    files = [path.relative_to(written) for path in written.rglob("*") if path.is_file()]
    assert len(files) == 3 * 16 + 3
    assert len([path for path in (tmp_path / "b").rglob("*") if path.is_file()]) == len(files)
    for file in files:
        assert (tmp_path / "b" / file).read_bytes() == (written / file).read_bytes()


def test_writing_again_does_nothing_and_another_set_is_refused(tmp_path):
    write_rooms(tmp_path, size=(16, 16), train=2, test=1)
    picture = tmp_path / "rgb" / "train_00000.png"
    before = picture.stat().st_mtime_ns
    write_rooms(tmp_path, size=(16, 16), train=2, test=1)
    assert picture.stat().st_mtime_ns == before
    with pytest.raises(DataError, match="another data set"):
        write_rooms(tmp_path, size=(16, 16), train=2, test=1, labels="functions")
    (tmp_path / "dataset.yaml").unlink()
    with pytest.raises(DataError, match="files of something else"):
        write_rooms(tmp_path, size=(16, 16), train=2, test=1)


def test_a_folder_of_anything_else_is_left_alone(tmp_path):
    (tmp_path / "rgb").mkdir()
    with pytest.raises(DataError, match="files of something else"):
        write_rooms(tmp_path, size=(16, 16), train=2, test=1)
    assert [path.name for path in tmp_path.rglob("*")] == ["rgb"]


def test_the_command_line_knows_every_layout():
    actions = build_parser().parse(["data", "rooms", "x", "--layout", "nyudv2"])
    assert actions.layout in ROOMS_WRITERS
    for layout in ROOMS_WRITERS:
        assert build_parser().parse(["data", "rooms", "x", "--layout", layout]).layout == layout


def test_an_interrupted_write_is_continued(tmp_path):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rooms(tmp_path, size=(16, 16), train=3, test=1, progress=interrupt)
    assert not (tmp_path / "dataset.yaml").exists()
    with pytest.raises(DataError, match="another data set"):
        write_rooms(tmp_path, size=(16, 16), train=4, test=1)
    write_rooms(tmp_path, size=(16, 16), train=3, test=1)
    assert len(NYUDv2Folder(tmp_path, "train", validation=0.0)) == 3


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write there"):
        write_rooms(tmp_path / "file", size=(16, 16), train=1, test=1)
    with pytest.raises(ValueError, match="each split needs a scene"):
        write_rooms(tmp_path / "x", train=0)
    with pytest.raises(ValueError, match="no layout"):
        write_rooms(tmp_path / "x", layout="nyu")
