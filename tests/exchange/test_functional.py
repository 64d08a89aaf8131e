"""The exchange as a pure function."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cen.errors import ConfigError, ShapeError, StreamError
from cen.exchange import exchange, group_parts, parts
from cen.exchange.functional import exchange_masked, exchange_wide

REFERENCE = Path(__file__).parents[1] / "reference" / "exchange.npz"
SIZES = {
    "streams": st.integers(1, 5),
    "channels": st.integers(1, 9),
    "batch": st.integers(1, 3),
    "height": st.integers(1, 4),
    "width": st.integers(1, 5),
    "seed": st.integers(0, 2**16),
}


def by_hand(
    features: Tensor, scale: Tensor, threshold: float, scope: str, groups: list[list[int]]
) -> Tensor:
    """The definition, channel by channel, on (B, S, C, H, W)."""
    result = features.clone()
    channels = scale.shape[1]
    for group in groups:
        for position, s in enumerate(group):
            start = position * channels // len(group)
            end = (position + 1) * channels // len(group)
            for c in range(channels):
                inside = start <= c < end or scope == "any"
                others = [o for o in group if o != s]
                if abs(float(scale[s, c])) < threshold and inside and others:
                    result[:, s, c] = torch.stack([features[:, o, c] for o in others]).mean(0)
    return result


def draw(streams: int, channels: int, batch: int, height: int, width: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, streams, channels, height, width, generator=generator)
    scale = torch.randn(streams, channels, generator=generator) * 0.03
    return features, scale


def test_agrees_exactly_with_the_released_code() -> None:
    reference = {k: torch.tensor(v) for k, v in np.load(REFERENCE).items()}
    packed = torch.stack([reference["x0"], reference["x1"]], 1).flatten(0, 1)
    scale = torch.stack([reference["gamma0"], reference["gamma1"]])
    result = exchange(packed, scale, 2e-2, scope="any").unflatten(0, (2, 2))
    assert torch.equal(result[:, 0], reference["y0"])
    assert torch.equal(result[:, 1], reference["y1"])
    assert not torch.equal(result[:, 0], reference["x0"])


@given(**SIZES, scope=st.sampled_from(["own", "any"]))
@settings(max_examples=60, deadline=None)
def test_agrees_with_the_definition(scope: str, **sizes: int) -> None:
    features, scale = draw(**sizes)
    result = exchange(features.flatten(0, 1), scale, 0.02, scope=scope)
    expected = by_hand(features, scale, 0.02, scope, [list(range(len(scale)))])
    torch.testing.assert_close(result, expected.flatten(0, 1))


def by_keepers(features: Tensor, scale: Tensor, threshold: float) -> Tensor:
    """Keeper parts, channel by channel, on (B, S, C, H, W)."""
    result = features.clone()
    streams, channels = scale.shape
    for c in range(channels):
        run = next(r for r in range(streams) if c < (r + 1) * channels // streams)
        keeper = (run + 1) % streams
        weak = {s for s in range(streams) if s != keeper and abs(float(scale[s, c])) < threshold}
        kept = [s for s in range(streams) if s not in weak]
        for s in weak:
            result[:, s, c] = torch.stack([features[:, o, c] for o in kept]).mean(0)
    return result


@given(**SIZES)
@settings(max_examples=60, deadline=None)
def test_keeper_parts_agree_with_their_definition(**sizes: int) -> None:
    features, scale = draw(**sizes)
    packed = features.flatten(0, 1)
    result = exchange(packed, scale, 0.02, parts="keeper")
    torch.testing.assert_close(result, by_keepers(features, scale, 0.02).flatten(0, 1))
    if len(scale) <= 2:
        assert torch.equal(result, exchange(packed, scale, 0.02))


def test_at_full_exchange_all_streams_hold_the_keepers_values() -> None:
    features, _ = draw(4, 8, 2, 3, 3, seed=2)
    scale = torch.zeros(4, 8)
    result = exchange(features.flatten(0, 1), scale, 0.02, parts="keeper").unflatten(0, (2, 4))
    keepers = [(c * 4 // 8 + 1) % 4 for c in range(8)]
    for c, keeper in enumerate(keepers):
        assert all(torch.equal(result[:, s, c], features[:, keeper, c]) for s in range(4))
    own = group_parts(8, [[0, 1, 2, 3]], "keeper")
    assert own.sum(1).tolist() == [6] * 4  # (S - 1) / S of the channels
    assert not any(own[keeper, c] for c, keeper in enumerate(keepers))


def test_without_their_keeper_those_that_are_there_keep_theirs() -> None:
    features, _ = draw(2, 3, 1, 2, 2, seed=0)
    everywhere = torch.ones(2, 3, dtype=torch.bool)
    wide = features.flatten(1, 2)
    assert torch.equal(exchange_wide(wide, everywhere, [[0, 1]], "keeper"), wide)


def test_keeper_parts_keep_half_precision_and_gradients() -> None:
    features, scale = draw(3, 6, 2, 2, 3, seed=0)
    packed = features.flatten(0, 1)
    for dtype in (torch.bfloat16, torch.float16):
        assert exchange(packed.to(dtype), scale, 0.02, parts="keeper").dtype == dtype
    assert torch.autograd.gradcheck(
        lambda x: exchange(x, scale, 0.02, parts="keeper"), (packed.double().requires_grad_(),)
    )


def test_groups_exchange_among_themselves_only() -> None:
    features, scale = draw(5, 6, 2, 3, 3, seed=1)
    groups = [[0, 3], [4, 1], [2]]
    result = exchange(features.flatten(0, 1), scale, 0.03, groups=groups)
    expected = by_hand(features, scale, 0.03, "own", groups).flatten(0, 1)
    torch.testing.assert_close(result, expected)
    assert torch.equal(result.unflatten(0, (2, 5))[:, 2], features[:, 2])


@given(**SIZES)
@settings(max_examples=30, deadline=None)
def test_large_scales_change_nothing(**sizes: int) -> None:
    features, scale = draw(**sizes)
    packed = features.flatten(0, 1)
    assert torch.equal(exchange(packed, scale.sign() * 0.02, 0.02, scope="any"), packed)


def test_order_of_streams_does_not_matter() -> None:
    features, scale = draw(4, 8, 2, 3, 5, seed=3)
    order = [2, 0, 3, 1]
    plain = exchange(features.flatten(0, 1), scale, 0.02).unflatten(0, (2, 4))
    # Permuted names and permuted parts: the group lists the streams in their former order.
    former = [order.index(s) for s in range(4)]
    permuted = exchange(features[:, order].flatten(0, 1), scale[order], 0.02, groups=[former])
    torch.testing.assert_close(permuted.unflatten(0, (2, 4)), plain[:, order])


def test_gradient_reaches_the_donors() -> None:
    features = torch.ones(1, 3, 3, 1, 1, requires_grad=True)
    scale = torch.ones(3, 3)
    scale[0, 0] = 0.0
    result = exchange(features.flatten(0, 1), scale, 0.02).unflatten(0, (1, 3))
    result[0, 0, 0].sum().backward()
    assert features.grad is not None
    assert features.grad[0, :, 0].flatten().tolist() == [0.0, 0.5, 0.5]


def test_gradcheck_in_double_precision() -> None:
    for streams in (2, 3):
        features, scale = draw(streams, 4, 2, 2, 3, seed=streams)
        packed = features.double().flatten(0, 1).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda x, y=scale: exchange(x, y, 0.02, scope="any"), (packed,)
        )


def test_half_precision_under_autocast_keeps_float32_features() -> None:
    features, scale = draw(3, 6, 1, 2, 2, seed=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = exchange(features.flatten(0, 1), scale, 0.02)
    expected = by_hand(features, scale, 0.02, "own", [[0, 1, 2]])
    torch.testing.assert_close(result, expected.flatten(0, 1))


@given(streams=st.integers(1, 12), channels=st.integers(1, 40))
def test_parts_are_disjoint_covering_and_even(streams: int, channels: int) -> None:
    own = parts(channels, streams)
    assert own.shape == (streams, channels)
    assert own.sum(0).tolist() == [1] * channels
    sizes = own.sum(1)
    assert sizes.max() - sizes.min() <= 1


def test_the_released_halves_are_our_parts() -> None:
    assert parts(4, 2).tolist() == [[True, True, False, False], [False, False, True, True]]


def test_every_group_is_cut_on_its_own() -> None:
    own = group_parts(4, [[0, 2], [1]])
    assert own.int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"scope": "all"}, StreamError, "'own' or 'any'"),
        ({"parts": "kept"}, StreamError, "'paper', or 'keeper'"),
        ({"parts": "keeper", "scope": "any"}, StreamError, "'keeper' with scope 'own'"),
        ({"groups": [[0], [0, 1]]}, StreamError, "exactly once"),
        ({"scale": torch.ones(2, 5)}, ShapeError, r"\(4, 3, 2, 2\) and \(2, 5\)"),
        ({"features": torch.ones(3, 3, 2, 2)}, ShapeError, "not a multiple of 2"),
        ({"threshold": float("nan")}, ConfigError, "threshold is a number of at least 0, not nan"),
        ({"threshold": -0.02}, ConfigError, "threshold is a number of at least 0"),
    ],
)
def test_errors_say_what_is_wrong(change: dict, error: type[Exception], words: str) -> None:
    arguments = {"features": torch.ones(4, 3, 2, 2), "scale": torch.ones(2, 3), "threshold": 0.02}
    with pytest.raises(error, match=words):
        exchange(**{**arguments, **change})


def test_parts_refuse_zero_channels() -> None:
    with pytest.raises(ShapeError, match="channels ≥ 1"):
        parts(0, 2)


@pytest.mark.parametrize(
    "groups",
    [
        [[0, 1, 2], [3, 4, 5]],
        [[0, 1], [2, 3], [4, 5]],
        [[0, 1, 2, 3], [4, 5]],
        [[0, 2, 4], [1, 3, 5]],
        [[0, 1, 2, 3, 4], [5]],
    ],
    ids=["threes", "pairs", "uneven", "interleaved", "alone"],
)
def test_an_overflow_stays_in_its_group(groups: list[list[int]]) -> None:
    """Infinity times the weight 0 of another group would be NaN there."""
    features, scale = draw(6, 12, 2, 3, 3, seed=4)
    features[:, 0] = torch.inf
    result = exchange(features.flatten(0, 1), scale, 0.1, scope="any", groups=groups)
    result = result.unflatten(0, (2, 6))
    finite = features.clone()
    finite[:, 0] = 0
    expected = by_hand(finite, scale, 0.1, "any", groups)
    for group in groups:
        if 0 not in group:
            torch.testing.assert_close(result[:, group], expected[:, group])
            assert result[:, group].isfinite().all()


def test_of_two_in_a_group_each_donates_itself_bit_by_bit() -> None:
    features, scale = draw(6, 8, 2, 3, 3, seed=5)
    groups = [[0, 1], [2, 3], [4, 5]]
    result = exchange(features.flatten(0, 1), torch.zeros_like(scale), 0.1, scope="any",
                      groups=groups)  # fmt: skip
    swapped = features.unflatten(1, (3, 2)).flip(2).flatten(1, 2)
    assert torch.equal(result.unflatten(0, (2, 6)), swapped)


@pytest.mark.parametrize("groups", [[[0, 1]], [[0, 3], [1, 2]], [[2], [1, 0], [3]]])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_choice_of_channels_is_the_masked_mean_bit_by_bit(
    groups: list[list[int]], memory_format: torch.memory_format
) -> None:
    streams, channels = sum(map(len, groups)), 5
    values = torch.randn(2, streams * channels, 3, 4).to(memory_format=memory_format)
    replaced = torch.rand(streams, channels) < 0.5
    chosen, masked = values.clone().requires_grad_(), values.clone().requires_grad_()
    result = exchange_wide(chosen, replaced, groups)
    features = masked.unflatten(1, (streams, channels))
    expected = exchange_masked(features, replaced[None, ..., None, None], groups).flatten(1, 2)
    weights = torch.randn_like(values)
    (result * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.equal(result, expected)
    assert torch.equal(chosen.grad, masked.grad)
    assert result.is_contiguous(memory_format=memory_format)
