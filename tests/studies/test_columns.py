"""Columns as people write them."""

import pytest

from cen.errors import ConfigError
from cen.studies.columns import Column, parse_column


@pytest.mark.parametrize(
    ("text", "parts", "head"),
    [
        ("ensemble", ("ensemble", None, None, "mean_iou"), "ensemble mIoU"),
        ("rgb", ("rgb", None, None, "mean_iou"), "rgb mIoU"),
        ("rgb:ensemble", ("ensemble", "rgb", None, "mean_iou"), "ensemble with rgb alone mIoU"),
        (
            "depth/rgb+thermal:rgb.rmse",
            ("rgb", "rgb+thermal", "depth", "rmse"),
            "depth, rgb with rgb + thermal alone RMSE",
        ),
        ("exchange_rate", ("exchange_rate", None, None, None), "exchange rate"),
    ],
)
def test_columns_are_read(text: str, parts: tuple[str | None, ...], head: str) -> None:
    column = parse_column(text)
    assert (column.prediction, column.inputs, column.output, column.score) == parts
    assert column.head == head


@pytest.mark.parametrize("text", ["", "a b", "a:b:c", "a/b/c", ".rmse"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="OUTPUT/"):
        parse_column(text)


def test_a_score_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean mean_iou"):
        parse_column("ensemble.mean_ious")


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("ensemble", 0.84256, "84.3"),
        ("exchange_rate", 0.3, "30.0"),
        ("macs", 3_557_888, "3.56 M"),
        ("compute", 1.5e15, "1.50 P"),
        ("parameters", 950, "950"),
        ("steps", 4800, "4,800"),
        ("depth/ensemble.rmse", 0.51234, "0.5123"),
    ],
)
def test_values_are_shown_in_their_unit(text: str, value: float, shown: str) -> None:
    assert parse_column(text).format(value) == shown


def test_which_way_is_better() -> None:
    assert parse_column("ensemble").higher_is_better
    assert not parse_column("ensemble.rmse").higher_is_better
    assert Column("x", "ensemble", score="within_11").higher_is_better
