"""Patterns such as ``thermal/{id}.tif``: from file names to the names of samples and back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cen.data.formats.text_lists import composed, existing
from cen.errors import DataError

_NUMBER = re.compile(r"([0-9]+)")
_PLACES = re.compile(r"(\{[^{}]*\}|\*)")


def natural(name: str) -> tuple[Any, ...]:
    """A key by which names are in the order of their numbers: f9 before f10.

    Names whose numbers have leading zeros are in the same order as without it.
    """
    parts = _NUMBER.split(name)
    numbers = [digits.lstrip("0") for digits in parts[1::2]]
    # By length, then by digits: a number may be longer than what Python makes an int of.
    pairs = zip(parts[::2], [*((len(d), d) for d in numbers), (0, "")], strict=True)
    return tuple(pairs), name


@dataclass(frozen=True)
class Pattern:
    """Where the files of one field are.

    ``{id}`` stands for the name of the sample, which may hold slashes, ``{split}`` for the folder
    of a split, ``*`` for anything without a slash.

    Attributes:
        text: the pattern, below the root of the data.
        where: where it was written, for messages.
    """

    text: str
    where: str

    def __post_init__(self) -> None:
        if "\\" in self.text:
            raise DataError(
                f"{self.where}: pattern {self.text!r} has a backslash; between folders write /"
            )
        parts = PurePosixPath(self.text).parts
        if not self.text or parts[0].startswith(("/", "~")) or ".." in parts:
            raise DataError(
                f"{self.where}: pattern {self.text!r} leaves the folder of the data; patterns are"
                " relative to it"
            )
        for place in _PLACES.findall(self.text):
            if place not in ("{id}", "{split}", "*"):
                raise DataError(
                    f"{self.where}: {place} in {self.text!r} means nothing; there are {{id}},"
                    " {split} and *"
                )
        if "{id}" not in self.text:
            raise DataError(
                f"{self.where}: pattern {self.text!r} has no {{id}}, so it names one file for all "
                f"samples; write {{id}} for what differs from one to the next"
            )

    @property
    def by_split(self) -> bool:
        """Whether each split has folders of its own."""
        return "{split}" in self.text

    def find(self, root: Path, split: str | None = None) -> dict[str, str]:
        """The files that match, as paths below the root, by the name of their sample."""
        expression = self._expression(split and composed(split))
        files: dict[str, str] = {}
        for file in _walk(root, existing(root, self.folder(split))):
            match = expression.fullmatch(composed(file))
            if match is None:
                continue
            name = match["id"]
            if name in files:
                raise DataError(
                    f"{self.where}: {files[name]} and {file} are both sample "
                    f"{name!r} of pattern {self.text}; make it narrower"
                )
            files[name] = file
        return files

    def path_of(self, name: str, split: str | None = None) -> str:
        """What the file of a sample would be called."""
        return self.text.replace("{id}", name).replace("{split}", split or "{split}")

    def name_of(self, file: str) -> str | None:
        """The sample that a path below the root belongs to; None if it does not match."""
        match = self._expression(None).fullmatch(composed(file))
        return match["id"] if match else None

    def folder(self, split: str | None = None) -> str:
        """The folder below which all matching files are, from the root."""
        fixed = _PLACES.split(self.text.replace("{split}", split or "{split}"))[0]
        return fixed.rpartition("/")[0]

    def _expression(self, split: str | None) -> re.Pattern[str]:
        parts, named = [], False
        for part in _PLACES.split(self.text):
            if part == "{id}":
                parts.append("(?P=id)" if named else "(?P<id>.+)")
                named = True
            elif part == "{split}":
                parts.append(re.escape(split) if split else "[^/]+")
            else:
                parts.append("[^/]*" if part == "*" else re.escape(composed(part)))
        return re.compile("".join(parts))


def _walk(root: Path, folder: str) -> Iterator[str]:
    """Files below a folder of the root, as paths below the root, sorted; links are followed."""
    start = root / folder
    seen: set[str] = set()
    for here, folders, files in os.walk(start, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:  # a link to a folder above itself
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        base = Path(here).relative_to(root).as_posix()
        for file in sorted(files):
            if not file.startswith("."):
                yield file if base == "." else f"{base}/{file}"


def held_instead(folder: Path) -> str:
    """What a message about a pattern says beside it: some files that its folder holds."""
    if not folder.is_dir():
        return f"; there is no folder {folder}"
    there = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return f"; {folder} holds {', '.join(there[:3])}" if there else f"; {folder} is empty"
