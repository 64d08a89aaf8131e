"""Synchronised batch norm: two processes compute what one computes on the whole batch."""

import copy
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from tests.processes import side_by_side
from torch import Tensor, nn

from cen.exchange import ExchangeRule, StreamBatchNorm, Streams, StreamSyncBatchNorm, synchronise

STREAMS = ["a", "b"]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    rule = ExchangeRule(threshold=0.7)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), StreamBatchNorm(4, Streams(STREAMS), exchange=rule))
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net.double()


def batch() -> Tensor:
    # A large mean would cancel in E[x²] - E[x]².
    return torch.randn(4, 2, 3, 5, 5, generator=torch.Generator().manual_seed(1)).double() + 30


def run(rank: int, folder: str) -> None:
    """One of two processes: three samples on the first, one on the second."""
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    net = synchronise(network())
    share = batch()[:3] if rank == 0 else batch()[3:]
    result = net(share.flatten(0, 1))
    result.square().sum().backward()
    gradients = []
    for parameter in net.parameters():
        assert parameter.grad is not None
        dist.all_reduce(parameter.grad)
        gradients.append(parameter.grad)
    state = {"result": result.detach(), "gradients": gradients, "state": net.state_dict()}
    torch.save(state, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_agree_with_one_on_the_whole_batch() -> None:
    net = network()
    expected = net(batch().flatten(0, 1))
    expected.square().sum().backward()
    with tempfile.TemporaryDirectory() as folder:
        side_by_side(run, folder)
        parts = [torch.load(Path(folder) / f"{r}.pt", weights_only=True) for r in (0, 1)]
    result = torch.cat([part["result"] for part in parts])
    torch.testing.assert_close(result, expected.detach())
    for part in parts:
        for gradient, parameter in zip(part["gradients"], net.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad)
        for name, value in net.state_dict().items():
            torch.testing.assert_close(part["state"][name], value)


def test_without_processes_it_is_the_plain_stream_norm() -> None:
    net = network()
    twin = synchronise(copy.deepcopy(net))
    assert isinstance(twin[1], StreamSyncBatchNorm)
    torch.testing.assert_close(twin(batch().flatten(0, 1)), net(batch().flatten(0, 1)))
    torch.testing.assert_close(twin.state_dict(), net.state_dict())
