"""Instance norm of streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cen.errors import ShapeError
from cen.exchange.rule import ExchangeRule
from cen.exchange.running_statistics import TrackingNorm
from cen.exchange.streams import Streams, keep_format


class StreamInstanceNorm(TrackingNorm):
    """Instance norm with private γ and β per stream (paper, equation 1, image translation).

    With one stream it computes what ``nn.InstanceNorm2d(affine=True)`` computes.

    Args:
        num_features: C ≥ 1.
        streams: The streams of this part of the network.
        exchange: The rule, or None.
        eps: Added to the variance.
        momentum: Of the running statistics, where tracked.
        track_running_stats: True keeps statistics and uses them in eval mode (released code).
        bias: False leaves out β.
    """

    momentum: float

    def __init__(
        self,
        num_features: int,
        streams: Streams,
        *,
        exchange: ExchangeRule | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        track_running_stats: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, streams, exchange=exchange, bias=bias)
        self.eps, self.momentum = eps, momentum
        self._register_statistics(track_running_stats)

    def _normalise(self, wide: Tensor) -> Tensor:
        scale, shift = self._affine()
        mean, var = self.running_mean, self.running_var
        own_statistics = self.training or mean is None
        if own_statistics and wide[0, 0].numel() == 1:
            raise ShapeError(
                f"instance norm of {self.num_features} channels got one pixel; use a larger image"
            )
        if mean is None or var is None:
            normalised = F.instance_norm(wide, None, None, scale, shift, True, 0.0, self.eps)
        else:
            update = own_statistics and self.streams.update_statistics
            rows = self._rows(mean).flatten(), self._rows(var).flatten()
            if own_statistics:
                rows = rows[0].clone(), rows[1].clone()
            normalised = F.instance_norm(
                wide, *rows, scale, shift, own_statistics, self.momentum, self.eps
            )
            if update:
                with torch.no_grad():
                    for k, i in enumerate(self.streams.active):
                        mean[i] = rows[0].view(-1, mean.shape[1])[k]
                        var[i] = rows[1].view(-1, var.shape[1])[k]
        return keep_format(normalised, wide)


@contextmanager
def instance_statistics(net: nn.Module) -> Iterator[None]:
    """Lets every instance norm of a network use the statistics of the image at hand in eval mode.

    Inside the context the running statistics are neither used nor changed. The released
    translation code is never put in eval mode and so evaluates with such statistics.
    """
    norms = [
        module
        for module in net.modules()
        if isinstance(module, StreamInstanceNorm | nn.modules.instancenorm._InstanceNorm)
    ]
    names = ("running_mean", "running_var", "track_running_stats")
    kept = [{name: getattr(module, name) for name in names} for module in norms]
    try:
        for module in norms:
            module.running_mean = module.running_var = None
            module.track_running_stats = False
        yield
    finally:
        for module, values in zip(norms, kept, strict=True):
            for name, value in values.items():
                setattr(module, name, value)
