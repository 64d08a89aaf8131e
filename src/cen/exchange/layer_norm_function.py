"""Layer norm with γ and β of streams, and the exchange between two behind it, in few passes.

Tokens are many and narrow, and all that is done with them beside the matrix products is bound by
memory. What autograd makes of a norm, a product, a sum and a choice reads the tokens some ten times
over, and keeps them twice; here they are scaled and chosen in place, and what is kept is what a
plain layer norm keeps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LARGE = 1 << 16
"""Values of one stream of one sample from which it is worth a call of its own, without a copy."""


def streamwise_layer_norm(
    rows: Tensor,
    scale: Tensor,
    shift: Tensor | None,
    eps: float,
    replaced: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """Layer norm of every stream; of two streams also the exchange behind it (equation 2).

    Args:
        rows: (B, S, *, C).
        scale: γ, (S, C), of the dtype of the rows.
        shift: β, (S, C), or None.
        eps: Added to the variance.
        replaced: (2, C) bool, what each of two streams takes from the other, within its own part;
            None: nothing.
        first: position of the stream whose part is the first half of the channels.

    Returns:
        (B, S, *, C).
    """
    made: Tensor = _StreamwiseLayerNorm.apply(rows, scale, shift, eps, replaced, first)  # type: ignore[no-untyped-call]
    return made


def scaled(
    normalised: Tensor, scale: Tensor, shift: Tensor | None, replaced: Tensor | None = None
) -> Tensor:
    """γ · x + β of every stream, and the exchange between two, in operations of a graph.

    Args:
        normalised: (B, S, *, C).
        scale: γ, (S, C).
        shift: β, (S, C), or None.
        replaced: As above.

    Returns:
        (B, S, *, C), in the more precise of the dtypes of tokens and scales.
    """
    result = _affine(normalised, scale, shift)
    if replaced is None:
        return result
    return torch.where(_stretched(replaced, result), result.flip(1), result)


class _StreamwiseLayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        scale: Tensor,
        shift: Tensor | None,
        eps: float,
        replaced: Tensor | None,
        first: int,
    ) -> Tensor:
        channels = scale.shape[1:]
        # Without γ and β, PyTorch's norm takes twice as long on a CPU as with them.
        ones, zeros = scale.new_ones(channels), scale.new_zeros(channels)
        made, mean, deviation = torch.native_layer_norm(rows, channels, ones, zeros, eps)
        result = _affine(made, scale, shift, made)
        if replaced is not None:
            for stream, part in _parts(result, first):
                own = result[:, stream, ..., part]
                torch.where(replaced[stream, part], result[:, 1 - stream, ..., part], own, out=own)
        ctx.save_for_backward(rows, scale, shift, replaced, mean, deviation)
        ctx.first = first
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        rows, scale, shift, replaced, mean, deviation = ctx.saved_tensors
        if replaced is not None:
            gradient = _given_back(gradient, replaced, ctx.first)
        samples, streams = rows.shape[:2]
        wanted = [*ctx.needs_input_grad[:2], shift is not None and ctx.needs_input_grad[2]]
        apart = rows[:1, 0].numel() >= LARGE
        runs = range(samples) if apart else [slice(None)]
        found = [
            torch.ops.aten.native_layer_norm_backward(
                gradient[run, stream].contiguous(),
                rows[run, stream].contiguous(),
                scale.shape[1:],
                # PyTorch reads statistics as they lie in memory.
                mean[run, stream].contiguous(),
                deviation[run, stream].contiguous(),
                scale[stream],
                None if shift is None else shift[stream],
                wanted,
            )
            for run in runs
            for stream in range(streams)
        ]
        of_rows, of_scale, of_shift = (
            [one[place] for one in found] if want else None for place, want in enumerate(wanted)
        )
        back = None
        if of_rows is not None:
            back = torch.stack(of_rows).view(rows.shape) if apart else torch.stack(of_rows, 1)
        totals = [
            None if sums is None else torch.stack(sums).view(-1, *scale.shape).sum(0)
            for sums in (of_scale, of_shift)
        ]
        return back, *totals, None, None, None


def _given_back(gradient: Tensor, replaced: Tensor, first: int) -> Tensor:
    """The gradient before an exchange between two: what was taken goes to its giver."""
    taken = replaced.to(gradient.dtype)
    result = gradient * _stretched(1 - taken, gradient)
    for stream, part in _parts(gradient, first):
        giver = result[:, 1 - stream, ..., part]
        giver.addcmul_(gradient[:, stream, ..., part], taken[stream, part])
    return result


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
