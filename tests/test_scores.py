"""What scores are called, which way is better, one number for each output."""

from __future__ import annotations

import pytest

from cen.errors import ConfigError
from cen.metrics import DepthScores, EdgeScores, ImageScores, NormalScores, SegmentationScores
from cen.scores import SCORES, format_score, headline, main_score, mean_headline, relative_gains

FIELDS = {
    "mean_iou": SegmentationScores._fields,
    "rmse": DepthScores._fields,
    "mean_angle": NormalScores._fields,
    "max_f": EdgeScores._fields,
    "mae": ImageScores._fields,
}


@pytest.mark.parametrize("main", FIELDS)
def test_every_kind_has_a_main_score_of_its_own(main: str) -> None:
    assert main_score(FIELDS[main]) == main
    assert set(FIELDS[main]) - {"pixels", "images", "iou", "accuracy"} <= set(SCORES)


def test_headlines_lie_in_0_to_1_and_grow_with_quality() -> None:
    assert headline({"mean_iou": 0.7}) == 0.7
    depth = [headline({"rmse": 9.0, "abs_rel": x}) for x in (0.0, 0.2, 3.0)]
    assert depth == pytest.approx([1.0, 0.8, 0.0])
    normal = [headline({"mean_angle": x}) for x in (0.0, 9.0, 120.0)]
    assert normal == pytest.approx([1.0, 0.9, 0.0])
    assert headline({"max_f": 0.4}) == 0.4
    assert headline({"mae": 0.5}) == pytest.approx(0.75)
    assert headline({"mean_iou": None}) is None
    assert headline({"something": 1.0}) is None


def test_headlines_are_averaged_over_outputs_that_have_one() -> None:
    scores = {
        "a": {"ensemble": {"mean_iou": 0.5}},
        "b": {"ensemble": {"mean_angle": 9.0}},
        "c": {"ensemble": {"rmse": None, "abs_rel": None}},
    }
    assert mean_headline(scores) == pytest.approx(0.7)
    assert mean_headline({"c": scores["c"]}) is None


def test_gains_turn_the_sign_where_less_is_better() -> None:
    gains = relative_gains(
        {"s": {"mean_iou": 0.6}, "d": {"rmse": 0.4, "abs_rel": 0.1}, "n": {"mean_angle": 11.0}},
        {"s": {"mean_iou": 0.5}, "d": {"rmse": 0.5, "abs_rel": 0.3}, "n": {"mean_angle": 10.0}},
    )
    assert gains == pytest.approx({"s": 0.2, "d": 0.2, "n": -0.1})


def test_gains_without_meaning_are_refused() -> None:
    with pytest.raises(ConfigError, match="no score in common"):
        relative_gains({"s": {"mean_iou": 0.6}}, {"s": {"mean_angle": 1.0}})
    with pytest.raises(ConfigError, match="no relative gain"):
        relative_gains({"s": {"mean_iou": 0.6}}, {"s": {"mean_iou": 0.0}})


def test_scores_are_printed_by_their_units() -> None:
    assert format_score("mean_iou", 0.1234) == "12.3"
    assert format_score("mean_angle", 9.876) == "9.88"
    assert format_score("rmse", 0.123456) == "0.1235"
    assert format_score("of_ones_own", 12.3456) == "12.35"
    assert format_score("rmse", None) == "–"


def test_mean_iou_averages_outputs_and_skips_unknown() -> None:
    def entry(value: float | None) -> dict[str, object]:
        return {"ensemble": {"mean_iou": value}, "streams": {}}

    assert mean_headline({"a": entry(0.2), "b": entry(0.4)}) == pytest.approx(0.3)
    assert mean_headline({"a": entry(0.2), "b": entry(None)}) == pytest.approx(0.2)
    assert mean_headline({"a": entry(None)}) is None
