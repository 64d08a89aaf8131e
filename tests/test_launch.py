"""Which process of a run this one is, as torchrun and srun say it."""

from __future__ import annotations

import pytest

from cen.errors import ConfigError
from cen.launch import Launch, check_processes, is_first, launched

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}
SRUN = {
    "SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NTASKS": "4",
    "SLURM_NTASKS_PER_NODE": "2",
}  # fmt: skip


@pytest.fixture
def environment(monkeypatch):
    """Sets what a starter says, in place of all that is said."""

    def said(values):
        for name in {*TORCHRUN, *SRUN}:
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return said


def test_each_starter_says_which_process_this_is() -> None:
    assert launched(TORCHRUN) == Launch("torchrun", 3, 1, 4)
    assert launched(SRUN) == Launch("srun", 3, 1, 4)
    assert launched(TORCHRUN | SRUN | {"RANK": "0"}).rank == 0, "torchrun may run in a job"
    assert str(launched(SRUN)) == "process 4 of 4"


def test_a_command_that_was_started_alone_is_no_part_of_a_run() -> None:
    assert launched({}) is None
    script = {name: value for name, value in SRUN.items() if name != "SLURM_STEP_ID"}
    assert launched(script) is None, "the script of a job is no step of it"
    assert launched(SRUN | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) is None
    assert launched({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}) is None, "Lightning's own"


def test_one_process_of_all_speaks(environment) -> None:
    for values, first in (
        ({}, True), ({"LOCAL_RANK": "1"}, False), (TORCHRUN, False), (SRUN, False),
        (TORCHRUN | {"RANK": "0", "LOCAL_RANK": "0"}, True),
        # The first of its machine, but not of all.
        (TORCHRUN | {"RANK": "2", "LOCAL_RANK": "0"}, False),
        (SRUN | {"SLURM_PROCID": "0"}, True),
    ):  # fmt: skip
        environment(values)
        assert is_first() is first, values


def test_numbers_of_processes_that_were_not_started_are_refused(environment) -> None:
    environment({})
    check_processes(1, 2)  # Lightning starts the other one
    with pytest.raises(ConfigError, match=r"train\.nodes: 2.*srun.*torchrun --nnodes 2"):
        check_processes(2, 1)
    environment(TORCHRUN)
    check_processes(2, 2)
    with pytest.raises(ConfigError, match=r"1 × train\.devices: 1 make 1.*torchrun started 4"):
        check_processes(1, 1)
    environment(SRUN)
    check_processes(2, 2)
    with pytest.raises(ConfigError, match="srun started 4"):
        check_processes(4, 2)
    environment({n: v for n, v in SRUN.items() if n != "SLURM_NTASKS_PER_NODE"})
    with pytest.raises(ConfigError, match="--ntasks-per-node=2"):
        check_processes(2, 2)
