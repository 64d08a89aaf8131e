"""When an export is the network, and what its labels are worth."""

import numpy as np
import pytest
import torch
from tests.predict.local import local_network

from cen.models import Task
from cen.predict.export_comparison import Sample, apart, compare, headlines, is_rounding, rounding
from cen.predict.export_graph import ExportGraph
from cen.predict.export_programs import in_torch


@pytest.mark.parametrize(
    ("export_is", "network_is", "same"),
    [
        (2.7e-4, 1.0e-4, True),  # the export rounds as PyTorch does, to the other side
        (2.7e-4, 1.0e-6, False),  # PyTorch is exact here: the export is another network
        (3.1e-4, 1.0e-4, False),
        (2e-2, 2e-2, False),  # nothing can be said of a network that is all rounding
        (float("nan"), 1e-4, False),
    ],
)
def test_a_difference_is_rounding_where_pytorch_has_as_much(export_is, network_is, same):
    assert is_rounding(export_is, network_is) == same


def test_both_are_compared_with_the_network_in_float64():
    net = local_network(4)
    graph = ExportGraph(net, net, ["rgb"]).eval()
    torch.manual_seed(0)
    samples = [Sample({"rgb": torch.randn(1, 3, 64, 64)})]
    export_is, network_is = rounding(in_torch(graph, graph), graph, samples, False)
    assert 0 < export_is == network_is < 1e-5
    assert next(net.parameters()).dtype == torch.float32

    def off(inputs):
        return {name: value * 1.001 for name, value in in_torch(graph, graph)(inputs).items()}

    assert rounding(off, graph, samples, False)[0] == pytest.approx(1e-3, rel=0.1)
    found = compare(off, graph, samples, False)
    assert found.difference == pytest.approx(1e-3, rel=0.1)


def test_no_number_is_a_difference():
    assert apart({"a": np.array([np.nan])}, {"a": np.array([1.0])}) == float("inf")


def test_a_segmentation_is_scored_by_its_labels():
    net = local_network(4)
    graph = ExportGraph(net, net, ["rgb"]).eval()
    truth = torch.zeros(1, 64, 64, dtype=torch.int64)
    truth[:, :32] = 1
    sample = Sample({"rgb": torch.randn(1, 3, 64, 64)}, truth={"out": truth})
    perfect = headlines(lambda _: {"out": truth.numpy()}, graph, [sample], False)
    assert perfect == {"out": 100}
    half = headlines(lambda _: {"out": 0 * truth.numpy()}, graph, [sample], False)
    assert half["out"] == pytest.approx(25)


@pytest.mark.parametrize(
    ("task", "worse", "points"),
    [
        (Task("depth", 1), lambda v: 1.1 * v, 90),  # 1 − abs-rel
        (Task("normal", 3), lambda v: v * torch.tensor([-1, 1, 1]).view(3, 1, 1), 0),
        (Task("edge", 1), lambda v: 0 * v, None),
        (Task("image", 2), lambda v: v - 0.5, 75),  # 1 − MAE / 2
    ],
)
def test_other_outputs_are_scored_too(task, worse, points):
    net = local_network(4, task)
    graph = ExportGraph(net, net, ["rgb"]).eval()
    truth = torch.full((1, task.channels, 64, 64), 0.5)
    if task.kind == "normal":
        truth = torch.nn.functional.normalize(torch.tensor([1.0, 0, 1]), dim=0)
        truth = truth.view(1, 3, 1, 1).expand(1, 3, 64, 64).contiguous()
    if task.kind == "edge":
        truth = torch.zeros(1, 1, 64, 64)
        truth[..., 30:32] = 1
    sample = Sample({"rgb": torch.randn(1, 3, 64, 64)}, truth={"out": truth})
    perfect = headlines(lambda _: {"out": truth.numpy()}, graph, [sample], False)
    assert perfect["out"] == pytest.approx(100)
    lost = headlines(lambda _: {"out": worse(truth).numpy()}, graph, [sample], False)
    if points is None:
        assert lost["out"] < 10
    else:
        assert lost["out"] == pytest.approx(points, abs=1e-3)


def test_what_has_no_ground_truth_has_no_score():
    net = local_network(4, Task("depth", 1))
    graph = ExportGraph(net, net, ["rgb"]).eval()
    image = {"rgb": torch.randn(1, 3, 64, 64)}
    assert headlines(in_torch(graph, graph), graph, [Sample(image)], False) == {}
    nowhere = Sample(image, truth={"out": torch.full((1, 1, 64, 64), torch.nan)})
    assert headlines(in_torch(graph, graph), graph, [nowhere], False) == {}
