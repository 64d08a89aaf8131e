"""Listing and copying the shipped configurations, and what they say."""

import json
import re
from pathlib import Path

import pytest

from cen import cli
from cen.cli import sources
from cen.config import Config

NAMES = tuple(sources.shipped())


def test_ls_prints_names_and_summaries(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["configs", "ls"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in NAMES)
    assert {"nyudv2-refinenet101", "rooms-demo", "folder-example"} <= set(NAMES)
    assert cli.main(["configs", "ls", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["configs"]
    assert tuple(listed) == NAMES
    assert all(summary in out for summary in listed.values())


def test_cp_gives_the_file_and_never_overwrites_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["configs", "cp", "rooms-small"]) == 0
    mine = tmp_path / "rooms-small.yaml"
    assert mine.read_text("utf-8") == sources.shipped_one("rooms-small").read_text("utf-8")
    mine.write_text("seed: 3\n")
    assert cli.main(["configs", "cp", "rooms-small", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert mine.read_text() == "seed: 3\n"
    assert cli.main(["configs", "cp", "rooms-small", str(mine), "--force"]) == 0
    assert mine.read_text("utf-8").startswith("# A tiny network")
    assert cli.main(["configs", "cp", "rooms-small", str(tmp_path / "no" / "x.yaml")]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_header_says_what_a_configuration_is(name: str) -> None:
    text = sources.shipped_one(name).read_text("utf-8")
    header = text[: text.index("\n\n")]
    assert all(line.startswith("#") for line in header.splitlines())
    for word in ("Command:", "Reproduces:", "Result:", "Cost:"):
        assert f"# {word}" in header
    assert f"cen train {name}" in header or "cen study" in header


@pytest.mark.parametrize("name", NAMES)
def test_shipped_file_equals_what_it_loads_to(name: str) -> None:
    config = sources.load_config(name, {})
    assert Config.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(("name", "epochs"), [("101", 100), ("152", 150)])
def test_released_recipe(name: str, epochs: int) -> None:
    """The numbers of the released code, as the specification of this project gives them."""
    config = sources.load_config(f"nyudv2-refinenet{name}", {})
    train, model, transforms = config.train, config.model, config.data.transforms
    images = 795 - round(795 * config.data.validation)
    steps = epochs * (images // train.batch_size)
    assert [(s.steps, s.encoder_lr, s.decoder_lr) for s in train.stages] == [
        (steps, 5e-4, 3e-3),
        (steps, 2.5e-4, 1.5e-3),
        (steps, 1e-4, 7e-4),
    ]
    assert (train.optimizer, train.momentum, train.weight_decay) == ("sgd", 0.9, 1e-5)
    assert (train.batch_size, train.freeze_statistics, train.norm_decay) == (6, True, True)
    assert train.sparsity == pytest.approx(3 * 2e-4)
    assert (model.scope, model.threshold, model.weights) == ("any", 2e-2, "imagenet")
    assert (model.encoder, model.dropout) == (f"resnet{name}", 0.5)
    # Left to the network: with one output none, as released.
    assert (model.decoder_norm, model.decoder_exchange) == (None, None)
    assert (transforms.shorter_side, transforms.scale) == (350, (0.5, 2.0))
    assert (transforms.crop, transforms.flip) == ((500, 500), True)
    depth = config.data.modalities["depth"]
    assert depth.unit is not None
    assert depth.scale is not None
    assert depth.unit * depth.scale == pytest.approx(1 / 5000)
    assert (depth.mean, depth.std) == ([0.0], [1.0])
    text = sources.shipped_one(f"nyudv2-refinenet{name}").read_text("utf-8")
    assert re.search(rf"{images}\n?#? +images has {steps // epochs} steps", text)
