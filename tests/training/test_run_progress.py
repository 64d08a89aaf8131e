"""A bar that keeps to one line of the terminal, and lines where there is none."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.cells import cell_len
from tests.training.toy import TASKS, UNET, Scenes, several_config

from cen.options.network_options import OutputConfig
from cen.training import train_network
from cen.training.setup import build_network

LONG = {
    "segmentation": "segmentation_of_everything_that_the_camera_saw",
    "distance": "distance_of_everything_that_the_camera_saw",
}


class Renamed(Scenes):
    """`Scenes` whose ground truth has long names."""

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        return {LONG.get(name, name): value for name, value in super().__getitem__(key).items()}


def train_a_little(folder: Path, steps: int = 5, resume: bool = False) -> None:
    config = several_config(tuple(LONG), UNET, steps=steps)
    config.model.outputs = {LONG[name]: OutputConfig(TASKS[name].kind) for name in LONG}
    torch.manual_seed(0)
    net = build_network(config, {LONG[name]: TASKS[name] for name in LONG})
    train_network(config, folder, net, Renamed(8), Renamed(4, seed=1), resume=resume)


# The speed on the line takes a digit more on a fast machine.
@pytest.mark.parametrize("width", [80, 220])
def test_one_line_with_the_figures_that_fit(
    width: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal, where the line is drawn again
    train_a_little(tmp_path / "run")
    text = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", capsys.readouterr().out)
    lines = [line for line in re.split(r"[\r\n]", text) if line.strip()]
    assert max(map(cell_len, lines)) <= width
    training = [line for line in lines if line.startswith("Training")]
    # Whatever stands there stands whole: no line goes on in the next, and no figure is cut.
    assert len(training) == len([line for line in lines if "Validation" not in line])
    assert "…" not in "".join(lines)
    figures = r"loss: \d+\.\d{3} score: \d\.\d{3} exchange: \d\.\d{3}"
    assert re.search(figures, training[-1])
    shown = [name for name in LONG.values() if re.search(rf"α {name}: \d\.\d\d", training[-1])]
    assert shown == ([] if width == 80 else list(LONG.values()))


def test_a_run_that_is_resumed_counts_its_steps_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FORCE_COLOR", "1")
    train_a_little(tmp_path / "run", steps=4)
    capsys.readouterr()
    train_a_little(tmp_path / "run", steps=6, resume=True)
    text = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", capsys.readouterr().out)
    counts = re.findall(r"Training[^\r\n]*? (\d+)/(\d+) ", text)
    assert counts[-1] == ("6", "6")
    assert {total for _, total in counts} == {"6"}


def test_where_nothing_can_be_drawn_again_there_are_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cen.training.run_progress._LINES", 2)
    train_a_little(tmp_path / "run", steps=5)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines] == [f"step {k} of 5" for k in (2, 4, 5)]
    figures = r"loss \d+\.\d{3}(, score \d\.\d{3})?, exchange \d\.\d{3}"
    assert re.fullmatch(rf"step 2 of 5, {figures}, \d+ s left", lines[0])
    assert re.fullmatch(rf"step 5 of 5, {figures}", lines[2])


def test_a_file_says_where_a_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_a_little(tmp_path / "run", steps=4)
    assert "goes on" not in capsys.readouterr().out
    train_a_little(tmp_path / "run", steps=6, resume=True)
    assert capsys.readouterr().out.startswith("goes on after step 4 of 6\nstep ")


def test_the_loss_that_is_shown_is_that_of_the_outputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_a_little(tmp_path / "run", steps=4)
    shown = re.findall(r"step 4 of 4, loss (\d+\.\d+)", capsys.readouterr().out)
    row = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open(newline="")))
    whole, penalty = (
        float([r[f"train/{name}"] for r in row if r[f"train/{name}"]][-1])
        for name in ("loss", "penalty")
    )
    assert penalty > 1e-3
    assert shown == [f"{whole - penalty:.3f}"]
