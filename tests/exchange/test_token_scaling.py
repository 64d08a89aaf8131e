"""Scaling and exchange of tokens in few passes against the same in plain operations."""

import pytest
import torch
from torch.nn import functional as F

from cen.exchange.functional import exchange_masked
from cen.exchange.token_scaling import scaled

SHAPES = [(3, 2, 5), (2, 2, 7, 5), (2, 2, 3, 4, 6)]


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

    result = tokens * stretched(scale)
    result = result if shift is None else result + stretched(shift)
    return exchange_masked(result, stretched(replaced), [range(2)])


@pytest.mark.parametrize("shape", SHAPES, ids=["rows", "tokens", "maps"])
@pytest.mark.parametrize("shifted", [True, False])
def test_values_and_gradients_are_those_of_plain_operations(shape, shifted):
    tokens, scale, shift, replaced = made(shape)
    assert replaced.any(1).all()
    shift = shift if shifted else None
    given = [value for value in (tokens, scale, shift) if value is not None]
    upstream = torch.randn(shape, dtype=torch.float64)
    found = scaled(tokens, scale, shift, replaced, first=1)
    expected = plainly(tokens, scale, shift, replaced)
    torch.testing.assert_close(found, expected)
    pairs = (torch.autograd.grad(y, given, upstream) for y in (found, expected))
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_of_gradients_exist():
    tokens, scale, shift, replaced = made((1, 2, 3, 4))
    values = tokens, scale, shift
    assert torch.autograd.gradgradcheck(lambda *v: scaled(*v, replaced, 1), values)


def test_without_gradients_the_tokens_are_overwritten_and_with_them_kept():
    tokens, scale, shift, replaced = made((2, 2, 3, 4))
    kept = tokens.detach().clone()
    expected = scaled(tokens, scale, shift, replaced, 1)
    assert torch.equal(tokens.detach(), kept)
    with torch.no_grad():
        found = scaled(tokens.detach(), scale, shift, replaced, 1)
    assert torch.equal(found, expected)
    assert torch.equal(found, tokens.detach())


def test_scales_more_precise_than_tokens_keep_their_precision():
    tokens, scale, shift, replaced = made((2, 2, 3, 4), torch.float32)
    half = tokens.detach().bfloat16().requires_grad_()
    found = scaled(half, scale, shift, replaced, 1)
    assert found.dtype == torch.float32
    found.sum().backward()
    assert (half.grad.dtype, scale.grad.dtype) == (torch.bfloat16, torch.float32)
    with torch.no_grad():
        assert torch.equal(scaled(half.detach(), scale, shift, replaced, 1), found)


def test_infinite_values_that_give_way_leave_nothing():
    tokens, scale, shift, replaced = made((2, 2, 3, 4))
    stream, channel = replaced.nonzero()[0].tolist()
    with torch.no_grad():
        tokens[:, stream, :, channel] = torch.inf
    assert scaled(tokens, scale, shift, replaced, 1).isfinite().all()


def test_several_losses_are_differentiated_at_once():
    """As aggregators of gradients do, by a batch of them."""
    tokens, scale, shift, replaced = made((2, 2, 3, 4))
    found = scaled(F.layer_norm(tokens, (4,)), scale, shift, replaced, 1)
    losses = found.flatten(0, 2).square().sum(0)
    several = torch.autograd.grad(
        losses, (tokens, scale, shift), torch.eye(4).double(), True, is_grads_batched=True
    )
    for index, loss in enumerate(losses):
        alone = torch.autograd.grad(loss, (tokens, scale, shift), retain_graph=True)
        for one, other in zip(several, alone, strict=True):
            torch.testing.assert_close(one[index], other)
