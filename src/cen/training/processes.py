"""The processes of a run on several devices: how they hear signals and of each other's end.

Lightning's own way is not used: its handler of SIGTERM communicates wherever the signal finds the
process, which hangs, and where one process has ended it kills the others without a word.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from lightning.pytorch.utilities import rank_zero_only

from cen.errors import TrainingError
from cen.launch import launched
from cen.training.ending import GRACE, ended_together, tells, told, watching
from cen.training.run_checkpoint import StopAsked

_PARENT = os.getppid()
_SOME, _FIRST = "another process of the run ended", "the first process was killed"


def cluster() -> ClusterEnvironment:
    """How the processes of a run find each other: as those that started this one arranged it.

    Lightning also takes what a command of a SLURM job's own script finds for a step of the job.
    """
    launch = launched()
    if launch is None:
        return LightningEnvironment()
    # A job that is preempted is not queued again: it saves itself and ends.
    torchrun = launch.by == "torchrun"
    return TorchElasticEnvironment() if torchrun else SLURMEnvironment(auto_requeue=False)


def tell_rank() -> None:
    """Tells Lightning's loggers which process of the run this is.

    By itself Lightning takes the number from RANK or SLURM_PROCID, which clusters also give to
    processes that train alone; these would log nothing.
    """
    launch = launched()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    rank = local if launch is None else launch.rank
    rank_zero_only.rank = rank  # type: ignore[attr-defined]


class _Launcher(_SubprocessScriptLauncher):
    """Starts the processes as Lightning does, without its observer."""

    def launch(
        self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **more: Any
    ) -> Any:
        self.cluster_environment.validate_settings(
            num_devices=self.num_processes, num_nodes=self.num_nodes
        )
        if not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
        return function(*args, **more)

    def ended(self, wait: float = 0.0) -> str:
        """What is to be said of a process that ended badly; "" while there is none.

        Args:
            wait: seconds to wait for its exit code.
        """
        until = time.monotonic() + wait
        while True:
            codes = {number: process.poll() for number, process in enumerate(self.procs, 2)}
            # One that was killed first: others end because of it.
            for number, code in sorted(codes.items(), key=lambda entry: entry[1] or 0):
                if code:
                    return f"process {number} of {len(codes) + 1} {_how(code)}"
            if time.monotonic() >= until:
                return ""
            time.sleep(0.1)

    def interrupted(self) -> bool:
        """Whether a process was ended by its user."""
        codes = (130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)
        return any(process.poll() in codes for process in self.procs)


def keep_signals(trainer: Trainer) -> None:
    """Leaves the handlers of signals as they are, and the watch over processes to this module."""
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    launcher = trainer.strategy.launcher
    if type(launcher) is _SubprocessScriptLauncher:
        trainer.strategy._launcher = _Launcher(
            launcher.cluster_environment, launcher.num_processes, launcher.num_nodes
        )


@contextmanager
def together(trainer: Trainer, last_act: Callable[[bool], object] | None = None) -> Iterator[None]:
    """Ends this process where another one of a run has ended, instead of waiting for it for ever.

    Args:
        trainer: Prepared by :func:`keep_signals`.
        last_act: Called before the process is ended from outside, because it is stuck in a call;
            with whether the user asked for the end.
    """
    launcher = trainer.strategy.launcher
    if launched() is not None:
        with ended_together(_message(_SOME), _of_others, last_act):
            yield
        return
    if not isinstance(launcher, _Launcher):
        yield
        return
    helper = trainer.local_rank != 0

    def gone() -> bool:
        return os.getppid() != _PARENT if helper else bool(launcher.ended())

    def leave() -> None:
        _leave(launcher, helper, last_act)

    try:
        with watching(gone, leave):
            yield
    except StopAsked:
        raise
    except Exception as error:
        if (cause := _cause(error, launcher, helper)) is None:
            raise
        raise cause from error
    finally:
        if not helper and sys.exc_info()[0] is not None and launcher.procs:
            _end(launcher)


def _cause(error: Exception, launcher: _Launcher, helper: bool) -> BaseException | None:
    """The end of another process that an exception came of; None where it is this one's own."""
    if helper and os.getppid() != _PARENT:
        return TrainingError(_message(_FIRST))
    if helper:
        # Where it is of others, the first process is ending with an error and tells of it.
        return SystemExit(1) if _of_others(error) else None
    if not _of_others(error):
        ending = launcher.ended()
    elif launcher.interrupted():
        return KeyboardInterrupt()
    else:
        ending = launcher.ended(GRACE) or (_SOME if told() else "")
    return TrainingError(_message(ending)) if ending else None


def alone() -> bool:
    """Whether this process was started by the first one of a run, which is no more."""
    started = "LOCAL_RANK" in os.environ and launched() is None
    return started and os.getppid() != _PARENT


def _of_others(error: BaseException) -> bool:
    """Whether an exception is one of talking to another process."""
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        word in text for word in ("gloo", "NCCL", "onnection", "TCPStore", "DDP", "process group")
    )


def _end(launcher: _Launcher) -> None:
    """Sees to it that no process is left, which may wait for this one."""
    until = time.monotonic() + GRACE / 2
    while time.monotonic() < until and any(p.poll() is None for p in launcher.procs):
        time.sleep(0.05)
    launcher.kill(signal.SIGKILL)


def _leave(launcher: _Launcher, helper: bool, last_act: Callable[[bool], object] | None) -> None:
    asked = not helper and launcher.interrupted()
    ending = _FIRST if helper else launcher.ended()
    try:
        launcher.kill(signal.SIGKILL)
        if last_act is not None:
            last_act(asked)
        error = TrainingError(_message(ending))
        if asked or tells(error):
            sys.stderr.write(f"cen: {'interrupted' if asked else error}\n")
            sys.stderr.flush()
    finally:
        os._exit(130 if asked else 2)


def _message(ending: str) -> str:
    return f"{ending}, so that the others cannot go on; what was saved before is kept"


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code} (see above)"
    name = signal.Signals(-code).name
    memory = ", perhaps for want of memory" if code == -signal.SIGKILL else ""
    return f"was killed by {name}{memory}"
