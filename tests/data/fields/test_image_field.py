"""Images: their normalisation, their bits, their ground truth."""

import numpy as np
import pytest

from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.errors import DataError


def test_images_are_normalised_as_for_imagenet():
    rgb = Modality.of("image")
    mean_colour = np.array([[[123.675, 116.28, 103.53]]])
    np.testing.assert_allclose(rgb.to_network(mean_colour), 0.0, atol=1e-5)
    white = rgb.to_network(np.full((1, 1, 3), 255, dtype=np.uint8))
    np.testing.assert_allclose(white.ravel(), [2.2489, 2.4286, 2.64], atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_not_cut_to_eight(tmp_path, channels):
    shape = (4, 4) if channels == 1 else (4, 4, 3)
    write_png(tmp_path / "deep.png", np.full(shape, 3000, np.uint16))
    with pytest.raises(DataError, match=r"deep\.png: is of type uint16"):
        Modality.of("image", channels).read(tmp_path / "deep.png")


def test_sixteen_bit_images_where_they_are_declared(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (6, 7, 3)).astype(np.uint16)
    write_png(tmp_path / "a.png", values)
    modality = Modality.of("image", bits=16)
    np.testing.assert_array_equal(modality.read(tmp_path / "a.png"), values)
    white = modality.to_network(np.full((1, 1, 3), 65535, np.uint16)).ravel()
    np.testing.assert_allclose(white, [2.2489, 2.4286, 2.64], atol=1e-4)
    assert modality.to_target(values).max() <= 1.0
    back = modality.from_network(modality.to_network(values))
    assert np.abs(back.astype(int) - values).max() <= 1


def test_ground_truth_of_images_is_from_minus_one_to_one():
    image = np.array([[[0, 255, 51]]], np.uint8)
    np.testing.assert_allclose(Modality.of("image").to_target(image).ravel(), [-1, 1, -0.6])
    deep = np.array([[[0, 65535, 13107]]], np.uint16)
    truth = Modality.of("image", bits=16).to_target(deep).ravel()
    np.testing.assert_allclose(truth, [-1, 1, -0.6], atol=1e-6)
