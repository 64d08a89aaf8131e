"""When a run ends early."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.training.running import killed, rows, train
from tests.training.toy import same, tensors, toy_config

from cen.config import Config
from cen.errors import ConfigError


def test_a_run_ends_after_so_many_validations_without_a_better_score(tmp_path: Path) -> None:
    # Learning rates of 0: the first validation stays the best.
    config = toy_config(
        steps=12, validate_every=2, patience=2, encoder_lr=0, decoder_lr=0, checkpoint_every=2
    )
    assert train(config, tmp_path / "whole").seen[-1][0] == 5
    facts = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert (facts["status"], facts["step"]) == ("finished", 6)
    killed(config, tmp_path / "parts", 5)
    train(config, tmp_path / "parts", resume=True)
    for name in ("metrics.csv", "exchange.json"):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "parts" / name).read_text()
    names = [tmp_path / d / "last.safetensors" for d in ("whole", "parts")]
    assert same(*map(tensors, names))

    assert train(config, tmp_path / "parts", resume=True).seen == []
    longer = replace(config, train=replace(config.train, patience=4))
    rest = train(longer, tmp_path / "parts", resume=True)
    assert [step for step, _ in rest.seen] == [6, 7, 8, 9]
    assert len([row for row in rows(tmp_path / "parts") if row["lambda"]]) == 5


def test_what_was_exchanged_when_a_run_ended_early_is_kept_and_a_missed_rate_told(
    tmp_path: Path,
) -> None:
    how = {"encoder_lr": 0, "decoder_lr": 0, "exchange_rate": 0.3, "log_every": 5}
    config = toy_config(steps=12, validate_every=2, patience=2, checkpoint_every=12, **how)
    with pytest.warns(UserWarning, match=r"ended at 0\.000 instead of 0\.3: .*in step 6 of 12"):
        train(config, tmp_path / "run")
    history = json.loads((tmp_path / "run" / "exchange.json").read_text())
    assert [entry["step"] for entry in history] == [5, 6]
    assert "mask" in history[-1]["layers"][0]


def test_patience_needs_validations() -> None:
    with pytest.raises(ConfigError, match=r"train.patience: .*data.validation is 0"):
        Config.from_dict({"train": {"patience": 2}, "data": {"validation": 0}})
