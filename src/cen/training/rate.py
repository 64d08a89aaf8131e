"""Steering the penalty so that the exchange rate ends at a given value (this project's extension).

Exchange is absorbing under scope "own": a replaced scale receives nothing but the penalty's pull,
so a channel given away stays away. The controller therefore approaches the wished rate from below:

- Only the weakest own channels are ever penalised, ``round(rate * N)`` of the N own channels of
  the network, so the penalty cannot push the rate past the wish.
- Each of them has a course from where the scales started down to the threshold, the weakest one
  arriving first, and is penalised while it lies above its course.
- The weight of the penalty grows while they lag behind their courses, and shrinks slowly while
  they do not.
- What still lags behind a course that arrives a quarter later is set on it after the step. No
  penalty moves a scale further than the learning rates let it, and those that suit pretrained
  weights are too small for scales of about 1: without this the wish would be missed.

Time is counted in learning rate spent rather than in steps, because that is how far a scale can
move: under a poly schedule half of the way must be done in the first third of the steps.

The controller never waits for the device.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cen.errors import ConfigError
from cen.exchange import StreamNorm, exchange_layers
from cen.optim import Schedule
from cen.stream import input_of

# Courses begin at this share of the learning rate that is spent in the run, and the first of them
# arrives at that share of the time of the last.
_BEGIN, _FIRST = 0.02, 0.6
_DOUBLING = 2 / 75  # share of the time of the last in which the weight doubles while scales lag
_RELAX = 0.25  # how much slower the weight falls than it rises
_LAG = 0.01  # mean distance from the courses, relative to the start, that is put up with
_LARGEST = 1.0
_PATIENCE = 1.25  # the time of a course that is enforced, over that of the course


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

    Its state is kept in buffers, so it is saved in checkpoints and a run resumes exactly.

    Args:
        net: a network with exchanging layers.
        rate: wished share of the own channels below the threshold at the end, in 0..1.
        schedule: the learning rates of the run.
        initial: weight of the penalty at the start, above 0.
        by: share of the learning rate spent in the run by which the rate is to be reached, in
            0.05..0.9. Adam moves a scale by no more than the learning rate in a step, so what is
            asked for too early comes up to a quarter later, by :meth:`enforce`.

    Attributes:
        channels: number of own channels of the network, N.
        largest: number of channels that may be penalised, ``round(rate * N)``.

    Raises:
        ConfigError: the rate or ``by`` is out of range, the network exchanges nothing, or its
            penalty is on other scales than those of the own parts.
    """

    weight: Tensor
    start: Tensor
    thresholds: Tensor
    order: Tensor
    own: Tensor

    def __init__(
        self,
        net: nn.Module,
        rate: float,
        schedule: Schedule,
        initial: float = 1e-4,
        by: float = 0.3,
    ) -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise ConfigError(f"train.exchange_rate is {rate}; give a share between 0 and 1")
        if not 0.05 <= by <= 0.9:
            raise ConfigError(
                f"train.exchange_rate_by is {by}; give a share between 0.05 (at once) and 0.9"
            )
        self.rate, self.by, self.steps = rate, by, schedule.steps
        spent = accumulate(sum(schedule.rates(step).values()) for step in range(schedule.steps))
        self._spent = torch.tensor([0.0, *spent], dtype=torch.float64)
        self._spent /= self._spent[-1].clamp(min=1e-30)
        self._layers: list[StreamNorm] = []
        self._modalities: list[str] = []
        self._masks: dict[frozenset[str], Tensor] = {}
        thresholds: list[float] = []
        own: list[Tensor] = []  # where the own scales are among all of these layers
        before = 0
        for layer in exchange_layers(net).values():
            rule = layer.exchange
            assert rule is not None
            if not rule.enabled or rule.guide != "scale" or rule.threshold <= 0:
                continue  # a penalty steers scales, and these are not what is read
            if rule.penalty != "own":
                raise ConfigError(
                    f"train.exchange_rate: {rate} pulls at the weakest scales of the own parts"
                    f" alone, and model.penalty is {rule.penalty}; say own, or leave the rate out"
                    " (--train.exchange_rate null)"
                )
            index = layer.owned.flatten().cpu().nonzero().flatten()
            if not len(index):
                continue
            self._layers.append(layer)
            names = [input_of(name) for name in layer.streams.names]
            self._modalities += [names[i // layer.num_features] for i in index.tolist()]
            thresholds += [rule.threshold] * len(index)
            own.append(index + before)
            before += layer.weight.numel()
        if not thresholds:
            raise ConfigError(
                f"train.exchange_rate: {rate}, but no layer of the network exchanges channels by"
                " its scales; switch it off (--train.exchange_rate null). Exchange takes two"
                " inputs, or several outputs with model.decoder_exchange true, and model.fusion"
                " exchange, model.exchange true, model.guide scale and a model.threshold above 0"
            )
        self.channels = len(thresholds)
        self.largest, self.least = round(rate * self.channels), initial / 10
        self.register_buffer("weight", torch.tensor(float(initial)))
        self.register_buffer("start", torch.tensor(0.0))
        self.register_buffer("thresholds", torch.tensor(thresholds), persistent=False)
        self.register_buffer("own", torch.cat(own), persistent=False)
        order = (torch.arange(self.largest) + 0.5) / max(1, self.largest)
        self.register_buffer("order", order, persistent=False)

    def forward(self, step: int, present: Collection[str] | None = None) -> Steering:
        """The penalty of this step; also moves the weight for the next one.

        Args:
            step: the step about to be taken, from 0.
            present: modalities of this step; the scales of the others are not pulled at.
        """
        magnitudes = self._scales()[self.own].abs()
        above = (magnitudes - self.thresholds).detach()
        # topk takes exactly so many, whatever is tied (all scales are, in a new network).
        distance, weakest = above.topk(self.largest, largest=False, sorted=True)
        if step == 0:
            self.start.copy_(distance.sum() / max(1, self.largest))
        spent = float(self._spent[min(step, self.steps)])
        late = distance - self._courses(spent)
        pulled = ((late > 0) | (distance < 0)).to(magnitudes.dtype)
        if present is not None:
            pulled = pulled * self._mask(frozenset(present))[weakest]
        weight = self.weight.clone()
        self._steer(late, spent)
        return Steering(weight * (magnitudes[weakest] * pulled).sum(), weight)

    @torch.no_grad()
    def enforce(self, step: int) -> None:
        """Sets scales that the penalty has not moved in time on their courses.

        Args:
            step: the step that was just taken, from 0.
        """
        spent = float(self._spent[min(step + 1, self.steps)])
        latest = min(_PATIENCE * self.by, (1 + self.by) / 2)
        scales = self._scales()
        magnitudes = scales[self.own].abs()
        weakest = (magnitudes - self.thresholds).topk(self.largest, largest=False).indices
        # Half of the threshold at the end, so that rounding leaves no scale above it.
        ceiling = self.thresholds[weakest] / 2 + self._courses(spent * self.by / latest)
        shrink = (ceiling / magnitudes[weakest]).clamp(max=1)
        factors = torch.ones_like(scales)
        factors[self.own[weakest]] = shrink.to(factors.dtype)
        parts = torch.split(factors, [layer.weight.numel() for layer in self._layers])
        for layer, factor in zip(self._layers, parts, strict=True):
            layer.weight.mul_(factor.view_as(layer.weight))

    def _scales(self) -> Tensor:
        """Those of all layers that are steered, of all streams."""
        return torch.cat([layer.weight.flatten() for layer in self._layers])

    def _courses(self, spent: float) -> Tensor:
        """How far above the threshold the i-th weakest scale may still be, (largest,)."""
        arrival = self.by * (_FIRST + (1 - _FIRST) * self.order)
        return self.start * (1 - max(0.0, spent - _BEGIN) / (arrival - _BEGIN)).clamp(min=0)

    @torch.no_grad()
    def _steer(self, late: Tensor, spent: float) -> None:
        up = 2 ** (1 / max(1.0, _DOUBLING * self.by * self.steps))
        down = up**-_RELAX
        # On the way small lags are put up with; once all should have arrived, none is.
        allowed = _LAG * self.start * self.largest if spent < self.by else 0.0 * self.start
        lags = late.clamp(min=0).sum() > allowed
        # Python numbers and a 0-dim mask: nothing is copied from the host or read back.
        self.weight.mul_(lags * (up - down) + down).clamp_(self.least, _LARGEST)

    def _mask(self, present: frozenset[str]) -> Tensor:
        mask = self._masks.get(present)
        if mask is None or mask.device != self.weight.device:
            kept = [float(name in present) for name in self._modalities]
            mask = torch.tensor(kept, device=self.weight.device)
            self._masks[present] = mask
        return mask
