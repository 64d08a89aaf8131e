"""Nothing on the hot path reads a value back to the host."""

import copy

import pytest
import torch
from torch import Tensor, nn

from cen.exchange import ExchangeRule, MultiStream, convert, exchange_rate, sparsity

STREAMS = ["a", "b", "c"]


def network() -> MultiStream:
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.BatchNorm2d(6, momentum=None),
        nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
        nn.GroupNorm(2, 6),
    )
    net = convert(plain, STREAMS, exchange=ExchangeRule(threshold=0.7))
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net


def step(net: MultiStream, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """A training step's forward and backward pass, with the penalty."""
    result = net(given)
    loss = sum(values.square().mean() for values in result.values())
    (loss + 1e-3 * sparsity(net, list(given)) + 0 * exchange_rate(net)).backward()
    return result


@pytest.mark.parametrize("names", [STREAMS, ["a", "c"], ["b"]])
def test_a_step_runs_on_tensors_without_values(names: list[str]) -> None:
    """On the meta device any read of a value, and so any synchronisation, is an error."""
    net = network().to("meta")
    result = step(net, {name: torch.randn(2, 3, 8, 8, device="meta") for name in names})
    assert list(result) == names
    assert result[names[0]].shape == (2, 6, 6, 6)
    step(net.eval(), {name: torch.randn(2, 3, 8, 8, device="meta") for name in names})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("names", [STREAMS, ["a", "c"]])
def test_a_step_on_the_gpu_does_not_wait_and_agrees_with_the_cpu(names: list[str]) -> None:
    net = network()
    twin = copy.deepcopy(net).cuda()
    given = {name: torch.randn(2, 3, 8, 8) for name in names}
    moved = {name: values.cuda() for name, values in given.items()}
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = step(twin, moved)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for name, values in step(net, given).items():
        torch.testing.assert_close(result[name].cpu(), values, rtol=1e-3, atol=1e-3)
    for one, other in zip(net.parameters(), twin.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(other.grad.cpu(), one.grad, rtol=1e-3, atol=1e-3)
