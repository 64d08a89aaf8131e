"""List the shipped configurations, or copy one to edit it.

A header of comment lines starts every shipped file. Its first line is the summary that
``cen configs ls`` prints.
"""

import argparse
from pathlib import Path

from cen.cli import printing, sources, words
from cen.errors import ConfigError
from cen.files import write_text


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    verbs = parser.add_subparsers(title="commands", metavar="VERB", dest="action", required=True)
    ls = verbs.add_parser("ls", help="list the shipped configurations", description="List them.")
    printing.add_json(ls)
    cp = verbs.add_parser("cp", help="copy a shipped configuration to a file of your own")
    cp.add_argument("name", metavar="NAME", help="a name that cen configs ls prints")
    cp.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        type=words.path,
        help="where to; default: NAME.yaml here",
    )
    cp.add_argument("--force", action="store_true", help="overwrite the file if it exists")


def run(args: argparse.Namespace) -> int:
    """Lists or copies."""
    if args.action == "ls":
        return sources.list_shipped(args, "configs", "what it is", sources.shipped())
    source = sources.shipped_one(args.name)
    target = Path(args.file or f"{args.name}.yaml")
    if target.is_dir():
        target /= f"{args.name}.yaml"
    words.new_file("FILE", target, args.force)
    if not target.parent.is_dir():
        raise ConfigError(f"{target} cannot be written: there is no folder {target.parent}")
    write_text(target, source.read_text("utf-8"), ConfigError)
    print(f"{target}: edit it, then run cen train {target}")
    return 0
