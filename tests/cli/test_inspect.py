"""``cen inspect``: every layer, and what a picture costs."""

from pathlib import Path

import pytest
from tests.cli.printed import json_of

from cen import cli
from cen.models import load


def test_inspect_prints_every_layer(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = json_of(["inspect", str(run)], capsys)
    layers = figures["layers"]
    assert isinstance(layers, list)
    assert {layer["stream"] for layer in layers} == {"rgb", "depth"}
    assert set(figures["alpha"]) == {"segmentation"}  # type: ignore[call-overload]
    assert cli.main(["inspect", str(run / "last.safetensors"), "--all"]) == 0
    printed = capsys.readouterr().out
    assert all(layer["name"] in printed for layer in layers)
    assert "α of segmentation" in printed


def test_inspect_counts_what_a_picture_costs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = json_of(["inspect", str(run), "--cost", "64", "96"], capsys)
    twice = json_of(["inspect", str(run), "--cost", "64", "192"], capsys)
    cost, more = figures["cost"], twice["cost"]
    assert isinstance(cost, dict)
    assert isinstance(more, dict)
    net = load(run)
    assert cost["parameters"] == more["parameters"] == sum(p.numel() for p in net.parameters())
    assert more["multiply_adds"] == 2 * cost["multiply_adds"]
    assert cost["size"] == [64, 96]
    assert 0 < cost["folded"] <= cost["multiply_adds"]
    assert cli.main(["inspect", str(run), "--cost", "64", "96"]) == 0
    assert "multiply-adds for 64 × 96 pixels" in capsys.readouterr().out
    assert cli.main(["inspect", str(run), "--cost", "8", "96"]) == 2
