"""A predictor's network in threads: its mode, and its device."""

import numpy as np
import pytest
import torch
from tests.predict.scene import MODALITIES

from cen.errors import ConfigError
from cen.predict.predictor import Predictor


def test_every_module_keeps_its_mode(net, scene):
    net.train()
    net.decoder.eval()
    before = [module.training for module in net.modules()]
    first = Predictor(net)(scene).labels
    assert [module.training for module in net.modules()] == before
    assert np.array_equal(Predictor(net)(scene).labels, first)  # no dropout, no batch statistics


def test_one_predictor_serves_many_threads_whatever_the_mode_of_the_network(net, scene):
    """Different subsets at once; the network was left in training mode by its owner."""
    from tests.exchange.test_threads import together

    predictor = Predictor(net)
    arrays = {name: m.read(scene[name]) for name, m in MODALITIES.items()}
    given = [{"rgb": arrays["rgb"]}, {"depth": arrays["depth"]}, arrays]
    expected = [predictor(inputs, probabilities=True) for inputs in given]

    def work(number):
        for call in range(6):
            which = (call + number) % 3
            found = predictor(given[which], probabilities=True)
            assert np.array_equal(found.probabilities, expected[which].probabilities)

    net.train()
    together(work)
    assert all(module.training for module in net.modules())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_told(net):
    with pytest.raises(ConfigError, match=r"device cuda: .*without device="):
        Predictor(net, device="cuda")
