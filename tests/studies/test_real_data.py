"""The shipped studies of real data, on Rooms written in the form of these data."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from cen import cli
from cen.studies.spec import Study, shipped

DENSE = [
    "--data.classes=null",  # those that Rooms has
    "--data.transforms.shorter_side=32",
    "--data.transforms.crop=[32, 32]",
    "--model.encoder=resnet18",
    "--model.width=4",
    "--model.decoder_channels=8",
    "--model.weights=null",
    "--train.freeze_statistics=false",  # those of random weights
    *(f"--train.stages.{stage}.steps={int(stage == 0) + 1}" for stage in range(3)),
    "--train.steps=1",
]
IMAGES = [
    "--data.transforms.resize=[32, 32]",
    "--data.transforms.crop=[32, 32]",
    "--model.encoder=unet5",
    "--model.width=4",
    "--model.discriminator_width=4",
    "--train.steps=1",
]
# Layout, and what makes it small enough for a test.
STUDIES: dict[str, tuple[str, list[str]]] = {
    "fusion-nyudv2": ("nyudv2", DENSE),
    "fusion-sunrgbd": ("sunrgbd", DENSE),
    "translation-taskonomy": ("taskonomy", IMAGES),
}
# Studies of photographs, and the rows that only one way to start has.
PHOTOGRAPHS = {"crack": 1, "cwfid": 0}
CEN = ["--only", "cen"]
SAME = ["--data.workers=0", "--train.batch_size=2", "--train.accelerator=cpu"]


def test_every_study_of_real_data_is_tested() -> None:
    real = {name for name, file in shipped().items() if not _made(Study.load(file))}
    assert real == {*STUDIES, *PHOTOGRAPHS}
    nyudv2, sunrgbd = (Study.load(shipped()[f"fusion-{data}"]) for data in ("nyudv2", "sunrgbd"))
    assert nyudv2.rows == sunrgbd.rows


@pytest.mark.parametrize(("name", "once"), PHOTOGRAPHS.items())
def test_studies_of_photographs_plan_each_way_to_start(
    name: str, once: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = said(["study", name, "--out", str(tmp_path), "--dry-run"], capsys)
    study = Study.load(shipped()[name])
    assert len({run["hash"] for run in plan["runs"]}) == 5 * (2 * len(study.rows) - once)
    assert all(f"/data/{name}" in run["command"] for run in plan["runs"])


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_of_real_data_plans_without_them(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it is: full size, and no data at hand."""
    plan = said(["study", name, "--out", str(tmp_path), "--dry-run"], capsys)
    study = Study.load(shipped()[name])
    assert len(plan["runs"]) == len({run["hash"] for run in plan["runs"]}) == 3 * len(study.rows)
    layout = STUDIES[name][0]
    assert all(f"/data/{layout}" in run["command"] for run in plan["runs"])
    steps = f"{plan['steps']:,} steps"
    header = shipped()[name].read_text("utf-8").partition("title:")[0]
    assert f"# Cost:     {len(plan['runs'])} runs, {steps}." in header
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text("utf-8")
    line = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
    assert line.endswith(f"| {len(plan['runs'])} | {plan['steps']:,} |")


@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize(
    ("name", "only"),
    [
        ("fusion-nyudv2", CEN),
        ("translation-taskonomy", CEN),
        # All rows; those of SUN RGB-D are those of NYUDv2.
        pytest.param("fusion-nyudv2", [], marks=pytest.mark.slow),
        pytest.param("translation-taskonomy", [], marks=pytest.mark.slow),
        pytest.param("fusion-sunrgbd", CEN, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_rows_of_a_study_of_real_data_learn(
    name: str, only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands that the study itself would give to processes, in this one; a step each."""
    layout, small = STUDIES[name]
    root = tmp_path / "data"
    words = ["data", "rooms", str(root), "--layout", layout, "--size", "48", "64"]
    assert cli.main([*words, "--train", "8", "--test", "3"]) == 0
    words = ["study", name, "--data.root", str(root), "--out", str(tmp_path / "out"), *small, *SAME]
    study = Study.load(shipped()[name])
    plan = said([*words, *only, "--seeds", "1", "--dry-run"], capsys)
    assert len(plan["runs"]) == plan["steps"] == (1 if only else len(study.rows))
    for run in plan["runs"]:
        assert cli.main(shlex.split(run["command"])[1:]) == 0
    plan = said([*words, "--only", "cen", "--seeds", "1", "--dry-run"], capsys)
    assert [run["state"] for run in plan["runs"]] == ["trained"]
    assert cli.main(shlex.split(plan["runs"][0]["command"])[1:]) == 0
    found = said([*words, "--table"], capsys)
    table = found["tables"][0]
    cells = dict(zip(table["head"], table["rows"][0], strict=True))
    assert (cells["row"], cells["seeds"]) == ("CEN", "1")
    columns = [study.column(text) for text in study.columns]
    # The Fréchet distance needs weights that may not be installed.
    heads = [c.head for c in columns if c.score and not c.score.startswith("frechet")]
    assert "–" not in [cells[head] for head in heads]
    text = Path(found["files"]["tables"]).read_text("utf-8")
    assert all(entry.label in text and entry.source in text for entry in study.published)


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What a command prints with --json."""
    capsys.readouterr()
    assert cli.main([*words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def _made(study: Study) -> bool:
    return bool(study.data) and all(variant.make for variant in study.data.values())
