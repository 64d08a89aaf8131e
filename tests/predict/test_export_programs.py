"""What torch raises becomes one line."""

import pytest
import torch
from tests.predict.local import local_network
from torch import nn

from cen.errors import CenError
from cen.predict.export_graph import ExportGraph
from cen.predict.export_programs import as_onnx, reason, traced


class Deciding(nn.Module):
    """Goes by the values of what it is given, which no export can follow."""

    def forward(self, inputs, size):
        if inputs["rgb"].sum() > 0:
            return inputs
        return {}


def test_what_torch_export_cannot_follow_is_one_line():
    graph = ExportGraph(Deciding(), local_network(4), ["rgb"])
    with pytest.raises(CenError, match=r"torch\.export cannot follow this network: \S.*") as told:
        traced(graph, (torch.randn(2, 3, 64, 96),))
    assert "\n" not in str(told.value)


def test_what_the_exporter_to_onnx_raises_is_one_line(monkeypatch):
    pytest.importorskip("onnxscript")

    def failing(*args, **kwargs):
        try:
            raise ValueError("no operator aten::strange\nmore of it")
        except ValueError as error:
            raise RuntimeError("Failed to convert: step 3 of 3\n") from error

    monkeypatch.setattr(torch.onnx, "export", failing)
    net = local_network(4)
    with pytest.raises(CenError, match=r"--format pt2 may: no operator aten::strange$"):
        as_onnx(None, ExportGraph(net, net, ["rgb"]), "")


def test_the_reason_of_an_error_without_words_is_its_type():
    assert reason(KeyError()) == "KeyError"
