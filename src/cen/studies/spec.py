"""A study as a file: which runs are made, how they are compared, and what the tables show."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from cen import parsing
from cen.documents import read_yaml
from cen.errors import ConfigError, nearest, printable
from cen.fetching import refuse_fetched
from cen.options.constraints import AtMost, Within, check_ranges
from cen.studies.columns import Column, parse_column

MOST_ROWS = 1000
"""Rows of a study, those of sweeps counted."""

MOST_DATA = 100
"""Data sets of a study."""

MOST_LIKE = 32
"""How many rows may follow one another by ``like``."""

Seeds = Annotated[int, Within(1, 10_000)]
Factor = Annotated[float, Within(1e-6, 1e6)]
Budgets = Annotated[list[Factor], AtMost(100)]
Scales = Annotated[list[Annotated[float, Within(0.05, 16)]], AtMost(100)]


@dataclass
class DataVariant:
    """One data set that every row is trained on.

    Attributes:
        label: What tables call it; null: its name.
        make: Options of ``cen data rooms`` (``labels: parts``, ``size: [64, 96]``), by which the
            folder is rendered where it is missing; empty: the data are there already.
        set: Dotted keys of the configuration for this data set, such as ``data.root``.
    """

    label: str | None = None
    make: dict[str, Any] = field(default_factory=dict)
    set: dict[str, Any] = field(default_factory=dict)


@dataclass
class RowSpec:
    """One row of the table: the base configuration with something changed.

    Attributes:
        label: What tables call it; null: its name.
        like: A row above whose keys this one starts from; null: none.
        set: Dotted keys of the configuration that this row changes.
        data: The data sets that it is trained on; null: all of the study.
        budgets: The budgets that it is trained with; null: all of the study.
        seeds: Its number of seeds; null: that of the study.
        factor: Its steps over those of the other rows, for a row at equal compute beside rows at
            equal steps.
    """

    label: str | None = None
    like: str | None = None
    set: dict[str, Any] = field(default_factory=dict)
    data: list[str] | None = None
    budgets: Budgets | None = None
    seeds: Seeds | None = None
    factor: Factor = 1.0


@dataclass
class Sweep:
    """Rows that differ in one key, drawn as a curve over its values.

    Attributes:
        key: The dotted key.
        values: Its values; each becomes a row.
        like: The row that they start from; null: the base configuration.
        label: What the axis says; null: the key.
        log: Draw the values on a logarithmic axis.
        data: As for a row.
        budgets: As for a row.
        seeds: As for a row.
    """

    key: str = ""
    values: list[float] = field(default_factory=list)
    like: str | None = None
    label: str | None = None
    log: bool = True
    data: list[str] | None = None
    budgets: Budgets | None = None
    seeds: Seeds | None = None


@dataclass
class Comparison:
    """Differences between a row and others, seed by seed.

    Attributes:
        reference: The row from which the others are subtracted.
        rows: The other rows; null: all.
        column: The figure of the reference that is compared, as in ``columns``.
        against: The figure of the other rows; null: the same.
    """

    reference: str = ""
    rows: list[str] | None = None
    column: str = "ensemble"
    against: str | None = None


@dataclass
class Published:
    """A figure that others published, shown apart from the study's own and marked as published.

    Attributes:
        label: The method, as its authors name it.
        data: The data set and split of the figure.
        values: The figures by what they are, in the unit they were printed in.
        source: Where they were printed; a figure without a source is refused.
    """

    label: str = ""
    data: str = ""
    values: dict[str, float] = field(default_factory=dict)
    source: str = ""


@dataclass
class Study:
    """A grid of runs and what is made of it.

    Attributes:
        title: One line.
        question: What the study answers, in a sentence or two.
        config: The base configuration: a name of ``cen configs ls``, or a file (relative to the
            study file).
        set: Dotted keys of the configuration for all rows.
        data: The data sets by name, each with all rows.
        rows: The rows by name, in the order of the table.
        sweeps: Further rows by name of the sweep, one per value.
        budgets: Factors on the steps of the base configuration.
        seeds: Number of seeds of every row, counted from 0.
        metric: The score that columns and comparisons mean where they name none.
        columns: What the tables show (``cen.studies.columns``).
        compare: The differences that are tabled.
        scales: Scales that evaluation averages over, as ``cen evaluate --scales``.
        flip: Evaluation averages over mirrored images, too.
        published: Figures of others, with their sources.
    """

    title: str = ""
    question: str = ""
    config: str = ""
    set: dict[str, Any] = field(default_factory=dict)
    data: dict[str, DataVariant] = field(default_factory=dict)
    rows: dict[str, RowSpec] = field(default_factory=dict)
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    budgets: Budgets = field(default_factory=lambda: [1.0])
    seeds: Seeds = 3
    metric: str = "mean_iou"
    columns: list[str] = field(default_factory=lambda: ["ensemble"])
    compare: list[Comparison] = field(default_factory=list)
    scales: Scales = field(default_factory=lambda: [1.0])
    flip: bool = False
    published: list[Published] = field(default_factory=list)

    def column(self, text: str) -> Column:
        """A column of the study, with the study's score where the text names none."""
        return parse_column(text, self.metric)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Study:
        """Reads a study file and checks it.

        Raises:
            ConfigError: Naming the file, the line and the key that does not fit.
        """
        path = Path(path)
        read = read_yaml(path, ConfigError, "; give a YAML file, or a name that cen study prints")
        values = read.value
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: holds no keys; start with 'title:', 'config:' and 'rows:'")
        lines = {key: f"{path}, line {line}" for key, line in read.lines.items()}
        places = parsing.Places(str(path), lines, "study")
        study: Study = parsing.parse(values, cls, "", places)
        _check(study, places)
        base = path.parent / study.config
        if base.is_file():
            study.config = str(base)
        return study


