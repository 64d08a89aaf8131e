"""Cores and GPUs dealt out."""

import pytest

from cen.studies.resources import Slot, chosen_threads, make_slots


@pytest.mark.parametrize(
    ("jobs", "runs", "cores", "gpus", "threads"),
    [
        (None, 10, 4, [], [1, 1, 1, 1]),
        (2, 10, 4, [], [2, 2]),
        (2, 10, 1, [], [1, 1]),
        (None, 1, 4, [], [4]),
        (None, 0, 4, [], [4]),
        (None, 10, 16, ["0", "1"], [8, 8]),
    ],
)
def test_cores_are_shared(
    jobs: int | None, runs: int, cores: int, gpus: list[str], threads: list[int]
) -> None:
    assert [slot.threads for slot in make_slots(jobs, runs, cores, gpus)] == threads


def test_gpus_are_dealt_out_in_turn_and_shared_by_more_jobs() -> None:
    slots = make_slots(5, 99, 10, ["3", "GPU-a"], threads=2)
    assert [slot.gpu for slot in slots] == ["3", "GPU-a", "3", "GPU-a", "3"]
    assert {slot.threads for slot in slots} == {2}


def test_the_environment_of_a_process() -> None:
    base = {"PATH": "/bin", "OMP_NUM_THREADS": "64", "CUDA_VISIBLE_DEVICES": "0,1"}
    found = Slot(2, "1").environment(base)
    assert found["OMP_NUM_THREADS"] == found["MKL_NUM_THREADS"] == "2"
    assert (found["CUDA_VISIBLE_DEVICES"], found["PATH"]) == ("1", "/bin")
    assert Slot(2).environment(base)["CUDA_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.parametrize(("text", "threads"), [("3", 3), ("0", None), ("", None), ("2,1", None)])
def test_threads_asked_for(text: str, threads: int | None) -> None:
    assert chosen_threads({"OMP_NUM_THREADS": text} if text else {}) == threads
