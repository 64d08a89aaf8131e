"""Training of cycle multimodal fusion: all directions at once, and predictions seen again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from cen.data import Modality
from cen.errors import ConfigError
from cen.models import CycleFusionNetwork, Output, Task
from cen.models.cycle import Feed, fused
from cen.models.network import resize
from cen.stream import Stream
from cen.training.batch_fields import inputs_of, label_size
from cen.training.generation.translation import Translation
from cen.training.module import DensePrediction

# Keeps this draw apart from those of `step_seed` and `draw_modalities`.
_DRAW = 2


class CycleTerm(DensePrediction):
    """Adds the cycle term to a training module (this project's reading of the paper).

    In each step one modality is drawn. Its prediction takes its place among the inputs, every other
    modality is predicted from it and the rest, and is asked to match its ground truth: by the mean
    absolute error, a segmentation by its cross-entropy. Gradients reach both predictions.

    ``cycle_weight`` 0 trains the directions together and nothing more.
    """

    net: CycleFusionNetwork

    def _total(
        self,
        outputs: Mapping[str, Output],
        targets: Mapping[str, Tensor],
        amend: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
        last: bool = True,
    ) -> Tensor:
        loss = super()._total(outputs, targets, amend, last)
        if not self.how.cycle_weight:
            return loss
        again = self._again(outputs, targets)
        loss = loss + self.how.cycle_weight * again
        self.figures |= {"train/loss": loss.detach(), "train/cycle": again.detach()}
        return loss

    def _again(self, outputs: Mapping[str, Output], targets: Mapping[str, Tensor]) -> Tensor:
        """Mean loss of the modalities that are predicted from another one's prediction."""
        net = self.net
        names = list(net.outputs)
        rng = np.random.default_rng((self.seed, self.trainer.global_step, 0, _DRAW))
        drawn = names[int(rng.integers(len(names)))]
        inputs = inputs_of(net, targets, names)
        size = label_size(net, targets)
        # A decoder gives other sizes than it was given where these do not halve evenly.
        streams = {key: resize(value, size) for key, value in outputs[drawn].streams.items()}
        seen = net.reenter(drawn, outputs[drawn]._replace(streams=streams))
        inputs[drawn] = seen.to(inputs[drawn].dtype)
        others = [name for name in names if name != drawn]
        rebuilt = net(inputs, size, targets=others)
        tallies, weights = self._tallies(targets), self._class_weights()
        losses = {
            Stream(name, drawn): net.outputs[name].rules.loss(
                fused(rebuilt[name]), targets[name], weights.get(name), tallies.get(name)
            )
            for name in others
        }
        balanced, _ = self._balance(losses, targets)
        return torch.stack(list(balanced.values())).mean()


class CycleFusion(CycleTerm):
    """Training of a cycle network with the losses of its outputs and the cycle term."""


class CycleTranslation(CycleTerm, Translation):
    """Training of a cycle network against discriminators, with the cycle term."""


def feeds_of(tasks: Mapping[str, Task], targets: Mapping[str, Modality]) -> dict[str, Feed]:
    """How ground truth and predictions of each modality become inputs of a cycle network.

    An input is ``(value * scale - mean) / std`` of its modality; ground truth is in its own unit
    (images in [-1, 1]). Continuous values are alike as both, and a segmentation enters as it is.
    """
    feeds = {}
    for name in tasks:
        modality = targets[name]
        _check_keys(name, modality)
        if modality.field_kind.classes or modality.field_kind.open_range:
            continue
        if modality.encoding != "raw":
            raise ConfigError(
                f"data.modalities.{name}.encoding: {modality.encoding} is of inputs alone, but in "
                f"cycle fusion {name} is a target, too; say kind: continuous, which is encoded as "
                "both, or leave the encoding out"
            )
        scale, summand = modality.scale, 0.0
        if modality.field_kind.colours:
            # Ground truth runs from -1 to 1 where the file runs from 0 to white.
            white = {None: 255.0, 8: 255.0, 16: 65535.0}.get(modality.bits, 1 / modality.scale)
            scale, summand = modality.scale * white / 2, modality.scale * white / 2
        parts = zip(modality.mean, modality.std, strict=True)
        pairs = [(scale / std, (summand - mean) / std) for mean, std in parts]
        feeds[name] = (tuple(a for a, _ in pairs), tuple(b for _, b in pairs))
    return feeds


def _check_keys(name: str, modality: Modality) -> None:
    """Refuses what is done to inputs read from files, but not to ground truth.

    A prediction on files would heed it, and so show the network what it never saw in training.
    """
    is_set = {"fill": modality.fill != 0.0}
    if not modality.field_kind.open_range:  # whose ground truth is clipped alike
        is_set |= {"clip": modality.clip is not None, "fill_holes": modality.fill_holes is not None}
    for key, there in is_set.items():
        if there:
            raise ConfigError(
                f"data.modalities.{name}.{key}: is of inputs alone, but in cycle fusion {name} is "
                "a target, too, and what it enters as is made of that (0 where a value is "
                "missing); leave it out"
            )
