"""The loss that pulls streams together."""

import copy

import pytest
import torch
from tests.models.predicting import predict

from cen.errors import DataError, ShapeError
from cen.exchange import exchange_layers
from cen.models.baselines import PLACES, discrepancy
from cen.models.baselines.alignment import GRID


def test_discrepancy_measures_a_distance_of_distributions():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(200, 3, generator=generator) for _ in range(2))
    assert discrepancy(a, a).item() == pytest.approx(0, abs=1e-6)
    near, far = discrepancy(a, b), discrepancy(a, b + 1)
    assert 0 <= near < 0.02 < far
    torch.testing.assert_close(far, discrepancy(b + 1, a))
    torch.testing.assert_close(discrepancy(10 * a, 10 * b + 10), far)  # no unit
    assert discrepancy(a, 3 * b) > 0.02  # the same mean, another spread
    compiled = torch.compile(discrepancy, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(a, b), discrepancy(a, b))
    shift = torch.full((3,), 1.0, requires_grad=True)
    discrepancy(a, b + shift).backward()
    assert (shift.grad > 0).all()  # the loss falls where the shift does


@pytest.mark.parametrize(
    ("second", "error", "words"),
    [
        (torch.ones(5, 3).long(), DataError, "int64"),
        (torch.ones(5, 3).numpy(), DataError, "ndarray"),
        (torch.ones(5, 3, device="meta"), DataError, "meta"),
        (torch.ones(5, 2), ShapeError, "none of them empty"),
        (torch.ones(0, 3), ShapeError, "none of them empty"),
        (torch.ones(3), ShapeError, "N, C"),
    ],
)
def test_samples_that_cannot_be_compared(second, error, words):
    with pytest.raises(error, match=words):
        discrepancy(torch.ones(4, 3), second)


@pytest.mark.parametrize("place", PLACES)
def test_alignment_is_a_loss_of_the_last_training_pass(make_net, make_inputs, place):
    net = make_net(fusion="align", fusion_at=place)
    inputs = make_inputs(net, (64, 64))
    net(inputs)
    copy.deepcopy(net)
    loss = net.auxiliary_loss()
    assert loss > 0.001
    loss.backward()
    reached = {name for name, p in net.named_parameters() if p.grad is not None}
    assert ("decoder.levels.0.reduce.conv.weight" in reached) == (place == "late")
    assert ("encoder.layer4.0.conv1.weight" in reached) == (place in ("late", "all"))
    assert net.auxiliary_loss() == 0  # it is handed out once
    net({"rgb": inputs["rgb"]})
    assert net.auxiliary_loss() == 0
    net.eval()
    predict(net, inputs)
    assert net.auxiliary_loss() == 0
    assert not exchange_layers(net)
    assert list(predict(net, inputs)["segmentation"].streams) == ["rgb", "depth"]


@pytest.mark.slow
def test_alignment_compiles_as_one_graph(make_net, make_inputs):
    torch.compiler.reset()
    net = make_net(fusion="align", dropout=0.0)
    inputs = make_inputs(net, (64, 64))
    torch.compile(net, fullgraph=True, backend="eager")(inputs)
    compiled = net.auxiliary_loss()
    net(inputs)
    torch.testing.assert_close(compiled, net.auxiliary_loss())


def test_alignment_vanishes_for_streams_that_agree(make_net, make_inputs):
    net = make_net(fusion="align", inputs={"a": 3, "b": 3, "c": 3})
    image = make_inputs(net, (64, 64))["a"]
    net({"a": image, "b": image, "c": image})
    assert net.auxiliary_loss().item() == pytest.approx(0, abs=1e-5)
    net({"a": image, "b": image, "c": image * 2 + 1})
    assert net.auxiliary_loss() > 0.001
    assert GRID**2 * len(image) == 32  # vectors that are compared
