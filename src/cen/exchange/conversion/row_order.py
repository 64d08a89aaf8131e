"""Which rows of a packed tensor reach each norm: shown by passes, never guessed.

Rows (samples × streams) may be folded on the way: windows and frames become rows of their own. A
norm has to know which stream each row is of. Here a network is run on a few samples, and then again
with the samples of some streams changed. What changes at a norm says whose its rows are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cen.errors import ConversionError
from cen.exchange.conversion.trial_pass import Run, trial_pass
from cen.exchange.stream_norm import StreamNorm
from cen.exchange.streams import Streams

_OTHER_ROWS = (
    "gets {given} rows where {rows} ride through the network, so that rows and streams cannot be "
    "told apart"
)
_OTHER_ORDER = (
    "gets rows that are not sample by sample: its first axis is not the batch, folded rows lie "
    "outside of their sample's place, or samples have been mixed before"
)
_CONSTANT = "gets {given} rows that do not depend on the input, where {rows} ride: of what stream?"


class Sightings:
    """What the norms of a network get in one pass.

    Args:
        rows: Rows that ride through the network.

    Attributes:
        norms: Every call, in turn.
        marks: Of every call a number per row that tells its values apart, and what rounding is.
        strange: Norms whose rows cannot be dealt out, and how many those were.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.norms: list[StreamNorm] = []
        self.marks: list[tuple[Tensor, Tensor]] = []
        self.strange: dict[int, int] = {}

    def see(self, norm: nn.Module, packed: Tensor) -> bool:
        """Notes the rows; whether they can be dealt out to the streams."""
        assert isinstance(norm, StreamNorm)
        if packed.shape[0] % self.rows:
            self.strange[id(norm)] = packed.shape[0]
            return False
        values = packed.detach().flatten(1).double()
        weights = torch.arange(values.shape[1], dtype=values.dtype, device=values.device).cos()
        self.norms.append(norm)
        rounding = min(1e-6, 64 * torch.finfo(packed.dtype).eps)
        self.marks.append((values @ weights, values.norm(dim=1) * rounding))
        return True


class Shown(NamedTuple):
    """What the passes showed of a network.

    Attributes:
        called: The norms that were called.
        mixes: Whether what it returns for one row changes with others.
    """

    called: set[nn.Module]
    mixes: bool


@torch.no_grad()
def show_row_order(module: nn.Module, streams: Streams, example: Tensor, run: Run) -> Shown | None:
    """Shows that every norm's rows are sample by sample, and tells the norms of folded ones.

    Nothing random is drawn from the caller's generators, no statistics move, nothing is exchanged.

    Args:
        module: The converted network.
        streams: Its streams.
        example: (B, C, *) of one stream; floating point, or nothing can be shown.
        run: Calls the network on a packed tensor.

    Returns:
        What was seen; None where nothing can be shown of such an example.

    Raises:
        ConversionError: A norm gets rows in another order, or of which nothing can be shown.
    """
    norms = {id(m): name for name, m in module.named_modules() if isinstance(m, StreamNorm)}
    if not norms or not example.is_floating_point() or example.is_meta or not len(example):
        return None
    every = len(streams)
    rows = example.repeat_interleave(every, 0)
    noise = torch.rand(example.shape, generator=torch.Generator().manual_seed(0))
    # Larger, so that a minimum or maximum over samples moves, too.
    other = 4 * example + noise.to(example) * example.abs().max().clamp(min=1)
    plain = Sightings(len(rows))
    results = trial_pass(module, streams, rows, run, plain)
    mixes = False
    reasons = {i: _OTHER_ROWS.format(given=n, rows=len(rows)) for i, n in plain.strange.items()}
    for bit in range((every - 1).bit_length()):
        changed = [row for row in range(len(rows)) if row % every >> bit & 1]
        mixed = rows.clone()
        mixed[changed] = other[[row // every for row in changed]]
        seen = Sightings(len(rows))
        other_results = trial_pass(module, streams, mixed, run, seen)
        reasons |= _compared(plain, seen, set(changed), reasons)
        kept = [row for row in range(len(rows)) if row not in changed]
        mixes = mixes or _moved(results, other_results, kept, len(rows))
    if reasons:
        raise ConversionError(_told(norms, reasons))
    for norm, (mark, _) in zip(plain.norms, plain.marks, strict=True):
        norm.folds = norm.folds or len(mark) > len(rows)
    return Shown(set(plain.norms), mixes)


def _moved(one: list[Tensor], other: list[Tensor], kept: list[int], rows: int) -> bool:
    """Whether rows of results differ whose images are the same, by more than rounding."""
    for before, after in zip(one, other, strict=False):
        of_rows = before.numel() and before.ndim and before.shape[0] == rows
        if of_rows and before.shape == after.shape:
            kept_before, kept_after = (
                values[kept].double().nan_to_num() for values in (before, after)
            )
            apart = (kept_before - kept_after).abs().max()
            if bool(apart > 1e-4 * kept_before.abs().max().clamp(min=1e-12)):
                return True
    return False


def _compared(
    plain: Sightings, other: Sightings, changed: set[int], earlier_reasons: Mapping[int, str]
) -> dict[int, str]:
    """Why norms have not got the rows of the samples that changed, and no others."""
    reasons = {}
    if [id(norm) for norm in plain.norms] != [id(norm) for norm in other.norms]:
        return {id(norm): "is called or not as the input has it" for norm in plain.norms}
    for norm, (mark, rounding), (marked, _) in zip(
        plain.norms, plain.marks, other.marks, strict=True
    ):
        moved = (((mark - marked).abs() > rounding) | marked.isnan()).view(plain.rows, -1).any(1)
        moved_rows = {row for row, value in enumerate(moved.tolist()) if value}
        if id(norm) in earlier_reasons or (moved_rows and moved_rows <= changed):
            continue  # a sample may change nothing, behind a ReLU; another's must not change
        if moved_rows:
            reasons[id(norm)] = _OTHER_ORDER
        elif len(mark) > plain.rows:
            # As many constant rows as ride are the same for every stream, whatever their order.
            reasons[id(norm)] = _CONSTANT.format(given=len(mark), rows=plain.rows)
    return reasons


def _told(norms: Mapping[int, str], reasons: Mapping[int, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for key, reason in reasons.items():
        by_reason.setdefault(reason, []).append(norms.get(key, "a norm"))
    text = "; ".join(f"{', '.join(map(repr, names))} {why}" for why, names in by_reason.items())
    return (
        f"{text}. Rows of several streams would be mixed there: keep these norms shared by all "
        "streams (shared=[...] of cen.convert)"
    )
