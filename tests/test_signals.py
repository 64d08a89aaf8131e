"""Signals end a command with 130 and one line, never as if it had done its work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from cen import cli
from cen.signals import held_back, leave_signals_to_parent


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("swallowed", [False, True])
def test_a_signal_ends_a_command_with_130(number, swallowed, monkeypatch, capsys) -> None:
    def work(_: object) -> int:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            if not swallowed:
                raise
        return 0

    inherited = signal.getsignal(number)
    if inherited is signal.SIG_IGN:  # of nohup: a signal that is ignored ends nothing
        signal.signal(number, signal.SIG_DFL)
    former = signal.getsignal(number)
    monkeypatch.setattr("cen.cli.configs.run", work)
    try:
        assert cli.main(["configs", "ls"]) == 130
        assert signal.getsignal(number) is former
    finally:
        signal.signal(number, inherited)
    said = capsys.readouterr().err
    assert said.startswith("cen: ")
    assert said.count("\n") == 1
    assert number == signal.SIGINT or number.name in said


def test_a_helper_leaves_signals_of_the_group_to_its_parent() -> None:
    with held_back():
        helper = os.fork()
        if helper == 0:
            leave_signals_to_parent()
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(7 if signal.alarm(0) else 8)  # it ends by itself should the parent not
    assert os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1]) == 7


LEFT = """
import atexit, multiprocessing, time
from cen.signals import end_helpers, leave_signals_to_parent

def helper(ready):
    leave_signals_to_parent()
    ready.set()
    time.sleep(300)

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    context.Process(target=helper, args=(ready,), daemon=True).start()
    ready.wait()
    atexit.register(end_helpers)
    raise KeyboardInterrupt
"""


def test_a_program_does_not_wait_for_helpers_that_a_signal_left_behind(tmp_path) -> None:
    """They leave SIGTERM to their parent, and Python asks them to end by nothing else."""
    script = tmp_path / "left.py"
    script.write_text(LEFT)
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    assert "KeyboardInterrupt" in done.stderr
