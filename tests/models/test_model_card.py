import json
import re
from pathlib import Path

import pytest
import yaml

import cen
from cen.errors import CenError, CenWarning
from cen.models import Task, save
from cen.models.model_card import model_card

SCORES = {"mean_iou": 0.5, "pixel_accuracy": 0.75}


def scored(ensemble: float, **streams: float) -> dict:
    return {
        "segmentation": {
            "ensemble": {**SCORES, "mean_iou": ensemble},
            "streams": {name: {**SCORES, "mean_iou": value} for name, value in streams.items()},
        }
    }


@pytest.fixture
def run(make_net, tmp_path: Path) -> Path:
    """A run folder as training and evaluation leave it, as far as a card reads it."""
    folder = tmp_path / "demo"
    net = make_net(outputs={"segmentation": Task("segmentation", 2, ("wall", "a|b"))})
    about = {
        "step": 1200,
        "modality_dropout": 0.25,
        "metrics": {"segmentation": {"ensemble": {**SCORES, "mean_iou": 0.625}}},
        "preprocessing": {"rgb": {"kind": "image"}, "depth": {"kind": "depth", "unit": 0.001}},
    }
    save(net, folder / "best.safetensors", metadata=about)
    save(net, folder / "last.safetensors", metadata={**about, "step": 2000})
    config = {
        "data": {"root": "/home/somebody/secret/rooms", "layout": "folder"},
        "model": {"weights": "/home/somebody/w.pth", "width": 4},
        "train": {"steps": 2000},
        "seed": 3,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = ["cen", "train", "/home/somebody/x.yaml"]
    (folder / "run.json").write_text(json.dumps({"finished": "2026-01-02", "command": command}))
    evaluation = {
        "split": "test", "samples": 20, "step": 1200,
        "scores": {
            "rgb+depth": scored(0.625, rgb=0.5, depth=0.25),
            "rgb": scored(0.4375, rgb=0.4375),
            "depth": scored(0.125, depth=0.125),
        },
    }  # fmt: skip
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


def parts_of(card: str) -> tuple[dict, str]:
    _, head, body = card.split("---\n", 2)
    return yaml.safe_load(head), body


def test_a_card_tells_scores_of_every_subset_and_how_the_network_was_chosen(run):
    head, body = parts_of(model_card(cen.load(run), "someone/rooms", run, "mit"))
    assert (head["library_name"], head["license"], head["pipeline_tag"]) == (
        "cen", "mit", "image-segmentation",
    )  # fmt: skip
    (result,) = head["model-index"][0]["results"]
    assert result["dataset"] == {"name": "rooms", "type": "folder", "split": "test"}
    assert result["metrics"] == [{"type": "mean_iou", "name": "segmentation mIoU", "value": 0.625}]
    for line in (
        "| rgb+depth | 62.5 | 50.0 | 25.0 |",
        "| rgb | 43.8 | 43.8 | – |",
        "| depth | 12.5 | – | 12.5 |",
        "| depth | 1 | depth | 0.001 m per stored value |",
        "| segmentation | segmentation | 2 | wall, a\\|b |",
        "after step 1,200, with segmentation mIoU 62.5 % on the validation split: the best of its",
        "25% of the training steps were, also or only, without some of them",
        'cen.Predictor("hf://someone/rooms")',
        "steps: 2000",
    ):
        assert line in body


def test_a_card_names_no_folders_of_the_machine(run):
    assert "somebody" not in model_card(cen.load(run), "someone/rooms", run)


def test_scores_of_other_weights_are_not_those_of_these(run):
    with pytest.warns(CenWarning, match=r"of step 1200, the network of step 2000.*cen evaluate"):
        head, body = parts_of(model_card(cen.load(run / "last.safetensors"), "a/b", run))
    assert "model-index" not in head
    assert "Not evaluated." in body
    assert "was not chosen" in body


def test_scores_that_chose_the_network_are_said_to_be_optimistic(run):
    file = run / "evaluation.json"
    file.write_text(file.read_text().replace('"test"', '"validation"'))
    assert "they are optimistic" in model_card(cen.load(run), "a/b", run)


def test_a_network_without_a_run_has_a_card_of_what_it_knows_itself(make_net):
    head, body = parts_of(model_card(make_net(outputs={"far": Task("depth", 1)}), "mine"))
    assert head["pipeline_tag"] == "depth-estimation"
    assert re.findall("## (.*)", body) == [
        "Use", "Intended use and limits", "Inputs", "Outputs", "Scores",
    ]  # fmt: skip
    assert "hf://owner/mine" in body


def test_a_damaged_file_of_the_run_is_told(run):
    (run / "evaluation.json").write_text('{"scores": [1]}')
    with pytest.raises(CenError, match=r"evaluation\.json.scores is a list"):
        model_card(cen.load(run), "a/b", run)
