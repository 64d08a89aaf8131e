"""Losses for streams and ensembles; torch only, usable in anybody's own training loop.

Every loss checks what it is given before it computes: `ShapeError` for shapes that do not fit,
`DataError` for types, devices and values that cannot be meant (looked at on the CPU alone; the loss
of such values is NaN elsewhere). Predictions of half and double precision are computed with as
float32, integer and bool labels of any width as int64. The losses stand at the kinds of outputs, in
`cen.tasks`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from cen.arguments import number
from cen.errors import CenError, ConfigError, described, did_you_mean
from cen.models import Output
from cen.stream import Stream
from cen.tasks import Task
from cen.tasks.edge import edge_loss

__all__ = [
    "LossTerms",
    "depth_loss",
    "edge_loss",
    "fusion_loss",
    "image_loss",
    "normal_loss",
    "output_losses",
    "segmentation_loss",
    "sum_weighted",
]


class LossTerms(NamedTuple):
    """The task loss and what it is made of.

    Attributes:
        total: Scalar, the sum of all terms, each times the weight of its output.
        terms: Scalars by output and stream, and by output and "ensemble", without the weights.
    """

    total: Tensor
    terms: dict[Stream, Tensor]

    def by_output(self) -> dict[str, Tensor]:
        """The loss of each output: the sum of its terms, without the weight."""
        return output_losses(self.terms)


def segmentation_loss(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = 255,
    loss: str = "cross_entropy",
) -> Tensor:
    """Cross-entropy, averaged over the labelled pixels of the batch, or another loss.

    Args:
        logits: (B, classes, h, w); upsampled to the target's size (bilinear, align_corners=False).
        target: (B, H, W) labels, integers of any width or bool.
        weight: (classes,) class weights, finite and not negative, computed with as float32; None.
        ignore_index: Label of pixels that do not count.
        loss: One of ``cen.tasks.segmentation_losses.LOSSES``.

    Returns:
        Scalar; 0 (with zero gradients) for a batch without any labelled pixel, where PyTorch's mean
        would be NaN. NaN for labels out of range where values are not looked at.

    Raises:
        ShapeError: The shapes do not fit.
        DataError: A type, a device or a label does not fit.
        ConfigError: There is no such loss.
    """
    rules = Task("segmentation", 1, None, ignore_index, loss).rules
    return rules.loss(logits, target, weight)


def depth_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over valid pixels (method.md 3.3; this project's extension).

    Args:
        prediction: (B, 1, h, w), metres.
        target: (B, 1, H, W), metres; NaN or ≤ 0 where depth is missing.
    """
    return Task("depth", 1).rules.loss(prediction, target)


def normal_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 − cosine between predicted and true normals, over valid pixels (method.md 3.3; ours).

    Args:
        prediction: (B, 3, h, w), of any length.
        target: (B, 3, H, W) unit vectors; NaN or zero where missing.
    """
    return Task("normal", 3).rules.loss(prediction, target)


def image_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over all finite values of an image, (B, C, h, w) and (B, C, H, W)."""
    return Task("image", 1).rules.loss(prediction, target)


def fusion_loss(
    outputs: Mapping[str, Output],
    targets: Mapping[str, Tensor],
    tasks: Mapping[str, Task],
    class_weights: Mapping[str, Tensor] | None = None,
    weights: Mapping[str, float] | None = None,
    tallies: Mapping[str, Tensor] | None = None,
) -> LossTerms:
    """The task loss: the sum over every output's streams and its ensemble (paper, section 2.5).

    The penalty is not in it: add ``lam * cen.sparsity(net)``. Pixels without ground truth do not
    count, and an output without any in the batch has the loss 0, so labels may be missing for some
    outputs in some samples. A network without streams has the ensemble's term alone.

    Args:
        outputs: What the network returned.
        targets: Ground truth per output name.
        tasks: ``net.outputs``.
        class_weights: (classes,) per segmentation output, optional.
        weights: Weight of each output in the total; 1 where none is given. `cen.weighting` has
            weights that are learned.
        tallies: What losses need to know of a whole step, per output, where the batch is a part of
            a larger one; see `cen.tasks.Kind.tally`.

    Raises:
        ConfigError: There is no output, or one has no target or task, or a weight is no number or
            for none of the outputs.
        ShapeError: A target does not fit the output, or is another view (sides swapped).
        DataError: A target has a type, a device or values that do not fit; the message names the
            output.
    """
    terms: dict[Stream, Tensor] = {}
    _check_outputs(outputs, weights or {}, class_weights or {}, tallies or {})
    for name, output in outputs.items():
        _check_given("target", name, targets)
        _check_given("task", name, tasks)
        rules = tasks[name].rules
        of_classes, tally = (class_weights or {}).get(name), (tallies or {}).get(name)
        for part, values in (*output.streams.items(), ("ensemble", output.ensemble)):
            try:
                terms[Stream(name, part)] = rules.loss(values, targets[name], of_classes, tally)
            except CenError as error:
                raise type(error)(f"output {name!r}, {part}: {error}") from error
    if not weights:
        return LossTerms(torch.stack(list(terms.values())).sum(), terms)
    losses = output_losses(terms)
    return LossTerms(sum_weighted(losses, {n: weights.get(n, 1.0) for n in losses}), terms)


def _check_outputs(outputs: Mapping[str, Output], *weights: Mapping[str, object]) -> None:
    """Refuses what is no dict of outputs, and weights of others; numbers must be finite, from 0."""
    are_outputs = isinstance(outputs, Mapping) and all(
        isinstance(o, Output) for o in outputs.values()
    )
    if not are_outputs or not outputs:
        raise ConfigError(
            f"outputs are what a network returns, a dict of cen.models.Output, not "
            f"{described(outputs)}"
        )
    for by_output in weights:
        for name, weight in by_output.items():
            if name not in outputs:
                hint = did_you_mean(name, outputs)
                raise ConfigError(f"a weight is given for {name!r}, which is no output{hint}")
            if not isinstance(weight, Tensor):
                number(f"the weight of {name!r}", weight, what="0 or more", high=sys.float_info.max)


def _check_given(what: str, name: str, by_output: Mapping[str, object]) -> None:
    if name not in by_output:
        hint = did_you_mean(name, by_output)
        raise ConfigError(f"no {what} for output {name!r}, given: {list(by_output)}{hint}")


def output_losses(terms: Mapping[Stream, Tensor]) -> dict[str, Tensor]:
    """Terms added up per output."""
    parts: dict[str, list[Tensor]] = {}
    for key, term in terms.items():
        parts.setdefault(key.output, []).append(term)
    return {name: torch.stack(values).sum() for name, values in parts.items()}


def sum_weighted(losses: Mapping[str, Tensor], weights: Mapping[str, float | Tensor]) -> Tensor:
    """Σ weight · loss over outputs, a scalar."""
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
