"""What every test shares."""

import gc

import cv2
import pytest
import torch

# A process that is forked from one whose OpenCV has threads waits for them for ever.
cv2.setNumThreads(1)


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Every test draws the same numbers whenever it runs: a failure can be repeated."""
    torch.manual_seed(0)
