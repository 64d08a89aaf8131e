"""Nested values to typed dataclasses, with errors that name the key, its place and a near one.

Nothing here knows what a configuration of CEN holds: the functions work on any tree of
dataclasses, mappings and plain values. Types of single values are checked by jsonargparse, so that
``1e-3`` is a number and the text of a command line means the same as that of a YAML file.
"""

import copy
import dataclasses
import functools
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

import docstring_parser
from jsonargparse import ArgumentError, ArgumentParser

from cen.documents import join, parse_yaml, yaml_line
from cen.errors import ConfigError, nearest, shown
from cen.options.constraints import alternatives, describe


@dataclass(frozen=True)
class Places:
    """Where values come from, for error messages.

    Attributes:
        source: What is named where nothing better is known.
        known: Better names by dotted key, such as ``a.yaml, line 3``.
        what: What the keys are keys of, for the message about an unknown one.
        elsewhere: Keys that somebody may look for here, and where they are said.
    """

    source: str = "configuration"
    known: Mapping[str, str] = field(default_factory=dict)
    what: str = "configuration"
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def of(self, key: str) -> str:
        """The place and name of a key: where it, one below it or one above it was written."""
        path = key
        below = (name for name in self.known if name.startswith(f"{key}."))
        while path and path not in self.known:
            path = next(below, path.rpartition(".")[0])
        place = self.known.get(path, self.source)
        return place if place == f"--{key}" else f"{place}: {key}"

    def refuse(self, key: str, message: str) -> NoReturn:
        """Raises a ConfigError that says where a key is and what is wrong there."""
        raise ConfigError(f"{self.of(key)}: {message}") from None


@dataclass(frozen=True)
class Key:
    """One documented key: dotted name, type as people write it, default and meaning."""

    name: str
    type: str
    default: Any
    text: str

    @property
    def default_text(self) -> str:
        """The default as a YAML file writes it, without entries that are null."""
        value = self.default
        if isinstance(value, dict):
            value = {
                name: {k: v for k, v in item.items() if v is not None}
                if isinstance(item, dict)
                else item
                for name, item in value.items()
            }
        return yaml_line(value)


@dataclass(frozen=True)
class Section:
    """The keys of one dataclass: dotted name of the whole, what it is, and the keys."""

    name: str
    text: str
    keys: list[Key]


_PAGE = re.compile(r"docs/([\w-]+)\.md")


def parse(value: Any, hint: Any, key: str, places: Places) -> Any:
    """Turns nested plain values into what ``hint`` names, in depth.

    Args:
        value: Plain values: mappings, lists, numbers, text.
        hint: A dataclass, ``dict[str, T]``, ``list[dataclass]``, or a plain type.
        key: Dotted key of ``value``, empty at the top.
        places: Where the values come from.
    """
    if dataclasses.is_dataclass(hint):
        return _parse_dataclass(_mapping(value, key, places), hint, key, places)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        items = _mapping(value, key, places).items()
        return {name: parse(v, arguments[1], join(key, name), places) for name, v in items}
    if origin is list and dataclasses.is_dataclass(arguments[0]):
        value = _structure(value, places.of(key))
        if not isinstance(value, list):
            places.refuse(key, f"{shown(value)} is no list; start it with '- '")
        return [parse(v, arguments[0], f"{key}.{i}", places) for i, v in enumerate(value)]
    return _parse_plain(value, hint, key, places)


def _parse_dataclass(values: Mapping[str, Any], cls: Any, key: str, places: Places) -> Any:
    hints = _hints(cls)
    for name in values:
        if name not in hints:
            elsewhere = places.elsewhere.get(str(name))
            near = f"; {elsewhere}" if elsewhere else nearest(str(name), hints)
            places.refuse(join(key, name), f"is no key of a {places.what}{near}")
    arguments = {name: parse(v, hints[name], join(key, name), places) for name, v in values.items()}
    return cls(**arguments)


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _parse_plain(value: Any, hint: Any, key: str, places: Places) -> Any:
    parts = alternatives(hint)
    choices = _choices(parts)
    if choices is not None and isinstance(value, str):
        if value not in choices:
            places.refuse(key, f"{shown(value)} is not possible{nearest(value, choices)}")
        return None if value == "null" else value
    if value is None and hint is not Any and type(None) not in parts:  # jsonargparse passes it
        expected = describe(hint)
        places.refuse(
            key, f"null does not fit; expected: {expected}; leave the key out for its default"
        )
    # Most values are of their types already; studies read a file for every row, and to ask takes
    # a while. Text may stand for another value of a union: "null", "7".
    if type(value) in parts and (hint is str or not isinstance(value, str)):
        return value
    try:
        return _checker(hint).parse_object({"value": value}).value
    except ArgumentError:
        _refuse_unquoted(value, parts, key, places)
        places.refuse(key, f"{shown(value)} does not fit; expected: {describe(hint)}")


def _refuse_unquoted(value: Any, parts: Sequence[Any], key: str, places: Places) -> None:
    """Tells what YAML has made of a name in a list, where text was expected."""
    if not isinstance(value, list) or list[str] not in parts:
        return
    for index, item in enumerate(value):
        if item is None or isinstance(item, bool | int | float):
            word = "null" if item is None else str(item).lower()
            kind = "a word of its own" if item is None or isinstance(item, bool) else "a number"
            places.refuse(
                f"{key}.{index}",
                f"{word} is {kind} to YAML and no text; if it is a name, write it in quotes: "
                f"'{word}'",
            )


