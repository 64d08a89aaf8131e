"""From a study to its runs: data sets × rows × budgets × seeds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from cen.config import Config
from cen.data.data_identity import data_digest, data_identity
from cen.documents import yaml_line
from cen.errors import ConfigError, nearest
from cen.fetching import is_url, refuse_fetched
from cen.options.constraints import walk
from cen.studies.identity import run_hash
from cen.studies.spec import DataVariant, RowSpec, Study, Sweep, sweep_row

Load = Callable[[str, Mapping[str, str]], Config]
"""Loads a configuration by name or file, with overrides as the command line gives them."""

Root = Path | str
"""The folder or file of a data set, or its URL as text."""

MOST_RUNS = 20_000
"""Most runs of a study."""


@dataclass(frozen=True)
class Row:
    """A row of the table, with everything that it takes over from other rows.

    Attributes:
        name: Its name; ``SWEEP=VALUE`` for a row of a sweep.
        label: What tables call it.
        set: Dotted keys that it changes.
        data: The data sets that it is trained on; None: all.
        budgets: The budgets that it is trained with; None: all.
        seeds: Its number of seeds; None: that of the study.
        factor: Its steps over those of the other rows.
        sweep: The sweep that it belongs to and its value there.
    """

    name: str
    label: str
    set: Mapping[str, Any]
    data: Sequence[str] | None = None
    budgets: Sequence[float] | None = None
    seeds: int | None = None
    factor: float = 1.0
    sweep: tuple[str, float] | None = None


@dataclass(frozen=True)
class Run:
    """One training with its evaluation.

    Attributes:
        data: Name of the data set in the study.
        row: The row.
        budget: Factor on the steps of the base configuration.
        seed: The seed.
        base: The base configuration, by name or file.
        overrides: Its keys as words of a command line.
        config: The resolved configuration.
        hash: What :func:`cen.studies.identity.run_hash` gives.
        data_digest: Of the data, as its evaluation notes it.
    """

    data: str
    row: Row
    budget: float
    seed: int
    base: str
    overrides: Mapping[str, str]
    config: Config
    hash: str
    data_digest: str

    @property
    def title(self) -> str:
        """What a person calls it: data, row, budget, seed."""
        return f"{self.data} · {self.row.label} · {self.budget:g}× · seed {self.seed}"


@dataclass(frozen=True)
class Choice:
    """What of a study is run, as the command line says.

    ``overrides`` are keys of the configuration for all runs, ``only`` names of rows or sweeps
    (none: all); ``budgets`` and ``seeds`` stand in place of those of the study and its rows.
    """

    overrides: Mapping[str, str] = field(default_factory=dict)
    only: Sequence[str] = ()
    budgets: Sequence[float] = ()
    seeds: int | None = None


def rows_of(study: Study) -> list[Row]:
    """All rows of a study in the order of its table, those of sweeps last."""
    rows = []
    for name, spec in study.rows.items():
        where = (spec.data, spec.budgets, spec.seeds, spec.factor)
        rows.append(Row(name, spec.label or name, _inherited(study, spec), *where))
    for name, sweep in study.sweeps.items():
        start = _inherited(study, study.rows[sweep.like]) if sweep.like else {}
        for value in sweep.values:
            label = f"{sweep.label or sweep.key} = {value:g}"
            # Keys of whole numbers take no 4.0.
            keys = {sweep.key: int(value) if value.is_integer() else value}
            where = (sweep.data, sweep.budgets, sweep.seeds, 1.0)
            rows.append(
                Row(sweep_row(name, value), label, _later(start, keys), *where, (name, value))
            )
    return rows


def expand(
    study: Study,
    choice: Choice,
    roots: Mapping[str, Root],
    load: Load,
    may_miss: Collection[str] = (),
) -> list[Run]:
    """All runs of a study, the first seed of every row before the second of any.

    ``roots`` are the folders of its data sets by name; those of ``may_miss`` need not be there
    (yet): nothing was trained on them then.

    Raises:
        ConfigError: A row does not exist, or its keys do not fit; the row is named.
        DataError: The folder of a data set is not there.
    """
    rows = [_overruled(row, choice.overrides) for row in _chosen(study, choice.only)]
    identities = {
        name: _identity(study, choice, name, root, load, name in may_miss)
        for name, root in roots.items()
    }
    runs, resolved = [], {}
    for seed, budget, data, row in _cells(study, choice, rows, roots):
        place = (row.name, data, budget)
        if place not in resolved:
            words = _words(study, row.set, data, choice.overrides, roots[data])
            resolved[place] = _with_budget(study.config, words, budget * row.factor, load, row)
            # A study's words are read as a command line's are: what they come to is what counts.
            asked = {*choice.overrides, "data.root"}
            refuse_fetched(dict(walk(resolved[place][0])), asked, f"row {row.name}: ")
        config, words = resolved[place]
        config, words = replace(config, seed=seed), {**words, "seed": str(seed)}
        key = run_hash(config, identities[data], evaluation_options(study))
        digest = data_digest(identities[data])
        runs.append(Run(data, row, budget, seed, study.config, words, config, key, digest))
    return runs


def _cells(
    study: Study, choice: Choice, rows: Sequence[Row], data: Collection[str]
) -> list[tuple[int, float, str, Row]]:
    """Seed, budget, data set and row of every run, ordered by seed and budget."""
    grids = []
    for row in rows:
        seeds = range(choice.seeds or row.seeds or study.seeds)
        names = [name for name in data if row.data is None or name in row.data]
        budgets = dict.fromkeys(choice.budgets or row.budgets or study.budgets)
        grids.append((seeds, list(budgets), names, [row]))
    count = sum(len(seeds) * len(budgets) * len(data) for seeds, budgets, _, _ in grids)
    if count > MOST_RUNS:
        raise ConfigError(
            f"the study asks for {count:,} runs, the limit is {MOST_RUNS:,}: take fewer rows, data "
            "sets, budgets or seeds"
        )
    cells = [cell for grid in grids for cell in product(*grid)]
    return sorted(cells, key=lambda cell: cell[:2])  # rows and data keep their order


def everything(
    study: Study,
    choice: Choice,
    roots: Mapping[str, Root],
    load: Load,
    earlier: Mapping[str, Any],
) -> list[Run]:
    """Every run that a call of the study may have made: what its tables are looked up in."""
    parts: list[Study | RowSpec | Sweep] = [study, *study.rows.values(), *study.sweeps.values()]
    budgets = {*choice.budgets, *earlier.get("budgets", [])}
    budgets |= {budget for part in parts for budget in part.budgets or []}
    seeds = [choice.seeds or 1, earlier.get("seeds", 1), *(part.seeds or 1 for part in parts)]
    wide = Choice(choice.overrides, (), tuple(sorted(budgets)), max(seeds))
    return expand(study, wide, roots, load, may_miss=roots)


def in_grid(study: Study, run: Run) -> bool:
    """Whether a run is one of those that the study file itself asks for."""
    row = run.row
    budgets = row.budgets or study.budgets
    return run.budget in budgets and run.seed < (row.seeds or study.seeds)


def evaluation_options(study: Study) -> dict[str, Any]:
    """How the runs of a study are evaluated, where it is not the usual way."""
    options: dict[str, Any] = {} if study.scales == [1.0] else {"scales": study.scales}
    return options | ({"flip": True} if study.flip else {})


def word(value: Any) -> str:
    """A value as a word of the command line."""
    return value if isinstance(value, str) else yaml_line(value)


def _inherited(study: Study, spec: RowSpec) -> dict[str, Any]:
    """The keys of a row with those of the rows that it is like."""
    above = _inherited(study, study.rows[spec.like]) if spec.like else {}
    return _later(above, spec.set)


def _later(first: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the later ones last: the order matters where one key lies within another."""
    return {**{k: v for k, v in first.items() if k not in then}, **then}


