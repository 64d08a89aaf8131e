"""Reading YAML and JSON: one way for every file, with limits that no foreign file gets around.

What a file holds is data. Beyond plain values (mappings, lists, text, numbers, true and false,
null) nothing is made of it, and what would take all memory or all of Python's stack is refused
before it is built: files that are too long, nested too deeply, or whose aliases mean millions of
values. Errors name the file and the line.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from cen.errors import CenError, ConfigError, DataError, message_of

MOST_VALUES = 100_000
"""Values that a YAML file may mean; its aliases can make millions of a few lines."""

MOST_DEPTH = 64
"""How deeply values may be nested."""

YAML_BYTES = 2**22
"""Most bytes of a YAML file: 4 MiB."""

JSON_BYTES = 2**26
"""Most bytes of a JSON file: 64 MiB."""

_LONG_NUMBER = re.compile(r"[0-9]{19}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TAG = "tag:yaml.org,2002:"
_LEAST, _MOST = -(2**63), 2**64 - 1


@dataclass(frozen=True)
class Document:
    """A YAML file that was read.

    Attributes:
        value: Its plain values; None where it holds none. A list as a key has become a tuple.
        lines: The line, counted from 1, of every dotted key.
    """

    value: Any
    lines: Mapping[str, int] = field(default_factory=dict)


def read_yaml(path: Path, error: type[CenError] = ConfigError, hint: str = "") -> Document:
    """Reads a YAML file; see :func:`parse_yaml`."""
    return parse_yaml(_read(path, YAML_BYTES, error, hint), str(path), error)


def parse_yaml(content: bytes | str, name: str, error: type[CenError] = ConfigError) -> Document:
    """The values of a YAML text.

    Plain values alone, as YAML 1.2 has them: ``yes``, ``no``, ``on``, ``off`` and dates are text.
    A key that is given twice is refused.

    Args:
        content: The text, as UTF-8 where it is bytes; a byte-order mark is passed over.
        name: What messages call it.
        error: Type of the exception.
    """
    text = _decoded(content, name, error)
    if len(text) > YAML_BYTES:
        raise error(f"{name}: has {len(text)} characters, the limit is {YAML_BYTES}; split it")
    loader = None
    try:
        _check_events(text, name, error)
        loader = _Loader(text)
        node = loader.get_single_node()
        lines = dict(_lines(node, name, error))
        return Document(None if node is None else loader.construct_document(node), lines)
    except yaml.YAMLError as problem:
        raise error(f"{name}{_place(problem)}: is not valid YAML: {_told(problem)}") from None
    except (ValueError, OverflowError) as problem:
        raise error(f"{name}: is not valid YAML: {message_of(problem)}") from None
    finally:
        if loader is not None:
            loader.dispose()


def yaml_line(value: Any) -> str:
    """Plain values as YAML writes them on one line, mappings in their order."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
    return text.removesuffix("...\n").strip()


def read_json(path: Path, error: type[CenError] = DataError) -> Any:
    """Reads a JSON file; see :func:`parse_json`."""
    return parse_json(_read(path, JSON_BYTES, error), str(path), error)


def parse_json(
    content: bytes | str, name: str, error: type[CenError] = DataError, *, nan: bool = False
) -> Any:
    """The values of a JSON text.

    A key that is given twice, numbers beyond 64 bits and text that no file can hold are refused.

    Args:
        content: The text, as UTF-8 where it is bytes; a byte-order mark is passed over.
        name: What messages call it.
        error: Type of the exception.
        nan: Take NaN and infinities, which JSON does not know, but Python writes.
    """
    text = _decoded(content, name, error)
    if len(text) > JSON_BYTES:
        raise error(f"{name}: has {len(text)} characters, the limit is {JSON_BYTES}")
    options: dict[str, Any] = {"object_pairs_hook": _unrepeated}
    if not nan:
        options["parse_constant"] = _no_constant
    if _LONG_NUMBER.search(text):
        options["parse_int"] = _whole
    try:
        value = json.loads(text, **options)
        _check_values(value, check_text=_SURROGATE.search(text) is not None)
    except json.JSONDecodeError as problem:
        raise error(f"{name}, line {problem.lineno}: is not valid JSON: {problem.msg}") from None
    except RecursionError:
        raise error(f"{name}: is nested too deeply") from None
    except ValueError as problem:
        raise error(f"{name}: is not valid JSON: {problem}") from None
    return value


def _lines(
    node: yaml.Node | None, source: str, error: type[CenError], prefix: str = ""
) -> Iterator[tuple[str, int]]:
    """Yields the dotted key and the line, counted from 1, of every key of a composed YAML file.

    Refuses a key that is given twice, of which YAML itself would silently take the last.
    """
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for name, child in node.value:
            key, line = join(prefix, _key(name)), name.start_mark.line + 1
            if key in seen:
                raise error(
                    f"{source}, line {line}: {key}: was given in line {seen[key]} already; two "
                    "things of one name cannot be told apart, so rename one or take it out"
                )
            seen[key] = line
            yield key, line
            yield from _lines(child, source, error, key)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield f"{prefix}.{index}", child.start_mark.line + 1
            yield from _lines(child, source, error, f"{prefix}.{index}")


def join(prefix: str, name: object) -> str:
    """A dotted key."""
    return f"{prefix}.{name}" if prefix else str(name)


