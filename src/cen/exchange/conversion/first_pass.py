"""What is looked at when a converted network is first called."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cen.errors import CenWarning
from cen.exchange.conversion.conversion_summary import ConversionSummary, NormFate, named
from cen.exchange.conversion.image_entries import show_stems, told_of_stems
from cen.exchange.conversion.row_order import show_row_order
from cen.exchange.conversion.shared_norms import SharedNorms
from cen.exchange.stream_norm import StreamNorm
from cen.exchange.streams import Streams

_ONE_AT_A_TIME = threading.RLock()
LEFT_OUT = "not called in the first pass"
"""What the summary says of a norm that the network holds and does not use."""

_MIXES = (
    "what the network returns for an image changes with the other images of the batch: it computes "
    "something over the first axis (a mean, an extremum, attention) behind its norms, where "
    "samples and streams stand side by side. Streams see each other there without exchange, and a "
    "missing one changes what the others give; let it compute that for each sample"
)


class FirstPass:
    """Follows the rows of a network, and finds its norms that are no modules.

    Args:
        summary: What became of the network's norms.

    Attributes:
        follows: Whether anything is looked at; False for networks whose norms are replaced.
        summary: The same, with the norms that are functions after the first pass.
    """

    def __init__(self, summary: ConversionSummary) -> None:
        self.follows = True
        self.summary = self._of_conversion = summary
        self._shown: set[tuple[int, ...]] = set()  # shapes whose rows a pass has followed
        self._folding = False

    def again(self) -> FirstPass:
        """That of a network with the same norms which has not been called."""
        return FirstPass(self._of_conversion)

    def look(
        self,
        module: nn.Module,
        streams: Streams,
        example: Tensor,
        run: Callable[[Tensor], Any],
        *,
        whole: bool = False,
    ) -> None:
        """At the first pass, and where rows are folded at each new shape, follows the rows.

        Args:
            module: The converted network.
            streams: Its streams.
            example: (B, C, *) of one stream.
            run: Calls the network on a packed tensor.
            whole: Whether all samples are needed, and not the first two.

        Raises:
            ConversionError: A norm gets rows in another order, or of which nothing can be shown;
                or images enter elsewhere than through the stems.
        """
        if not self.follows or _traced():
            return  # before the shape is looked at, which may be symbolic
        shape = tuple(example.shape[1:])
        if self._known(shape):
            return
        # Modules rest in evaluation mode meanwhile: another thread's first pass waits for the end.
        with _ONE_AT_A_TIME:
            if not self._known(shape):
                self._follow(module, streams, example if whole else example[:2], run)
                self._shown.add(shape)

    def _known(self, shape: tuple[int, ...]) -> bool:
        return shape in self._shown or (bool(self._shown) and not self._folding)

    def _follow(
        self, module: nn.Module, streams: Streams, example: Tensor, run: Callable[[Tensor], Any]
    ) -> None:
        watching = None if self._shown else SharedNorms(module, self.summary.shared)
        with watching or nullcontext(), told_of_stems(module):
            shown = show_row_order(module, streams, example, run)
        if watching is not None:
            show_stems(module, streams, example.repeat_interleave(len(streams), 0), run)
            watching.tell()
            norms = self.summary.norms
            if shown is not None:
                norms = _with_idle_told(norms, module, shown.called)
                if shown.mixes:
                    warnings.warn(_MIXES, CenWarning, stacklevel=4)
            self.summary = ConversionSummary((*norms, *watching.fates()))
        layers = (part for part in module.modules() if isinstance(part, StreamNorm))
        self._folding = any(layer.folds for layer in layers)


def _with_idle_told(
    norms: Sequence[NormFate], module: nn.Module, called: Collection[nn.Module]
) -> tuple[NormFate, ...]:
    """What became of norms, with a word where the first pass has not called one.

    Warns of those among them that were chosen to exchange.
    """
    idle = {
        norm.name
        for norm in norms
        if norm.fate != "shared"
        and not any(part in called for part in module.get_submodule(norm.name).modules())
    }
    exchanging = [norm.name for norm in norms if norm.name in idle and norm.fate == "exchanging"]
    if exchanging:
        warnings.warn(
            f"{named(exchanging)} were chosen to exchange, and the first pass has not called them: "
            "nothing is exchanged there, though their scales count in the penalty and the "
            "exchange rate; let norms exchange that are called (where=)",
            CenWarning,
            stacklevel=5,
        )
    return tuple(
        replace(norm, reason=f"{norm.reason}; {LEFT_OUT}") if norm.name in idle else norm
        for norm in norms
    )


def _traced() -> bool:
    """Whether nothing can be looked at: under compilation, export and transforms of functions."""
    return torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None
