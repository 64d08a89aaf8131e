"""``cen evaluate``: every stream and subset, folded or not."""

import shutil
from pathlib import Path

import pytest
from tests.cli.printed import json_of

from cen import cli
from cen.bench.scales import set_rate
from cen.models import load, save


def test_evaluate_gives_every_stream_and_subset(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = json_of(["evaluate", str(run), "--flip", "--scales", "1", "0.75"], capsys)
    rows = result["rows"]
    assert isinstance(rows, list)
    seen = {("+".join(row["inputs"]), row["prediction"]) for row in rows}
    assert {("rgb+depth", "ensemble"), ("rgb+depth", "rgb"), ("rgb+depth", "depth")} <= seen
    assert {inputs for inputs, _ in seen} == {"rgb+depth", "rgb", "depth"}
    assert result["split"] == "test"
    assert cli.main(["evaluate", str(run), "--split", "validation"]) == 0
    assert "validation split" in capsys.readouterr().out
    assert cli.main(["evaluate", str(run), "--scales", "0"]) == 2
    assert cli.main(["evaluate", str(run), "--data.root", "nowhere"]) == 2


def test_a_folded_evaluation_has_the_same_scores(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = tmp_path / "run"
    shutil.copytree(run, trained)
    net = load(trained)
    set_rate(net, 1.0)
    for path in trained.glob("*.safetensors"):
        save(net, path, metadata=net.metadata)
    plain, folded = (json_of(["evaluate", str(trained), *w], capsys) for w in ([], ["--fold"]))
    for one, other in zip(plain["rows"], folded["rows"], strict=True):  # type: ignore[call-overload]
        assert one == {
            key: pytest.approx(value, abs=1e-4) if isinstance(value, float) else value
            for key, value in other.items()
        }
