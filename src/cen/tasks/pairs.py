"""What a prediction and a ground truth must be before they are compared.

Shapes, types and devices are looked at always, which costs nothing. Values are looked at on the CPU
only: elsewhere it would wait for the device in every step. There, and in a compiled graph, a loss
of values out of range is NaN, which training looks into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cen.errors import DataError, ShapeError, described

if TYPE_CHECKING:
    from torch import Tensor


def check_pair(
    kind: str,
    prediction: Tensor,
    target: Tensor,
    name: str = "target",
    *,
    channels: int | None = None,
    labels: bool = False,
) -> None:
    """Refuses what broadcasting, resizing or conversion would compare silently.

    Args:
        kind: what messages call the kind of the output.
        prediction: (B, C, h, w), floating point; of any scale, but the view of the target.
        target: (B, H, W) integers or bool where these are labels, else (B, C, H, W) floating point.
        name: what messages call the target.
        channels: C; None: any number.
        labels: whether the target holds class numbers.
    """
    check_together(prediction, target, name)
    shape = tuple(prediction.shape)
    if prediction.ndim != 4 or channels not in (None, shape[1]):
        raise ShapeError(f"a prediction ({kind}) is (B, {channels or 'C'}, h, w), got {shape}")
    if not prediction.is_floating_point():
        raise DataError(f"a prediction must be floating point, got {prediction.dtype}")
    expected = shape[:1] if labels else shape[:2]
    if target.ndim != (3 if labels else 4) or tuple(target.shape[: len(expected)]) != expected:
        form = "(B, H, W)" if labels else f"(B, {shape[1]}, H, W)"
        raise ShapeError(
            f"{name} ({kind}) must be {form} with B = {shape[0]}, got {tuple(target.shape)}"
        )
    if labels:
        check_labels(target, name)
    elif not target.is_floating_point():
        raise DataError(
            f"{name} ({kind}) must be floating point, got {target.dtype}; convert and scale it "
            "first"
        )
    if not (prediction.numel() and target.numel()):
        raise DataError(f"{name} ({kind}): the batch is empty; give one sample or more")
    (h, w), (height, width) = shape[2:], target.shape[-2:]
    # height / (h ± 1) and width / (w ± 1) overlap: a scale, but for a pixel of rounding.
    scaled = height * (w - 1) <= width * (h + 1) and width * (h - 1) <= height * (w + 1)
    if not scaled:
        raise ShapeError(
            f"{name} ({kind}) is {height} × {width} pixels (height × width) and the prediction "
            f"{h} × {w}, which is no scale of it; are height and width swapped?"
        )


def check_together(
    prediction: Tensor, target: Tensor, name: str = "target", other: str = "the prediction"
) -> None:
    """Refuses what is no tensor, is complex, or lies on different devices."""
    from torch import Tensor

    for what, value in ((other, prediction), (name, target)):
        if not isinstance(value, Tensor):
            raise DataError(f"{what} must be a tensor, got {described(value)}")
        if value.is_complex():
            raise DataError(f"{what} must hold real numbers, got {value.dtype}")
    if prediction.device != target.device:
        raise DataError(
            f"{name}: on {target.device}, but {other} on {prediction.device}; move one of them"
        )


def check_numbers(values: object, name: str, shape: str | None = None) -> None:
    """Refuses what is no tensor of floating point numbers, or has other dimensions.

    Args:
        values: what was given.
        name: what messages call it.
        shape: its dimensions, such as "N, F"; "" for a scalar, None for any.
    """
    from torch import Tensor

    if not isinstance(values, Tensor):
        raise DataError(f"{name} must be a tensor, got {described(values)}")
    if not values.is_floating_point():
        raise DataError(f"{name} must be floating point, got {values.dtype}; convert it first")
    if shape is not None and values.ndim != len(shape.split(", ") if shape else ""):
        form = f"({shape})" if shape else "a scalar"
        raise ShapeError(f"{name} must be {form}, got {tuple(values.shape)}")


def check_labels(labels: object, name: str) -> None:
    """Refuses labels that are no tensor of integers."""
    from torch import Tensor

    if not isinstance(labels, Tensor):
        raise DataError(f"{name} must be a tensor, got {described(labels)}")
    if labels.is_floating_point() or labels.is_complex():
        raise DataError(
            f"{name} must hold integer class labels, got {labels.dtype}; convert them with .long()"
        )


def foreign_labels(labels: Tensor, classes: int, ignore_index: int) -> Tensor:
    """Where labels are neither a class nor ``ignore_index``, bool."""
    return ((labels < 0) | (labels >= classes)) & (labels != ignore_index)


def labels_of(
    target: Tensor, classes: int, ignore_index: int, name: str = "target"
) -> tuple[Tensor, Tensor]:
    """Integer or bool labels as int64, those out of range refused.

    Returns:
        The labels; where values are not looked at, those out of range are ``ignore_index``. And
        whether any was, a bool scalar.
    """
    labels = target.long()
    outside = foreign_labels(labels, classes, ignore_index)
    some = outside.any()
    if values_checked(labels) and bool(some):
        wrong = int(labels[outside][0])
        raise DataError(
            f"{name} holds the label {wrong}, but there are {classes} classes (0..{classes - 1}) "
            f"and {ignore_index} for pixels that do not count; map the labels or set ignore_index"
        )
    return labels.where(~outside, ignore_index), some


def check_range(outside: Tensor, target: Tensor, kind: str, expected: str, name: str) -> None:
    """Refuses a ground truth of which something is ``outside`` its range (on the CPU)."""
    if values_checked(target) and bool(outside):
        finite = target[target.isfinite()]
        raise DataError(
            f"{name} ({kind}) must be {expected}, NaN where missing; it holds {finite.min():.4g} "
            f"to {finite.max():.4g}, so scale it first"
        )


def or_nan(loss: Tensor, outside: Tensor, target: Tensor) -> Tensor:
    """The loss; NaN where something is ``outside`` its range and values are not looked at."""
    return loss if values_checked(target) else loss.where(~outside, float("nan"))


def check_finite(values: Tensor, counted: Tensor, name: str = "prediction") -> None:
    """Refuses NaN and infinity where a pixel counts (on the CPU)."""
    if not values_checked(values):
        return
    wrong = counted & ~values.isfinite()
    if bool(wrong.any()):
        raise DataError(
            f"{name} holds NaN or infinity in {int(wrong.sum())} of {wrong.numel()} values; the "
            "network or what it was given is not finite"
        )


def values_checked(values: Tensor) -> bool:
    """Whether values are looked at: on the CPU, outside a compiled or exported graph."""
    import torch

    if torch.compiler.is_compiling():
        return False
    from torch._subclasses.fake_tensor import FakeTensor

    return values.device.type == "cpu" and not isinstance(values, FakeTensor)
