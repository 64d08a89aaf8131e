"""Write the embedded data set, and check, measure, show or convert any data set.

Each verb is a module of this package.
"""

import argparse

from cen.cli import sources
from cen.cli.data import check, convert, plot, rooms, stats
from cen.cli.parser import Parser
from cen.data.readers.registry import LAYOUTS
from cen.errors import ConfigError, nearest

_VERBS = {"rooms": rooms, "check": check, "stats": stats, "plot": plot, "convert": convert}
_OF_A_DATA_SET = ("check", "stats", "plot", "convert")


def add(parser: Parser) -> None:
    """Declares the verbs and their options."""
    parser.usage = "cen data rooms OUT | cen data NAME check|stats|plot|convert [ROOT]"
    parser.epilog = (
        "NAME is a layout (nyudv2) and ROOT where the data are, or NAME is a configuration, which "
        "says both. cen data check --help explains one command."
    )
    parser.rearrange = _verb_first
    parser.add_verbs(_VERBS, "action", required=True, prog="cen data")


def run(args: argparse.Namespace) -> int:
    """Runs the verb."""
    code: int = _VERBS[args.action].run(args)
    return code


def _verb_first(words: list[str]) -> list[str]:
    """``nyudv2 check ROOT`` as argparse wants it, ``check nyudv2 ROOT``."""
    # "rooms" is a verb and a layout: rendered as they are read, its scenes are a data set, too.
    named = words[:1] == ["rooms"] or (words and words[0] not in _VERBS)
    if named and len(words) > 1 and words[1] in _OF_A_DATA_SET:
        return [words[1], words[0], *words[2:]]
    # A path is no verb, however it ends: cen data rooms data/check.
    verb = words[1] if named and len(words) > 1 and "/" not in words[1] else ""
    near = nearest(verb, _OF_A_DATA_SET) if verb else ""
    if "did you mean" in near:
        raise ConfigError(f"{verb!r} is no VERB of cen data {words[0]}{near}")
    if words and words[0] not in _VERBS and words[0] in (*LAYOUTS, *sources.shipped()):
        if {"-h", "--help"} & set(words):
            return ["--help"]
        raise ConfigError(
            f"what shall be done with {words[0]}: {', '.join(_OF_A_DATA_SET)}? For example: "
            f"cen data {words[0]} check {'data/mine' if words[0] in LAYOUTS else ''}".rstrip()
        )
    return words
