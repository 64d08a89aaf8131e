"""Starting a run from the network of another one."""

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import cen
from cen.errors import CenWarning
from cen.models import ChannelExchangeNetwork
from cen.training.start import start_from

DATA: Any = SimpleNamespace(rendered=True)  # no normals of Taskonomy, which alone are asked for


def network(*names: str) -> ChannelExchangeNetwork:
    return cen.build(
        "segformer", encoder="resnet18", width=8, inputs=dict.fromkeys(names, 3), outputs={"out": 3}
    )


def test_inputs_in_another_order_are_told(tmp_path: Path) -> None:
    old = tmp_path / "old.safetensors"
    cen.save(network("rgb", "depth", "thermal"), old)
    with pytest.warns(CenWarning, match=r"thermal, rgb stand in another order .*rgb, thermal\)"):
        start_from(network("thermal", "normal", "rgb"), str(old), DATA)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start_from(network("rgb", "thermal", "normal"), str(old), DATA)
        start_from(network("depth"), str(old), DATA)
