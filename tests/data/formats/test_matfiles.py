"""MATLAB files of both kinds: told apart, read in part, refused by name."""

import contextlib
import sys
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io

from cen.data.formats import matfiles
from cen.data.rooms.matlab import cell, create_v73, save_v5
from cen.errors import CenError, DataError


@pytest.fixture
def five(tmp_path):
    path = tmp_path / "five.mat"
    save_v5(path, {"numbers": np.array([[3.0, 1.0]]), "words": cell(["bed", "", "sofa"])})
    return path


@pytest.fixture
def seven(tmp_path):
    path = tmp_path / "seven.mat"
    with create_v73(path) as file:
        frames = file.array("frames", (2, 4, 3), np.uint8)
        frames[1] = np.arange(12).reshape(4, 3)
        file.cell("words", ["bed", "night stand"])
        file.struct_array("S", {"a": [file.reference(np.eye(2)), file.reference(np.ones((1, 3)))]})
    return path


def five_words(path):
    return matfiles.load_v5(path, ("numbers", "words")).texts("words")


def seven_words(path):
    with matfiles.open_v73(path) as file:
        return matfiles.texts_v73(file, "words")


def test_v5_gives_texts_and_whole_numbers(five):
    found = matfiles.load_v5(five, ("numbers", "words", "others"))
    assert set(found) == {"numbers", "words"}
    assert found.integers("numbers").tolist() == [3, 1]
    assert found.texts("words") == ["bed", "", "sofa"]
    with pytest.raises(DataError, match=r"five\.mat: has no variable others"):
        found["others"]
    with pytest.raises(DataError, match="words is no list of numbers"):
        found.integers("words")
    with pytest.raises(DataError, match="numbers is no cell array of texts"):
        found.texts("numbers")
    with pytest.raises(DataError, match="not whole"):
        matfiles.integers(five, "numbers", np.array([0.5]))


def test_v73_reads_what_matlab_would_see(seven):
    with matfiles.open_v73(seven) as file:
        assert matfiles.texts_v73(file, "words") == ["bed", "night stand"]
        frames = matfiles.dataset(file, "frames")
        assert matfiles.read("frames", frames, 1).T.shape == (3, 4)
        group = matfiles.struct(file, "S")
        entries = matfiles.references(group, "a")
        second = matfiles.dereference(file, "a", entries[1])
        assert matfiles.read("a", second).T.shape == (1, 3)


def test_v73_files_say_what_matlab_wants_to_know(seven):
    head = seven.read_bytes()[:520]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head[124:128] == b"\x00\x02IM"
    assert head[512:] == b"\x89HDF\r\n\x1a\n"
    with h5py.File(seven, "r") as file:
        assert file["frames"].attrs["MATLAB_class"] == b"uint8"
        assert file["words"].attrs["MATLAB_class"] == b"cell"
        assert file[file["words"][0, 0]].attrs["MATLAB_class"] == b"char"
        assert file["S"].attrs["MATLAB_class"] == b"struct"
        assert [b"".join(name) for name in file["S"].attrs["MATLAB_fields"]] == [b"a"]


def test_the_same_data_are_the_same_bytes(tmp_path, five):
    before = five.read_bytes()
    save_v5(five, {"numbers": np.array([[3.0, 1.0]]), "words": cell(["bed", "", "sofa"])})
    assert five.read_bytes() == before


def test_each_kind_is_refused_where_the_other_is_meant(five, seven):
    with pytest.raises(DataError, match=r"five\.mat: not .* 7\.3 \(HDF5\), but of an older"):
        matfiles.check_version(five, "v7.3")
    with pytest.raises(DataError, match=r"seven\.mat: not .* before 7\.3, but of version 7\.3"):
        matfiles.load_v5(seven, ("words",))


