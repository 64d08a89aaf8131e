"""The rule of a norm's exchange."""

from typing import Any

import pytest

from cen.errors import ConfigError
from cen.exchange import (
    ExchangeRule,
    StreamBatchNorm,
    Streams,
    exchange_rate,
    sparsity,
)


def test_a_rule_that_is_off_replaces_nothing() -> None:
    norm = StreamBatchNorm(4, Streams(["a", "b"]), exchange=ExchangeRule(enabled=False))
    norm.weight.data.zero_()
    assert not norm.replaced().any()
    assert exchange_rate(norm).item() == 0
    norm.weight.data.fill_(2)
    assert sparsity(norm).item() == 8, "the penalty stays, for the ablation"


@pytest.mark.parametrize("wrong", [{"threshold": -1.0}, {"scope": "both"}, {"penalty": "some"}])
def test_values_that_there_are_not_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ExchangeRule(**wrong)
