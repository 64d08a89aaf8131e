"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from cen.errors import CenError, CheckpointError
from cen.files import contained, write_atomically, write_bytes, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.txt"
    write_text(path, "old")

    def fail(part: Path) -> None:
        part.write_text("half of the new")
        raise OSError("disk full")

    with pytest.raises(CheckpointError, match=r"a.txt cannot be written: disk full"):
        write_atomically(path, fail, CheckpointError)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_replaced_and_readable_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    path = write_bytes(tmp_path / "b", b"1")
    assert write_bytes(path, b"2") == path
    assert path.read_bytes() == b"2"
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = write_json(tmp_path / "a.json", {"rate": 0.5})
    assert path.read_text() == '{\n "rate": 0.5\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"rate": float("nan")})
    assert path.read_text() == '{\n "rate": 0.5\n}\n'
    assert write_json(path, [1, 2], indent=None).read_text() == "[1, 2]\n"


def test_no_link_leads_out_of_a_folder(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "panels").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CenError, match=r"panels is or lies behind a symbolic link out of"):
        contained(tmp_path / "run", tmp_path / "run" / "panels")
    assert contained(tmp_path / "run", tmp_path / "run" / "x.npz").name == "x.npz"
