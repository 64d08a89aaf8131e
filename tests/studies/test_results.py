"""What finished runs gave."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.studies.made_runs import SCORES, filled
from tests.studies.small_studies import GOOD, load

from cen.cli import sources
from cen.models import build, save
from cen.studies.grid import Choice, expand
from cen.studies.results import Record, by_place, collect, csv_text
from cen.studies.run_store import Store
from cen.studies.spec import Study


def test_damaged_runs_are_left_out_with_a_warning(tmp_path: Path) -> None:
    store = Store(tmp_path / "studies", {})
    (run,) = expand(
        load(tmp_path, GOOD), Choice(only=["cen"], seeds=1), {"a": tmp_path}, sources.load_config,
        may_miss=["a"],
    )  # fmt: skip
    folder = store.folder(run)
    folder.mkdir(parents=True)
    run.config.save(folder / "config.yaml")
    (folder / "run.json").write_text("[")
    with pytest.warns(UserWarning, match="cen · 1× · seed 0 is left out: .*not valid JSON"):
        assert collect(store, [run]) == []


def test_csv_keeps_every_figure(records: list[Record]) -> None:
    lines = list(csv.DictReader(io.StringIO(csv_text(records))))
    assert len(lines) == len(records) == 11
    assert {line["row"] for line in lines} == {"cen", "rgb", "theta=0.01", "theta=0.5"}
    for line, record in zip(lines, records, strict=True):
        inputs = "+".join(record.run.config.model.inputs)
        score = SCORES[line["row"], float(line["budget"])][int(line["seed"])]
        assert float(line[f"segmentation/{inputs}/ensemble/mean_iou"]) == score
        assert (line["seconds"], line["threads"], line["macs"]) == ("30.0", "2", "")


def test_what_a_run_has_seen_ends_where_patience_ended_it(study: Study, tmp_path: Path) -> None:
    """And pieces of a step (train.accumulate) are samples, too."""
    study = replace(study, set={**study.set, "train.accumulate": 3, "train.patience": 2})
    store, runs = filled(study, tmp_path)
    run, folder = runs[0], store.folder(runs[0])
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, "step": 40}))
    facts = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**facts, "costs": {"macs": 1000}}))
    found = {record.run.hash: record.facts for record in collect(store, runs)}
    samples = 40 * 3 * run.config.train.batch_size
    assert [found[run.hash][key] for key in ("steps", "samples_seen", "compute")] == [
        40, samples, 1000 * samples
    ]  # fmt: skip
    assert found[runs[1].hash]["steps"] == runs[1].config.train.max_steps


@pytest.mark.parametrize(
    ("changes", "passes"), [({"train.robust": True}, 1.5), ({"train.modality_dropout": 0.4}, 0.8)]
)
def test_steps_with_and_without_modalities_are_counted_as_such(
    study: Study, tmp_path: Path, changes: dict[str, Any], passes: float
) -> None:
    """A robust step makes a second pass, with half of the modalities in the mean."""
    study = replace(study, set={**study.set, **changes})
    store, runs = filled(study, tmp_path)
    for run in runs:
        note = store.folder(run) / "study.json"
        note.write_text(json.dumps({**json.loads(note.read_text()), "costs": {"macs": 1000}}))
    for record in collect(store, runs):
        many = len(record.run.config.model.inputs) > 1
        expected = 1000 * record.facts["samples_seen"] * (passes if many else 1)
        assert record.facts["compute"] == round(expected)


def test_a_column_of_inputs_that_a_run_lacks_is_empty(study: Study, records: list[Record]) -> None:
    rgb = next(record for record in records if record.run.row.name == "rgb")
    assert rgb.value(study.column("depth:ensemble")) is None
    assert rgb.value(study.column("rgb:ensemble")) == rgb.value(study.column("ensemble"))
    cen = records[0]
    assert cen.value(study.column("depth+rgb:ensemble")) == cen.value(study.column("ensemble"))


def test_places_stand_in_the_order_of_the_study_with_rising_budgets(records: list[Record]) -> None:
    def elsewhere(record: Record, data: str, budget: float) -> Record:
        return replace(record, run=replace(record.run, data=data, budget=budget))

    first = records[0]
    places = [("walls", 2.0), ("walls", 0.5), ("floors", 1.0), ("walls", 2.0)]
    found = by_place([elsewhere(first, *place) for place in places])
    assert [(data, budget, len(here)) for data, budget, here in found] == [
        ("walls", 0.5, 1), ("walls", 2.0, 2), ("floors", 1.0, 1)
    ]  # fmt: skip


def test_weights_with_figures_of_somebody_else_are_left_out_with_a_warning(
    study: Study, tmp_path: Path
) -> None:
    """``cen.save`` takes any metadata; a study goes on without the run."""
    store, runs = filled(study, tmp_path)
    net = build("fpn", encoder="resnet18", inputs={"rgb": 3}, outputs={"a": 2}, width=4)
    save(net, store.folder(runs[0]) / "best.safetensors", metadata={"metrics": {"miou": 0.5}})
    with pytest.warns(UserWarning, match="left out: .*metadata.metrics.miou is 0.5; expected"):
        found = collect(store, runs)
    assert len(found) == len(runs) - 1
