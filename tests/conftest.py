"""What every test shares."""

import gc
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from torch import fx

# A process that is forked from one whose OpenCV has threads waits for them for ever.
cv2.setNumThreads(1)


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


# Where there is none, torch.manual_seed notes from where it was called for each kind of them.
ACCELERATORS = torch.cuda.device_count() > 0 or torch.backends.mps.is_available()


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Every test draws the same numbers whenever it runs: a failure can be repeated."""
    (torch if ACCELERATORS else torch.default_generator).manual_seed(0)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[fx.GraphModule]:
    """The graphs of ``torch.compile``, traced as for any back end and run without one."""
    graphs: list[fx.GraphModule] = []

    def back_end(graph: fx.GraphModule, example: Any) -> fx.GraphModule:
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=back_end))
    return graphs


@pytest.fixture(scope="session")
def small_rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six rooms to train on and two to test, for tests that write nothing into the folder."""
    from cen import cli

    out = tmp_path_factory.mktemp("data") / "rooms"
    words = ["data", "rooms", str(out), "--size", "64", "96", "--train", "6", "--test", "2"]
    assert cli.main(words) == 0
    return out
