"""Losses for streams and ensembles; torch only, usable in anybody's own training loop.

Every loss checks what it is given before it computes (`cen.pairs`): `ShapeError` for shapes that
do not fit, `DataError` for types, devices and values that cannot be meant. Predictions of half and
double precision are computed with as float32, integer and bool labels of any width as int64.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cen.arguments import number
from cen.errors import CenError, ConfigError, DataError, ShapeError, described, did_you_mean
from cen.masks import valid_depth, valid_normals
from cen.models import Output, Task
from cen.pairs import check_numbers, check_pair, check_range, labels_of, looks, out_of_range


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
        target: (B, H, W) labels, integers of any width or bool.
        weight: (classes,) class weights, finite and not negative, computed with as float32; None.
        ignore_index: Label of pixels that do not count.

    Returns:
        Scalar; 0 (with zero gradients) for a batch without any labelled pixel, where PyTorch's mean
        would be NaN. NaN for labels out of range where values are not looked at (see `cen.pairs`).

    Raises:
        ShapeError: The shapes do not fit.
        DataError: A type, a device or a label does not fit.
    """
    check_pair("segmentation", logits, target)
    classes, given = logits.shape[1], target
    if weight is not None:
        weight = _class_weights(weight, classes)
    target = labels_of(target, classes, ignore_index)
    valid = target != ignore_index
    logits = _resize(logits.float(), target)
    total = F.cross_entropy(logits, target, weight, ignore_index=ignore_index, reduction="sum")
    if weight is None:
        loss = total / valid.sum().clamp(min=1)
    else:
        counted = weight[torch.where(valid, target, 0)] * valid
        loss = total / counted.sum().clamp(min=torch.finfo(counted.dtype).tiny)
    if looks(given):
        return loss
    return torch.where(out_of_range("segmentation", given, classes, ignore_index), torch.nan, loss)


