"""Signals end a command with 130 and one line, never as if it had done its work."""

from __future__ import annotations

import os
import signal

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

    former = signal.getsignal(number)
    monkeypatch.setattr("cen.cli.configs.run", work)
    assert cli.main(["configs", "ls"]) == 130
    said = capsys.readouterr().err
    assert said.startswith("cen: ")
    assert said.count("\n") == 1
    assert number == signal.SIGINT or number.name in said
    assert signal.getsignal(number) is former


def test_a_helper_leaves_signals_of_the_group_to_its_parent() -> None:
    with held_back():
        helper = os.fork()
        if helper == 0:
            leave_signals_to_parent()
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(7 if signal.alarm(0) else 8)  # it ends by itself should the parent not
    assert os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1]) == 7
