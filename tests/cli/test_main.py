"""The command line as a whole: help, errors, exit codes, start-up."""

import io
import re
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from cen import cli, parsing
from cen.config import Config
from cen.errors import CenError

VERBS = (
    "train",
    "evaluate",
    "predict",
    "export",
    "inspect",
    "report",
    "data",
    "configs",
    "bench",
    "completion",
)
HEAVY = ("torch", "lightning", "cv2", "matplotlib", "numpy", "torchmetrics", "jsonargparse")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_names_every_verb_and_imports_nothing_heavy() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = python(
        "import sys\nfrom cen.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    assert done.stderr.strip() == "[]"
    assert all(re.search(rf"^    {verb}\s", done.stdout, re.M) for verb in VERBS)
    # The bound is 1.5 s. Time on the processor, so that a busy machine does not fail it.
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


def test_a_study_is_planned_without_torch_and_matplotlib(tmp_path: Path) -> None:
    done = python(
        "import sys\nfrom cen.cli import main\n"
        f"code = main(['study', 'fusion', '--dry-run', '--out', {str(tmp_path)!r}])\n"
        "print(code, [m for m in ('torch', 'matplotlib') if m in sys.modules], file=sys.stderr)"
    )
    assert "144 of 144 runs to train" in done.stdout
    assert done.stderr.strip() == "0 []"


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])
    assert stop.value.code == 0
    assert f"usage: cen {verb}" in capsys.readouterr().out


def help_of_train(option: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", option])
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_help_of_train_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    """What a newcomer sets, a line each, which fits a terminal."""
    out = help_of_train("--help", capsys)
    shown = re.findall(r"^  --([a-z.]+[.][a-z_.]+|seed) .*\(.*\)$", out, re.M)
    assert 15 <= len(shown) <= 25
    assert {"data.root", "model.inputs", "train.steps", "seed"} <= set(shown)
    assert "--train.steps             Length of the run (1000)" in out
    assert len(out.splitlines()) < 45
    assert max(map(len, out.splitlines())) <= 100
    assert "--help-all" in out


def test_the_long_help_of_train_documents_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    out = help_of_train("--help-all", capsys)
    assert all(f"--{key.name}  (" in out for key in parsing.keys(Config))
    assert "--data.modalities.<name>.unit  (number, or null; default: null)" in out
    assert "--train.sparsity  (number (at least 0); default: 0.001)" in out
    assert "λ, the weight of the ℓ1 penalty" in out


def test_no_words_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "usage: cen" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import cen

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"cen {cen.__version__}\n"


def test_the_package_is_the_command() -> None:
    words = [sys.executable, "-m", "cen", "evaluate", "nowhere"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tain"], "'tain' is no VERB of cen; did you mean train?"),
        (["train"], "needs a configuration"),
        (
            ["train", "rooms-dmo"],
            "rooms-dmo: no file and no shipped configuration; did you mean ro",
        ),
        (["train", "none.yaml"], "none.yaml: no such file"),
        (
            ["train", "rooms-demo", "--otu", "x"],
            "cen train has no option --otu; did you mean --out?",
        ),
        (
            ["train", "rooms-demo", "--train.step", "3"],
            "--train.step: is no key of a configuration",
        ),
        (["train", "rooms-demo", "--train.steps"], "--train.steps needs a value"),
        (["train", "rooms-demo", "--data.root", "none"], "cen data rooms none"),
        (["train", "--resume", "none"], "none: no such run folder"),
        (["evaluate", "none"], "none: no such run folder"),
        (["evaluate", "none", "--splt", "test"], "cen evaluate has no option --splt; did you mean"),
        (
            ["train", "rooms-demo", "--sed", "3"],
            "cen train has no option --sed; did you mean --seed",
        ),
        (["train", "--otu", "x"], "cen train has no option --otu; did you mean --out?"),
        (["inspect", "none", "--jsn"], "cen inspect has no option --jsn; did you mean --json?"),
        (
            ["evaluate", "none", "--split", "tset"],
            "'tset' is no split of cen evaluate; did you mean",
        ),
        (["predict", "none", "--rgb", "a.png"], "none: no such run folder"),
        (["inspect", "none"], "none: no such run folder"),
        (["report", "none"], "none: no such run folder"),
        (["report", "."], "holds no config.yaml"),
        (["data"], "required"),
        (["data", "rooms"], "OUT"),
        (["data", "rooms", "x", "--labels", "part"], "did you mean parts?"),
        (
            ["data", "rooms", "x", "--size", "8", "8"],
            "--size 8: give a whole number between 32",
        ),
        (["data", "rooms", "x", "--train", "0"], "--train 0: give a whole number between 1"),
        (["configs", "cp", "rooms-smal"], "did you mean rooms-small?"),
        (["bench", "exchange", "--rounds", "2"], "--rounds 2: give a whole number between 6"),
        (["bench", "exchange", "--rounds", "two"], "--rounds two: is no whole number"),
    ],
)
def test_error_is_one_message_and_code_2(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("cen: ")
    assert message in captured.err
    assert (captured.err.count("\n"), captured.out) == (1, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CenError("bad"), 2, "cen: bad\n"),
        (KeyboardInterrupt(), 130, "cen: interrupted\n"),
        (KeyboardInterrupt("go on with x"), 130, "cen: go on with x\n"),
        (OSError(28, "No space left", "a/b"), 2, "cen: a/b: No space left\n"),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr("cen.cli.configs.run", fail)
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert cli.main(["configs", "ls"]) == code
    assert stderr.closed if message is None else stderr.getvalue() == message


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise RuntimeError("a defect")

    monkeypatch.setattr("cen.cli.configs.run", fail)
    with pytest.raises(RuntimeError):
        cli.main(["configs", "ls"])


def test_a_torchvision_of_another_torch_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(words: object) -> int:
        import torch

        # What importing such a torchvision does.
        return bool(torch.library.register_fake("torchvision::of_no_library")(lambda x: x))

    monkeypatch.setattr(cli, "_run", run)
    assert cli.main(["configs", "ls"]) == 2
    message = capsys.readouterr().err
    assert "torchvision" in message
    assert "built for another torch" in message


def test_a_warning_of_cen_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn(_: object) -> int:
        warnings.warn_explicit("rate is 0", UserWarning, str(Path(cli.__file__)), 1)
        return 0

    monkeypatch.setattr("cen.cli.configs.run", warn)
    shown = warnings.showwarning
    assert cli.main(["configs", "ls"]) == 0
    assert capsys.readouterr().err == "cen: warning: rate is 0\n"
    assert warnings.showwarning is shown
