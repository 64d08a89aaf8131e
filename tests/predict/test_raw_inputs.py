"""Preprocessing in a graph is that of cen.data."""

import numpy as np
import pytest
import torch

from cen.data import Modality
from cen.errors import ConfigError
from cen.predict.raw_inputs import as_numbers, as_raw, check_arithmetic, described

RNG = np.random.default_rng(0)
SIZE = (7, 9)


def metres():
    values = RNG.uniform(0.05, 9.0, SIZE).astype(np.float32)
    values[0, :3] = np.nan
    return values


CASES = {
    "image": (Modality.of("image"), RNG.integers(0, 256, (*SIZE, 3), np.uint8)),
    "grey": (Modality.of("image", 1), RNG.integers(0, 256, SIZE, np.uint8)),
    "16 bits": (Modality.of("image", bits=16), RNG.integers(0, 65536, (*SIZE, 3), np.uint16)),
    "bands": (Modality.of("image", 5), RNG.uniform(0, 255, (*SIZE, 5)).astype(np.float32)),
    "depth": (Modality.of("depth"), metres()),
    "clipped": (Modality.of("depth", 3, clip=(0.5, 4.0), fill=-1.0), metres()),
    "inverse": (Modality.of("depth", encoding="inverse"), metres()),
    "log": (Modality.of("depth", encoding="log", fill=0.5), metres()),
    "minmax": (Modality.of("depth", encoding="minmax"), metres()),
    "jet": (Modality.of("depth", encoding="jet", clip=(0.5, 6.0)), metres()),
    "jet of the picture": (Modality.of("depth", encoding="jet"), metres()),
    "released": (Modality.of("depth", encoding="released_segmentation", unit=2e-4), metres()),
    "taskonomy": (Modality.of("depth", encoding="taskonomy_depth", unit=1 / 512), metres()),
    "texture": (Modality.of("edge", encoding="taskonomy_edge_texture"), RNG.random(SIZE, "f4")),
    "normal": (Modality.of("normal"), np.full((*SIZE, 3), 3**-0.5, np.float32)),
    "continuous": (Modality.of("continuous", 2, bands=2), RNG.random((*SIZE, 2), "f4")),
    "label": (Modality.of("label", 4), RNG.integers(0, 6, SIZE)),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_cen_data(name):
    modality, values = CASES[name]
    other = values[::-1].copy()
    other[-1] = values[1]  # another range, where the whole picture counts
    raw = as_raw(modality, [values, other])
    assert list(raw.shape[1:]) == [*SIZE, *described(modality)["shape"][3:]]
    assert described(modality)["type"] == str(raw.dtype).removeprefix("torch.")
    expected = np.stack([modality.to_network(one) for one in (values, other)])
    np.testing.assert_allclose(as_numbers(modality, raw), expected, rtol=1e-5, atol=2e-5)


def test_whatever_is_no_distance_is_missing():
    modality = Modality.of("depth", encoding="inverse", fill=7.0)
    raw = torch.tensor([[[0.0, -1.0, torch.inf, torch.nan, 2.0]]])
    numbers = as_numbers(modality, raw)[0, 0, 0]
    assert numbers[:4].tolist() == [7.0] * 4
    assert numbers[4].item() == pytest.approx((0.5 - 0.4) / 0.2)


@pytest.mark.parametrize(
    ("options", "resize", "message"),
    [
        ({"fill_holes": "nearest"}, None, "fill_holes"),
        ({"encoding": "normals"}, None, "the camera of each picture"),
        ({"encoding": "hha"}, None, "the camera of each picture"),
        ({}, (48, 64), "resized to 48 × 64"),
    ],
)
def test_what_is_no_arithmetic_is_refused_with_the_way_out(options, resize, message):
    with pytest.raises(ConfigError, match=f"depth.*{message}.*without --raw"):
        check_arithmetic({"depth": Modality.of("depth", **options)}, resize)
