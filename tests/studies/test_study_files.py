"""The files that a study writes, and where."""

import json
from pathlib import Path
from threading import Event, Thread

import pytest
from filelock import FileLock
from tests.studies.small_studies import study_of

from cen import cli
from cen.studies.datasets import choose_data
from cen.studies.grid import Choice
from cen.studies.results import Record
from cen.studies.run_store import Store
from cen.studies.spec import DataVariant, Study
from cen.studies.study_files import output_folder, write_outputs


def test_facts_count_shared_runs_once_and_keep_commands(
    study: Study, records: list[Record], tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    write_outputs(folder, study, [], 20, ["study", "a"])
    files = write_outputs(folder, study, [*records, records[0]], 20, ["study", "b c"])
    facts = json.loads(files["facts"].read_text())
    assert (facts["runs"], facts["finished"]) == (20, 11)
    assert facts["commands"] == ["cen study a", "cen study 'b c'"]
    assert facts["core_hours"] == pytest.approx(11 * 36 * 2 / 3600, abs=1e-3)
    assert "11 of 20" in files["tables"].read_text("utf-8")
    assert "changed in all rows" not in files["tables"].read_text("utf-8")


def test_tables_name_the_keys_that_a_call_changed_in_all_rows(
    study: Study, records: list[Record], tmp_path: Path
) -> None:
    choice = Choice({"model.weights": "encoder.safetensors", "train.accelerator": "cpu"})
    files = write_outputs(tmp_path, study, records[:1], 20, [], choice)
    text = files["tables"].read_text("utf-8")
    assert "| changed in all rows | `model.weights: encoder.safetensors` |" in text
    assert "model.weights: encoder.safetensors" in files["page"].read_text("utf-8")


def test_an_empty_study_has_outputs_too(study: Study, tmp_path: Path) -> None:
    files = write_outputs(tmp_path, study, [], 4, [])
    assert "No run is finished yet" in files["page"].read_text("utf-8")
    assert "0 of 4" in files["tables"].read_text("utf-8")


def test_changes_for_all_rows_have_tables_of_their_own(tmp_path: Path) -> None:
    study = study_of(data={"a": DataVariant(), "b": DataVariant()})

    def of(given: Study = study, **overrides: str) -> Path:
        choice = Choice({k.replace("__", "."): v for k, v in overrides.items()})
        return output_folder(tmp_path, "mine", study, given, choice)

    assert of() == of(train__accelerator="cpu", data__workers="2") == tmp_path / "mine"
    assert of(choose_data(study, ["b"], None)) == tmp_path / "mine"
    elsewhere = choose_data(study, [f"folder:{tmp_path}"], None)
    others = {of(train__steps="4"), of(train__steps="5"), of(elsewhere)}
    assert len(others | {of()}) == 4
    assert all(folder.name.startswith("mine-") for folder in others)


def test_calls_that_end_at_once_write_one_after_the_other(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each adds its command to those of earlier calls, so that both are told."""
    facts = tmp_path / "mini" / "study.json"
    held, arrived = Store(tmp_path, {}).writing("mini"), Event()

    def writing(store: Store, name: str) -> FileLock:
        arrived.set()
        return writes(store, name)

    writes = Store.writing
    monkeypatch.setattr(Store, "writing", writing)
    words = ["study", str(mini), "--out", str(tmp_path), "--table"]
    thread = Thread(target=cli.main, args=(words,))
    with held:
        thread.start()
        assert arrived.wait(timeout=120)
        thread.join(timeout=0.5)
        assert thread.is_alive()
        assert not facts.exists()
    thread.join()
    assert facts.is_file()
