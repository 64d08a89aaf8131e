"""What a prediction and a ground truth must be before they are compared; torch alone.

Shapes, types and devices are looked at always, which costs nothing. Values are looked at on the CPU
only: elsewhere it would wait for the device in every step. There, and in a compiled graph, a loss
of values out of range is NaN, which training looks into.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from cen.errors import DataError, ShapeError, described

CHANNELS = {"depth": 1, "normal": 3, "edge": 1}
"""Channels of the kinds that have a fixed number."""

_LONGEST_NORMAL = 1.5


def check_pair(kind: str, prediction: Tensor, target: Tensor, name: str = "target") -> None:
    """Refuses what broadcasting, resizing or conversion would compare silently.

    Args:
        kind: "segmentation", "depth", "normal", "edge" or "image".
        prediction: (B, C, h, w), floating point; of any scale, but the view of the target.
        target: (B, H, W) integers or bool of a segmentation, else (B, C, H, W) floating point.
        name: what messages call the target.

    Raises:
        ShapeError: the shapes do not fit: dimensions, batch, channels, or another aspect ratio.
        DataError: a type or a device does not fit, or there are no samples.
    """
    check_together(prediction, target, name)
    shape = tuple(prediction.shape)
    wanted = CHANNELS.get(kind)
    if prediction.ndim != 4 or wanted not in (None, shape[1]):
        raise ShapeError(f"a prediction ({kind}) is (B, {wanted or 'C'}, h, w), got {shape}")
    if not prediction.is_floating_point():
        raise DataError(f"a prediction must be floating point, got {prediction.dtype}")
    labels = kind == "segmentation"
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
    """Refuses what is no tensor, is complex, or lies on different devices.

    Raises:
        DataError: one of these.
    """
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

    Raises:
        DataError: no tensor, or of integers or complex numbers.
        ShapeError: the dimensions.
    """
    if not isinstance(values, Tensor):
        raise DataError(f"{name} must be a tensor, got {described(values)}")
    if not values.is_floating_point():
        raise DataError(f"{name} must be floating point, got {values.dtype}; convert it first")
    if shape is not None and values.ndim != len(shape.split(", ") if shape else ""):
        form = f"({shape})" if shape else "a scalar"
        raise ShapeError(f"{name} must be {form}, got {tuple(values.shape)}")


def check_labels(labels: object, name: str) -> None:
    """Refuses labels that are no tensor of integers.

    Raises:
        DataError: the type is another one.
    """
    if not isinstance(labels, Tensor):
        raise DataError(f"{name} must be a tensor, got {described(labels)}")
    if labels.is_floating_point() or labels.is_complex():
        raise DataError(
            f"{name} must hold integer class labels, got {labels.dtype}; convert them with .long()"
        )


def labels_of(target: Tensor, classes: int, ignore_index: int, name: str = "target") -> Tensor:
    """Integer or bool labels as int64, those out of range refused.

    Returns:
        The labels; where values are not looked at, those out of range are ``ignore_index``.

    Raises:
        DataError: a label is neither a class nor ``ignore_index`` (on the CPU).
    """
    labels = target.long()
    outside = ((labels < 0) | (labels >= classes)) & (labels != ignore_index)
    if looks(labels) and bool(outside.any()):
        wrong = int(labels[outside][0])
        raise DataError(
            f"{name} holds the label {wrong}, but there are {classes} classes (0..{classes - 1}) "
            f"and {ignore_index} for pixels that do not count; map the labels or set ignore_index"
        )
    return torch.where(outside, ignore_index, labels)


def out_of_range(kind: str, target: Tensor, classes: int = 0, ignore_index: int = 255) -> Tensor:
    """Whether values of a ground truth cannot be meant, a bool scalar that is not read back.

    Labels that are no class, edges outside 0..1, normals longer than 1.5. Holes are in range.
    """
    if kind == "segmentation":
        labels = target.long()
        return (((labels < 0) | (labels >= classes)) & (labels != ignore_index)).any()
    if kind == "edge":
        return (torch.isfinite(target) & ((target < 0) | (target > 1))).any()
    if kind == "normal":
        squares = target.float().square().sum(1)
        return (torch.isfinite(squares) & (squares > _LONGEST_NORMAL**2)).any()
    return torch.zeros((), dtype=torch.bool, device=target.device)


def check_range(kind: str, target: Tensor, name: str = "target") -> None:
    """Refuses edges outside 0..1 and normals that are no unit vectors (on the CPU).

    Raises:
        DataError: naming the extremes.
    """
    if looks(target) and bool(out_of_range(kind, target)):
        known = target[torch.isfinite(target)]
        should = {"edge": "strengths in 0..1", "normal": "unit vectors"}[kind]
        raise DataError(
            f"{name} ({kind}) must be {should}, NaN where missing; it holds {known.min():.4g} to "
            f"{known.max():.4g}, so scale it first"
        )


def check_finite(values: Tensor, counted: Tensor, name: str = "prediction") -> None:
    """Refuses NaN and infinity where a pixel counts (on the CPU).

    Raises:
        DataError: with their number.
    """
    if not looks(values):
        return
    wrong = counted & ~torch.isfinite(values)
    if bool(wrong.any()):
        raise DataError(
            f"{name} holds NaN or infinity in {int(wrong.sum())} of {wrong.numel()} values; the "
            "network or what it was given is not finite"
        )


def looks(values: Tensor) -> bool:
    """Whether values are looked at: on the CPU, outside a compiled or exported graph."""
    if torch.compiler.is_compiling():
        return False
    return values.device.type == "cpu" and not isinstance(values, FakeTensor)
