"""The stream norms: drop-in for the plain ones, private per stream, any subset present."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cen.errors import ShapeError
from cen.exchange import (
    ExchangeRule,
    StreamBatchNorm,
    StreamGroupNorm,
    StreamInstanceNorm,
    StreamNorm,
    Streams,
    exchange,
)

KINDS: dict[str, tuple[Callable[..., StreamNorm], Callable[[int], nn.Module]]] = {
    "batch": (StreamBatchNorm, nn.BatchNorm2d),
    "cumulative": (
        lambda c, s, **k: StreamBatchNorm(c, s, momentum=None, **k),
        lambda c: nn.BatchNorm2d(c, momentum=None),
    ),
    "untracked": (
        lambda c, s, **k: StreamBatchNorm(c, s, track_running_stats=False, **k),
        lambda c: nn.BatchNorm2d(c, track_running_stats=False),
    ),
    "instance": (StreamInstanceNorm, lambda c: nn.InstanceNorm2d(c, affine=True)),
    "tracked instance": (
        lambda c, s, **k: StreamInstanceNorm(c, s, track_running_stats=True, **k),
        lambda c: nn.InstanceNorm2d(c, affine=True, track_running_stats=True),
    ),
    "group": (
        lambda c, s, **k: StreamGroupNorm(2, c, s, **k),
        lambda c: nn.GroupNorm(2, c),
    ),
}
every_kind = pytest.mark.parametrize("kind", list(KINDS))


def shuffled(norm: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in norm.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return norm


def plain_twin(norm: StreamNorm, kind: str, stream: int) -> nn.Module:
    """The plain norm that one stream amounts to."""
    plain = KINDS[kind][1](norm.num_features)
    state = {name: value[stream] for name, value in norm.state_dict().items()}
    plain.load_state_dict(state)
    return plain.train(norm.training)


@every_kind
@pytest.mark.parametrize("streams", [1, 2, 3])
def test_each_stream_is_a_plain_norm(kind: str, streams: int) -> None:
    """Outputs, statistics and gradients, over two training steps and in eval mode."""
    names = [f"s{i}" for i in range(streams)]
    # In float64: gradients are sums, whose last digits depend on the order of the terms.
    norm = shuffled(KINDS[kind][0](6, Streams(names))).double()
    plain = [plain_twin(norm, kind, s).double() for s in range(streams)]
    for step in range(3):
        for module in (norm, *plain):
            module.train(step < 2)
        values = torch.randn(2, streams, 6, 3, 5).double() * (step + 1) + step
        result = norm(values.flatten(0, 1)).unflatten(0, (2, streams))
        for s in range(streams):
            torch.testing.assert_close(result[:, s], plain[s](values[:, s]))
        norm.zero_grad()
        result.square().sum().backward()
        for s in range(streams):
            plain[s].zero_grad()
            plain[s](values[:, s]).square().sum().backward() if step == 2 else None
        if step == 2:
            expected = torch.stack([p.weight.grad for p in plain])
            torch.testing.assert_close(norm.weight.grad, expected)
    for s in range(streams):
        for name, value in plain[s].state_dict().items():
            torch.testing.assert_close(norm.state_dict()[name][s], value)


@every_kind
def test_a_subset_is_the_norm_of_these_streams_alone(kind: str) -> None:
    streams = Streams(["a", "b", "c"])
    norm = shuffled(KINDS[kind][0](4, streams))
    before = copy.deepcopy(norm.state_dict())
    plain = {s: plain_twin(norm, kind, s) for s in (0, 2)}
    values = torch.randn(2, 2, 4, 3, 3)
    with streams.activate(["c", "a"]):
        result = norm(values.flatten(0, 1)).unflatten(0, (2, 2))
    torch.testing.assert_close(result[:, 0], plain[0](values[:, 0]))
    torch.testing.assert_close(result[:, 1], plain[2](values[:, 1]))
    for name, value in norm.state_dict().items():
        assert torch.equal(value[1], before[name][1]), f"the absent stream's {name} moved"
        torch.testing.assert_close(value[0], plain[0].state_dict()[name])


@every_kind
def test_exchange_follows_the_norm(kind: str) -> None:
    streams = Streams(["a", "b", "c"])
    rule = ExchangeRule(threshold=0.5, scope="any")
    norm = shuffled(KINDS[kind][0](6, streams, exchange=rule)).eval()
    plain = copy.deepcopy(norm)
    plain.exchange = None
    values = torch.randn(6, 6, 3, 3)
    expected = exchange(plain(values), norm.weight, 0.5, scope="any")
    torch.testing.assert_close(norm(values), expected)
    assert not torch.allclose(expected, plain(values))


@given(
    streams=st.integers(1, 4),
    channels=st.integers(1, 7),
    batch=st.integers(1, 3),
    height=st.integers(1, 5),
    width=st.integers(2, 5),
    present=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_any_shape_and_subset(
    streams: int, channels: int, batch: int, height: int, width: int, present: st.DataObject
) -> None:
    """The exchange of a subset among the parts of the full set, against the definition."""
    names = [f"s{i}" for i in range(streams)]
    subset = present.draw(st.sets(st.sampled_from(names), min_size=1))
    who = Streams(names)
    norm = shuffled(StreamBatchNorm(channels, who, exchange=ExchangeRule(threshold=0.7))).eval()
    active = who.indices(subset)
    values = torch.randn(batch, len(active), channels, height, width)
    expected = (
        torch.stack([values[:, k] * norm.weight[i][:, None, None] for k, i in enumerate(active)], 1)
        / (1 + norm.eps) ** 0.5
    )
    expected = expected + torch.stack([norm.bias[i] for i in active])[:, :, None, None]
    normalised = expected.clone()
    for k, i in enumerate(active):
        for c in range(channels):
            others = [o for o in range(len(active)) if o != k]
            if norm.own[i, c] and norm.weight[i, c].abs() < 0.7 and others:
                expected[:, k, c] = normalised[:, others, c].mean(1)
    with who.activate(subset):
        result = norm(values.flatten(0, 1))
    torch.testing.assert_close(result, expected.flatten(0, 1))


def test_replaced_channels_get_no_gradient_and_donors_do() -> None:
    streams = Streams(["a", "b"])
    norm = StreamBatchNorm(4, streams, exchange=ExchangeRule(threshold=0.02)).double()
    norm.weight.data = torch.tensor([[1e-3, 1.0, 1e-3, 1.0], [1.0, 1.0, 1.0, 1.0]]).double()
    values = torch.randn(4, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    result = norm(values).unflatten(0, (2, 2))
    assert torch.equal(result[:, 0, 0], result[:, 1, 0])
    # Channel 2 is not in a's own part: it stays although its scale is below θ.
    assert not torch.equal(result[:, 0, 2], result[:, 1, 2])
    result[:, 0].square().sum().backward()
    assert norm.weight.grad is not None
    assert norm.bias.grad is not None
    assert norm.weight.grad[0, 0] == 0
    assert norm.bias.grad[0, 0] == 0
    assert norm.weight.grad[1, 0] != 0
    assert (norm.weight.grad[1, 1:] == 0).all()


def test_gradcheck_through_norm_and_exchange() -> None:
    rule = ExchangeRule(threshold=0.5, scope="any")
    norm = StreamBatchNorm(3, Streams(["a", "b", "c"]), exchange=rule)
    shuffled(norm).double()
    assert 0 < norm.replaced().sum() < 9
    values = torch.randn(6, 3, 2, 2, dtype=torch.float64, requires_grad=True)

    def run(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        parameters = {"weight": weight, "bias": bias}
        return torch.func.functional_call(norm, parameters, (values,))

    assert torch.autograd.gradcheck(run, (values, norm.weight, norm.bias))


@every_kind
@pytest.mark.parametrize("streams", [1, 2, 3])
def test_channels_last_is_kept(kind: str, streams: int) -> None:
    names = [f"s{i}" for i in range(streams)]
    rule = ExchangeRule(threshold=0.5, scope="any")
    norm = shuffled(KINDS[kind][0](6, Streams(names), exchange=rule))
    twin = copy.deepcopy(norm)
    values = torch.randn(2 * streams, 6, 5, 7)
    last = values.to(memory_format=torch.channels_last)
    result = norm(last)
    assert result.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result, twin(values))


@every_kind
def test_bfloat16_under_autocast(kind: str) -> None:
    rule = ExchangeRule(threshold=0.5)
    norm = shuffled(KINDS[kind][0](6, Streams(["a", "b", "c"]), exchange=rule))
    values = torch.randn(6, 6, 5, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = copy.deepcopy(norm)(values.bfloat16())
    torch.testing.assert_close(result.float(), norm(values), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 7), (4, 3, 2, 3, 4)])
def test_any_number_of_spatial_dimensions(shape: tuple[int, ...]) -> None:
    norm = StreamBatchNorm(3, Streams(["a", "b"]))
    values = torch.randn(shape)
    result = norm(values).unflatten(0, (2, 2))
    expected = nn.functional.batch_norm(values[0::2], None, None, training=True)
    torch.testing.assert_close(result[:, 0], expected)


def test_a_plain_state_dict_starts_every_stream() -> None:
    plain = shuffled(nn.BatchNorm2d(3))
    norm = StreamBatchNorm(3, Streams(["a", "b"]))
    norm.load_state_dict(plain.state_dict())
    assert torch.equal(norm.weight[0], plain.weight)
    assert torch.equal(norm.weight[1], plain.weight)
    norm.load_state_dict(copy.deepcopy(norm.state_dict()))


def test_deepcopy_shares_one_new_streams_object() -> None:
    streams = Streams(["a", "b"])
    net = nn.Sequential(StreamBatchNorm(3, streams), StreamBatchNorm(3, streams))
    twin = copy.deepcopy(net)
    assert twin[0].streams is twin[1].streams
    assert twin[0].streams is not streams


def test_checkpointing_replays_the_subset_and_updates_once() -> None:
    streams = Streams(["a", "b", "c"])
    rule = ExchangeRule(threshold=0.5)
    net = nn.Sequential(nn.Conv2d(2, 4, 1), StreamBatchNorm(4, streams, exchange=rule))
    shuffled(net)
    twin = copy.deepcopy(net)
    values = torch.randn(4, 2, 3, 3)
    with streams.activate(["a", "c"]):
        result = streams.checkpoint(net, values)
    result.square().sum().backward()
    with twin[1].streams.activate(["a", "c"]):
        twin(values).square().sum().backward()
    assert streams.active == (0, 1, 2)
    for one, other in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    for one, other in zip(net.buffers(), twin.buffers(), strict=True):
        assert torch.equal(one, other)


def test_shape_errors() -> None:
    norm = StreamBatchNorm(3, Streams(["a", "b"]))
    with pytest.raises(ShapeError, match=r"expected \(rows, 3"):
        norm(torch.ones(2, 4, 2, 2))
    with pytest.raises(ShapeError, match="3 rows are not a multiple of 2"):
        norm(torch.ones(3, 3, 2, 2))
    with pytest.raises(ShapeError, match="do not divide into 2 groups"):
        StreamGroupNorm(2, 3, Streams(["a"]))


def test_repeated_use_with_a_missing_group_partner_keeps_values() -> None:
    """Two groups of two; one stream's partner is absent, the other pair is complete."""
    streams = Streams(["a", "b", "c", "d"], groups=[["a", "b"], ["c", "d"]])
    norm = StreamBatchNorm(2, streams, exchange=ExchangeRule(threshold=0.5, scope="any")).eval()
    norm.weight.data[:] = torch.tensor([0.1, 1.0])
    values: Tensor = torch.randn(3, 3, 2, 2, 2)
    with streams.activate(["a", "c", "d"]):
        result = norm(values.flatten(0, 1)).unflatten(0, (3, 3))
    scaled = values * norm.weight[0][:, None, None] / (1 + norm.eps) ** 0.5
    torch.testing.assert_close(result[:, 0], scaled[:, 0])
    torch.testing.assert_close(result[:, 1, 0], scaled[:, 2, 0])
    torch.testing.assert_close(result[:, 2, 0], scaled[:, 1, 0])


