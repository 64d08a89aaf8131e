"""Completion, asked of a real bash where there is one."""

import shutil
import subprocess

import pytest

from cen.cli import build_parser, completion, main

ASK = """
source /dev/stdin
COMP_WORDS=(cen {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_shtab_cen cen "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
echo "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script() -> str:
    return completion.script("bash", build_parser())


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("tra", "train"),
        ("train rooms-dem", "rooms-demo"),
        ("train pyproject.to", "pyproject.toml"),
        ("train rooms-demo --train.stage", "--train.stages"),
        ("predict RUN --precision b", "bf16"),
        ("data check nyudv2 --fie", "--fields"),
        ("report pyproject.to", "pyproject.toml"),
    ],
)
def test_bash_completes(script: str, words: str, completed: str) -> None:
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK.format(words=words)],
        input=script,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert completed in done.stdout.split(), done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish", "tcsh"])
def test_other_shells_get_a_script_of_theirs(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert "train.steps" in out
    assert "rooms-demo" in out or shell != "zsh"


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bahs"]) == 2
    assert "bash" in capsys.readouterr().err
