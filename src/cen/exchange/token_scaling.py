"""γ and β of streams on normalised tokens, and the exchange behind them, in few passes.

Tokens are many and narrow, and all that is done with them beside the matrix products is bound by
memory. What autograd makes of a product, a sum and a choice reads the tokens some ten times over,
and sums columns slowly on a CPU; here the choice is made in place, and going back once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def scaled(
    normalised: Tensor,
    scale: Tensor,
    shift: Tensor | None,
    replaced: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """γ · x + β of every stream; of two streams also the exchange behind it (equation 2).

    Args:
        normalised: (B, S, *, C), fresh: it is written to where no gradient is asked for.
        scale: γ, (S, C).
        shift: β, (S, C), or None.
        replaced: (2, C) bool, what each of two streams takes from the other, within its own part;
            None: nothing.
        first: position of the stream whose part is the first half of the channels.

    Returns:
        (B, S, *, C), in the more precise of the dtypes of tokens and scales.
    """
    # What is compiled or recorded as a graph is told in operations that a graph can hold.
    if isinstance(normalised, Tensor) and not torch.compiler.is_compiling():
        made: Tensor = _Scaled.apply(  # type: ignore[no-untyped-call]
            normalised, scale, shift, replaced, first, torch.is_grad_enabled()
        )
        return made
    result = _affine(normalised, scale, shift)
    if replaced is None:
        return result
    return torch.where(_stretched(replaced, result), result.flip(1), result)


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        normalised: Tensor,
        scale: Tensor,
        shift: Tensor | None,
        replaced: Tensor | None,
        first: int,
        recording: bool,
    ) -> Tensor:
        needed = recording and any(ctx.needs_input_grad)
        alike = normalised.dtype == scale.dtype
        target = None if needed or not alike else normalised
        result = _affine(normalised, scale, shift, target)
        if replaced is not None:
            for stream, channels in _parts(result, first):
                own = result[:, stream, ..., channels]
                mask = replaced[stream, channels]
                torch.where(mask, result[:, 1 - stream, ..., channels], own, out=own)
        if needed:
            ctx.save_for_backward(normalised, scale, replaced)
            ctx.first, ctx.shifted = first, shift is not None
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        normalised, scale, replaced = ctx.saved_tensors
        kept = scale if replaced is None else scale.masked_fill(replaced, 0)
        of_tokens = gradient * _stretched(kept, gradient)
        of_scale = _column_sums(gradient * normalised)
        of_shift = _column_sums(gradient) if ctx.shifted else None
        if replaced is not None:
            sums = of_shift
            of_scale = of_scale.masked_fill(replaced, 0)
            of_shift = None if sums is None else sums.masked_fill(replaced, 0)
            for stream, channels in _parts(gradient, ctx.first):
                giver = 1 - stream, channels
                mask = replaced[stream, channels].to(gradient.dtype)
                taken = gradient[:, stream, ..., channels]
                of_tokens[:, giver[0], ..., channels].addcmul_(taken, mask * scale[giver])
                product = taken * normalised[:, giver[0], ..., channels]
                of_scale[giver] += mask * _column_sums(product[:, None])[0]
                if sums is not None and of_shift is not None:
                    of_shift[giver] += mask * sums[stream, channels]
        return of_tokens.to(normalised.dtype), of_scale.to(scale.dtype), of_shift, None, None, None


def _affine(
    tokens: Tensor, scale: Tensor, shift: Tensor | None, out: Tensor | None = None
) -> Tensor:
    if shift is None:
        return torch.mul(tokens, _stretched(scale, tokens), out=out)
    return torch.addcmul(_stretched(shift, tokens), tokens, _stretched(scale, tokens), out=out)


def _parts(tokens: Tensor, first: int) -> list[tuple[int, slice]]:
    """Each of two streams and the channels of its own part."""
    half = tokens.shape[-1] // 2
    return [(first, slice(0, half)), (1 - first, slice(half, None))]


def _stretched(values: Tensor, tokens: Tensor) -> Tensor:
    """(S, C) as (S, *, C), to be multiplied with (B, S, *, C)."""
    return values.view(values.shape[0], *[1] * (tokens.ndim - 3), values.shape[1])


def _column_sums(values: Tensor) -> Tensor:
    """(B, S, *, C) → (S, C)."""
    rare = values.ndim == 3 or values.dtype not in (torch.float32, torch.float64)
    if values.device.type != "cpu" or rare:
        return values.sum([0, *range(2, values.ndim - 1)])
    # Columns of narrow rows are summed several times as fast by a product on a CPU.
    with torch.autocast("cpu", enabled=False):
        ones = torch.ones(1, values.shape[-2], dtype=values.dtype)
        return torch.matmul(ones, values).sum([0, *range(2, values.ndim - 1)])
