"""Losses for streams and ensembles; torch only, usable in anybody's own training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cen.errors import ConfigError, ShapeError, did_you_mean
from cen.masks import valid_depth, valid_normals
from cen.models import Output, Task


class LossTerms(NamedTuple):
    """The task loss and what it is made of.

    Attributes:
        total: Scalar, the sum of all terms, each times the weight of its output.
        terms: Scalars by "output/stream" and "output/ensemble", without the weights.
    """

    total: Tensor
    terms: dict[str, Tensor]

    def by_output(self) -> dict[str, Tensor]:
        """The loss of each output: the sum of its terms, without the weight."""
        return output_losses(self.terms)


def segmentation_loss(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = 255
) -> Tensor:
    """Cross-entropy, averaged over the labelled pixels of the batch.

    Args:
        logits: (B, classes, h, w); upsampled to the target's size (bilinear, align_corners=False).
        target: (B, H, W) integer labels.
        weight: (classes,) class weights, or None.
        ignore_index: Label of pixels that do not count.

    Returns:
        Scalar; 0 (with zero gradients) for a batch without any labelled pixel, where PyTorch's mean
        would be NaN.
    """
    valid = target != ignore_index
    logits = _resize(logits.float(), target)
    total = F.cross_entropy(logits, target, weight, ignore_index=ignore_index, reduction="sum")
    if weight is None:
        return total / valid.sum().clamp(min=1)
    counted = weight[torch.where(valid, target, 0)] * valid
    return total / counted.sum().clamp(min=torch.finfo(counted.dtype).tiny)


def depth_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over valid pixels (method.md 3.3; this project's extension).

    Args:
        prediction: (B, 1, h, w), metres.
        target: (B, 1, H, W), metres; NaN or ≤ 0 where depth is missing.
    """
    return _absolute_error(prediction, target, valid_depth(target))


def normal_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 − cosine between predicted and true normals, over valid pixels (method.md 3.3; ours).

    Args:
        prediction: (B, 3, h, w), of any length.
        target: (B, 3, H, W) unit vectors; NaN or zero where missing.
    """
    valid = valid_normals(target)
    target = torch.where(valid[:, None], target, torch.ones_like(target))
    cosine = F.cosine_similarity(_resize(prediction.float(), target), target, dim=1)
    return _masked_mean(1 - cosine, valid)


def edge_loss(logits: Tensor, target: Tensor, share: Tensor | None = None) -> Tensor:
    """Class-balanced binary cross-entropy over valid pixels (method.md 3.3; ours).

    Edge and other pixels get weights by the share of the other kind in the batch.

    Args:
        logits: (B, 1, h, w).
        target: (B, 1, H, W) in [0, 1]; NaN where missing.
        share: The share of edges, a scalar, where the batch is a part of a larger one.
    """
    valid = torch.isfinite(target)
    clean = torch.where(valid, target, 0)
    counts = edge_counts(target)
    edges = counts[0] / counts[1].clamp(min=1) if share is None else share
    losses = F.binary_cross_entropy_with_logits(
        _resize(logits.float(), clean), clean, reduction="none"
    )
    return _masked_mean(losses * (clean * (1 - edges) + (1 - clean) * edges), valid)


def edge_counts(target: Tensor) -> Tensor:
    """Strength of all edges and number of valid pixels, (2,); their quotient is the share."""
    valid = torch.isfinite(target)
    return torch.stack([torch.where(valid, target, 0).sum(), valid.sum().to(target.dtype)])


def image_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over all finite values of an image, (B, C, h, w) and (B, C, H, W)."""
    return _absolute_error(prediction, target, torch.isfinite(target))


KINDS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "depth": depth_loss,
    "normal": normal_loss,
    "edge": edge_loss,
    "image": image_loss,
}


def fusion_loss(
    outputs: Mapping[str, Output],
    targets: Mapping[str, Tensor],
    tasks: Mapping[str, Task],
    class_weights: Mapping[str, Tensor] | None = None,
    weights: Mapping[str, float] | None = None,
    edge_shares: Mapping[str, Tensor] | None = None,
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
        edge_shares: Share of edges per output of kind edge, where the batch is a part of a larger
            one; see `edge_loss`.

    Raises:
        ConfigError: An output has no target, or is of a kind without a loss, or a weight is for
            none of the outputs.
        ShapeError: A target does not fit the output.
    """
    terms: dict[str, Tensor] = {}
    for name in weights or {}:
        if name not in outputs:
            hint = did_you_mean(name, outputs)
            raise ConfigError(f"a weight is given for {name!r}, which is no output{hint}")
    for name, output in outputs.items():
        if name not in targets:
            hint = did_you_mean(name, targets)
            raise ConfigError(f"no target for output {name!r}, given: {list(targets)}{hint}")
        target, task = targets[name], tasks[name]
        if task.kind != "segmentation" and task.kind not in KINDS:
            known = ("segmentation", *KINDS)
            hint = did_you_mean(task.kind, known)
            raise ConfigError(
                f"output {name!r} is of kind {task.kind!r}, for which there is no loss{hint}; "
                f"there are losses for {', '.join(known)}"
            )
        for part, values in (*output.streams.items(), ("ensemble", output.ensemble)):
            _check(name, values, target, task)
            if task.kind == "segmentation":
                weight = (class_weights or {}).get(name)
                loss = segmentation_loss(values, target, weight, task.ignore_index)
            elif task.kind == "edge":
                loss = edge_loss(values, target, (edge_shares or {}).get(name))
            else:
                loss = KINDS[task.kind](values, target)
            terms[f"{name}/{part}"] = loss
    if not weights:
        return LossTerms(torch.stack(list(terms.values())).sum(), terms)
    losses = output_losses(terms)
    return LossTerms(sum_weighted(losses, {n: weights.get(n, 1.0) for n in losses}), terms)


def output_losses(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Terms by "output/part" added up per output."""
    parts: dict[str, list[Tensor]] = {}
    for key, term in terms.items():
        parts.setdefault(key.split("/")[0], []).append(term)
    return {name: torch.stack(values).sum() for name, values in parts.items()}


def sum_weighted(losses: Mapping[str, Tensor], weights: Mapping[str, float | Tensor]) -> Tensor:
    """Σ weight · loss over outputs, a scalar."""
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


def _check(name: str, values: Tensor, target: Tensor, task: Task) -> None:
    expected = (len(values),) if task.kind == "segmentation" else (len(values), values.shape[1])
    dims = 3 if task.kind == "segmentation" else 4
    if target.ndim != dims or tuple(target.shape[: len(expected)]) != expected:
        form = "(B, H, W)" if dims == 3 else f"(B, {values.shape[1]}, H, W)"
        raise ShapeError(
            f"target of {name!r} ({task.kind}) must be {form} with B = {len(values)}, "
            f"got {tuple(target.shape)}"
        )


def _resize(values: Tensor, target: Tensor) -> Tensor:
    size = target.shape[-2:]
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values, size=size, mode="bilinear", align_corners=False)


def _absolute_error(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    # The NaN must go before the subtraction: a masked NaN still makes the gradient NaN.
    clean = torch.where(valid, target, 0)
    return _masked_mean((_resize(prediction.float(), clean) - clean).abs(), valid)


def _masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    # where, not multiplication: NaN · 0 is NaN.
    return torch.where(valid, values, 0).sum() / valid.sum().clamp(min=1)
