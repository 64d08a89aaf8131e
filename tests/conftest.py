"""What every test shares."""

import pytest
import torch


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Every test draws the same numbers whenever it runs: a failure can be repeated."""
    torch.manual_seed(0)