def _chosen(study: Study, only: Sequence[str]) -> list[Row]:
    rows = rows_of(study)
    for name in only:
        if name not in [row.name for row in rows] and name not in study.sweeps:
            near = nearest(name, [*study.rows, *study.sweeps])
            raise ConfigError(f"--only {name}: is no row of the study{near}")
    if not only:
        return rows
    return [row for row in rows if row.name in only or (row.sweep and row.sweep[0] in only)]


def _overruled(row: Row, overrides: Mapping[str, str]) -> Row:
    """The row, its label saying what a call has put in the place of the row's own keys.

    ``exchange rate 0.3`` would be a wrong name for runs at 0.5.
    """
    own = {key: overrides[key] for key in row.set if key in overrides}
    changed = [f"{key}: {value}" for key, value in own.items() if value != word(row.set[key])]
    return replace(row, label=f"{row.label} (here {', '.join(changed)})") if changed else row


def _identity(
    study: Study, choice: Choice, data: str, root: Root, load: Load, may_miss: bool
) -> dict[str, Any]:
    layout = load(study.config, _words(study, {}, data, choice.overrides, root)).data.layout
    if may_miss and layout != "rooms" and not is_url(str(root)) and not Path(root).exists():
        return {"missing": str(root)}
    return data_identity(root, layout)


def _words(
    study: Study, row: Mapping[str, Any], data: str, overrides: Mapping[str, str], root: Root
) -> dict[str, str]:
    """The keys of a run as words: of the study, its data set, its row and the call."""
    merged = study.set
    for keys in (study.data.get(data, DataVariant()).set, row, {"data.root": str(root)}):
        merged = _later(merged, keys)
    return _later({key: word(value) for key, value in merged.items()}, overrides)


def _with_budget(
    base: str, words: dict[str, str], factor: float, load: Load, row: Row
) -> tuple[Config, dict[str, str]]:
    """The resolved configuration with the steps of a budget, and the words that give it."""
    words = dict(words)
    try:
        config = load(base, words)
        if factor != 1:
            train = config.train
            if train.steps is not None:
                words["train.steps"] = str(max(1, round(train.steps * factor)))
            for index, stage in enumerate(train.stages):
                words[f"train.stages.{index}.steps"] = str(max(1, round(stage.steps * factor)))
            config = load(base, words)
    except ConfigError as error:
        raise ConfigError(f"row {row.name}: {error}") from None
    return config, words
