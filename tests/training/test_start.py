"""Starting a run from the network of another one."""

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

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


def refinenet(**options: Any) -> ChannelExchangeNetwork:
    inputs = {"rgb": 3, "depth": 1}
    sizes: Any = {"encoder": "resnet18", "width": 4, "decoder_channels": 8, "outputs": {"out": 3}}
    return cen.build("refinenet", inputs=inputs, **{**sizes, **options})


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {"decoder_norm": "batch"}, r"decoder\.levels.*norm\.weight.*\(model\.decoder_norm\)"),
        ({}, {"fusion": "concat"}, r"has no fusion\..*\(model\.fusion"),
        ({"decoder_norm": "batch"}, {}, r"conv\.bias.*\(model\.decoder_norm\)"),
        ({}, {"norm": "shared", "fusion": "ensemble"}, r"encoder\.bn1\.weight.*model\.norm"),
    ],
)
def test_weights_that_are_not_there_are_told(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any], told: str
) -> None:
    cen.save(refinenet(**before), tmp_path / "old.safetensors")
    with pytest.warns(CenWarning, match=told):
        start_from(refinenet(**after), str(tmp_path / "old.safetensors"), DATA)


@pytest.mark.parametrize("before", [{"norm": "shared", "fusion": "ensemble"}, {"fusion": "concat"}])
@pytest.mark.filterwarnings("error")
def test_streams_start_from_norms_that_were_shared_and_from_a_fusion(
    tmp_path: Path, before: dict[str, Any]
) -> None:
    """A classifier of another number of classes is new, as is said, and no word is lost on it."""
    old = refinenet(**before)
    with torch.no_grad():
        for value in (*old.parameters(), *old.buffers()):
            value.fill_(3)
    cen.save(old, tmp_path / "old.safetensors")
    net = refinenet(outputs={"out": 4})
    start_from(net, str(tmp_path / "old.safetensors"), DATA)
    weights = {**dict(net.encoder.named_parameters()), **dict(net.decoder.named_parameters())}
    assert all(value.eq(3).all() for value in weights.values())
    assert net.encoder.get_submodule("bn1").running_var.eq(3).all()
