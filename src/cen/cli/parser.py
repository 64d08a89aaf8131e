"""An argument parser that raises typed errors, and takes options it does not know beforehand.

``--train.steps 100`` names a key of a configuration and ``--rgb a.png`` a modality of a run; both
sets are known only after a file is read. A verb that takes such options sets ``free``; they are
taken out before argparse sees the rest and end up in ``args.free``.
"""

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal, NoReturn

from cen.errors import ConfigError, nearest, shown


class _Once(argparse.Action):
    """Stores the value of an option, which may be given once: of two, one would be ignored."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        before: set[str] = namespace.__dict__.setdefault("given", set())
        if option_string is not None and self.dest in before:
            raise ConfigError(f"{option_string} is given twice; leave one of them out")
        before.add(self.dest)
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are :class:`cen.errors.ConfigError`."""

    free: Literal["", "keys", "words"] = ""
    """The free options: none, dotted keys of a configuration (and seed), or any word."""
    more_help: Callable[[], str] | None = None
    """Text after the help, written only when the help is asked for."""
    rearrange: Callable[[list[str]], list[str]] | None = None
    """Puts the words into the order in which they are declared, before anything reads them."""

    surplus: str = ""
    """What to do about a word too many; empty: the help tells."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # An abbreviation would silently change its meaning when an option is added.
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self.register("action", None, _Once)
        self.register("action", "store", _Once)

    def option(self, usage: str, kind: Any, text: str, default: Any = None) -> None:
        """Declares an option that has a value.

        ``usage`` is as people write it: ``--size H W`` takes two values, ``--scales S...`` one or
        more. ``kind`` is the type of a value, or the words to choose from. The help is ``text``
        with the default.
        """
        words = usage.split()
        names = [word for word in words if word.startswith("-")]
        values = tuple(word.removesuffix("...") for word in words[len(names) :])
        count: int | str | None = len(values) if len(values) > 1 else None
        choices = None if callable(kind) else list(kind)
        if default not in (None, []):
            shown = " ".join(map(str, default)) if isinstance(default, list) else default
            text = f"{text}; default: {shown}" if text else f"default: {shown}"
        self.add_argument(
            *names,
            metavar=values if count else values[0],
            nargs="+" if usage.endswith("...") else count,
            type=str if choices else kind,
            choices=choices,
            default=default,
            help=text,
        )

    def add_verbs(
        self, modules: Mapping[str, ModuleType], dest: str, only: str | None = None, **kwargs: Any
    ) -> dict[str, "Parser"]:
        """Adds commands, each a module whose first line says what it does; their parsers by name.

        The options of all, or of one command ``only``, are declared by ``add(parser)`` of a module.
        """
        verbs = self.add_subparsers(title="commands", metavar="VERB", dest=dest, **kwargs)
        parsers: dict[str, Parser] = {}
        for name, module in modules.items():
            summary = (module.__doc__ or "").partition("\n")[0].rstrip(".")
            parsers[name] = verbs.add_parser(name, help=summary, description=summary + ".")
            if only in (None, name):
                module.add(parsers[name])
        return parsers

    def format_help(self) -> str:
        """The help, and what ``more_help`` adds."""
        return super().format_help() + (f"\n{self.more_help()}\n" if self.more_help else "")

    def error(self, message: str) -> NoReturn:
        """Raises the error in place of printing the usage and leaving the process."""
        message = message.removeprefix("argument ").replace(
            "ignored explicit argument", "takes no value, but is given"
        )
        raise ConfigError(f"{message}; see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            what = action.metavar or action.dest
            raise ConfigError(
                f"{shown(value)} is no {what} of {self.prog}{nearest(str(value), action.choices)}"
            )

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            name = action.option_strings[-1] if action.option_strings else action.metavar
            quote = "" if shlex.quote(arg_string) == arg_string else "'"
            raise ConfigError(f"{name} {shown(arg_string, quote)}: {error.message}") from None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Takes out the free options, where the verb has them, and parses the rest."""
        free: dict[str, str] = {}
        if self.rearrange is not None and args is not None:
            args = self.rearrange(list(args))
        if self.free and args is not None:
            args, free = self._take_free(list(args))
        parsed, rest = super().parse_known_args(args, namespace)
        if self.free:
            parsed.free = free
        for word in rest:
            if word.startswith("-"):
                option = word.partition("=")[0]
                raise ConfigError(
                    f"{self.prog} has no option {shown(option, '')}"
                    f"{nearest(option, self._options())}"
                )
        if rest:
            raise ConfigError(
                f"{self.prog} has no place for {shown(rest[0])}"
                f"{self.surplus or f'; see {self.prog} --help'}"
            )
        return parsed, rest

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parses the words of a command line, all of which must be understood."""
        return self.parse_args(list(argv))

    def _options(self) -> list[str]:
        declared = [option for option in self._option_string_actions if option.startswith("--")]
        return [*declared, "--seed"] if self.free == "keys" else declared

    def _is_free(self, option: str) -> bool:
        if not option.startswith("--") or option == "--" or option in self._option_string_actions:
            return False
        return self.free == "words" or "." in option or option == "--seed"

    def _take_free(self, words: list[str]) -> tuple[list[str], dict[str, str]]:
        """Splits the words into those argparse knows and ``--key value`` or ``--key=value``."""
        declared: list[str] = []
        free: dict[str, str] = {}
        while words:
            word = words.pop(0)
            option, equals, value = word.partition("=")
            if not self._is_free(option):
                declared.append(word)
                continue
            if "" in option[2:].split("."):
                raise ConfigError(
                    f"{shown(option, '')} is no option; a key has names between its dots, as in "
                    "--train.steps"
                )
            if not equals and (not words or words[0].startswith("--")):
                raise ConfigError(f"{shown(option, '')} needs a value")
            if option[2:] in free:
                raise ConfigError(f"{shown(option, '')} is given twice; leave one of them out")
            free[option[2:]] = value if equals else words.pop(0)
        return declared, free
