"""Layer norm with γ and β of streams, and the exchange between two behind it, in few passes.

Tokens are many and narrow, and all that is done with them beside the matrix products is bound by
memory. What autograd makes of a norm, a product, a sum and a choice reads the tokens some ten times
over, and keeps them twice; here they are scaled and chosen in place, and what is kept is what a
plain layer norm keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

LARGE = 1 << 16
"""Values of one stream of one sample from which a sample is worth calls of its own."""
BOUNDED_FROM = 1 << 15
"""Values of a batch from which it is worth while to ask whether all are finite."""


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
    if not torch.is_grad_enabled():
        return _forward(rows, scale, shift, eps, replaced, first)[0]
    normalised: Tensor = _StreamwiseLayerNorm.apply(rows, scale, shift, eps, replaced, first)  # type: ignore[no-untyped-call]
    return normalised


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
        result, mean, deviation = _forward(rows, scale, shift, eps, replaced, first)
        ctx.save_for_backward(rows, scale, shift, replaced, mean, deviation)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        rows, scale, shift, replaced, mean, deviation = ctx.saved_tensors
        output_mask = [*ctx.needs_input_grad[:2], shift is not None and ctx.needs_input_grad[2]]
        weights = _kept(scale, replaced).unbind()
        shifts = [None] * len(weights) if shift is None else shift.unbind()
        donated = None if replaced is None else replaced.flip(0).to(gradient.dtype).unbind()
        of_rows = []
        of_scale: list[list[Tensor]] = [[] for _ in weights]
        of_shift: list[list[Tensor]] = [[] for _ in weights]
        for values in _runs(gradient, rows, mean, deviation):
            pieces = [value.unbind(1) for value in values]
            for stream, (grad, row, *statistics) in enumerate(zip(*pieces, strict=True)):
                if donated is not None:
                    # What the other stream has taken; what gives way has no scale here.
                    grad = torch.addcmul(grad, pieces[0][1 - stream], donated[stream])
                gradients = torch.ops.aten.native_layer_norm_backward(
                    grad.contiguous(),
                    row.contiguous(),
                    scale.shape[1:],
                    *(value.contiguous() for value in statistics),  # read as they lie in memory
                    weights[stream],
                    shifts[stream],
                    output_mask,
                )
                of_rows.append(gradients[0])
                of_scale[stream].append(gradients[1])
                of_shift[stream].append(gradients[2])
        back = None
        if output_mask[0]:
            apart = len(of_rows) > len(weights)
            back = torch.stack(of_rows).view(rows.shape) if apart else torch.stack(of_rows, 1)
        totals = [
            _kept(torch.stack([sum(x[1:], x[0]) for x in by_stream]), replaced) if want else None
            for by_stream, want in zip((of_scale, of_shift), output_mask[1:], strict=True)
        ]
        return back, *totals, None, None, None


def _forward(
    rows: Tensor,
    scale: Tensor,
    shift: Tensor | None,
    eps: float,
    replaced: Tensor | None,
    first: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The result, and the mean and the inverse deviation of every row."""
    channels = scale.shape[1:]
    # Without γ and β, PyTorch's norm takes twice as long on a CPU as with them.
    ones, zeros = scale.new_ones(channels), scale.new_zeros(channels)
    kept = (_kept(scale, replaced), None if shift is None else _kept(shift, replaced))
    normalised, mean, deviation = torch.native_layer_norm(rows, channels, ones, zeros, eps)
    result = _affine(normalised, *kept, normalised)
    if replaced is not None:
        _take(result, replaced, first, _bounded(result, deviation, scale, shift))
    return result, mean, deviation


def _kept(values: Tensor, replaced: Tensor | None) -> Tensor:
    """(S, C) of the streams, 0 where they take from another."""
    return values if replaced is None else values.masked_fill(replaced, 0)


def _runs(*values: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Several (B, S, *) sample by sample where the first is large, else as they are."""
    if values[0][:1, :1].numel() < LARGE:
        return iter([values])
    return zip(*(torch.split(value, 1) for value in values), strict=True)


def _bounded(result: Tensor, deviation: Tensor, scale: Tensor, shift: Tensor | None) -> bool:
    """Whether it is known that no value is infinite or no number; asked where that pays.

    Of a GPU nothing is asked, which would wait for it.

    Args:
        result: What was normalised, scaled and shifted.
        deviation: The inverse one of every row: 0, infinite or no number where the variance is
            beyond all numbers, which it may be though the mean is none of that, or is 0.
        scale: γ.
        shift: β, or None.
    """
    few = result.numel() < BOUNDED_FROM
    if type(result) is not Tensor or result.device.type != "cpu" or few:
        return False
    # Of values of mean 0 and variance 1 none is greater than the root of their number.
    reach = float(scale.norm()) * scale.shape[-1] + (0.0 if shift is None else float(shift.norm()))
    least, greatest = (float(value) for value in deviation.aminmax())
    return reach < torch.finfo(result.dtype).max and least > 0 and greatest < float("inf")


def _take(result: Tensor, replaced: Tensor, first: int, bounded: bool) -> None:
    """The exchange between two, in place; what gives way is 0 before."""
    streams, masks = result.unbind(1), (replaced.to(result.dtype) if bounded else replaced).unbind()
    half = result.shape[-1] // 2
    for stream, part in ((first, (0, half)), (1 - first, (half, result.shape[-1] - half))):
        own, other = streams[stream].narrow(-1, *part), streams[1 - stream].narrow(-1, *part)
        if bounded:  # a fifth of the time that a choice takes on a CPU
            own.addcmul_(other, masks[stream].narrow(0, *part))
        else:
            torch.where(masks[stream].narrow(0, *part), other, own, out=own)


def _affine(
    tokens: Tensor, scale: Tensor, shift: Tensor | None, out: Tensor | None = None
) -> Tensor:
    if shift is None:
        return torch.mul(tokens, _stretched(scale, tokens), out=out)
    return torch.addcmul(_stretched(shift, tokens), tokens, _stretched(scale, tokens), out=out)


def _stretched(values: Tensor, tokens: Tensor) -> Tensor:
    """(S, C) as (S, *, C), to be multiplied with (B, S, *, C)."""
    return values.view(values.shape[0], *[1] * (tokens.ndim - 3), values.shape[1])
