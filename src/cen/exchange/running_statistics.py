"""Running statistics of the streams of a norm, each stream's own."""

from __future__ import annotations

import torch
from torch import Tensor

from cen.exchange.stream_norm import StreamNorm


class TrackingNorm(StreamNorm):
    """A stream norm that can keep running statistics, private per stream.

    Attributes:
        running_mean: (S, C), or None where statistics are not tracked.
        running_var: (S, C), or None.
        num_batches_tracked: (S,), or None.
        momentum: Weight of a batch in them; None averages over all batches seen, per stream.
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    momentum: float | None
    per_stream = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

    def _register_statistics(self, tracked: bool) -> None:
        self.track_running_stats = tracked
        shape = self.weight.shape
        self.register_buffer("running_mean", torch.zeros(shape) if tracked else None)
        self.register_buffer("running_var", torch.ones(shape) if tracked else None)
        counts = torch.zeros(shape[0], dtype=torch.long) if tracked else None
        self.register_buffer("num_batches_tracked", counts)

    def _running_statistics(self) -> tuple[Tensor, Tensor]:
        """Means and variances of the active streams, (S·C,) each."""
        assert self.running_mean is not None
        assert self.running_var is not None
        return self._rows(self.running_mean).flatten(), self._rows(self.running_var).flatten()

    def _update(self, batch_mean: Tensor, batch_var: Tensor) -> None:
        """Moves the running statistics of the active streams towards the batch's, (S·C,) each."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        running = self.running_mean, self.running_var, self.num_batches_tracked
        self._move(running, batch_mean, batch_var)

    @torch.no_grad()
    def _move(
        self,
        running: tuple[Tensor, Tensor, Tensor],
        batch_mean: Tensor,
        batch_var: Tensor,
        average_first: bool = False,
    ) -> None:
        """Moves means, variances and counts, (S, C), (S, C) and (S,), towards a batch's.

        ``average_first`` lets the first batches count as an average of all so far.
        """
        mean, var, counts = running
        new_mean, new_var = batch_mean.view(-1, mean.shape[1]), batch_var.view(-1, var.shape[1])
        for k, i in enumerate(self.streams.active):
            counts[i] += 1
            if self.momentum is None:
                step = counts[i].reciprocal().to(mean.dtype)
            else:
                step = torch.full((), self.momentum, dtype=mean.dtype, device=mean.device)
                if average_first:
                    step = torch.maximum(step, counts[i].reciprocal().to(mean.dtype))
            # .data: an earlier forward pass may still want to go backward. As in the plain norm's
            # kernel, this update must not count as a change of what that pass has saved.
            mean.data[i].lerp_(new_mean[k].to(mean.dtype), step)
            var.data[i].lerp_(new_var[k].to(var.dtype), step)