def _key(node: yaml.Node) -> str:
    """A key as text: ``road``, or ``[3, 4]`` of a list."""
    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(_key(part) for part in node.value)}]"
    return str(node.value) if isinstance(node, yaml.ScalarNode) else "{…}"


def _read(path: Path, limit: int, error: type[CenError], hint: str = "") -> bytes:
    try:
        # A pipe or a device could be waited for for ever, or have no end.
        if path.exists() and not path.is_file():
            raise error(f"{path}: cannot be read (it is a folder or no ordinary file){hint}")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror or problem}){hint}") from None
    except ValueError as problem:  # a name that no file can have
        raise error(f"{str(path)!r}: cannot be read ({problem}){hint}") from None
    if len(content) > limit:
        raise error(f"{path}: has more than {limit} bytes, which is too much for such a file")
    return content


def _decoded(content: bytes | str, name: str, error: type[CenError]) -> str:
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        raise error(
            f"{name}, line {line}: byte 0x{content[problem.start]:02x} is not UTF-8; save the file "
            "as UTF-8"
        ) from None


def _check_events(text: str, name: str, error: type[CenError]) -> None:
    """Refuses values that are nested too deeply or too many, before any of them is made.

    With every anchor its size is remembered, so that aliases count as what they mean. Nothing here
    recurses.
    """
    anchors: dict[str, tuple[int, int] | None] = {}
    # Of each collection that is open: values, depth below, anchor.
    stack: list[tuple[int, int, str | None]] = [(0, 0, None)]
    events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
    for event in events:
        where = f"{name}, line {event.start_mark.line + 1}"
        size, depth = 0, 0
        if getattr(event, "tag", None) not in (None, "!", f"{_TAG}str"):
            raise error(f"{where}: the tag {event.tag[:60]!r} is not read here; write plain values")
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append((1, 0, event.anchor))
            if event.anchor is not None:
                anchors[event.anchor] = None
        elif isinstance(event, yaml.CollectionEndEvent):
            size, depth, anchor = stack.pop()
            depth += 1
            if anchor is not None:
                anchors[anchor] = (size, depth)
        elif isinstance(event, yaml.AliasEvent):
            extent = anchors.get(event.anchor or "", (1, 0))
            if extent is None:
                raise error(f"{where}: *{event.anchor} holds itself; write out what is meant")
            size, depth = extent
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            if event.anchor is not None:
                anchors[event.anchor] = (1, 0)
            _check_text(event.value, where, error)
        count, below, anchor = stack[-1]
        stack[-1] = (count + size, max(below, depth), anchor)
        if len(stack) + max(below, depth) > MOST_DEPTH:
            raise error(f"{where}: is nested too deeply; more than {MOST_DEPTH} levels are refused")
        if sum(part[0] for part in stack) > MOST_VALUES:
            raise error(
                f"{where}: means more than {MOST_VALUES} values, which is too much for such a file;"
                " aliases (*name) count as what they stand for, so write them out"
            )


def _check_text(text: str, where: str, error: type[CenError]) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise error(f"{where}: {text!a} holds half a character (a surrogate)") from None


def _place(problem: yaml.YAMLError) -> str:
    mark = getattr(problem, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1}"


def _told(problem: yaml.YAMLError) -> str:
    """What is wrong, without the excerpt and the places that come with it."""
    parts = [getattr(problem, key, None) for key in ("context", "problem")]
    text = " ".join(str(part) for part in parts if part)
    return message_of(text or problem)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:80]!a} is given twice")
    return mapping


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON; write null")


def _whole(text: str) -> int:
    number = int(text) if len(text) <= 20 else _MOST + 1
    if not _LEAST <= number <= _MOST:
        raise ValueError(f"the number {text[:24]}… is beyond 64 bits")
    return number


def _check_values(value: Any, check_text: bool) -> None:
    """Refuses what is nested too deeply, level by level, and halves of characters."""
    level, depth = [value] if isinstance(value, list | dict) else [], 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise ValueError(f"it is nested more than {MOST_DEPTH} levels deep")
        parts = [item.values() if isinstance(item, dict) else item for item in level]
        level = [child for part in parts for child in part if isinstance(child, list | dict)]
    if check_text:
        json.dumps(value, ensure_ascii=False).encode()


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Plain values of YAML 1.2: no dates, sets or bytes, and ``no`` is a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, whose keys may be lists: they become tuples."""
        self.flatten_mapping(node)
        mapping = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            key = tuple(key) if isinstance(key, list) else key
            parts = key if isinstance(key, tuple) else (key,)
            if not all(isinstance(part, Hashable) for part in parts):
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    "a key is a word, a number or a list of these, no mapping and no list of lists",
                    key_node.start_mark,
                )
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        """A whole number of at most 64 bits."""
        text = str(self.construct_scalar(node))
        number: int = self.construct_yaml_int(node) if len(text) <= 80 else _MOST + 1
        if not _LEAST <= number <= _MOST:
            raise yaml.constructor.ConstructorError(
                None, None, f"the number {text[:24]}… is beyond 64 bits", node.start_mark
            )
        return number


_LEFT_OUT = ("binary", "timestamp", "omap", "pairs", "set")
_RESOLVED = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)", "-+0123456789"),
    "float": (
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
        r"|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "merge": (r"<<", "<"),
}
_Loader.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in _RESOLVED.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in _Base.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) not in _LEFT_OUT
} | {_TAG + "int": _Loader.construct_whole}
