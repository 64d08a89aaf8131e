"""Exports are compared on scenes of the run, as they are read and as the network takes them."""

import numpy as np
import torch
from tests.predict.local import local_network, patch_network
from tests.predict.scene import MODALITIES

from cen.models import Task
from cen.training.export_samples import samples_of


def test_without_data_samples_are_random_pictures_in_the_values_of_each_modality(tmp_path):
    net = local_network(4, Task("segmentation", 4))
    assert samples_of(net, tmp_path)[0][1].raw is None
    net.metadata = {"preprocessing": {name: m.to_dict() for name, m in MODALITIES.items()}}
    samples, training, real = samples_of(net, tmp_path)
    assert (len(samples), training, real) == (6, [], False)
    four = samples[3]
    assert four.raw["rgb"].shape == (4, 69, 133, 3)
    assert four.raw["rgb"].dtype == torch.uint8
    assert four.raw["depth"].shape == (4, 69, 133)
    expected = MODALITIES["depth"].to_network(four.raw["depth"][2].numpy())
    np.testing.assert_array_equal(four.inputs["depth"][2].numpy(), expected)


def test_some_sizes_are_multiples_of_what_an_encoder_takes_and_some_are_not(monkeypatch, tmp_path):
    net = patch_network(monkeypatch, 14, 14)
    assert (net.smallest, net.multiple) == (42, 14)
    sizes = {tuple(sample.inputs["rgb"].shape[2:]) for sample in samples_of(net, tmp_path)[0]}
    assert {all(side % 14 == 0 for side in size) for size in sizes} == {True, False}
