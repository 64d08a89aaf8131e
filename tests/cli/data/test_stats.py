"""``cen data NAME stats``: keys of a configuration."""

from pathlib import Path

import pytest
import yaml

from cen import cli


def test_stats_are_keys_of_a_configuration(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "stats.yaml"
    assert cli.main(["data", "nyudv2", "stats", str(root), "--out", str(out)]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == yaml.safe_load(out.read_text())
    assert set(yaml.safe_load(out.read_text())["data"]["modalities"]) == {"rgb", "depth"}
    assert cli.main(["data", "nyudv2", "stats", str(root), "--out", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
