"""Edges of files: what white is, and where nobody says it."""

import numpy as np
import pytest
from tests.data.fields.vectors import unit_vectors

from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.errors import DataError


def test_edges_of_files(tmp_path):
    for bits in (8, 16):
        white = 2**bits - 1
        write_png(tmp_path / "e.png", np.array([[0, white // 3, white]], f"uint{bits}"))
        read = Modality.of("edge").read(tmp_path / "e.png")
        np.testing.assert_allclose(read, [[0, 1 / 3, 1]], atol=1e-6)
    np.save(tmp_path / "e.npy", np.array([[0, 0.5, np.nan]]))
    np.testing.assert_array_equal(Modality.of("edge").read(tmp_path / "e.npy"), [[0, 0.5, np.nan]])
    np.save(tmp_path / "e.npy", np.array([[0.0, 700.0]]))
    with pytest.raises(DataError, match=r"e\.npy: an edge has a strength of 0 to 1.*700.*unit"):
        Modality.of("edge").read(tmp_path / "e.npy")
    scaled = Modality.of("edge", unit=1 / 700, missing=0).read(tmp_path / "e.npy")
    np.testing.assert_array_equal(scaled, [[np.nan, 1]])


def test_edges_and_images_of_booleans_are_black_and_white_like_those_of_one_bit(tmp_path):
    edges = np.eye(4, 5, dtype=bool)
    np.save(tmp_path / "e.npy", edges)
    np.savez(tmp_path / "e.npz", edges=edges)
    for name in ("e.npy", "e.npz"):
        np.testing.assert_array_equal(Modality.of("edge").read(tmp_path / name), edges)
        image = Modality.of("image", channels=1).read(tmp_path / name)
        np.testing.assert_array_equal(image, 255 * edges)
        # Numbers stay numbers.
        np.testing.assert_array_equal(Modality.of("continuous").read(tmp_path / name), edges)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint32"])
def test_integers_of_which_nobody_knows_white_are_neither_edges_nor_normals(tmp_path, dtype):
    edges = np.eye(4, 5).astype(dtype)
    np.save(tmp_path / "e.npy", edges)
    with pytest.raises(DataError, match=rf"e\.npy: holds {dtype}, of which nothing .* set unit"):
        Modality.of("edge").read(tmp_path / "e.npy")
    np.testing.assert_array_equal(Modality.of("edge", unit=1).read(tmp_path / "e.npy"), edges)
    np.save(tmp_path / "n.npy", np.round(unit_vectors() * 127).astype(dtype))
    with pytest.raises(DataError, match=rf"n\.npy: holds {dtype}; normals are integers of 8 or 16"):
        Modality.of("normal").read(tmp_path / "n.npy")


@pytest.mark.parametrize("bits", [8, 16])
def test_edges_of_0_and_1_in_integers_are_no_strengths(tmp_path, bits):
    write_png(tmp_path / "e.png", np.eye(4, 5).astype(f"uint{bits}"))
    field, meant = Modality.of("edge"), Modality.of("edge", unit=1)
    assert "say unit: 1" in field.field_kind.impossible(field.read(tmp_path / "e.png"))
    assert not field.field_kind.impossible(meant.read(tmp_path / "e.png"))
    write_png(tmp_path / "e.png", 2 * np.eye(4, 5).astype(f"uint{bits}"))
    assert not field.field_kind.impossible(field.read(tmp_path / "e.png"))
    assert not field.field_kind.impossible(np.zeros((4, 5), np.float32))
