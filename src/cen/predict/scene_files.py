"""Scenes in folders, patterns and lists: the files of each modality, matched by name."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from cen.data.formats.text_lists import read_lines
from cen.data.readers.patterns import Pattern, held_instead, natural
from cen.errors import ConfigError, DataError

Missing = Literal["error", "skip", "predict"]
"""What is done with scenes that lack modalities: refused, left out, predicted from the others."""

_LISTS = (".txt", ".lst")
_TOLD = 3


Files = dict[str, Path]
"""Those of one scene, by modality."""


def names_many(text: str) -> bool:
    """Whether a word names the files of many scenes: a folder, a pattern or a list."""
    return Path(text).is_dir() or _is_pattern(text) or Path(text).suffix.lower() in _LISTS


def _is_pattern(text: str) -> bool:
    return not Path(text).exists() and ("*" in text or "{id}" in text)


def find_scenes(places: Mapping[str, str], missing: Missing = "error") -> dict[str, Files]:
    """The files of scenes by what their names have in common, in the order of these.

    Args:
        places: by modality a folder, whose files are named by their path without its ending; a
            pattern, in which ``{id}``, which may hold slashes, or else the last ``*``, which holds
            some after ``**`` alone, stands for the name; or a list
            (.txt) of one file a line, below the folder of the list, of which the same lines of all
            lists belong together.
        missing: what is done with scenes that lack modalities.

    Raises:
        ConfigError: lists and others are mixed.
        DataError: there are no files, two of one name, or scenes that lack some.
    """
    lists = [name for name, text in places.items() if Path(text).suffix.lower() in _LISTS]
    if lists and len(lists) < len(places):
        other = next(name for name in places if name not in lists)
        raise ConfigError(
            f"--{lists[0]} {places[lists[0]]}: is a list, whose lines go with those of another "
            f"list, but --{other} {places[other]} is none; give lists for all modalities, or none"
        )
    if lists:
        return _of_lists({name: Path(text) for name, text in places.items()})
    by_modality = {name: files_by_name(f"--{name}", text) for name, text in places.items()}
    names = sorted({scene for files in by_modality.values() for scene in files}, key=natural)
    scenes = {n: {m: f[n] for m, f in by_modality.items() if n in f} for n in names}
    lacking = {name: files for name, files in scenes.items() if len(files) < len(places)}
    if missing == "skip":
        scenes = {name: files for name, files in scenes.items() if name not in lacking}
    if lacking and (missing == "error" or not scenes):
        raise DataError(_lacking(lacking, places, len(names)))
    return scenes


def files_by_name(option: str, text: str) -> dict[str, Path]:
    """The files of one modality by the name of their scene."""
    of_one_folder = _is_pattern(text) and "{id}" not in text and "**" not in text
    if _is_pattern(text):
        fixed = re.split(r"[*{]", text)[0].rpartition("/")[0]
        root = Path(fixed or ("/" if text.startswith("/") else "."))
        below = text[len(fixed) :].lstrip("/")
        if "{id}" not in below:
            before, _, after = below.rpartition("*")
            below = f"{before}{{id}}{after}".replace("**/", "")  # a name may hold slashes
    else:
        root, below = Path(text), "{id}.*"
    files = Pattern(below, option).find(root) if root.is_dir() else {}
    if of_one_folder:
        files = {name: file for name, file in files.items() if "/" not in name}
    if not files and _is_pattern(text):
        raise DataError(f"{option} {text}: no file matches{held_instead(root)}")
    if not files:
        raise DataError(f"{option} {text}: the folder holds no file")
    return {name: root / file for name, file in files.items()}


def _of_lists(lists: Mapping[str, Path]) -> dict[str, Files]:
    """The scenes of lists, line by line, named after the files of the first."""
    lines = {
        name: [line for line in read_lines(path) if line.strip()] for name, path in lists.items()
    }
    counts = {f"{lists[name]} has {len(paths)}" for name, paths in lines.items()}
    if len({len(paths) for paths in lines.values()}) > 1 or not all(lines.values()):
        raise DataError(
            f"{', '.join(sorted(counts))} lines; the same lines of all lists are one scene, so "
            "give lists of one length that are not empty"
        )
    files = {
        name: [lists[name].parent / line.strip() for line in paths] for name, paths in lines.items()
    }
    for name, paths in files.items():
        if lost := [file for file in paths if not file.is_file()]:
            raise DataError(
                f"{lists[name]}: {len(lost)} of {len(paths)} files are not there, such as "
                f"{lost[0]}; a list has one path a line, below its own folder"
            )
    names = _short_names(next(iter(files.values())))
    return {
        name: {modality: paths[line] for modality, paths in files.items()}
        for line, name in enumerate(names)
    }


def _short_names(files: Sequence[Path]) -> list[str]:
    """Paths without endings, below the folder that they have in common."""
    absolute = [Path(os.path.abspath(file)) for file in files]  # noqa: PTH100 links stay
    common = Path(os.path.commonpath([file.parent for file in absolute]))
    names = [file.relative_to(common).with_suffix("").as_posix() for file in absolute]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"two files of the list would both be scene {twice[0]!r}; leave one out")
    return names


def _lacking(lacking: Mapping[str, Files], places: Mapping[str, str], count: int) -> str:
    examples = "; ".join(
        f"{name} has no {', '.join(n for n in places if n not in files)}"
        for name, files in islice(lacking.items(), _TOLD)
    )
    more = f" and {len(lacking) - _TOLD} more" if len(lacking) > _TOLD else ""
    if len(lacking) == count:
        return (
            f"none of {count} scenes has a file of every modality: {examples}{more}. Scenes are "
            "told by the names of files; where a part of a name, such as a time stamp, is another "
            "one for every sensor, put {id} for the part that they share: 'DIR/{id}_*.png'"
        )
    return (
        f"{len(lacking)} of {count} scenes lack files: {examples}{more}; add them, or leave these "
        "scenes out (--missing skip) or predict them from what is there (--missing predict)"
    )
