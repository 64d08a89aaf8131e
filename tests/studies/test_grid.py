"""Grids of runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.studies.small_studies import study_of

from cen.cli import sources
from cen.errors import ConfigError
from cen.studies.datasets import choose_data
from cen.studies.grid import Choice, Run, everything, expand, in_grid, word
from cen.studies.spec import DataVariant, RowSpec, Study, Sweep


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return described(tmp_path / "parts", {"labels": "parts"})


def described(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "dataset.yaml").write_text(yaml.safe_dump(content))
    return folder


def runs_of(study: Study, root: Path, choice: Choice | None = None) -> list[Run]:
    names = study.data or {"parts": DataVariant()}
    return expand(study, choice or Choice(), dict.fromkeys(names, root), sources.load_config)


def test_a_grid_is_the_product_with_the_first_seed_of_all_rows_first(root: Path) -> None:
    study = study_of(budgets=[2.0, 1.0], data={"a": DataVariant(), "b": DataVariant()})
    runs = runs_of(study, root)
    cells = [(r.seed, r.budget, r.row.name, r.data) for r in runs]
    assert cells[:4] == [(0, 1, "cen", "a"), (0, 1, "cen", "b"), (0, 1, "plain", "a"),
                         (0, 1, "plain", "b")]  # fmt: skip
    assert len(set(cells)) == len(cells) == 2 * 2 * 2 * 2
    assert [r.config.train.steps for r in runs if r.row.name == "cen"][:4] == [150, 150, 300, 300]
    assert runs[0].config.seed == 0
    assert runs[-1].config.seed == 1
    assert runs[0].config.data.root == str(root)


def test_rows_take_over_override_and_limit(root: Path) -> None:
    rows = {
        "cen": RowSpec(set={"model.inputs": {"rgb": 3, "depth": 1}, "train.sparsity": 0.5}),
        "rgb": RowSpec(like="cen", set={"model.inputs": {"rgb": 3}}, seeds=1, factor=2),
        "late": RowSpec(like="rgb", set={"train.sparsity": 0.25}, budgets=[3], data=["b"]),
    }
    study = study_of(rows=rows, data={"a": DataVariant(), "b": DataVariant()}, seeds=1)
    found = {(r.row.name, r.data): r for r in runs_of(study, root)}
    assert set(found) == {("cen", "a"), ("cen", "b"), ("rgb", "a"), ("rgb", "b"), ("late", "b")}
    rgb, late = found["rgb", "a"].config, found["late", "b"].config
    assert (rgb.model.inputs, rgb.train.sparsity, rgb.train.steps) == ({"rgb": 3}, 0.5, 300)
    # What a row takes over from another are its keys, not its seeds, budgets and factor.
    assert (late.model.inputs, late.train.sparsity, late.train.steps) == ({"rgb": 3}, 0.25, 450)


def test_a_row_says_which_of_its_keys_a_call_has_overruled(root: Path) -> None:
    choice = Choice({"model.exchange": "true", "train.sparsity": "0.5"})
    labels = {r.row.name: r.row.label for r in runs_of(study_of(), root, choice)}
    assert labels == {"cen": "cen", "plain": "plain (here model.exchange: true)"}
    same = Choice({"model.exchange": "false"})
    assert {r.row.label for r in runs_of(study_of(), root, same)} == {"cen", "plain"}


def test_sweeps_become_rows(root: Path) -> None:
    sweep = Sweep(key="model.threshold", values=[0.01, 0.5], like="plain", label="θ")
    study = study_of(sweeps={"theta": sweep}, seeds=1)
    runs = {r.row.name: r for r in runs_of(study, root)}
    assert list(runs) == ["cen", "plain", "theta=0.01", "theta=0.5"]
    assert runs["theta=0.5"].config.model.threshold == 0.5
    assert runs["theta=0.5"].config.model.exchange is False
    assert runs["theta=0.5"].row.label == "θ = 0.5"
    assert runs["theta=0.5"].row.sweep == ("theta", 0.5)


def test_a_budget_that_is_named_twice_is_one(root: Path) -> None:
    runs = runs_of(study_of(budgets=[2.0, 1.0, 2.0], seeds=1), root)
    assert [(run.budget, run.row.name) for run in runs] == [
        (1.0, "cen"), (1.0, "plain"), (2.0, "cen"), (2.0, "plain")
    ]  # fmt: skip


def test_a_sweep_may_be_over_whole_numbers(root: Path) -> None:
    sweeps = {
        "batch": Sweep("train.batch_size", [2.0, 4.0]),
        "rate": Sweep("train.momentum", [0.0, 0.5]),
    }
    runs = runs_of(study_of(rows={}, sweeps=sweeps, seeds=1), root)
    assert [(r.config.train.batch_size, r.config.train.momentum) for r in runs] == [
        (2, 0.9), (4, 0.9), (runs[2].config.train.batch_size, 0.0),
        (runs[2].config.train.batch_size, 0.5),
    ]  # fmt: skip


def test_the_command_line_chooses_and_overrides(root: Path) -> None:
    choice = Choice({"train.steps": "40", "train.batch_size": "2"}, ["cen"], [0.5], seeds=3)
    runs = runs_of(study_of(budgets=[1.0, 4.0]), root, choice)
    assert [(r.row.name, r.seed, r.config.train.steps) for r in runs] == [
        ("cen", seed, 20) for seed in range(3)
    ]
    assert runs[0].overrides["train.batch_size"] == "2"
    with pytest.raises(ConfigError, match="--only cem: is no row of the study; did you mean cen"):
        runs_of(study_of(), root, Choice(only=["cem"]))


def test_a_budget_lengthens_every_stage(root: Path, tmp_path: Path) -> None:
    base = tmp_path / "staged.yaml"
    base.write_text("train: {schedule: staged, stages: [{steps: 10}, {steps: 4}]}\n")
    runs = runs_of(study_of(config=str(base), budgets=[1.5]), root)
    assert [stage.steps for stage in runs[0].config.train.stages] == [15, 6]
    assert runs[0].config.train.max_steps == 21


def test_a_wrong_key_names_the_row(root: Path) -> None:
    study = study_of(rows={"odd": RowSpec(set={"model.treshold": 1})})
    with pytest.raises(ConfigError, match=r"row odd: .*did you mean threshold"):
        runs_of(study, root)


def test_words_give_the_configuration_back(root: Path) -> None:
    """What the command line of a run says resolves to the very configuration of the grid."""
    rows = {
        "odd": RowSpec(
            set={
                "model.inputs": {"rgb": 3, "thermal": 1},
                "model.width": None,
                "model.exchange": False,
                "train.encoder_lr": 1e-7,
                "model.encoder": "resnet34",
                "data.transforms.crop": [64, 96],
            }
        )
    }
    run = runs_of(study_of(rows=rows), root)[0]
    again = sources.load_config(run.base, run.overrides)
    assert again == run.config
    assert again.model.width is None
    assert again.train.encoder_lr == 1e-7


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (None, "null"), ({"rgb": 3}, "{rgb: 3}"), ([1, 2], "[1, 2]"), ("own", "own")],
)
def test_words(value: Any, text: str) -> None:
    assert word(value) == text
    if not isinstance(value, str):
        assert yaml.safe_load(text) == value


def test_data_given_on_the_command_line_are_for_all_rows(root: Path) -> None:
    rows = {"cen": RowSpec(data=["a"]), "plain": RowSpec()}
    study = study_of(rows=rows, data={"a": DataVariant(), "b": DataVariant()}, seeds=1)
    assert [(r.row.name, r.data) for r in runs_of(study, root)] == [
        ("cen", "a"), ("plain", "a"), ("plain", "b")
    ]  # fmt: skip
    other = choose_data(study, [f"folder:{root}"], None)
    runs = expand(other, Choice(), {"parts": root}, sources.load_config)
    assert [(r.row.name, r.data) for r in runs] == [("cen", "parts"), ("plain", "parts")]


def test_everything_holds_what_any_call_asked_for(root: Path) -> None:
    rows = {"cen": RowSpec(budgets=[2.0], seeds=4), "plain": RowSpec()}
    study = study_of(rows=rows, seeds=2)
    choice = Choice({"train.batch_size": "2"}, ["cen"], [3.0])
    earlier = {"budgets": [5.0], "seeds": 6}
    runs = everything(study, choice, {"parts": root}, sources.load_config, earlier)
    assert {run.budget for run in runs} == {1.0, 2.0, 3.0, 5.0}
    assert len(runs) == 2 * 4 * 6
    assert {run.config.train.batch_size for run in runs} == {2}
    own = {(run.row.name, run.budget, run.seed) for run in runs if in_grid(study, run)}
    assert own == {("cen", 2.0, s) for s in range(4)} | {("plain", 1.0, s) for s in range(2)}
