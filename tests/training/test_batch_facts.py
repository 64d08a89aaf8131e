"""A batch that cannot be right is named by its sample and field; holes are none."""

import re

import pytest
import torch

import cen
from cen.training.batch_facts import BatchFacts


@pytest.fixture(scope="module")
def net():
    outputs = {"segmentation": 3, "depth": cen.models.Task("depth", 1)}
    return cen.build(
        "refinenet", encoder="resnet18", inputs={"rgb": 3, "thermal": 1}, outputs=outputs
    )


def batch():
    return {
        "rgb": torch.rand(2, 3, 4, 4),
        "thermal": torch.rand(2, 1, 4, 4),
        "segmentation": torch.tensor([0, 1, 2, 255]).expand(2, 4, 4).clone(),
        "depth": torch.rand(2, 1, 4, 4),
        "name": ["north/a", "south/b"],
    }


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("thermal", -3.4e38, "3.4e.38"),
        ("thermal", float("nan"), "nan"),
        ("thermal", float("inf"), "inf"),
        ("rgb", 65535.0, "6.55"),
        ("depth", 1e20, r"1e\+20"),
        ("segmentation", 7, "magnitude 7, with 3"),
        ("segmentation", -1, "magnitude 1, with 3"),
    ],
)
def test_sample_field_and_value_are_named(net, field, value, words):
    facts, wrong = BatchFacts(net), batch()
    wrong[field][1, ..., 2, 2] = value
    facts.note(batch())
    facts.note(wrong)
    fault = facts.fault()
    assert fault is not None
    assert fault.startswith(f"sample south/b: {field} holds ")
    assert re.search(words, fault)
    facts.clear()
    assert facts.fault() is None


def test_holes_are_no_fault(net):
    facts, holes = BatchFacts(net), batch()
    holes["depth"][0] = torch.nan
    holes["depth"][1, :, 0] = torch.inf
    holes["segmentation"][0] = 255
    facts.note(holes)
    assert facts.fault() is None
