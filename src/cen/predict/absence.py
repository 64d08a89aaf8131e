"""What a run says of a missing modality that its network never missed in training."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from cen.errors import CenError
from cen.models import ChannelExchangeNetwork
from cen.runfiles import folder_of, outdated, read_run_file
from cen.scores import SCORES, format_score, main_score


def absence(
    net: ChannelExchangeNetwork, given: Collection[str], source: str | Path | None = None
) -> str | None:
    """A warning for a subset of the modalities; None where there is nothing to warn of.

    Nothing is said of a subset that the run's evaluation found no worse than the whole.

    Args:
        net: the network; its metadata say whether it was trained with modality dropout. Networks
            saved by earlier versions do not say it, and no warning is given.
        given: the modalities that are there.
        source: the run folder, or a checkpoint in one, whose evaluation is quoted.
    """
    missing = [name for name in net.inputs if name not in given]
    trained = net.metadata.get("modality_dropout")
    if not missing or trained is None or trained or net.cyclic:
        return None
    present = "+".join(name for name in net.inputs if name in given)
    drop = None
    if source is not None:
        drop = _figures(folder_of(Path(source)), present, net)
    if drop == "":
        return None
    if drop is None:
        run = "RUN" if source is None else str(source)
        drop = f"how much worse it is without is not known (cen evaluate {run} tells)"
    return (
        f"{', '.join(missing)} missing: the network never missed a modality in training; {drop}. "
        "Give every modality, or train with train.robust true"
    )


def _figures(folder: Path, present: str, net: ChannelExchangeNetwork) -> str | None:
    """The main scores of the ensemble that are worse for the subset, beside those of the whole.

    None where they are not known, "" where none is worse.
    """
    try:
        evaluation = read_run_file(folder / "evaluation.json")
        if outdated(evaluation, net.metadata):
            return None
        scores = evaluation["scores"]
        pairs = {
            output: (scores[present][output]["ensemble"], full_scores["ensemble"])
            for output, full_scores in scores["+".join(net.inputs)].items()
        }
        names = {output: main_score(part) for output, (part, _) in pairs.items()}
        parts = [_compared(output, name, *pairs[output]) for output, name in names.items() if name]
        split = str(evaluation["split"])
    except (CenError, OSError, LookupError, TypeError, AttributeError):
        return None  # not evaluated, or not by this version
    if not parts:
        return None
    drops = "; ".join(part for part in parts if part)
    return f"its evaluation ({split}) gave, with {present} alone, {drops}" if drops else ""


def _compared(output: str, name: str, part: dict[str, Any], full_scores: dict[str, Any]) -> str:
    """The score of the subset beside that of the whole; "" where it is not worse."""
    as_good = (
        part[name] >= full_scores[name] if SCORES[name].higher else part[name] <= full_scores[name]
    )
    if as_good:
        return ""
    unit = SCORES[name].unit
    value, full = (
        f"{format_score(name, scores[name])} {unit}".strip() for scores in (part, full_scores)
    )
    return f"{output} {SCORES[name].head} {value} instead of {full}"
