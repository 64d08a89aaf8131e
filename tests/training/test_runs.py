"""The run folder: whose it is, and what a failed run leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.training.running import At, spoil_loss, train
from tests.training.toy import toy_config

from cen.errors import CheckpointError, ConfigError, TrainingError
from cen.training.runs import claim_run


def test_a_run_that_failed_before_a_checkpoint_does_not_block_its_folder(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(TrainingError, match="not finite"):
        train(toy_config(), run, At(1, spoil_loss))
    again = train(toy_config(decoder_lr=1e-3), run)
    assert again.seen[0][0] == 0
    facts = json.loads((run / "run.json").read_text())
    assert facts["status"] == "finished"
    fresh = train(toy_config(decoder_lr=1e-3), tmp_path / "fresh")
    assert again.seen == fresh.seen
    assert (run / "metrics.csv").read_text() == (tmp_path / "fresh" / "metrics.csv").read_text()
    with pytest.raises(TrainingError, match="not finite"):
        train(toy_config(), tmp_path / "later", At(6, spoil_loss))
    with pytest.raises(ConfigError, match="already holds"):
        train(toy_config(), tmp_path / "later")


def test_a_run_killed_while_it_wrote_its_first_file_does_not_block_its_folder(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").touch()
    gone = 2**22 + 1  # Linux gives no process such a number
    draft = run / f".config.yaml.{gone}.abc.part"
    draft.write_text("data:\n  la")
    train(toy_config(), run)
    assert (run / "last.safetensors").exists()
    assert not draft.exists()


def test_what_is_refused_before_the_first_step_leaves_no_folder(tmp_path: Path) -> None:
    config = toy_config(exchange_rate=0.3)
    config.model.fusion = "ensemble"  # nobody exchanges
    with pytest.raises(ConfigError, match=r"exchange_rate: 0\.3.*--train\.exchange_rate null"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_with_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="already holds"):
        train(toy_config(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("resume", [False, True])
def test_two_processes_do_not_train_in_one_folder(tmp_path: Path, resume: bool) -> None:
    run = tmp_path / "run"
    with claim_run(run, resume=False):
        if resume:
            toy_config().save(run / "config.yaml")
        with pytest.raises(ConfigError, match="another process trains in"):
            train(toy_config(), run, resume=resume)
        assert not (run / "run.json").exists()
    train(toy_config(), run, resume=resume)
    assert (run / "last.safetensors").exists()


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no run to resume"):
        train(toy_config(), tmp_path / "none", resume=True)