def depth_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over valid pixels (method.md 3.3; this project's extension).

    Args:
        prediction: (B, 1, h, w), metres.
        target: (B, 1, H, W), metres; NaN or ≤ 0 where depth is missing.
    """
    check_pair("depth", prediction, target)
    return _absolute_error(prediction, target.float(), valid_depth(target))


def normal_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 − cosine between predicted and true normals, over valid pixels (method.md 3.3; ours).

    Args:
        prediction: (B, 3, h, w), of any length.
        target: (B, 3, H, W) unit vectors; NaN or zero where missing.
    """
    target = _checked("normal", prediction, target)
    valid = valid_normals(target)
    target = torch.where(valid[:, None], target, torch.ones_like(target))
    cosine = F.cosine_similarity(_resize(prediction.float(), target), target, dim=1)
    return _or_nan("normal", _masked_mean(1 - cosine, valid), target)


def edge_loss(logits: Tensor, target: Tensor, share: Tensor | None = None) -> Tensor:
    """Class-balanced binary cross-entropy over valid pixels (method.md 3.3; ours).

    Edge and other pixels get weights by the share of the other kind in the batch.

    Args:
        logits: (B, 1, h, w).
        target: (B, 1, H, W) in [0, 1]; NaN where missing.
        share: The share of edges, a scalar in 0..1, where the batch is a part of a larger one.
    """
    target = _checked("edge", logits, target)
    if share is not None:
        check_numbers(share, "the share of edges", "")
        if looks(share) and not 0 <= share <= 1:
            raise DataError(f"the share of edges is in 0..1, not {share:.4g}")
    valid = torch.isfinite(target)
    clean = torch.where(valid, target, 0)
    counts = edge_counts(target)
    edges = counts[0] / counts[1].clamp(min=1) if share is None else share
    losses = F.binary_cross_entropy_with_logits(
        _resize(logits.float(), clean), clean, reduction="none"
    )
    loss = _masked_mean(losses * (clean * (1 - edges) + (1 - clean) * edges), valid)
    return _or_nan("edge", loss, target)


def edge_counts(target: Tensor) -> Tensor:
    """Strength of all edges and number of valid pixels, (2,); their quotient is the share."""
    valid = torch.isfinite(target)
    return torch.stack([torch.where(valid, target, 0).sum(), valid.sum().to(target.dtype)])


def image_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over all finite values of an image, (B, C, h, w) and (B, C, H, W)."""
    check_pair("image", prediction, target)
    return _absolute_error(prediction, target.float(), torch.isfinite(target))


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
        ConfigError: There is no output, or one has no target or task, or is of a kind without a
            loss, or a weight is no number or for none of the outputs.
        ShapeError: A target does not fit the output, or is another view (sides swapped).
        DataError: A target has a type, a device or values that do not fit; the message names the
            output.
    """
    terms: dict[str, Tensor] = {}
    _check_outputs(outputs, weights or {}, class_weights or {}, edge_shares or {})
    for name, output in outputs.items():
        _check_given("target", name, targets)
        _check_given("task", name, tasks)
        target, task = targets[name], tasks[name]
        if task.kind != "segmentation" and task.kind not in KINDS:
            known = ("segmentation", *KINDS)
            hint = did_you_mean(task.kind, known)
            raise ConfigError(
                f"output {name!r} is of kind {task.kind!r}, for which there is no loss{hint}; "
                f"there are losses for {', '.join(known)}"
            )
        for part, values in (*output.streams.items(), ("ensemble", output.ensemble)):
            try:
                if task.kind == "segmentation":
                    weight = (class_weights or {}).get(name)
                    loss = segmentation_loss(values, target, weight, task.ignore_index)
                elif task.kind == "edge":
                    loss = edge_loss(values, target, (edge_shares or {}).get(name))
                else:
                    loss = KINDS[task.kind](values, target)
            except CenError as error:
                raise type(error)(f"output {name!r}, {part}: {error}") from error
            terms[f"{name}/{part}"] = loss
    if not weights:
        return LossTerms(torch.stack(list(terms.values())).sum(), terms)
    losses = output_losses(terms)
    return LossTerms(sum_weighted(losses, {n: weights.get(n, 1.0) for n in losses}), terms)


def _check_outputs(outputs: Mapping[str, Output], *weights: Mapping[str, object]) -> None:
    """Refuses what is no dict of outputs, and weights of others; numbers must be finite, from 0."""
    whole = isinstance(outputs, Mapping) and all(isinstance(o, Output) for o in outputs.values())
    if not whole or not outputs:
        raise ConfigError(
            f"outputs are what a network returns, a dict of cen.models.Output, not "
            f"{described(outputs)}"
        )
    for given in weights:
        for name, weight in given.items():
            if name not in outputs:
                hint = did_you_mean(name, outputs)
                raise ConfigError(f"a weight is given for {name!r}, which is no output{hint}")
            if not isinstance(weight, Tensor):
                number(f"the weight of {name!r}", weight, what="0 or more", high=sys.float_info.max)


def _check_given(what: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        hint = did_you_mean(name, known)
        raise ConfigError(f"no {what} for output {name!r}, given: {list(known)}{hint}")


def _class_weights(weight: Tensor, classes: int) -> Tensor:
    if not isinstance(weight, Tensor) or weight.shape != (classes,):
        raise ShapeError(f"class weights are a tensor ({classes},), got {described(weight)}")
    weight = weight.float()
    if looks(weight) and not bool((torch.isfinite(weight) & (weight >= 0)).all()):
        raise DataError(f"class weights are finite and not negative, got {weight.tolist()}")
    return weight


def output_losses(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Terms by "output/part" added up per output."""
    parts: dict[str, list[Tensor]] = {}
    for key, term in terms.items():
        parts.setdefault(key.split("/")[0], []).append(term)
    return {name: torch.stack(values).sum() for name, values in parts.items()}


def sum_weighted(losses: Mapping[str, Tensor], weights: Mapping[str, float | Tensor]) -> Tensor:
    """Σ weight · loss over outputs, a scalar."""
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


def _checked(kind: str, prediction: Tensor, target: Tensor) -> Tensor:
    """The target as float32, after all checks of it."""
    check_pair(kind, prediction, target)
    check_range(kind, target)
    return target.float()


def _or_nan(kind: str, loss: Tensor, target: Tensor) -> Tensor:
    """The loss; NaN for values out of range where they are not looked at."""
    return loss if looks(target) else torch.where(out_of_range(kind, target), torch.nan, loss)


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
