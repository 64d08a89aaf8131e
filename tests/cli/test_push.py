import json
from pathlib import Path

import pytest
from tests.models.hub_stub import hub_at

import cen
from cen import cli


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A saved network."""
    built = cen.build(
        "fpn", encoder="resnet18", inputs={"rgb": 3, "depth": 1}, width=4,
        outputs={"segmentation": 4}, decoder_channels=4,
    )  # fmt: skip
    cen.save(built, tmp_path / "net.safetensors", metadata={"step": 3})
    return tmp_path / "net.safetensors"


def test_a_card_is_written_edited_and_sent(net, monkeypatch, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["push", str(net), "--out", str(out), "--license", "mit"]) == 0
    assert "license: mit" in (out / "README.md").read_text("utf-8")
    (out / "README.md").write_text("edited")
    (out / "secret.txt").write_text("stays here")
    with hub_at(monkeypatch, tmp_path / "cache") as hub:
        capsys.readouterr()
        assert cli.main(["push", str(out), "someone/rooms", "--private", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"url": f"{hub.url}/someone/rooms"}
        sent = hub.repositories["someone/rooms"]
        assert sent.keys() == {"model.safetensors", "README.md"}
        assert sent["README.md"] == b"edited"
        assert hub.private["someone/rooms"]
        assert cli.main(["push", str(net), "someone/rooms"]) == 0
        assert b"# someone/rooms" in sent["README.md"]
        assert "cen.load('hf://someone/rooms')" in capsys.readouterr().out
        assert cli.main(["inspect", "hf://someone/rooms", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["layers"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs one of: owner/name of the Hub, or --out"),
        (["a/b", "--out", "x"], "needs one of: owner/name of the Hub, or --out"),
        (["rooms"], "'rooms' is no repository of the Hub; write owner/name"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_sent(words, message, net, capsys):
    assert cli.main(["push", str(net), *words]) == 2
    assert message in capsys.readouterr().err


def test_the_licence_of_an_edited_card_stands_in_it(net, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["push", str(net), "--out", str(out)]) == 0
    assert cli.main(["push", str(out), "a/b", "--license", "mit"]) == 2
    assert "is sent as it is; write it there" in capsys.readouterr().err
