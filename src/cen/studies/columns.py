"""Which figure of a run a column of a table shows, written as people say it.

``ensemble`` is the score of the ensemble with every modality at hand, ``rgb`` that of a stream,
``rgb:ensemble`` what is left when only rgb is at hand, ``depth/ensemble.rmse`` another output and
another score. Facts of a run that are no test scores have plain names: ``validation`` (what its
checkpoint was chosen by, and what settings are to be chosen by), ``exchange_rate``, ``parameters``,
``macs``, ``folded_macs``, ``steps``, ``seconds``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cen.errors import ConfigError, nearest
from cen.scores import SCORES, format_score

FACTS = {
    "exchange_rate": "exchange rate",
    "validation": "validation",
    "parameters": "parameters",
    "macs": "MACs",
    "folded_macs": "MACs, folded",
    "compute": "MACs, training",
    "steps": "steps",
    "seconds": "seconds",
}
"""Columns that are no scores, and what a table calls them."""

_SHARES = ("exchange_rate", "validation")
_LARGE = ("parameters", "macs", "folded_macs", "compute")

_PATTERN = re.compile(
    r"(?:(?P<output>[^/:.\s]+)/)?(?:(?P<inputs>[^/:.\s]+):)?"
    r"(?P<prediction>[^/:.\s]+)(?:\.(?P<score>[^/:.\s]+))?"
)


@dataclass(frozen=True)
class Column:
    """One figure of a run.

    Attributes:
        name: As it was written.
        prediction: A stream, ``ensemble``, or a key of :data:`FACTS`.
        inputs: The modalities at hand, joined by ``+``; None: all that the run takes.
        output: The output; None: the run's first.
        score: The score, such as ``mean_iou``; None for a fact.
    """

    name: str
    prediction: str
    inputs: str | None = None
    output: str | None = None
    score: str | None = None

    @property
    def share(self) -> bool:
        """Whether the value is a share in 0..1 that is printed in percent."""
        if self.score is None:
            return self.prediction in _SHARES
        return SCORES[self.score].unit == "%"

    @property
    def higher_is_better(self) -> bool:
        """Whether more is better."""
        return self.prediction == "validation" if self.score is None else SCORES[self.score].higher

    @property
    def head(self) -> str:
        """What a table calls it."""
        if self.score is None:
            return FACTS[self.prediction]
        parts = [f"{self.output}, " if self.output else "", self.prediction]
        parts.append(f" with {self.inputs.replace('+', ' + ')} alone" if self.inputs else "")
        return "".join(parts) + f" {SCORES[self.score].head}"

    def format(self, value: float) -> str:
        """A value of this column as text, without its unit."""
        if self.score is not None:
            return format_score(self.score, value)
        if self.prediction in _SHARES:
            return f"{100 * value:.1f}"
        return _magnitude(value) if self.prediction in _LARGE else f"{value:,.0f}"


def parse_column(text: str, score: str = "mean_iou") -> Column:
    """Reads ``[OUTPUT/][INPUTS:]PREDICTION[.SCORE]`` or a key of :data:`FACTS`."""
    if text in FACTS:
        return Column(text, text)
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"column {text!r}: write [OUTPUT/][INPUTS:]PREDICTION[.SCORE], for example ensemble, "
            f"rgb, rgb+depth:ensemble or depth/ensemble.rmse, or one of {', '.join(FACTS)}"
        )
    part = match.groupdict()
    named = part["score"] or score
    if named not in SCORES:
        raise ConfigError(f"column {text!r}: there is no score {named!r}{nearest(named, SCORES)}")
    return Column(text, part["prediction"], part["inputs"], part["output"], named)


def _magnitude(value: float) -> str:
    for limit, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.2f} {letter}"
    return f"{value:.0f}"
