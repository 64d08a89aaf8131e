"""Steering the penalty so that the exchange rate ends at a given value (this project's extension).

Exchange is absorbing under scope "own": a replaced scale receives nothing but the penalty's pull,
so a channel given away stays away. The controller therefore approaches the wished rate from below:

- only the weakest own channels are penalised, never more than ``round(rate * N)`` of the N own
  channels of the network, so the penalty cannot push the rate past the wish;
- their number grows along a straight line over the run (a little ahead of the wished rate,
  because a scale needs time to fall);
- the weight of the penalty grows while fewer channels than wished have fallen below the
  threshold, and shrinks slowly while there are enough.

It reads the scales and never writes one, and it never waits for the device.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cen.errors import ConfigError
from cen.exchange import StreamNorm, exchange_layers

_START, _END, _LEAD = 0.05, 0.7, 0.2  # shares of the run: rise begins, ends; penalty runs ahead
_DOUBLING = 0.02  # share of the run in which the weight doubles while the rate is too low
_RELAX = 0.25  # how much slower the weight falls than it rises
_LARGEST = 10.0


class Steering(NamedTuple):
    """What the controller adds to a step.

    Attributes:
        penalty: weight times the sum of the penalised magnitudes, a scalar with gradient.
        weight: the penalty's weight in this step, a scalar.
    """

    penalty: Tensor
    weight: Tensor


class RateController(nn.Module):
    """Penalises just so many scales, and just so strongly, that the rate ends at the wish.

    Its state (the weight) is a buffer, so it is saved in checkpoints and resumes exactly.

    Args:
        net: a network with exchanging layers.
        rate: wished share of the own channels below the threshold at the end, in 0..1.
        steps: length of the run.
        initial: weight of the penalty at the start, above 0.

    Raises:
        ConfigError: the rate is outside 0..1, or the network exchanges nothing.
    """

    weight: Tensor
    thresholds: Tensor

    def __init__(self, net: nn.Module, rate: float, steps: int, initial: float = 1e-4) -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise ConfigError(f"train.exchange_rate is {rate}; give a share between 0 and 1")
        self.rate, self.steps = rate, max(1, steps)
        self._layers: list[StreamNorm] = []
        self._modalities: list[str] = []
        self._masks: dict[frozenset[str], Tensor] = {}
        thresholds: list[float] = []
        for layer in exchange_layers(net).values():
            assert layer.exchange is not None
            own = (layer.own & layer.partnered).flatten().cpu()
            index = own.nonzero().flatten()
            if not len(index):
                continue
            self.register_buffer(f"index{len(self._layers)}", index, persistent=False)
            self._layers.append(layer)
            names = [name.rpartition("/")[2] for name in layer.streams.names]
            self._modalities += [names[i // layer.num_features] for i in index.tolist()]
            thresholds += [max(layer.exchange.threshold, 1e-12)] * len(index)
        if not thresholds:
            raise ConfigError(
                "train.exchange_rate is given but no layer exchanges between two streams; give"
                " the network two or more inputs with model.exchange true, or leave it null"
            )
        self.register_buffer("weight", torch.tensor(float(initial)))
        self.register_buffer("thresholds", torch.tensor(thresholds), persistent=False)

    @property
    def largest(self) -> int:
        """The number of own channels which may ever be penalised, ``round(rate * N)``."""
        return round(self.rate * len(self._modalities))

    def wish(self, step: int) -> float:
        """Wished rate in this step: 0 at first, then rising in a straight line, then ``rate``."""
        share = (step / self.steps - _START) / (_END - _START)
        return self.rate * min(1.0, max(0.0, share))

    def forward(self, step: int, present: Collection[str] | None = None) -> Steering:
        """The penalty of this step; also moves the weight for the next one.

        Args:
            step: the step about to be taken, from 0.
            present: modalities of this step; the scales of the others are not pulled at.
        """
        own = [
            layer.weight.flatten()[self.get_buffer(f"index{i}")]
            for i, layer in enumerate(self._layers)
        ]
        magnitudes = torch.cat(own).abs()
        relative = magnitudes.detach() / self.thresholds
        ahead = self.wish(step + round(_LEAD * self.steps))
        count = min(self.largest, round(ahead * len(self._modalities)))
        # topk takes exactly `count`, whatever is tied (all scales are, in a new network).
        weakest = relative.topk(count, largest=False).indices
        chosen = magnitudes[weakest]
        if present is not None:
            chosen = chosen * self._mask(frozenset(present))[weakest]
        weight = self.weight.clone()
        self._steer(relative, step)
        return Steering(weight * chosen.sum(), weight)

    @torch.no_grad()
    def _steer(self, relative: Tensor, step: int) -> None:
        rate = (relative < 1).to(self.weight.dtype).mean()
        up = 2 ** (1 / max(1.0, _DOUBLING * self.steps))
        below = rate < self.wish(step) - 0.5 / len(self._modalities)
        # 0-dim results of Python numbers: no copy from the host, nothing read back.
        self.weight.mul_(below * (up - up**-_RELAX) + up**-_RELAX).clamp_(1e-8, _LARGEST)

    def _mask(self, present: frozenset[str]) -> Tensor:
        mask = self._masks.get(present)
        if mask is None or mask.device != self.weight.device:
            kept = [float(name in present) for name in self._modalities]
            mask = torch.tensor(kept, device=self.weight.device)
            self._masks[present] = mask
        return mask
