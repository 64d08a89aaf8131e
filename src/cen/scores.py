"""What the scores of each kind of output are called, printed as, and which way is better.

No torch here: tables and pages read stored scores with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cen.errors import ConfigError
from cen.tasks import KINDS, Kind, Score

SCORES: dict[str, Score] = {
    name: score for kind in KINDS.values() for name, score in kind.scores.items()
}
"""Every scalar score by name; others are printed with four digits, and more counts as better."""


def _kind_of(names: Collection[str]) -> type[Kind] | None:
    """The kind that scores are of, told by the one that no other kind has."""
    return next((kind for kind in KINDS.values() if kind.headline_score in names), None)


def main_score(names: Collection[str]) -> str | None:
    """The score by which an output is compared; None where no name is known.

    Segmentation: ``mean_iou``; depth: ``rmse``; normals: ``mean_angle``; edges: ``max_f``; images:
    ``mae``.

    Args:
        names: the scores that are there.
    """
    kind = _kind_of(names)
    return None if kind is None else kind.main_score


def headline(scores: Mapping[str, Any]) -> float | None:
    """One number in 0..1 for an output, greater is better: what checkpoints are chosen by.

    Segmentation: mIoU. Depth: 1 − abs-rel. Normals: 1 − mean angle / 90°. Edges: max-F. Images, in
    [−1, 1]: 1 − MAE / 2. Each is cut off at 0. All but mIoU are this project's choice.

    Args:
        scores: the scores of one prediction of the output.

    Returns:
        None where the score is undefined (nothing was labelled).
    """
    kind = _kind_of(scores)
    return None if kind is None else kind.headline(scores)


def mean_headline(scores: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Mean over outputs of the ensemble's :func:`headline`; for one segmentation its mIoU.

    Args:
        scores: ``{output: {"ensemble": {score: value}, ...}}``.
    """
    values = [headline(entry["ensemble"]) for entry in scores.values()]
    headlines = [value for value in values if value is not None]
    return sum(headlines) / len(headlines) if headlines else None


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
