"""``cen bench``: what is asked, printed and drawn; the measurements have tests of their own."""

from pathlib import Path

import pytest
from tests.bench.tiny import small_matmul
from tests.cli.printed import json_of

from cen import cli
from cen.bench.bench_exchange import Ratio


def test_bench_prints_paired_ratios(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The measurement itself has its own tests; this is what the command asks and prints."""
    asked: dict[str, object] = {}

    def measured(**arguments: object) -> list[Ratio]:
        asked.update(arguments)
        return [Ratio("exchange / no exchange", "training", True, 1.01, 1.0, 1.02, 5, 0.25)]

    monkeypatch.setattr("cen.bench.bench_exchange.bench_exchange", measured)
    words = ["bench", "exchange", "--rounds", "7", "--size", "64", "96", "--compile"]
    figures = json_of(words, capsys)
    assert figures["ratios"] == [measured()[0].to_dict()]
    assert (asked["rounds"], asked["size"], asked["compiled"]) == (7, (64, 96), True)
    assert cli.main(words) == 0
    assert "1.0100" in capsys.readouterr().out


BENCH_MODEL = [
    *("bench", "model", "--model.name", "fpn", "--model.encoder", "resnet18", "--model.width", "4"),
    *("--model.decoder_channels", "8", "--batch", "1", "--rounds", "6", "--no-memory"),
    *("--mode", "evaluation", "--rate", "1"),
]


FORMS = ["list", "packed", "folded"]


def test_bench_model_prints_and_draws_every_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_matmul(monkeypatch)
    picture = tmp_path / "speed.png"
    assert cli.main([*BENCH_MODEL, "--size", "32", "32", "--picture", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert all(form in shown for form in [*FORMS, "of peak", "multiply-adds per second"])
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_bench_model_gives_every_size(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_matmul(monkeypatch)
    figures = json_of([*BENCH_MODEL, "--size", "32", "32", "64", "32"], capsys)
    assert [(m["form"], m["size"]) for m in figures["measured"]] == [
        (form, size) for size in ([32, 32], [64, 32]) for form in FORMS
    ]
    assert {(m["rate"], m["batch"], m["mode"]) for m in figures["measured"]} == {
        (1.0, 1, "evaluation")
    }
