"""What the scores of each kind of output are called, printed as, and which way is better.

No torch here: tables and pages read stored scores with it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cen.errors import ConfigError


@dataclass(frozen=True)
class Score:
    """How one score is shown.

    Attributes:
        head: short column head.
        unit: what stands behind the value; ``"%"`` for shares in 0..1, printed times 100.
        higher: whether a greater value is a better one.
        text: what it is, in a sentence part.
    """

    head: str
    unit: str = "%"
    higher: bool = True
    text: str = ""


SCORES: dict[str, Score] = {
    "mean_iou": Score("mIoU", text="mean over classes of intersection over union"),
    "pixel_accuracy": Score("pixel acc", text="share of pixels labelled correctly"),
    "mean_accuracy": Score("mean acc", text="mean over classes of the share of pixels found"),
    "rmse": Score("RMSE", "", higher=False, text="root of the mean squared error"),
    "mae": Score("MAE", "", higher=False, text="mean absolute error"),
    "abs_rel": Score("abs-rel", "", higher=False, text="mean of |error| / true depth"),
    "delta1": Score("δ<1.25", text="share of pixels within a factor of 1.25 of the truth"),
    "mean_angle": Score("mean °", "°", higher=False, text="mean angle to the true normal"),
    "median_angle": Score("median °", "°", higher=False, text="median angle to the true normal"),
    "within_11": Score("<11.25°", text="share of pixels within 11.25° of the true normal"),
    "within_22": Score("<22.5°", text="share of pixels within 22.5°"),
    "within_30": Score("<30°", text="share of pixels within 30°"),
    "max_f": Score("max-F", text="greatest F over thresholds, counted over the data set"),
    "threshold": Score("at", "", text="the threshold of max-F"),
    "psnr": Score("PSNR", "dB", text="peak signal-to-noise ratio"),
    "ssim": Score("SSIM", "", text="structural similarity"),
    "fid": Score("FID", "", higher=False, text="Fréchet distance of Inception features"),
    "kid": Score(
        "KID ×100", "", higher=False, text="kernel distance of Inception features, times 100"
    ),
    "frechet_efficientnet_lite0": Score(
        "Fréchet (EfficientNet-Lite0)",
        "",
        higher=False,
        text="Fréchet distance of EfficientNet-Lite0's features; not comparable with FID",
    ),
    "kernel_efficientnet_lite0": Score(
        "kernel ×100 (EfficientNet-Lite0)",
        "",
        higher=False,
        text="kernel distance of EfficientNet-Lite0's features; not comparable with KID",
    ),
}
"""Every scalar score by name; others are printed with four digits, and more counts as better."""

# The score by which an output is judged, found by a score that only its kind has.
_MAIN = {
    "mean_iou": "mean_iou",
    "abs_rel": "rmse",
    "mean_angle": "mean_angle",
    "max_f": "max_f",
    "mae": "mae",
}


def main_score(names: Collection[str]) -> str | None:
    """The score by which an output is compared; None where no name is known.

    Segmentation: ``mean_iou``; depth: ``rmse``; normals: ``mean_angle``; edges: ``max_f``; images:
    ``mae``.

    Args:
        names: the scores that are there.
    """
    return next((main for mark, main in _MAIN.items() if mark in names), None)


def headline(scores: Mapping[str, Any]) -> float | None:
    """One number in 0..1 for an output, greater is better: what checkpoints are chosen by.

    Segmentation: mIoU. Depth: 1 − abs-rel. Normals: 1 − mean angle / 90°. Edges: max-F. Images, in
    [−1, 1]: 1 − MAE / 2. Each is cut off at 0. All but mIoU are this project's choice.

    Args:
        scores: the scores of one prediction of the output.

    Returns:
        None where the score is undefined (nothing was labelled).
    """
    main = main_score(scores)
    value = scores.get("abs_rel" if main == "rmse" else main or "")
    if value is None or not math.isfinite(value):
        return None
    whole = {"rmse": 1.0, "mean_angle": 90.0, "mae": 2.0}.get(main or "")
    return float(value) if whole is None else max(0.0, 1.0 - value / whole)


def mean_headline(scores: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Mean over outputs of the ensemble's :func:`headline`; for one segmentation its mIoU.

    Args:
        scores: ``{output: {"ensemble": {score: value}, ...}}``.
    """
    values = [headline(entry["ensemble"]) for entry in scores.values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def relative_gains(
    scores: Mapping[str, Mapping[str, Any]], single: Mapping[str, Mapping[str, Any]]
) -> dict[str, float]:
    """How much better each output is than a single-task network's; 0.1 is 10 %.

    (M − B) / B of the output's :func:`main_score`, with the sign turned where less is better; M is
    the network's, B the single-task network's. Their mean over outputs is Δ_m (S. Vandenhende et
    al., "Multi-Task Learning for Dense Prediction Tasks: A Survey", TPAMI 2022, equation 12).

    Args:
        scores: scores of the network by output, those of its ensemble.
        single: scores of a single-task network by output; outputs without are left out.

    Raises:
        ConfigError: the two cannot be compared, or the single-task score is 0.
    """
    gains = {}
    for name, base in single.items():
        main = main_score(base)
        if name not in scores or main is None or main not in scores[name]:
            raise ConfigError(f"{name}: the networks have no score in common to compare")
        value, reference = scores[name][main], base[main]
        if value is None or not reference:
            raise ConfigError(
                f"{name}: {main} is {value} and {reference} for the single-task network, so that "
                "no relative gain is defined"
            )
        sign = 1.0 if SCORES[main].higher else -1.0
        gains[name] = sign * (value - reference) / reference
    return gains


def format_score(name: str, value: float | None) -> str:
    """A score as it is printed: shares in percent with one decimal, others with four digits."""
    if value is None:
        return "–"
    score = SCORES.get(name, Score(name, ""))
    if score.unit == "%":
        return f"{100 * value:.1f}"
    return f"{value:.2f}" if score.unit == "°" else f"{value:.4g}"
