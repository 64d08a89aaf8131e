"""The page on modalities says what the program does."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from cen.config import Config
from cen.data import Modality
from cen.data.fields.encodings import ENCODINGS
from cen.data.formats.headers import PIXEL_LIMIT

PAGE = (Path(__file__).parents[3] / "docs" / "modalities.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_are_configurations(text):
    """Every key is known, and every modality can be made and used."""
    config = Config.from_dict(yaml.safe_load(text))
    assert config.data.modalities
    for name, said in config.data.modalities.items():
        # What training changes of an input is none of its properties.
        given = {key: value for key, value in vars(said).items() if key != "augment"}
        keys = {key: value for key, value in given.items() if value is not None}
        modality = Modality.of(channels=config.model.inputs.get(name), **keys)
        shape = (480, 640) if modality.stored_channels == 1 else (480, 640, modality.channels)
        values = np.random.default_rng(0).uniform(0.4, 0.9, shape).astype(np.float32)
        numbers = modality.to_network(values)
        assert numbers.shape == (modality.channels, 480, 640)
        assert np.isfinite(numbers).all()


def test_the_table_of_encodings_is_complete():
    rows = dict(re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|.*\|$", PAGE, re.MULTILINE))
    kinds = {"image", "depth", "normal", "label", "edge", "continuous"}
    for name, encoding in ENCODINGS.items():
        told = kinds if rows[name] == "all" else set(rows[name].split(", "))
        assert told == set(encoding.kinds), name
        line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
        assert line.endswith("before |") == (encoding.before_geometry and name != "jet"), name


def test_figures_of_the_page():
    assert f"{PIXEL_LIMIT:,} pixels" in PAGE
