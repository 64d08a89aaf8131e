"""Arrays of NPY, NPZ, MATLAB and HDF5 files."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from cen.data import Modality
from cen.errors import DataError

rng = np.random.default_rng(0)
FOUR = rng.integers(0, 256, (12, 16, 4)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<u2", ">i2", "u1", "<i8", "?", "<f2"])
def test_npy_of_any_type(tmp_path, kind):
    values = (100 * rng.random((9, 7, 2))).astype(kind)
    np.save(tmp_path / "a.npy", values)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(values))
    for name in ("a.npy", "fortran.npy"):
        read = Modality.of("continuous", 2).read(tmp_path / name)
        np.testing.assert_array_equal(read, values.astype(np.float32))


def test_npy_of_every_kind_of_modality(tmp_path):
    rgb, depth = rng.integers(0, 256, (8, 9, 3)).astype(np.uint8), rng.random((8, 9)) + 1
    labels = rng.integers(0, 9, (8, 9))
    for name, values in (("rgb", rgb), ("depth", depth), ("labels", labels)):
        np.save(tmp_path / f"{name}.npy", values)
    np.testing.assert_array_equal(Modality.of("image").read(tmp_path / "rgb.npy"), rgb)
    metres = Modality.of("depth", unit=1.0).read(tmp_path / "depth.npy")
    np.testing.assert_allclose(metres, depth, rtol=1e-6)
    np.testing.assert_array_equal(Modality.of("label").read(tmp_path / "labels.npy"), labels)
    with pytest.raises(DataError, match=r"rgb\.npy: 3 channels, .* with 1; choose with bands"):
        Modality.of("image", 1).read(tmp_path / "rgb.npy")
    green = Modality.of("image", 1, bands=[1]).read(tmp_path / "rgb.npy")
    np.testing.assert_array_equal(green, rgb[..., 1])
    with pytest.raises(DataError, match=r"rgb\.npy: 3 channels, .* declared with 5"):
        Modality.of("image", 5).read(tmp_path / "rgb.npy")


def test_npy_never_runs_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    np.save(tmp_path / "a.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Trap()))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(DataError, match=name):
            Modality.of("continuous", 1).read(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["a.npz", "a.mat", "a.h5"])
def test_one_of_several_arrays(tmp_path, name):
    values, other = FOUR[..., 0], rng.random((12, 16))
    if name == "a.npz":
        np.savez_compressed(tmp_path / name, heat=values, more=other, text=np.array(["a"]))
    elif name == "a.mat":
        from scipy.io import savemat

        savemat(tmp_path / name, {"heat": values, "more": other, "text": "a"})
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / name, "w") as file:
            file["heat"], file["more"] = values, other
    with pytest.raises(DataError, match=r"heat \(12 × 16\), more \(12 × 16\); choose .*variable:"):
        Modality.of("continuous").read(tmp_path / name)
    read = Modality.of("continuous", variable="more").read(tmp_path / name)
    np.testing.assert_array_equal(read, other.astype(np.float32))
    with pytest.raises(DataError, match=r"no picture named 'heet'; there are heat"):
        Modality.of("continuous", variable="heet").read(tmp_path / name)
    labels = Modality.of("label", variable="heat").read(tmp_path / name)
    np.testing.assert_array_equal(labels, values)


def test_matlab_files_of_version_73_have_their_axes_turned_round(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["picture"] = FOUR.T  # as MATLAB writes (12, 16, 4)
    with (tmp_path / "a.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    np.testing.assert_array_equal(Modality.of("image", 4).read(tmp_path / "a.mat"), FOUR)


def test_what_hdf5_says_of_an_array_is_heard(tmp_path):
    """Scale, offset and fill value, as NetCDF 4 and xarray write them: lists of one, too."""
    h5py = pytest.importorskip("h5py")
    values = np.full((4, 5), 300, np.int16)
    values[0, 0] = -9999
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["heat"] = values
        file["heat"].attrs.update({"_FillValue": np.int16([-9999]), "units": "K"})
    read = Modality.of("continuous").read(tmp_path / "a.nc")
    assert np.isnan(read[0, 0])
    assert np.isnan(read).sum() == 1
    with h5py.File(tmp_path / "a.nc", "a") as file:
        file["heat"].attrs["scale_factor"] = np.float32([0.5])
    refused = r"a\.nc: says .* multiplied by 0\.5, and 0 added, .* unit: 1\."
    with pytest.raises(DataError, match=refused):
        Modality.of("continuous").read(tmp_path / "a.nc")
    assert Modality.of("continuous", unit=0.5).read(tmp_path / "a.nc")[1, 1] == 150
    with h5py.File(tmp_path / "a.nc", "a") as file:
        file["heat"].attrs["add_offset"] = 273.15
    with pytest.raises(DataError, match=r"multiplied by 0\.5, and 273\.15 added"):
        Modality.of("continuous", unit=0.5).read(tmp_path / "a.nc")
    bands = FOUR.astype(np.float32)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["bands"] = bands
        file["bands"].attrs["scale_factor"] = 2.0
    with pytest.raises(DataError, match="multiplied by 2"):
        Modality.of("continuous", bands=[3]).read(tmp_path / "b.h5")
