"""Options of how a network looks at pictures: in tiles, at several scales, mirrored."""

import argparse

from cen.cli import words
from cen.cli.parser import Parser


def add(parser: Parser, tile: str) -> None:
    """Declares ``--scales``, ``--flip`` and ``--tile``, with its default."""
    parser.option(
        "--scales S...",
        words.factor(0.05, 16),
        "average the predictions on images resized by these factors",
        [1.0],
    )
    parser.add_argument("--flip", action="store_true", help="average with mirrored images too")
    parser.option(
        "--tile SIDE",
        side,
        "cut pictures into overlapping tiles of so many pixels, so that memory does not grow with "
        "them; auto: those of more than 2 megapixels; none",
        tile,
    )


def side(text: str) -> str | int | None:
    """What ``--tile`` says."""
    if text in ("auto", "none"):
        return None if text == "none" else text
    try:
        return words.whole(1, words.SIDE)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; or say auto or none") from None