def sweep_row(sweep: str, value: float) -> str:
    """The name of the row of a sweep with a value."""
    return f"{sweep}={value:g}"


def exact(number: float) -> str:
    """A number in the fewest digits that give it back."""
    return repr(float(number)).removesuffix(".0")


def shipped() -> dict[str, Path]:
    """The shipped studies: name to file."""
    folder = Path(str(resources.files("cen") / "studies"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def find_study(name: str) -> tuple[str, Path]:
    """The short name and the file of a study given by file or by name."""
    if Path(name).is_dir():
        raise ConfigError(f"{name}: is a folder; give a YAML file, or a name that cen study prints")
    if Path(name).is_file():
        return Path(name).stem, Path(name)
    files = shipped()
    if name not in files:
        raise ConfigError(f"{name}: no file and no shipped study{nearest(name, files)}")
    return name, files[name]


def _check(study: Study, places: parsing.Places) -> None:
    """Checks ranges, and that every name that is used is there."""
    refuse = places.refuse
    if not study.config:
        refuse("config", "is missing; name the base configuration, such as rooms-study")
    if not study.rows and not study.sweeps:
        refuse("rows", "is empty; give at least one row, such as cen: {}")
    count = len(study.rows) + sum(len(sweep.values) for sweep in study.sweeps.values())
    if count > MOST_ROWS:
        refuse("rows", f"with the values of sweeps there are {count}; at most {MOST_ROWS}")
    if len(study.data) > MOST_DATA:
        refuse("data", f"there are {len(study.data)} data sets; at most {MOST_DATA}")
    try:
        check_ranges(study)
    except ConfigError as error:
        key, _, message = str(error).partition(": ")
        refuse(key, message)
    for key in ("budgets", "scales"):
        if not getattr(study, key):
            refuse(key, "is empty; [1] is the least")
    taken = set(study.rows)
    for name, sweep in study.sweeps.items():
        if not sweep.values:
            refuse(f"sweeps.{name}.values", "is empty; give some")
        if name in study.rows:
            refuse(f"sweeps.{name}", "a row has the same name; choose another")
        for row in (sweep_row(name, value) for value in sweep.values):
            if row in taken:  # one of the two would be taken for the other
                refuse(f"sweeps.{name}.values", f"there is a row {row} already; leave one out")
            taken.add(row)
    for name in [*study.rows, *study.sweeps]:
        if "/" in name or "@" in name or not name.strip() or not name.isprintable():
            refuse(f"rows.{printable(name)}", "a name of a row has no '/' and no '@'")
    for index, entry in enumerate(study.published):
        if not entry.source.strip() or not entry.data.strip() or not entry.values:
            refuse(f"published.{index}", "needs data, values and the source that printed them")
    _check_keys(study, places)
    _check_names(study, places)


def _check_keys(study: Study, places: parsing.Places) -> None:
    """Checks the keys of configurations, of which none may have anything fetched."""
    sets: list[tuple[str, Mapping[str, Any]]] = [("set", study.set)]
    sets += [(f"data.{name}.set", variant.set) for name, variant in study.data.items()]
    sets += [(f"rows.{name}.set", row.set) for name, row in study.rows.items()]
    sets += [(f"sweeps.{name}.key", {sweep.key: 0.0}) for name, sweep in study.sweeps.items()]
    made = {f"data.{name}.set": v.set for name, v in study.data.items() if v.make}
    for place, keys in sets:
        for key in keys:
            if "." not in key:
                places.refuse(
                    place, f"{key!r} is no dotted key; write for example model.exchange: false"
                )
        if place.startswith(("rows", "sweeps")) and "data.root" in keys:
            places.refuse(
                place,
                "data.root is of a data set, which tables tell apart; name the folder under data, "
                "and the data set in the row (data: [NAME])",
            )
        if "data.root" in made.get(place, ()):
            places.refuse(
                place,
                "data.root, but make renders these data in the folder of studies; leave one of "
                "them out",
            )
        # They become options of the command line, where a person is believed to have written them.
        refuse_fetched(keys, (), f"{places.of(place)}: ")


def _check_names(study: Study, places: parsing.Places) -> None:
    """Checks that rows, data sets and columns that are named are there."""

    def find(key: str, names: Iterable[str | None], choices: Iterable[str]) -> None:
        choices = list(choices)
        for name in names:
            if name is not None and name not in choices:
                places.refuse(key, f"there is no {name!r}{nearest(name, choices)}")

    above: dict[str, int] = {}
    for name, row in study.rows.items():
        find(f"rows.{name}.like", [row.like], above or ["(a row above)"])
        above[name] = 1 + above.get(row.like or "", 0)
        if above[name] > MOST_LIKE:
            places.refuse(f"rows.{name}.like", f"more than {MOST_LIKE} rows follow one another")
        find(f"rows.{name}.data", row.data or [], study.data)
    for name, sweep in study.sweeps.items():
        find(f"sweeps.{name}.like", [sweep.like], study.rows)
        find(f"sweeps.{name}.data", sweep.data or [], study.data)
    columns = [(f"columns.{index}", text) for index, text in enumerate(study.columns)]
    for index, compare in enumerate(study.compare):
        find(f"compare.{index}.reference", [compare.reference], study.rows)
        find(f"compare.{index}.rows", compare.rows or [], [*study.rows, *study.sweeps])
        columns += [(f"compare.{index}", compare.column)]
        columns += [(f"compare.{index}", compare.against)] if compare.against else []
    for key, text in columns:
        try:
            study.column(text)
        except ConfigError as error:
            places.refuse(key, str(error))
