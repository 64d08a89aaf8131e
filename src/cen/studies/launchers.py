"""Where the commands of a study run: on this machine, as SLURM jobs, or as tasks of Ray."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from cen.errors import ConfigError
from cen.studies.resources import Slot

Where = Literal["here", "slurm", "ray"]
Option = int | str
_LOOK = 0.2


class Work(Protocol):
    """A command that was started."""

    def poll(self) -> int | None:
        """Its exit code; None while it is not known."""

    def send_signal(self, number: int, /) -> None:
        """Asks it to save itself and stop (SIGINT), or stops it (SIGKILL)."""

    def wait(self) -> int:
        """Its exit code, once it has ended."""


Launch = Callable[[list[str], Path, Slot], Work]
"""Starts ``cen WORDS`` with its output at the end of a log, in a slot."""


def launch_here(words: list[str], log: Path, slot: Slot) -> Work:
    """Starts a process on this machine."""
    # Ctrl-C in a terminal goes to all of its processes; these are told once, by us.
    return _process(words, log, env=slot.environment(os.environ), start_new_session=True)


def _process(words: list[str], log: Path, **more: Any) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "cen", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            **more,
        )


def run_command(words: list[str], log: str, folder: str) -> int:
    """Runs ``cen WORDS`` in a folder, wherever this is called; its exit code.

    What stops this call lets the command save itself first.
    """
    process = _process(words, Path(log), cwd=folder)
    try:
        # Ray's request to stop is heard between two looks, not while the system waits.
        while process.poll() is None:
            time.sleep(_LOOK)
        return process.returncode
    except KeyboardInterrupt:
        # Not SIGINT, which Ray blocks in its workers, and so in what they start.
        process.terminate()
        return process.wait()


def launch_on(where: Where, folder: Path, options: Mapping[str, Option]) -> Launch:
    """What starts commands there.

    Args:
        where: "here"; "slurm": as jobs of submitit; "ray": as tasks of the cluster that RAY_ADDRESS
            names, else of a Ray that is started on this machine.
        folder: for what submitit keeps of its jobs; all nodes see it.
        options: of submitit's ``update_parameters`` (``timeout_min``, ``slurm_partition``,
            ``gpus_per_node``; and ``cluster``: "local" tries them as processes of this machine), or
            of a Ray task (``num_cpus``, ``num_gpus``).

    Raises:
        ConfigError: the package is missing, or there is no such option.
    """
    if where == "slurm":
        return _on_slurm(folder, options)
    if where == "ray":
        return _on_ray(options)
    if options:
        raise ConfigError("--job: is of --on slurm and --on ray; leave it out")
    return launch_here


def _on_slurm(folder: Path, options: Mapping[str, Option]) -> Launch:
    """Jobs of SLURM by submitit."""
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            f"--on slurm needs submitit ({error}): pip install 'cen[slurm]'"
        ) from None
    parameters = dict(options)
    try:
        executor = submitit.AutoExecutor(folder, cluster=str(parameters.pop("cluster", "slurm")))
        # Of jobs on one machine submitit would keep the standard time limit of five minutes.
        executor.update_parameters(**{"timeout_min": 24 * 60, **parameters})
    except (NameError, TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"--on slurm: {error}") from None

    def launch(words: list[str], log: Path, slot: Slot) -> Work:
        job = executor.submit(run_command, words, str(log.resolve()), str(Path.cwd()))
        return _Elsewhere(
            f"job {job.job_id}", log, job.done, job.result, lambda number: job.cancel(check=False)
        )

    return launch


def _on_ray(options: Mapping[str, Option]) -> Launch:
    """Tasks of a Ray cluster."""
    try:
        import ray
    except ImportError as error:
        raise ConfigError(f"--on ray needs Ray ({error}): pip install 'cen[ray]'") from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    try:
        # The study itself decides whether a run that failed is tried again.
        command = ray.remote(run_command).options(**{"max_retries": 0, **options})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"--on ray: {error}") from None

    def launch(words: list[str], log: Path, slot: Slot) -> Work:
        task = command.remote(words, str(log.resolve()), str(Path.cwd()))
        return _Elsewhere(
            "task",
            log,
            ended=lambda: bool(ray.wait([task], timeout=0)[0]),
            result=lambda: ray.get(task),
            cancel=lambda number: ray.cancel(task, force=number == signal.SIGKILL),
        )

    return launch


@dataclass(frozen=True)
class _Elsewhere:
    """A command that SLURM or Ray runs; of one that ends without a code its log says why."""

    what: str
    log: Path
    ended: Callable[[], bool]
    result: Callable[[], Any]
    cancel: Callable[[int], object]

    def poll(self) -> int | None:
        return self.wait() if self.ended() else None

    def send_signal(self, number: int, /) -> None:
        self.cancel(number)

    def wait(self) -> int:
        try:
            return int(self.result())
        except Exception as error:  # whatever the job, or the program that ran it, ended with
            lines = str(error).strip().splitlines() or [type(error).__name__]
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"cen: {self.what}: {lines[-1]}\n")
            return 1
