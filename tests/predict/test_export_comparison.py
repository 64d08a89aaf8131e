"""When an export is the network, and what its labels are worth."""

import numpy as np
import pytest
import torch
from tests.predict.local import local_network

from cen.predict.export_comparison import Sample, apart, compare, is_rounding, miou, rounding
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


def test_miou_is_that_of_the_labels():
    net = local_network(4)
    graph = ExportGraph(net, net, ["rgb"]).eval()
    truth = torch.zeros(1, 64, 64, dtype=torch.int64)
    truth[:, :32] = 1
    sample = Sample({"rgb": torch.randn(1, 3, 64, 64)}, labels={"out": truth})
    perfect = miou(lambda _: {"out": truth.numpy()}, graph, [sample], False)
    assert perfect == {"out": 100}
    half = miou(lambda _: {"out": 0 * truth.numpy()}, graph, [sample], False)
    assert half["out"] == pytest.approx(25)
