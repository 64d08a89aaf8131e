import pytest

from cen.durations import span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown"), (12.4, "12 s"), (61, "1 min"), (5300, "88 min"), (9000, "2.5 h")],
)
def test_spans(seconds: float | None, text: str) -> None:
    assert span(seconds) == text
