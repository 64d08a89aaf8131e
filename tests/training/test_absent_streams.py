"""Streams that are absent in a step do not move in it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import cen
from cen.optim import OptimizerName, build_optimizer, param_groups
from cen.training.absent_streams import absent_rows, kept


def network() -> Any:
    torch.manual_seed(0)
    return cen.build(
        "refinenet",
        encoder="resnet18",
        inputs={"rgb": 3, "depth": 1, "flow": 2},
        outputs={"segmentation": 3},
        width=8,
        decoder_channels=8,
        decoder_norm="batch",
        convolution="private",
        dropout=0.0,
    )


# Own generator: the values must not depend on what was imported before.
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = {
    name: torch.randn(2, channels, 32, 32, generator=GENERATOR)
    for name, channels in {"rgb": 3, "depth": 1, "flow": 2}.items()
}


def step(net: Any, optimizer: torch.optim.Optimizer, present: tuple[str, ...]) -> None:
    optimizer.zero_grad()
    output = net({name: IMAGES[name] for name in present})["segmentation"]
    logits = [*output.streams.values(), output.ensemble]
    (sum(x.square().mean() for x in logits) + 1e-3 * cen.sparsity(net)).backward()
    with kept(optimizer, absent_rows(net, present)):
        optimizer.step()


def rows_of(net: Any, stream: int) -> dict[str, torch.Tensor]:
    found = {
        f"{name}.{key}": parameter.detach()[stream].clone()
        for name, module in net.named_modules()
        if hasattr(module, "streams")
        for key, parameter in module.named_parameters(recurse=False)
    }
    return found | {"alpha": net.alpha["segmentation"].detach()[stream].clone()}


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_absent_streams_do_not_move(kind: OptimizerName) -> None:
    net = network()
    optimizer = build_optimizer(param_groups(net, 1e-2, 1e-2, weight_decay=0.1), kind)
    step(net, optimizer, ("rgb", "depth", "flow"))  # momentum for everybody
    before = [rows_of(net, s) for s in range(3)]
    stem = net.stems["flow"].weight.detach().clone()
    step(net, optimizer, ("rgb",))
    after = [rows_of(net, s) for s in range(3)]
    for stream in (1, 2):
        moved = [k for k in before[stream] if not torch.equal(before[stream][k], after[stream][k])]
        assert moved == []
    assert torch.equal(net.stems["flow"].weight, stem)
    assert all(not torch.equal(before[0][k], after[0][k]) for k in before[0] if k != "alpha")


def test_without_it_absent_streams_would_move() -> None:
    """The reason for all this: momentum and weight decay move rows with no gradient."""
    net = network()
    optimizer = build_optimizer(param_groups(net, 1e-2, 1e-2, weight_decay=0.1), "adam")
    step(net, optimizer, ("rgb", "depth", "flow"))
    before = rows_of(net, 1)
    optimizer.zero_grad()
    net({"rgb": IMAGES["rgb"]})["segmentation"].streams["rgb"].square().mean().backward()
    optimizer.step()
    after = rows_of(net, 1)
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_a_stream_first_seen_late_starts_without_momentum() -> None:
    """Weight decay in the steps before must not have filled its momentum."""
    net = network()
    optimizer = build_optimizer(param_groups(net, 1e-2, 1e-2, weight_decay=0.1), "sgd")
    step(net, optimizer, ("rgb",))
    weight = net.get_submodule("encoder.layer1.0.bn1").weight
    momentum = optimizer.state[weight]["momentum_buffer"]
    assert momentum[1:].abs().max() == 0
    assert momentum[0].abs().max() > 0


def test_every_present_modality_leaves_nothing_to_keep() -> None:
    assert absent_rows(network(), ("rgb", "depth", "flow")) == []
