"""What the folder of a run says of it, and which evaluations count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.studies.made_runs import filled
from tests.studies.small_studies import GOOD, load

from cen.cli import sources
from cen.errors import ConfigError, DataError
from cen.models import build, save
from cen.studies import results
from cen.studies.datasets import roots_of
from cen.studies.grid import Choice, expand
from cen.studies.results import collect, note_figures
from cen.studies.run_store import Store
from cen.studies.spec import RowSpec, Study
from cen.studies.study_files import write_outputs


def test_states_follow_from_the_folder(study: Study, tmp_path: Path) -> None:
    store, runs = filled(study, tmp_path)
    run = runs[0]
    folder = store.folder(run)
    assert store.state(run) == "done"
    assert store.command(run) is None
    assert store.step(run) == 150
    assert Store(store.root, {"flip": True}).state(run) == "trained"
    flipped = Store(store.root, {"flip": True, "scales": [0.75, 1.0]}).command(run)
    assert flipped is not None
    assert flipped[-4:] == ["--scales", "0.75", "1", "--flip"]
    evaluation = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps({**evaluation, "split": "validation"}))
    assert store.state(run) == "trained"  # someone looked at the validation split by hand
    (folder / "run.json").write_text('{"status": "interrupted"}')
    assert store.state(run) == "started"
    resume = store.command(run)
    assert resume is not None
    assert resume[:3] == ["train", "--resume", str(folder)]
    assert resume[3:] == [f"--data.root={run.overrides['data.root']}"]
    whole = (folder / "run.json").read_text()
    (folder / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json, line 1: is not valid JSON"):
        store.state(run)
    (folder / "run.json").write_text(whole)
    with (folder / "metrics.csv").open("a") as handle:
        handle.write("7")  # a line cut short by a kill
    assert store.step(run) == 150
    (folder / "config.yaml").unlink()
    assert store.state(run) == "new"
    assert store.step(runs[1]) == 150


@pytest.mark.parametrize(
    "other", [{"data": "0123456789ab"}, {"generator_mode": "instance"}, {"protocol": "released"}]
)
def test_an_evaluation_of_another_kind_is_none_of_the_study(
    study: Study, tmp_path: Path, other: dict[str, str]
) -> None:
    """On other data, or of other pictures: somebody has called cen evaluate since."""
    store, runs = filled(study, tmp_path)
    run = runs[0]
    file = store.folder(run) / "evaluation.json"
    evaluation = json.loads(file.read_text())
    asked = {"data": run.data_digest, "generator_mode": "eval", "protocol": "clean"}
    file.write_text(json.dumps(evaluation | asked))
    assert store.state(run) == "done"
    file.write_text(json.dumps(evaluation | asked | other))
    assert store.state(run) == "trained"
    assert run not in [record.run for record in collect(store, runs)]


def test_an_evaluation_of_an_earlier_network_is_none_of_the_study(
    study: Study, tmp_path: Path
) -> None:
    """Made by cen evaluate while the run was training, say."""
    store, runs = filled(study, tmp_path)
    folder = store.folder(runs[0])
    evaluation = json.loads((folder / "evaluation.json").read_text())
    net = build("fpn", encoder="resnet18", inputs={"rgb": 3}, outputs={"a": 2}, width=4)
    save(net, folder / "best.safetensors", metadata={"step": 120})
    for step, state in ((120, "done"), (60, "trained")):
        (folder / "evaluation.json").write_text(json.dumps(evaluation | {"step": step}))
        assert store.state(runs[0]) == state
    (folder / "best.safetensors").unlink()
    assert store.state(runs[0]) == "done"


def test_times_that_are_noted_while_costs_are_counted_stay(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, runs = filled(study, tmp_path)
    folder = store.folder(runs[0])
    (folder / "study.json").write_text("{}")

    def count(folder: Path, root: str | Path) -> dict[str, int]:
        store.note(runs[0], "evaluate", 7.0, 2)  # another study that works in the folder
        return {"macs": 1}

    monkeypatch.setattr(results, "_costs", count)
    note_figures(folder, tmp_path)
    facts = json.loads((folder / "study.json").read_text())
    assert (facts["costs"], facts["seconds"]["evaluate"]) == ({"macs": 1}, 7.0)


def test_scales_are_told_in_all_their_digits(study: Study, tmp_path: Path) -> None:
    store, runs = filled(study, tmp_path)
    scales = [1.0, 1 / 3, 0.75]
    words = Store(store.root, {"scales": scales}).command(runs[0])
    assert words is not None
    assert [float(word) for word in words[words.index("--scales") + 1 :]] == scales


def test_inputs_in_another_order_are_another_run(study: Study, tmp_path: Path) -> None:
    """By which exchanging channels are dealt out; the hash is the same."""
    study.rows["turned"] = RowSpec(set={"model.inputs": {"depth": 1, "rgb": 3}})
    store, runs = filled(replace(study, rows={"cen": study.rows["cen"]}, sweeps={}), tmp_path)
    turned = replace(study, rows={"turned": study.rows["turned"]}, sweeps={})
    other = expand(turned, Choice(), {"parts": tmp_path / "data"}, sources.load_config)[0]
    assert other.hash == runs[0].hash
    with pytest.raises(ConfigError, match=r"model\.inputs = .*another order makes another network"):
        store.state(other)
    assert store.state(runs[0]) == "done"


def test_a_changed_key_is_found(study: Study, tmp_path: Path) -> None:
    store, runs = filled(study, tmp_path)
    file = store.folder(runs[0]) / "config.yaml"
    values = yaml.safe_load(file.read_text())
    values["train"]["sparsity"] = 0.7
    file.write_text(yaml.safe_dump(values))
    assert runs[0].hash not in {record.run.hash for record in collect(store, runs)}


def test_links_do_not_lead_out_of_the_folder_of_studies(tmp_path: Path) -> None:
    outside, store = tmp_path / "outside", Store(tmp_path / "studies", {})
    outside.mkdir()
    store.root.mkdir()
    (run,) = expand(
        load(tmp_path, GOOD), Choice(only=["cen"], seeds=1), {"a": tmp_path}, sources.load_config,
        may_miss=["a"],
    )  # fmt: skip
    for name in ("runs", "logs", "locks", "data"):
        (store.root / name).symlink_to(outside, target_is_directory=True)
    for call in (store.folder, store.log, store.claim(run).__enter__):
        with pytest.raises(ConfigError, match="symbolic link"):
            call(*(() if call.__name__ == "__enter__" else (run,)))  # type: ignore[operator]
    made = load(tmp_path, GOOD + "data: {a: {make: {labels: parts}}}\n")
    with pytest.raises(ConfigError, match="symbolic link"):
        roots_of(made, store.root, "x")
    (store.root / "mine").symlink_to(outside, target_is_directory=True)
    with pytest.raises(DataError, match="symbolic link"):
        write_outputs(store.root / "mine", made, [], 0, [])
    assert not list(outside.iterdir())
