"""Types of the words of a command line: numbers with their limits, and paths.

Each is refused before anything is read or imported; the parser puts the option's name in front.
Here are also the options by which several commands say how a network looks at pictures.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from cen.cli.parser import Parser
from cen.errors import ConfigError, shown
from cen.files import path_problem

MOST = 10**7
"""The greatest count that an option takes; more is a slip of the keyboard."""
SIDE = 16384
"""The longest side of a picture in pixels."""


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """The type of a whole number from ``least`` to ``most``."""
    return lambda text: int(_within(int, text, "whole number", least, most))


def factor(least: float, most: float) -> Callable[[str], float]:
    """The type of a number from ``least`` to ``most``, which NaN is not."""
    return lambda text: _within(float, text, "number", least, most)


def _within(kind: type[float], text: str, name: str, least: float, most: float) -> float:
    try:
        value = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"is no {name}") from None
    if not least <= value <= most:
        limits = f"{least:.10g} and {most:.10g}"
        raise argparse.ArgumentTypeError(f"give a {name} between {limits}")
    return value


def tile(text: str) -> str | int | None:
    """The side of tiles in pixels, or ``auto`` or ``none``."""
    if text in ("auto", "none"):
        return None if text == "none" else text
    try:
        return whole(1, SIDE)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; or say auto or none") from None


def add_looks(parser: Parser, default_tile: str) -> None:
    """Declares ``--scales``, ``--flip`` and ``--tile``."""
    parser.option(
        "--scales S...",
        factor(0.05, 16),
        "average the predictions on images resized by these factors",
        [1.0],
    )
    parser.add_argument("--flip", action="store_true", help="average with mirrored images too")
    parser.option(
        "--tile SIDE",
        tile,
        "cut pictures into overlapping tiles of so many pixels, so that memory does not grow with "
        "them; auto: those of more than 2 megapixels; none",
        default_tile,
    )


def path(text: str) -> Path:
    """The path of a file or a folder, there or not."""
    return Path(path_text(text))


def network(text: str) -> Path | str:
    """The path of a run folder or of a saved network, or ``hf://owner/name`` of the Hub."""
    return text if text.startswith("hf://") else path(text)


def path_text(text: str) -> str:
    """As :func:`path`, for words that may name something else than a file."""
    if problem := path_problem(text):
        raise argparse.ArgumentTypeError(problem)
    return text


def free_path(option: str, text: str) -> None:
    """Refuses the value of a free option that names no file."""
    if problem := path_problem(text):
        raise ConfigError(f"{option} {shown(text)}: {problem}")


def out_folder(option: str, folder: Path) -> None:
    """Refuses a folder that cannot be made, before any work is done for it."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{option} {folder}: is a file; name a folder, which need not exist")
    for part in folder.parents:
        if part.exists() and not part.is_dir():
            raise ConfigError(f"{option} {folder}: {part} is a file, so nothing can lie below it")


def out_file(option: str, file: Path, ending: str = "") -> None:
    """Refuses a file that cannot be written where it is wanted, or is not of the type made."""
    if file.is_dir():
        raise ConfigError(f"{option} {file}: is a folder; name a file, such as {file / 'NAME'}")
    if not file.exists():
        out_folder(option, file)
    if not file.name.lower().endswith(ending):
        raise ConfigError(f"{option} {file}: give a name that ends in {ending}, the type it has")


def new_file(option: str, file: Path, force: bool | None) -> None:
    """As :func:`out_file`, for one that is replaced by ``--force`` alone (None: there is none)."""
    out_file(option, file)
    if file.exists() and not force:
        hint = "" if force is None else ", or --force to overwrite it"
        raise ConfigError(f"{file}: exists; give another name{hint}")
