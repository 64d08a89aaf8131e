"""What commands print."""

import json

import pytest

from cen import cli


def json_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """What a command prints with --json: one object and nothing else."""
    capsys.readouterr()
    assert cli.main([*words, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value
