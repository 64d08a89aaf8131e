import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.predict.scene import MODALITIES

from cen.data.formats.pictures import write_png
from cen.errors import CenError, DataError
from cen.serving.uploads import Limits, read_uploads

LIMITS = Limits(megabytes=1, megapixels=0.01)


def read(limits=LIMITS, unit=None, **files):
    return read_uploads(files, MODALITIES, unit, limits)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    write_png(tmp_path / "a.png", rng.integers(0, 255, (40, 50, 3), dtype=np.uint8))
    write_png(tmp_path / "b.png", np.full((40, 50), 1500, np.uint16))
    return {"rgb": tmp_path / "a.png", "depth": tmp_path / "b.png"}


def test_uploads_are_what_the_modality_reads(files):
    found = read(**files)
    for name, file in files.items():
        np.testing.assert_array_equal(found[name], MODALITIES[name].read(file))
    assert found["depth"][0, 0] == pytest.approx(1.5)


def test_a_unit_is_that_of_these_files_alone(files):
    assert read(**files, unit=0.0001)["depth"][0, 0] == pytest.approx(0.15)
    assert read(**files)["depth"][0, 0] == pytest.approx(1.5)
    with pytest.raises(CenError, match=r"unit: -1"):
        read(**files, unit=-1.0)
    with pytest.raises(CenError, match=r"unit: is of files of kind depth"):
        read(rgb=files["rgb"], unit=0.01)


def test_what_is_too_large_is_refused_before_it_is_decoded(files, tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("was decoded"))
    write_png(tmp_path / "c.png", np.zeros((101, 100), np.uint8))
    with pytest.raises(DataError, match=r"rgb \(c.png\): has 101 × 100 pixels; .* 0.01 megapixels"):
        read(rgb=tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(files["rgb"].read_bytes() + bytes(2_000_000))
    with pytest.raises(DataError, match=r"rgb \(d.png\): has 2.0 MB; this page takes 1 MB"):
        read(rgb=tmp_path / "d.png")


def test_containers_are_refused(tmp_path):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(100_000_000))
    (tmp_path / "a.npz").write_bytes(bomb.getvalue())
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    for name in ("a.npz", "a.mat"):
        with pytest.raises(DataError, match="holds several arrays"):
            read(depth=tmp_path / name)


def test_messages_name_no_folder_of_the_machine(files, tmp_path):
    (tmp_path / "cut.png").write_bytes(files["rgb"].read_bytes()[:200])
    (tmp_path / "empty.png").touch()
    for name in ("cut.png", "empty.png", "not-there.png"):
        with pytest.raises(DataError, match=r"rgb \(") as told:
            read(rgb=tmp_path / name)
        assert str(tmp_path) not in str(told.value)
        assert name in str(told.value)


def damaged(good: bytes, number: int) -> bytes:
    """One of many ways in which a file is broken."""
    rng = np.random.default_rng(number)
    content = bytearray(good)
    kind = number % 5
    if kind == 0:
        return bytes(content[: rng.integers(0, len(content))])
    if kind == 1:
        for at in rng.integers(8, len(content), 12):
            content[at] = rng.integers(256)
        return bytes(content)
    if kind == 2:
        return rng.bytes(int(rng.integers(1, 5000)))
    if kind == 3:  # a header that claims much
        content[16:24] = rng.bytes(8)
        return bytes(content)
    return content[: len(content) // 2] + rng.bytes(40) + content[len(content) // 2 :]


def test_damaged_files_end_in_typed_errors_or_are_read(files, tmp_path):
    good, ends = {name: file.read_bytes() for name, file in files.items()}, []
    for number in range(200):
        name = ("rgb", "depth")[number % 2]
        file = Path(tmp_path / f"{number}.png")
        file.write_bytes(damaged(good[name], number))
        try:
            ends.append(read(**{name: file})[name].shape[:2] == (40, 50))
        except CenError:
            ends.append(None)
    assert ends.count(None) > 100
