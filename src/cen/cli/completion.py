"""Print a script that lets the shell complete commands, options, keys and configurations.

``cen completion bash > ~/.local/share/bash-completion/completions/cen`` is all that bash needs.
"""

import argparse
from collections.abc import Iterator

from cen.cli import sources, words
from cen.cli.parser import Parser

_SHELLS = ("bash", "zsh", "fish", "tcsh")

# What completes the name of a shipped configuration, or a file of one's own.
_CONFIGS = {
    "bash": '_cen_configs() {{ compgen -W "{names}" -- "$1"; compgen -f -- "$1"; }}',
    "zsh": "_cen_configs() {{ _alternative 'shipped:shipped:({names})' 'file:file:_files' }}",
}


def add(parser: Parser) -> None:
    """Declares the options."""
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=", ".join(_SHELLS))


def run(args: argparse.Namespace) -> int:
    """Prints the script."""
    print(script(args.shell, args.parser_of_all()))
    return 0


def script(shell: str, parser: Parser) -> str:
    """The script of one shell; it asks nothing of this program when it completes.

    The keys of configurations become options of the parser, which is that of all verbs.
    """
    import shtab

    from cen import parsing
    from cen.config import Config

    for verb in parsers_of(parser):
        if verb.free == "keys":
            for key in parsing.keys(Config):
                if "<" not in key.name:
                    verb.option(f"--{key.name} VALUE", str, "")
        for action in verb._actions:
            if action.type in (words.path, words.path_text):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            if action.dest == "config" and shell in _CONFIGS:
                action.complete = dict.fromkeys(_CONFIGS, "_cen_configs")  # type: ignore[attr-defined]
    functions = _CONFIGS.get(shell, "").format(names=" ".join(sources.shipped()))
    return shtab.complete(parser, shell=shell, preamble=functions)


def parsers_of(parser: Parser) -> Iterator[Parser]:
    """A parser and those of its commands, in depth."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from parsers_of(verb)
