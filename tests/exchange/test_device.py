"""Nothing on the hot path reads a value back to the host."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import swa_utils

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


@pytest.mark.parametrize("assign", [False, True])
def test_a_network_without_values_gets_its_parts_with_them(assign: bool) -> None:
    """As large networks are made: on the device "meta", then given memory and weights."""
    net = network().eval()
    empty = copy.deepcopy(net).to("meta")
    if not assign:
        empty.to_empty(device="cpu")
    empty.load_state_dict(net.state_dict(), assign=assign)
    given = {name: torch.randn(2, 3, 8, 8) for name in STREAMS}
    for name, values in net(given).items():
        assert torch.equal(empty(given)[name], values)
    assert torch.equal(sparsity(empty), sparsity(net))
    assert torch.equal(exchange_rate(empty), exchange_rate(net))


def test_helpers_of_pytorch_pass_stream_norms_by() -> None:
    """docs/your-own-loop.md tells what to do instead of each."""
    net = network().train()
    given = {name: torch.randn(2, 3, 8, 8) for name in STREAMS}
    net(given)
    before = copy.deepcopy(net.state_dict())
    swa_utils.update_bn([given], net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in net.modules())
    average = swa_utils.AveragedModel(
        net, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.75), use_buffers=True
    )
    average.update_parameters(net)
    net(given)
    average.update_parameters(net)
    name = next(name for name in before if name.endswith("running_mean"))
    expected = 0.75 * before[name] + 0.25 * net.state_dict()[name]
    torch.testing.assert_close(average.module.state_dict()[name], expected)
    torch.testing.assert_close(sparsity(average), sparsity(net))
    average.module.eval()(given)


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
