"""The data sets of a study: where they lie, and rendering those that are rendered."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from cen.data.readers.registry import LAYOUTS
from cen.errors import ConfigError, DataError, nearest, shown
from cen.fetching import is_url
from cen.files import contained, path_problem
from cen.studies.grid import Root, word
from cen.studies.identity import short_digest
from cen.studies.spec import DataVariant, Study


def choose_data(study: Study, names: Sequence[str], root: str | None) -> Study:
    """The study on the data that ``--data`` names, on that of ``--data.root``, or on its own."""
    if root is not None:
        if names:
            raise ConfigError("--data and --data.root both name the data; give one of them")
        name = _name(Path(root), study.data)
        return _on_other(study, {name: DataVariant(set={"data.root": root})})
    chosen: dict[str, DataVariant] = {}
    for text in names:
        layout, colon, place = text.partition(":")
        if colon:
            _check_place(text, layout, place)
            variant = DataVariant(set={"data.layout": layout, "data.root": place})
            if variant in chosen.values():
                raise ConfigError(f"--data {shown(text)}: is named twice")
            chosen[_name(Path(place), {*chosen, *study.data})] = variant
        elif text in study.data:
            chosen[text] = study.data[text]
        else:
            near = nearest(text, [*study.data, "LAYOUT:ROOT"])
            raise ConfigError(f"--data {shown(text)}: is no data set of the study{near}")
    if set(chosen) <= set(study.data):
        return replace(study, data=chosen or study.data)
    return _on_other(study, chosen)


def _check_place(text: str, layout: str, place: str) -> None:
    """Refuses other data whose layout does not exist or that are not there."""
    problem = path_problem(place)
    if layout not in LAYOUTS:
        problem = f"{layout} is no layout{nearest(layout, LAYOUTS)}"
    elif problem:
        problem = f"ROOT {problem}"
    elif layout != "rooms" and not is_url(place) and not Path(place).exists():
        problem = f"there is no such folder or file {place}"
    if problem:
        raise ConfigError(f"--data {shown(text)}: {problem}")


def _name(place: Path, used_names: Collection[str]) -> str:
    """The name of a folder, with those above it where the name alone is taken."""
    parts = [part for part in place.resolve().parts if part != place.anchor]
    for count in range(1, len(parts) + 1):
        name = "-".join(parts[-count:])
        if name not in used_names:
            return name
    raise ConfigError(f"--data {place}: is named twice, or as a data set of the study is")


def _on_other(study: Study, data: dict[str, DataVariant]) -> Study:
    """The study on data of its own call: every row is trained on them."""
    return replace(
        study,
        data=data,
        rows={name: replace(row, data=None) for name, row in study.rows.items()},
        sweeps={name: replace(sweep, data=None) for name, sweep in study.sweeps.items()},
    )


def roots_of(study: Study, out: Path, default: str) -> dict[str, Root]:
    """Where every data set lies, by name: rendered ones in OUT/data, others as it is told.

    ``default`` is ``data.root`` of the base configuration.
    """
    roots: dict[str, Root] = {}
    default = str(study.set.get("data.root", default))
    for name, variant in (study.data or {Path(default).name: DataVariant()}).items():
        root = str(variant.set.get("data.root", default))
        if variant.make:
            place = out / "data" / f"{name}-{short_digest(variant.make)}"
            roots[name] = contained(out, place, ConfigError).resolve()
        else:
            roots[name] = root if is_url(root) else Path(root).resolve()
    return roots


def make_missing(
    study: Study, roots: Mapping[str, Root], workers: int, environment: Mapping[str, str]
) -> Iterator[str]:
    """Renders the data sets that are to be rendered and are not there; yields each command.

    One of two studies that want the same data set renders it, the other waits.
    """
    for name, variant in study.data.items():
        root = Path(roots[name])
        if not variant.make or _is_complete(root):
            continue
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root.with_name(f".{root.name}.lock")):
            if _is_complete(root):
                continue
            words = make_words(variant, root)
            yield f"cen {' '.join(words)}"
            command = [sys.executable, "-m", "cen", *words, "--workers", str(workers)]
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
            )
            if done.returncode:
                lines = [line for line in done.stderr.splitlines() if line.strip()]
                cause = lines[-1] if lines else f"it ended with code {done.returncode}"
                raise DataError(f"data set {name} of the study cannot be made: {cause}")


def make_words(variant: DataVariant, root: Root) -> list[str]:
    """The words after ``cen`` that render a data set."""
    words = ["data", "rooms", str(root)]
    for key, value in variant.make.items():
        values: list[Any] = value if isinstance(value, list) else [value]
        words += [f"--{key}", *(word(one) for one in values)]
    return words


def _is_complete(root: Path) -> bool:
    # dataset.yaml is what cen data rooms writes last.
    return (root / "dataset.yaml").is_file()