@pytest.mark.parametrize("version", ["v5", "v7.3"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "but empty"),
        (b"\x1f\x8b" + bytes(600), "a gzip archive"),
        (b"<!DOCTYPE html>" + bytes(600), "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"\0" * 600, "something else"),
    ],
)
def test_other_files_are_told_apart(tmp_path, version, content, message):
    path = tmp_path / "x.mat"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"x\.mat: .*{message}"):
        matfiles.check_version(path, version)


def test_a_zip_archive_is_told_to_be_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.mat", "w") as archive:
        archive.writestr("x.mat", b"MATLAB")
    with pytest.raises(DataError, match="a ZIP archive; unpack it first"):
        matfiles.check_version(tmp_path / "x.mat", "v7.3")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_files_cut_short_are_named(five, seven, share):
    for path in (five, seven):
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"five\.mat"):
        matfiles.load_v5(five, ("numbers", "words"))
    with pytest.raises(DataError, match=r"seven\.mat"), matfiles.open_v73(seven) as file:
        matfiles.texts_v73(file, "words")


def test_damage_inside_is_named(five, seven):
    """Whatever byte is wrong, the outcome is an array or a typed error."""
    rng = np.random.default_rng(0)
    for path, start in ((five, 128), (seven, 512)):
        whole = path.read_bytes()
        for place in rng.integers(start, len(whole), 60):
            content = bytearray(whole)
            content[place] ^= int(rng.integers(1, 256))
            path.write_bytes(bytes(content))
            read = five_words if path == five else seven_words
            with contextlib.suppress(DataError):
                read(path)


def test_implausible_sizes_are_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "bomb.mat"
    with h5py.File(path, "w") as file:
        # No chunk of it is stored: 1.2 GB in a file of a few kilobytes.
        file.create_dataset("images", (2, 3, 20000, 20000), "u1", chunks=(1, 3, 100, 100))
        file.create_dataset("chunk", (2, 30000, 30000), "u1", chunks=(1, 30000, 30000))
    with pytest.raises(DataError, match=r"images claims to be 3 x 20000 x 20000"):  # noqa: SIM117
        with matfiles.open_v73(path) as file:
            matfiles.read("images", matfiles.dataset(file, "images"), 0)
    with pytest.raises(DataError, match="chunk claims"), matfiles.open_v73(path) as file:
        matfiles.read("chunk", matfiles.dataset(file, "chunk"), 0)


def test_arrays_of_other_files_are_refused(tmp_path, seven):
    path = tmp_path / "link.mat"
    (tmp_path / "secret").write_bytes(bytes(12))
    with h5py.File(path, "w") as file:
        file["link"] = h5py.ExternalLink(str(seven), "/frames")
        file["soft"] = h5py.SoftLink("/nowhere")
        file.create_dataset("raw", (12,), "u1", external=[(str(tmp_path / "secret"), 0, 12)])
        file.create_group("group")
    with matfiles.open_v73(path) as file:
        for name in ("link", "raw", "group"):
            with pytest.raises(DataError, match=f"{name} is no array of this file"):
                matfiles.dataset(file, name)
        with pytest.raises(DataError, match=r"link\.mat: "):
            matfiles.dataset(file, "soft")
        with pytest.raises(DataError, match="raw is no struct"):
            matfiles.struct(file, "raw")
        with pytest.raises(DataError, match="has no variable depths; there are group, link"):
            matfiles.dataset(file, "depths")


def test_the_library_that_is_missing_is_named(monkeypatch, five, seven):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CenError, match=r"need scipy.*pip install 'cen\[data\]'"):
        matfiles.load_v5(five, ("words",))
    with pytest.raises(CenError, match=r"need h5py.*pip install"), matfiles.open_v73(seven):
        pass


def test_scipy_reads_the_v5_files_by_itself(five):
    found = scipy.io.loadmat(five)
    assert found["numbers"].tolist() == [[3.0, 1.0]]
    assert [word.item() if word.size else "" for word in found["words"][0]] == ["bed", "", "sofa"]
