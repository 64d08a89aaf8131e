"""The files that a run folder holds beside its weights: their types, and reading them.

Whoever reads one gets what these types say or an error that names the file and the key: run
folders are passed around, and a foreign one is no reason to crash, wait or fill the memory.
"""

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from cen import schema
from cen.documents import read_json, read_yaml
from cen.errors import CheckpointError, DataError
from cen.options.constraints import AtMost, Share, Within

Byte = Annotated[int, Within(0, 255)]
Count = Annotated[int, Within(0, 2**31)]
Scores = dict[str, float | list[float | None] | str | None]
Names = dict[str, list[str] | None] | list[str] | None
Palettes = dict[str, list[list[Byte]] | None] | list[list[Byte]] | None


class Entry(TypedDict, total=False):
    """Scores of one output."""

    ensemble: Scores
    streams: dict[str, Scores] | None
    alpha: dict[str, float | None] | None


class Judged(TypedDict):
    """What of an output a checkpoint was chosen by."""

    ensemble: Scores


class Single(TypedDict, total=False):
    """The comparison with single-task networks."""

    delta_m: typing.Required[float]
    gains: typing.Required[dict[str, float]]
    outputs: int


class Evaluation(TypedDict, total=False):
    """evaluation.json."""

    split: str | None
    root: str
    data: str
    samples: int | None
    step: int | None
    exchange_rate: float | None
    classes: Names
    palette: Palettes
    scores: dict[str, dict[str, Entry]] | None
    single: Single | None
    features: str
    protocol: str
    generator_mode: str | None
    units: dict[str, str]


MOST_LAYERS = 5_000
"""Most layers (of all streams) of an inspection."""

MOST_CHANNELS = 2**16
"""Most channels of a layer."""


class Layer(TypedDict):
    """One exchanging layer and stream of an inspection."""

    name: str
    stream: str
    channels: Count
    own: Count
    replaced: Count
    rate: Share
    own_start: NotRequired[Count]
    own_parts: NotRequired[Annotated[list[list[Count]], AtMost(MOST_CHANNELS)] | None]
    quantiles: NotRequired[list[float] | None]
    mask: NotRequired[Annotated[list[bool] | list[int], AtMost(MOST_CHANNELS)] | None]


class Look(TypedDict, total=False):
    """One inspection of exchange.json."""

    step: Annotated[int, Within(0, 2**53)]
    rate: Share | None
    alpha: dict[str, dict[str, float]] | None
    layers: typing.Required[Annotated[list[Layer], AtMost(MOST_LAYERS)]]


class Session(TypedDict, total=False):
    """One session of a run."""

    started: typing.Required[str | float]


class Info(TypedDict, total=False):
    """run.json."""

    started: str | float | None
    finished: str | float | None
    seconds: float | None
    status: str | None
    called: bool
    step: int | None
    seed: int | None
    command: list[str] | str | None
    versions: dict[str, str | None] | None
    machine: dict[str, str | float | None] | str | None
    git: str | None
    sessions: list[Session]


class Asked(TypedDict, total=False):
    """What calls of a study have asked for beyond its file."""

    budgets: list[Annotated[float, Within(1e-6, 1e6)]]
    seeds: Annotated[int, Within(1, 10_000)]


class Costs(TypedDict, total=False):
    """What a network costs."""

    parameters: int
    macs: int
    size: list[int]


class Facts(TypedDict, total=False):
    """study.json, of a run and of a study."""

    hash: str
    seconds: dict[str, float]
    threads: int | None
    costs: Costs
    validation: float | None
    commands: list[str]
    asked: Asked


class Stage(TypedDict, total=False):
    """One entry of train.stages."""

    steps: int


class Model(TypedDict, total=False):
    """What of ``model`` is told."""

    name: str
    encoder: str
    inputs: dict[str, int] | None
    outputs: dict[str, Any] | None
    width: int | None
    decoder_channels: int | None
    fusion: str | None
    guide: str | None


class Train(TypedDict, total=False):
    """What of ``train`` is told."""

    steps: int | None
    accumulate: int | None
    stages: list[Stage] | None


class Data(TypedDict, total=False):
    """What of ``data`` is told."""

    root: str
    layout: str
    classes: int | list[str] | None


class Configured(TypedDict, total=False):
    """config.yaml, as far as tables and pages tell it; `cen.config.Config` knows every key."""

    data: Data | None
    model: Model | None
    train: Train | None
    seed: int | None


TYPES: dict[str, Any] = {
    "config.yaml": Configured,
    "run.json": Info,
    "exchange.json": list[Look],
    "evaluation.json": Evaluation,
    "study.json": Facts,
}
"""The type of every file, by its name."""

MOST_CLASSES = 2**16
"""Most classes of a label map: of 16 bits."""


def read_run_file(path: Path) -> Any:
    """What a file of a run folder, or of a folder of studies, holds.

    Raises:
        DataError: It is missing, damaged, or not of its type.
    """
    read = read_yaml(path, DataError).value if path.suffix == ".yaml" else read_json(path)
    schema.check(read, TYPES[path.name], str(path), DataError)
    return read


def read_if_there(path: Path, default: Any) -> Any:
    """What a file of a run folder holds, or ``default`` where there is none yet."""
    return read_run_file(path) if path.is_file() else default


def folder_of(source: Path) -> Path:
    """The folder of a run, where a network is given by it or by a file in it."""
    return source if source.is_dir() else source.parent


def way_on(run: Path) -> str:
    """How to go on with a run: a command, but for one whose network and data no file names."""
    return "the same call and resume=True" if _is_called(run) else f"cen train --resume {run}"


def check_by_command(run: Path) -> None:
    """Refuses to go on by its configuration with a run that a call has begun.

    Raises:
        CheckpointError: cen.fit or train_network was given its network and data.
    """
    if _is_called(run):
        raise CheckpointError(
            f"{run}: its network and data were given by a call from Python (cen.fit or "
            f"train_network), and its config.yaml does not name them; go on by {way_on(run)}"
        )


def _is_called(run: Path) -> bool:
    return bool(read_if_there(run / "run.json", {}).get("called"))


def outdated(evaluation: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """That an evaluation is of other weights than those of the run, in words; "" where it is not.

    A run that was made longer may have another best network than the one that was scored.

    Args:
        evaluation: what evaluation.json holds.
        metadata: what was saved with the network.
    """
    scored, kept = evaluation.get("step"), metadata.get("step")
    if None in (scored, kept) or scored == kept:
        return ""
    return f"its evaluation is of step {scored}, the network of step {kept}"