@functools.cache
def _checker(hint: Any) -> ArgumentParser:
    """A parser of one value of a type."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=hint)
    return parser


def _choices(parts: Sequence[Any]) -> list[Any] | None:
    """The values of a Literal, also of one that may be null; None for other types."""
    choices: list[Any] = []
    for part in parts:
        if typing.get_origin(part) is Literal:
            choices += typing.get_args(part)
        elif part is type(None):
            choices.append("null")
        else:
            return None
    return choices


def _mapping(value: Any, key: str, places: Places) -> Mapping[str, Any]:
    value = _structure(value, places.of(key))
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        places.refuse(key, f"{shown(value)} holds no keys; write {{name: value}}")
    return value


def _structure(value: Any, place: str) -> Any:
    """The mapping or list that text of the command line writes; other values as they are."""
    if not isinstance(value, str):
        return value
    try:
        return parse_yaml(value, place).value
    except ConfigError as error:
        raise ConfigError(f"{error}; quote it, as '{{rgb: 3}}'") from None


def merge(base: dict[str, Any], values: Mapping[str, Any], cls: Any) -> None:
    """Replaces in ``base``, the plain values of a dataclass, those that ``values`` gives.

    Fields that are dataclasses are merged in depth; mappings and lists are replaced whole.
    """
    hints = _hints(cls)
    for name, value in values.items():
        hint = hints.get(name)
        if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
            merge(base[name], value, hint)
        elif not (dataclasses.is_dataclass(hint) and value is None):
            base[name] = copy.deepcopy(value)


def override(base: dict[str, Any], key: str, value: Any, cls: Any) -> None:
    """Sets one dotted key in the plain values of a dataclass.

    ``None`` or the text ``null`` removes an entry of a mapping (``data.modalities.depth``).
    Unknown keys are set as they are, for :func:`parse` to refuse.
    """
    *path, last = key.split(".")
    node: Any = base
    hint: Any = cls
    for depth, name in enumerate(path):
        slot = _slot(node, name, key)
        child = node.get(slot) if isinstance(node, dict) else node[slot]
        child = {} if child is None else _structure(child, f"--{'.'.join(path[: depth + 1])}")
        if not isinstance(child, dict | list):
            where = ".".join(path[: depth + 1])
            raise ConfigError(f"--{key}: {where} is a single value and holds no keys")
        node[slot] = child
        node, hint = child, _child_hint(hint, name)
    if typing.get_origin(hint) is dict and value in (None, "null"):
        node.pop(last, None)
    else:
        node[_slot(node, last, key)] = value


def _slot(node: Any, name: str, key: str) -> str | int:
    """The key of a mapping or the index of a list that a part of a dotted key names."""
    if not isinstance(node, list):
        return name
    if not name.isdecimal() or int(name) >= len(node):
        raise ConfigError(f"--{key}: {name} is no index of a list of {len(node)}, counted from 0")
    return int(name)


def _child_hint(hint: Any, name: str) -> Any:
    """The type of an entry of a dataclass, mapping or list; None where there is none."""
    if dataclasses.is_dataclass(hint):
        return _hints(typing.cast(Any, hint)).get(name)
    arguments = typing.get_args(hint)
    return arguments[-1] if arguments else None


def plain(value: Any) -> Any:
    """Nested values as YAML and JSON hold them: dataclasses as mappings, tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def keys(cls: Any, prefix: str = "") -> Iterator[Key]:
    """Yields every key of a dataclass tree with its documentation, section by section."""
    for section in sections(cls, prefix):
        yield from section.keys


def sections(cls: Any, prefix: str = "") -> list[Section]:
    """The keys of a dataclass tree, those of each dataclass in a section of its own.

    The entries of a mapping or list of dataclasses are written ``<name>`` and ``<index>``.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    texts = {
        item.arg_name: " ".join((item.description or "").split())
        for base in reversed(cls.__mro__)
        for item in docstring_parser.parse(base.__doc__ or "").params
    }
    own = Section(prefix, (cls.__doc__ or "").partition("\n")[0], [])
    all_sections = [own]
    for item in dataclasses.fields(cls):
        name, hint = join(prefix, item.name), hints[item.name]
        if dataclasses.is_dataclass(hint):
            all_sections += sections(hint, name)
            continue
        default = item.default
        if item.default_factory is not dataclasses.MISSING:
            default = plain(item.default_factory())
        own.keys.append(Key(name, describe(hint), default, texts[item.name]))
        inner = typing.get_args(hint)[-1] if typing.get_origin(hint) in (dict, list) else None
        if dataclasses.is_dataclass(inner):
            entry = "<name>" if typing.get_origin(hint) is dict else "<index>"
            all_sections += sections(inner, f"{name}.{entry}")
    return all_sections


def markdown(cls: Any, heading: str = "##") -> str:
    """The keys of a dataclass tree as Markdown for the documentation: a table per section."""
    lines = []
    for section in sections(cls):
        if section.name:
            lines += [f"{heading} `{section.name}`", "", section.text, ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        for key in section.keys:
            text = _PAGE.sub(r"[\1](\1.md)", key.text.replace("``", "`"))
            cells = (f"`{key.name}`", key.type, f"`{key.default_text}`", text)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip()
