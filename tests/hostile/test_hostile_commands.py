"""Hostile files through the commands: one line, exit code 2, and little memory."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cen import cli

URL = "http://127.0.0.1:9/weights.pth"
BOMB = "a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
STUDY = "title: T\nconfig: rooms-small\nrows: {a: {}}\n"
YAMLS = {
    "bomb": BOMB,
    "deep": "[" * 100_000,
    "self": "a: &a [*a]",
    "object": "a: !!python/object/apply:os.system ['touch \"$CEN_TEST_MARKER\"']",
    "wide": "model: {width: 10000000000}",
    "latin": "title: \udcff",
    "empty": "",
    "url": f"model: {{weights: '{URL}'}}",
    "endpoint": "data: {options: {storage: {endpoint_url: elsewhere}}}",
    "study-url": STUDY + f"set: {{model.weights: '{URL}'}}\n",
    "study-seeds": STUDY + "seeds: 4611686018427387904\n",
}


def told(capsys, *words):
    """What a command says on its way out, in one line."""
    assert cli.main([str(word) for word in words]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "warning:" not in line]
    assert len(said) == 1, said
    assert "Traceback" not in said[0]
    return said[0]


@pytest.mark.parametrize("name", YAMLS)
@pytest.mark.parametrize("words", [["train"], ["study"], ["study", "--table"]])
def test_yaml_through_commands(tmp_path, monkeypatch, capsys, name, words):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_bytes(YAMLS[name].encode("utf-8", "surrogateescape"))
    told(capsys, words[0], "a.yaml", *words[1:])
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


@pytest.mark.parametrize("content", [b"", b"x", b"\x80\x04.", b"\xff" * 64, b"PK\3\4"])
@pytest.mark.parametrize("words", [["inspect"], ["evaluate"], ["predict", "--rgb", "a.png"]])
def test_networks_through_commands(tmp_path, monkeypatch, capsys, content, words):
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    Path("run/config.yaml").write_text("data: {layout: rooms}\n")
    Path("run/best.safetensors").write_bytes(content)
    assert "best.safetensors is damaged" in told(capsys, words[0], "run", *words[1:])


def hostile_run(run):
    (run / "panels").mkdir(parents=True)
    (run / "config.yaml").write_text(BOMB)
    (run / "exchange.json").write_text(json.dumps([{"layers": [{"own": 2**62}]}]))
    huge = {"outputs/a/truth": np.full((64, 64), 2**62), "inputs/a": np.zeros((2**13, 2**12 + 1))}
    for index, (key, value) in enumerate(huge.items()):
        np.savez_compressed(run / "panels" / f"{index}.npz", **{key: value})


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("words", [["train", "a.yaml"], ["study", "a.yaml"], ["report", "run"]])
def test_memory_and_time_of_a_process(tmp_path, words):
    (tmp_path / "a.yaml").write_text(BOMB)
    if words[0] == "report":
        hostile_run(tmp_path / "run")
    code = (
        # What getrusage says begins at the peak of the process that started this one.
        "import sys; from cen import cli; code = cli.main(sys.argv[1:]); "
        "print(open('/proc/self/status').read()); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == (0 if words[0] == "report" else 2), done.stderr
    assert "Traceback" not in done.stderr
    peak = re.search(r"VmHWM:\s*(\d+) kB", done.stdout)
    assert peak is not None
    assert int(peak.group(1)) < 2**18  # KiB, less than the panel alone unpacks to
