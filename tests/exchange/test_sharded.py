"""Converted networks in several processes: copies (DDP) and shards (FSDP2)."""

import copy
import tempfile
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tests.processes import side_by_side
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from cen.exchange import MultiStream, convert, exchange_rate, inspect, sparsity
from cen.models import build

STREAMS = {"a": 3, "b": 1, "c": 3}
SUBSETS = [tuple(STREAMS), ("a", "c"), ("b",)]


def network() -> MultiStream:
    """Three streams, one with a first convolution of its own; some own channels are exchanged."""
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.GroupNorm(2, 6), nn.ReLU()),
        nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.GroupNorm(3, 6), nn.ReLU()),
        nn.Conv2d(6, 2, 1),
    )
    net = convert(plain, STREAMS, weak_scales="keep").double()
    with torch.no_grad():
        for layer in (net.module[0][1], net.module[1][1]):
            layer.weight.copy_(torch.randn(3, 6))
            layer.weight[0, 0] = layer.weight[1, 2] = layer.weight[2, 5] = 0.001
    return net


def images(rank: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(rank)
    return {
        name: torch.randn(2, channels, 8, 8, generator=generator, dtype=torch.float64)
        for name, channels in STREAMS.items()
    }


def step(net: nn.Module, ranks: tuple[int, ...]) -> None:
    """Trains on each subset of the streams in turn."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for subset in SUBSETS:
        optimizer.zero_grad()
        losses = [
            torch.stack([out.square().mean() for out in net(given).values()]).sum()
            for given in ({name: images(rank)[name] for name in subset} for rank in ranks)
        ]
        (torch.stack(losses).mean() + 0.01 * sparsity(net)).backward()
        for parameter in net.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step()


def run(rank: int, folder: str, kind: str) -> None:
    """One of two processes, each with images of its own."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    net = network()
    if kind == "copies":
        # The first convolution of a stream that is absent has no gradient in that step.
        step(DistributedDataParallel(net, find_unused_parameters=True), (rank,))
    else:
        mesh = init_device_mesh("cpu", (2,))
        for part in (net.module[0], net.module[1]):
            fully_shard(part, mesh=mesh)
        fully_shard(net, mesh=mesh)
        assert isinstance(net.module[0][1].weight, DTensor)
        step(net, (rank,))
    found = inspect(net)
    state = {
        name: value.full_tensor() if isinstance(value, DTensor) else value
        for name, value in net.state_dict().items()
    }
    facts = torch.tensor([float(exchange_rate(net)), found.rate, float(sparsity(net))])
    torch.save({"state": state, "facts": facts}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["copies", "shards"])
def test_two_processes_learn_what_one_learns_of_both_their_images(kind: str) -> None:
    alone = network()
    before = copy.deepcopy(alone.state_dict())
    step(alone, (0, 1))
    facts = [float(exchange_rate(alone)), inspect(alone).rate, float(sparsity(alone))]
    with tempfile.TemporaryDirectory() as folder:
        side_by_side(run, folder, kind)
        parts = [torch.load(Path(folder) / f"{r}.pt", weights_only=True) for r in (0, 1)]
    for part in parts:
        torch.testing.assert_close(part["facts"], torch.tensor(facts))
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(part["state"][name], value, msg=name)
    assert not torch.equal(before["module.2.weight"], alone.state_dict()["module.2.weight"])


def looked_at(rank: int, folder: str) -> None:
    """A built network is inspected before and after its weights, α among them, are dealt out."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(0)
    inputs, outputs = {"a": 3, "b": 1, "c": 3}, {"s": 2}
    options = {"encoder": "resnet18", "width": 4, "decoder_channels": 4}
    net = build("refinenet", inputs=inputs, outputs=outputs, **options)
    with torch.no_grad():
        net.alpha["s"].copy_(torch.tensor([0.5, -1.0, 2.0]))
    expected = inspect(net)
    fully_shard(net, mesh=init_device_mesh("cpu", (2,)))
    assert isinstance(net.alpha["s"], DTensor)
    assert inspect(net).alpha == expected.alpha
    assert net.alpha_weights(["a", "c"])["s"].keys() == {"a", "c"}
    dist.destroy_process_group()


def test_alpha_of_a_sharded_network_is_read(tmp_path: Path) -> None:
    side_by_side(looked_at, str(tmp_path))
