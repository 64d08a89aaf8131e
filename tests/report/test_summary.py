"""Evaluations and inspections as plain rows."""

import json

import pytest

from cen.report.summary import evaluation_dict, inspection_dict


def test_plain_evaluation_has_a_row_per_subset_and_prediction(evaluation):
    plain = json.loads(json.dumps(evaluation_dict(evaluation), allow_nan=False))
    assert plain["split"] == "test"
    keys = [(row["inputs"], row["prediction"]) for row in plain["rows"]]
    assert keys == [
        (["rgb", "depth"], "rgb"), (["rgb", "depth"], "depth"), (["rgb", "depth"], "ensemble"),
        (["rgb"], "rgb"), (["rgb"], "ensemble"), (["depth"], "depth"), (["depth"], "ensemble"),
    ]  # fmt: skip
    full = evaluation["scores"]["rgb+depth"]["segmentation"]
    assert plain["rows"][2]["mean_iou"] == full["ensemble"]["mean_iou"]
    assert "iou" not in plain["rows"][2]
    wall = plain["classes"]["segmentation"][0]
    assert wall["class"] == "wall"
    assert wall["iou"]["depth"] == full["streams"]["depth"]["iou"][0]
    assert sum(entry["pixels"] for entry in plain["classes"]["segmentation"]) == pytest.approx(1)


def test_plain_inspection_leaves_out_the_masks(inspection):
    plain = inspection_dict(inspection)
    assert len(plain["layers"]) == 16
    assert "mask" not in plain["layers"][0]
    assert plain["alpha"] == {"segmentation": {"rgb": 0.6, "depth": 0.4}}