@every_kind
def test_a_later_forward_pass_of_a_subset_does_not_spoil_an_earlier_backward(kind: str) -> None:
    streams = Streams(["a", "b"])
    norm = KINDS[kind][0](4, streams)
    result = norm(torch.randn(4, 4, 3, 3))
    with streams.activate(["a"]):
        norm(torch.randn(2, 4, 3, 3))
    result.square().sum().backward()
    assert norm.weight.grad is not None


@pytest.mark.parametrize("through_a_file", [False, True])
def test_rows_of_streams_in_another_order_are_refused(tmp_path: Path, through_a_file: bool) -> None:
    """Their shapes are alike, so that each stream would silently have had the other's norms."""

    def built(*inputs: str) -> nn.Module:
        streams = Streams(inputs)
        return nn.Sequential(StreamBatchNorm(4, streams), StreamInstanceNorm(4, streams))

    saved = built("rgb", "depth").state_dict()
    if through_a_file:
        torch.save(saved, tmp_path / "weights.pt")
        saved = torch.load(tmp_path / "weights.pt", weights_only=True)
    built("rgb", "depth").load_state_dict(saved)
    built("left", "right").load_state_dict(saved)  # names of one's own
    with pytest.raises(RuntimeError, match=r"'rgb', 'depth'\], in another order") as refused:
        built("depth", "rgb").load_state_dict(saved, strict=False)
    assert str(refused.value).count("another order") == 1
