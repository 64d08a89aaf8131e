"""Archives, arrays and pictures that lie or lead elsewhere: refused in one line, none unpacked."""

import io
import tarfile

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from tests.hostile.test_hostile_files import refused

from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.data.tools.sharding import _index_of
from cen.report import write_report


def archive(path, members):
    with tarfile.open(path, "w") as tar:
        for name, kind, content in members:
            header = tarfile.TarInfo(name)
            header.type, header.size, header.linkname = kind, len(content), "/etc/passwd"
            tar.addfile(header, io.BytesIO(content))


FILE, LINK, HARD, DEVICE = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE


@pytest.mark.parametrize(
    "members",
    [
        [("0.rgb.png", FILE, b"x")] * 2,
        [("0.rgb.png", LINK, b"")], [("0.rgb.png", HARD, b"")], [("0.rgb.png", DEVICE, b"")],
        [("../../0.rgb.png", FILE, b"x")], [("/etc/cron.d/0.rgb.png", FILE, b"x")],
        [("0.elsewhere.png", FILE, b"x")], [("0.rgb.png", FILE, b"x"), ("1.rgb.png", FILE, b"x")],
        [("0", FILE, b"x")], [],
    ],
)  # fmt: skip
def test_shards_that_somebody_else_began(tmp_path, members):
    """A conversion that goes on looks into the shards that are there, and unpacks none."""
    path = tmp_path / "000000.tar"
    archive(path, members)
    refused(_index_of, path, ["rgb"], ["rgb"], 1)
    assert [file.name for file in tmp_path.iterdir()] == ["000000.tar"]


@pytest.mark.parametrize("content", [b"", b"x" * 2000, b"\x1f\x8b" + b"x" * 600])
def test_shards_that_are_no_archives(tmp_path, content):
    (tmp_path / "000000.tar").write_bytes(content)
    refused(_index_of, tmp_path / "000000.tar", ["rgb"], ["rgb"], 1)


def linked(path, link):
    with h5py.File(path, "w") as file:
        file["x"] = link


def outside(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (4, 4), "u1", external=[("/etc/passwd", 0, 16)])


def virtual(path):
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout((4, 4), "f4")
        layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4, 4))
        file.create_virtual_dataset("x", layout)


def enormous(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (2**20, 2**20), "f8", chunks=(1024, 1024), compression="gzip")


def circular(path):
    with h5py.File(path, "w") as file:
        group = file.create_group("g")
        group["g"] = group


def cells(depth):
    def make(path):
        value = np.zeros((4, 4))
        for _ in range(depth):
            cell = np.empty((1, 1), object)
            cell[0, 0] = value
            value = cell
        scipy.io.savemat(path, {"x": value})

    return make


@pytest.mark.parametrize(
    "make",
    [
        lambda path: linked(path, h5py.ExternalLink("/etc/passwd", "/x")),
        lambda path: linked(path, h5py.SoftLink("/x")),
        outside, virtual, enormous, circular, cells(1), cells(60),
    ],
)  # fmt: skip
def test_matlab_files_that_lead_elsewhere(tmp_path, make):
    make(tmp_path / "a.mat")
    refused(Modality.of("continuous").read, tmp_path / "a.mat")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "npy", "npz", "mat"])
def test_files_of_three_gigabytes(tmp_path, suffix):
    with (tmp_path / f"a.{suffix}").open("wb") as file:
        file.truncate(3 * 2**30)  # a hole
    assert "the limit is" in refused(Modality.of("image").read, tmp_path / f"a.{suffix}")


def test_bombs_are_not_unpacked(tmp_path):
    zeros = np.zeros((9000, 9000), np.uint8)
    write_png(tmp_path / "a.png", zeros)
    tifffile.imwrite(tmp_path / "a.tif", zeros, compression="zlib")
    for name in ("a.png", "a.tif"):
        assert (tmp_path / name).stat().st_size < 2**20
        assert "the limit is" in refused(Modality.of("image", channels=1).read, tmp_path / name)


def test_figures_of_more_than_a_quarter_gigabyte_are_not_read(tmp_path):
    with (tmp_path / "metrics.csv").open("wb") as file:
        file.write(b"step,train/loss\n1,1.0\n")
        file.truncate(2**28 + 1)
    page = write_report(tmp_path).read_text("utf-8")
    assert "metrics.csv cannot be read" in page
    assert f"more than {2**28} bytes" in page
