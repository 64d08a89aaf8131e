"""Layer norm, scaling and exchange in few passes against the same in plain operations."""

import pytest
import torch
from torch.nn import functional as F

from cen.exchange.functional import exchange_masked
from cen.exchange.layer_norm_function import LARGE, scaled, streamwise_layer_norm

EPS = 1e-5
SHAPES = [(3, 2, 5), (2, 2, 7, 5), (2, 2, 3, 4, 6), (2, 2, LARGE // 8, 8)]


def made(shape, dtype=torch.float64):
    """Tokens, γ, β, and what gives way: stream 1 owns the first half of the channels."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*size):
        return torch.randn(size, generator=generator, dtype=dtype).requires_grad_()

    channels = shape[-1]
    replaced = torch.rand(2, channels, generator=generator) < 0.6
    replaced[0, : channels // 2] = False
    replaced[1, channels // 2 :] = False
    return drawn(*shape), drawn(2, channels), drawn(2, channels), replaced


def plainly(tokens, scale, shift, replaced):
    """The equation by operations of PyTorch."""

    def stretched(values):
        return values.view(2, *[1] * (tokens.ndim - 3), -1)

    result = F.layer_norm(tokens, tokens.shape[-1:], eps=EPS) * stretched(scale)
    result = result if shift is None else result + stretched(shift)
    return exchange_masked(result, stretched(replaced), [range(2)])


def found(tokens, scale, shift, replaced):
    """The same as a function of its own."""
    return streamwise_layer_norm(tokens, scale, shift, EPS, replaced, first=1)


@pytest.mark.parametrize("shape", SHAPES, ids=["rows", "tokens", "maps", "large"])
@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("last", [True, False], ids=["channels last", "channels first"])
def test_values_and_gradients_are_those_of_plain_operations(shape, shifted, last):
    tokens, scale, shift, replaced = made(shape)
    assert replaced.any(1).all()
    if not last:
        tokens = tokens.detach().movedim(-1, 2).contiguous().movedim(2, -1).requires_grad_()
    shift = shift if shifted else None
    given = [value for value in (tokens, scale, shift) if value is not None]
    upstream = torch.randn(shape, dtype=torch.float64)
    results = [function(tokens, scale, shift, replaced) for function in (found, plainly)]
    torch.testing.assert_close(*results)
    pairs = (torch.autograd.grad(y, given, upstream) for y in results)
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other)


def test_operations_of_a_graph_give_the_same():
    tokens, scale, shift, replaced = made((2, 2, 7, 5))
    one = scaled(F.layer_norm(tokens, (5,), eps=EPS), scale, shift, replaced)
    torch.testing.assert_close(one, plainly(tokens, scale, shift, replaced))


def test_one_stream_is_the_norm_of_pytorch():
    tokens, scale, shift, _ = made((2, 1, 7, 5), torch.float32)
    one = streamwise_layer_norm(tokens, scale[:1], shift[:1], EPS)
    torch.testing.assert_close(one, F.layer_norm(tokens, (5,), scale[0], shift[0], EPS))


def test_gradients_of_gradients_exist():
    tokens, scale, shift, replaced = made((1, 2, 3, 4))
    assert torch.autograd.gradgradcheck(
        lambda *given: found(*given, replaced), (tokens, scale, shift)
    )


def test_only_wanted_gradients_are_given():
    tokens, scale, shift, replaced = made((2, 2, 3, 4))
    loss = found(tokens.detach(), scale, shift.detach(), replaced).square().sum()
    loss.backward()
    assert scale.grad is not None
    assert tokens.grad is None
    assert shift.grad is None


@pytest.mark.parametrize("shape", [(2, 2, 3, 4), (1, 2, LARGE // 4, 4)], ids=["few", "many"])
def test_infinite_values_that_give_way_leave_nothing(shape):
    tokens, scale, shift, replaced = made(shape)
    stream, channel = replaced.nonzero()[0].tolist()
    with torch.no_grad():
        scale[stream, channel] = torch.inf
    assert found(tokens, scale, shift, replaced).isfinite().all()


@pytest.mark.parametrize("shape", [(2, 2, 3, 4), (1, 2, LARGE // 4, 4)], ids=["few", "many"])
@pytest.mark.parametrize("broken", ["a token", "a scale", "a shift", "overflow"])
def test_what_is_no_number_in_one_stream_reaches_the_other_by_exchange_alone(shape, broken):
    tokens, scale, shift, replaced = made(shape, torch.float32)
    giver, channel = 0, 1  # of the part of stream 1, which does not take it
    replaced[1, :] = False
    replaced[1, 0] = True
    with torch.no_grad():
        where = {"a token": tokens[0, giver, 1], "a shift": shift[giver]}.get(broken, scale[giver])
        where[channel] = 3e38 if broken == "overflow" else torch.nan
    kept = ~replaced[1]
    result = found(tokens, scale, shift, replaced)[:, 1][..., kept]
    expected = plainly(tokens, scale, shift, replaced)[:, 1][..., kept]
    assert result.isfinite().all()
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("large", [1e25, 1e30, 3e38])
def test_a_variance_beyond_all_numbers_stays_in_its_stream(large):
    """The mean of such a row is a number like any other."""
    tokens, scale, shift, replaced = made((1, 2, LARGE // 64, 96), torch.float32)
    tokens = tokens.detach()
    tokens[0, 0, :, 0] = large
    result, expected = (f(tokens, scale, shift, replaced) for f in (found, plainly))
    kept = ~replaced[1]
    assert expected[:, 1][..., kept].isfinite().all()
    assert kept.any()
    torch.testing.assert_close(result, expected, equal_nan=True)


def test_rows_of_no_variance_without_eps_stay_in_their_stream():
    tokens, scale, shift, replaced = made((1, 2, LARGE // 4, 4), torch.float32)
    with torch.no_grad():
        tokens[0, 0] = 1.0
        result = streamwise_layer_norm(tokens, scale, shift, 0.0, replaced, first=1)
    assert result[:, 1][..., ~replaced[1]].isfinite().all()


def test_several_losses_are_differentiated_at_once():
    """As aggregators of gradients do, by a batch of them."""
    tokens, scale, shift, replaced = made((2, 2, 3, 4))
    losses = found(tokens, scale, shift, replaced).flatten(0, 2).square().sum(0)
    several = torch.autograd.grad(
        losses, (tokens, scale, shift), torch.eye(4).double(), True, is_grads_batched=True
    )
    for index, loss in enumerate(losses):
        alone = torch.autograd.grad(loss, (tokens, scale, shift), retain_graph=True)
        for one, other in zip(several, alone, strict=True):
            torch.testing.assert_close(one[index], other)
