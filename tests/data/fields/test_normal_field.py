"""Normals of files: their axes, their range, and what is none."""

import numpy as np
import pytest
from tests.data.fields.vectors import unit_vectors

from cen.data import Modality, Transform
from cen.data.formats.pictures import write_png
from cen.errors import DataError


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("axes", ["+x +y +z", "+x -y -z", "z x -y"])
def test_normals_of_files(tmp_path, bits, axes):
    true = unit_vectors()
    true[2, 3] = np.nan
    white = 2**bits - 1
    named = {"x": true[..., 0], "y": true[..., 1], "z": true[..., 2]}
    planes = [named[word[-1]] * (-1 if word.startswith("-") else 1) for word in axes.split()]
    stored = np.nan_to_num((np.stack(planes, -1) + 1) / 2 * white, nan=white / 2).round()
    write_png(tmp_path / "n.png", stored.astype(f"uint{bits}"))
    read = Modality.of("normal", axes=axes).read(tmp_path / "n.png")
    assert read.dtype == np.float32
    assert np.isnan(read[2, 3]).all()
    np.testing.assert_allclose(read, true, atol=4 / white)
    lengths = np.linalg.norm(read, axis=2)
    np.testing.assert_allclose(lengths[np.isfinite(lengths)], 1, atol=1e-6)


def test_normals_of_float_files_and_what_is_none(tmp_path):
    true = unit_vectors()
    true[0, 0], true[0, 1] = (0, 0, 0), (2, 2, 2)
    np.save(tmp_path / "n.npy", true)
    read = Modality.of("normal").read(tmp_path / "n.npy")
    assert np.isnan(read[0, :2]).all()
    np.testing.assert_allclose(read[1:], true[1:], atol=1e-6)
    write_png(tmp_path / "n.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(DataError, match="1 channels; normals have three"):
        Modality.of("normal").read(tmp_path / "n.png")


def test_mirrored_normals_point_the_other_way():
    sample = {"rgb": np.zeros((12, 16, 3), np.uint8), "normal": unit_vectors(), "name": "one"}
    rgb, targets = {"rgb": Modality.of("image")}, {"normal": Modality.of("normal")}
    result = Transform(rgb, targets=targets, flip=1.0)(sample, np.random.default_rng(0))
    mirrored = result["normal"].numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(mirrored, sample["normal"][:, ::-1] * (-1, 1, 1))
    twice = Modality.of("normal")
    np.testing.assert_array_equal(twice.mirror(twice.mirror(sample["normal"])), sample["normal"])
