"""What this machine has for a run."""

from __future__ import annotations

import pytest
from lightning.pytorch.accelerators import CUDAAccelerator
from tests.training.toy import Blocks, toy_config

from cen.config import Config
from cen.errors import ConfigError
from cen.training.machine import check_batch, check_machine


def test_a_batch_that_no_memory_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the crop where there is one, else by the size of the first sample."""
    monkeypatch.setattr("cen.training.machine.os.sysconf", lambda name: 2**14)  # 256 MiB
    check_batch(toy_config(), Blocks(2))
    with pytest.raises(ConfigError, match=r"batch_size 100000: .* 32 × 32 pixels take .* GiB"):
        check_batch(toy_config(batch_size=100_000), Blocks(2))
    values = toy_config().to_dict()
    values["data"]["transforms"]["crop"] = [2000, 3000]
    with pytest.raises(ConfigError, match=r"2000 × 3000 pixels take .* lower it, or data.transf"):
        check_batch(Config.from_dict(values), Blocks(2))


def test_more_devices_than_there_are_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CUDAAccelerator, "is_available", lambda: True)
    monkeypatch.setattr(CUDAAccelerator, "auto_device_count", lambda: 2)
    check_machine("gpu", 2)
    with pytest.raises(ConfigError, match=r"train\.devices: 3, but there are 2 GPUs; give as many"):
        check_machine("auto", 3)
    check_machine("cpu", 3)
