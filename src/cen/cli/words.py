"""Types of the words of a command line: numbers with their limits, and paths.

Each is refused before anything is read or imported; the parser puts the option's name in front.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from cen.errors import ConfigError, shown
from cen.files import path_problem

MOST = 10**7
"""The greatest count that an option takes; more is a slip of the keyboard."""
SIDE = 16384
"""The longest side of a picture in pixels."""


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """The type of a whole number from ``least`` to ``most``."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError("is no whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"give {least} or more")
        if value > most:
            raise argparse.ArgumentTypeError(f"give {most} or less")
        return value

    return read


def factor(least: float, most: float) -> Callable[[str], float]:
    """The type of a number from ``least`` to ``most``, which NaN is not."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError("is no number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"give a number between {least:g} and {most:g}")
        return value

    return read


def path(text: str) -> Path:
    """The path of a file or a folder, there or not."""
    return Path(path_text(text))


def path_text(text: str) -> str:
    """As :func:`path`, for words that may name something else than a file."""
    if problem := path_problem(text):
        raise argparse.ArgumentTypeError(problem)
    return text


def free_path(option: str, text: str) -> None:
    """Refuses the value of a free option that names no file.

    Raises:
        ConfigError: Naming the option.
    """
    if problem := path_problem(text):
        raise ConfigError(f"{option} {shown(text)}: {problem}")


def out_folder(option: str, folder: Path) -> None:
    """Refuses a folder that cannot be made, before any work is done for it.

    Raises:
        ConfigError: Naming the option and what is in the way.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{option} {folder}: is a file; name a folder, which need not exist")
    for part in folder.parents:
        if part.exists() and not part.is_dir():
            raise ConfigError(f"{option} {folder}: {part} is a file, so nothing can lie below it")


def out_file(option: str, file: Path) -> None:
    """Refuses a file that cannot be written where it is wanted.

    Raises:
        ConfigError: Naming the option and what is in the way.
    """
    if file.is_dir():
        raise ConfigError(f"{option} {file}: is a folder; name a file, such as {file / 'NAME'}")
    if not file.exists():
        out_folder(option, file)


def new_file(option: str, file: Path, force: bool | None) -> None:
    """As :func:`out_file`, for a file that is replaced where ``force`` says so alone.

    Args:
        option: What the command line calls it.
        file: The file to be written.
        force: Whether it may be replaced; None: the command has no ``--force``.

    Raises:
        ConfigError: It is there already, or cannot be written.
    """
    out_file(option, file)
    if file.exists() and not force:
        hint = "" if force is None else ", or --force to overwrite it"
        raise ConfigError(f"{file}: exists; give another name{hint}")


def out_picture(option: str, file: Path) -> None:
    """As :func:`out_file`, for a picture: its name says of which type it is.

    Raises:
        ConfigError: Naming the option and what is in the way.
    """
    out_file(option, file)
    if file.suffix.lower() != ".png":
        raise ConfigError(f"{option} {file}: the picture is a PNG; give a name that ends in .png")
