"""Running statistics of their own for passes in which streams are absent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cen.exchange.running_statistics import TrackingNorm

NAMES = ("partial_mean", "partial_var", "partial_batches")
"""Names of the buffers of :func:`keep_partial_statistics`."""


class PartialStatistics(TrackingNorm):
    """Part of a stream norm that can keep further statistics; see `keep_partial_statistics`.

    Attributes:
        partial_mean: (S - 1, S, C), running means while only n of the S streams are active, in
            row n - 1; None unless :func:`keep_partial_statistics` was called.
        partial_var: The same of the variances.
        partial_batches: (S - 1, S), how many batches each has seen.
    """

    partial_mean: Tensor | None
    partial_var: Tensor | None
    partial_batches: Tensor | None

    def _register_statistics(self, tracked: bool) -> None:
        super()._register_statistics(tracked)
        for name in NAMES:
            self.register_buffer(name, None)

    def keep_partial_statistics(self) -> None:
        """Adds statistics of their own for passes in which streams are absent."""
        mean = self.running_mean
        if mean is None or len(mean) == 1 or self.partial_mean is not None:
            return
        shape = (len(mean) - 1, *mean.shape)
        self.partial_mean = mean.new_zeros(shape)
        self.partial_var = mean.new_ones(shape)
        self.partial_batches = torch.zeros(shape[:2], dtype=torch.long, device=mean.device)

    def restream(self, rows: Sequence[int]) -> None:
        """As of all norms; those for absent streams begin anew."""
        super().restream(rows)
        if self.partial_mean is not None:
            self.partial_mean = None
            self.keep_partial_statistics()

    def _partial(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Those for as many streams as are active, (S, C), (S, C) and (S,), if they are kept."""
        mean = self.partial_mean
        if mean is None or self.streams.all_active:
            return None
        var, batches = self.partial_var, self.partial_batches
        assert var is not None
        assert batches is not None
        n = len(self.streams.active) - 1
        return mean[n], var[n], batches[n]

    def _running_statistics(self) -> tuple[Tensor, Tensor]:
        full, partial = super()._running_statistics(), self._partial()
        if partial is None:
            return full
        mean, var, batches = (self._rows(values) for values in partial)
        # Never seen so: the statistics of full passes are the best guess. No copy to the host.
        seen = (batches > 0).unsqueeze(1).expand_as(mean).flatten()
        return (
            torch.where(seen, mean.flatten(), full[0]),
            torch.where(seen, var.flatten(), full[1]),
        )

    def _update(self, batch_mean: Tensor, batch_var: Tensor) -> None:
        partial = self._partial()
        if partial is None:
            super()._update(batch_mean, batch_var)
        else:
            # Such passes are rare.
            self._move(partial, batch_mean, batch_var, average_first=True)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        if prefix + NAMES[0] in state_dict:
            self.keep_partial_statistics()
        elif self.partial_mean is not None:  # a run from before there were any goes on
            own = {prefix + name: getattr(self, name) for name in NAMES}
            state_dict.update(own)
        super()._load_from_state_dict(state_dict, prefix, *args)


def keep_partial_statistics(net: nn.Module) -> None:
    """Lets every stream batch norm keep further running statistics for absent streams.

    This project's extension, in the way of switchable batch norm (Yu et al., "Slimmable Neural
    Networks", ICLR 2019). A stream whose partners are absent keeps its own channels instead of
    getting theirs, so what the layers behind see is distributed otherwise; one average over
    passes with and without the partners fits neither. Training with modality dropout needs this
    for its evaluation. There is one set of statistics per number of active streams; for two
    streams that is exact. A state dict that holds such statistics makes them when it is loaded.
    """
    for module in net.modules():
        if isinstance(module, PartialStatistics):
            module.keep_partial_statistics()
