"""Depth that is read in another unit than it was stored in."""

import shutil

import numpy as np
import pytest

from cen.data.formats.pictures import write_png
from cen.data.readers.opening import DatasetRecipe
from cen.data.tools.depth_units import depth_doubts, likely_units, unit_doubt


@pytest.mark.parametrize(
    ("stored", "units"),
    [
        (2.8, [1.0]),
        (280, [0.01]),
        (2040, [0.001, 1 / 512]),  # both are usual: the user is told of both
        (28000, [0.0001]),
        (9000, [0.001]),
        (2.8e9, []),
        (1e-4, []),
    ],
)
def test_likely_units(stored, units):
    assert likely_units(stored) == units


def test_distances_are_written_out():
    found = unit_doubt("depth", 1.0, [2804.4, 2790.0, 2811.0])
    assert found is not None
    assert found.severe
    assert "half of the depth is beyond 2800 m" in found.text
    assert "unit 0.001 makes it 2.8 m" in found.text
    assert unit_doubt("depth", 1.0, [25.0]).severe is False
    assert unit_doubt("depth", 1.0, [2.0]) is None
    assert unit_doubt("depth", 1.0, []) is None


@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_training_data_in_a_wrong_unit_are_warned_of_in_one_line(layouts, unit):
    recipe = DatasetRecipe("nyudv2", str(layouts("nyudv2")), given={"depth": {"unit": unit}})
    (text,) = depth_doubts(recipe.open("train"))
    assert text.startswith(f"depth: with unit {unit:g} ")
    assert "unit 0.001 makes it" in text
    assert "\n" not in text


@pytest.mark.parametrize("unit", [0.001, 0.01])
def test_usual_and_unusual_distances_are_trained_on_without_a_word(layouts, unit):
    recipe = DatasetRecipe("nyudv2", str(layouts("nyudv2")), given={"depth": {"unit": unit}})
    assert list(depth_doubts(recipe.open("train"))) == []


def test_pictures_of_depth_are_warned_of(layouts, tmp_path):
    """8 bits of a map that was converted for viewing."""
    root = tmp_path / "data"
    shutil.copytree(layouts("nyudv2"), root)
    for file in (root / "depth").iterdir():
        rng = np.random.default_rng(0)
        file.unlink()
        write_png(file, rng.integers(1, 255, (32, 40), np.uint8))
    recipe = DatasetRecipe("nyudv2", str(root), given={"depth": {"unit": 0.02}})
    (text,) = depth_doubts(recipe.open("train"))
    assert text.startswith("depth: its files have 8 bits, at most 255 steps of 0.02 m")
