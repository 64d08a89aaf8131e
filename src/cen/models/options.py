"""Checks of what `cen.build` is given."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import nn

from cen.arguments import choice, mapping, number, whole
from cen.errors import ConfigError, StreamError, described, did_you_mean
from cen.exchange import ExchangeRule
from cen.tasks import Task

MOST_FIELDS = 256
"""Most inputs, and most outputs, of a network."""

RESERVED = ("ensemble", "fused")
"""Names that no input can have: those of what is made of all of them."""


def check_fields(
    inputs: Mapping[str, int],
    outputs: Mapping[str, int | Task | Mapping[str, Any]],
    *,
    apart: bool = True,
) -> dict[str, Task]:
    """The tasks of the outputs, after a check of all names and channels.

    Args:
        inputs: channels by input.
        outputs: number of classes or task by output.
        apart: no field may be input and output.

    Raises:
        ConfigError: if a number of channels or an output is impossible.
        StreamError: if a name cannot be used.
    """
    check_names(mapping("inputs", inputs, "{'rgb': 3, 'depth': 1}: channels by name"), "input")
    example = "{'segmentation': 40}: a number of classes or a Task by name"
    check_names(mapping("outputs", outputs, example), "output")
    tasks = {key: Task.of(value) for key, value in outputs.items()}
    for key in inputs:
        if apart and key in tasks:
            raise StreamError(
                f"{key!r} is an input and an output; a field of the data cannot be both, so rename "
                "one of them or leave it out"
            )
        if key in RESERVED:
            raise StreamError(f"input {key!r}: this name is taken; choose another")
    for key, channels in inputs.items():
        whole(f"the number of channels of input {key!r}", channels)
    return tasks


def check_choices(*options: tuple[str, object, Sequence[str | bool | None]]) -> None:
    """Refuse a value that is none of the choices.

    Args:
        *options: name, value and choices of each option.

    Raises:
        ConfigError: naming the option, its choices and the value.
    """
    for option, value, choices in options:
        choice(option, value, choices)


def check_decoder(channels: int, dropout: float) -> None:
    """Refuse what no decoder can be built with.

    Raises:
        ConfigError: if ``channels`` is below 1 or ``dropout`` not within [0, 1).
    """
    whole("decoder_channels", channels)
    check_dropout(dropout)


def check_dropout(dropout: float) -> None:
    """Refuse what is no probability of dropout.

    Raises:
        ConfigError: if ``dropout`` is not within [0, 1).
    """
    what = "a probability of at least 0 and below 1"
    number("dropout", dropout, what=what, high=math.nextafter(1, 0))


def rule_of(
    exchange: ExchangeRule | Mapping[str, Any] | None,
    default: ExchangeRule,
    *,
    norm: str,
    fusion: str,
) -> ExchangeRule:
    """The exchange rule of a network.

    Args:
        exchange: the rule, its fields, or None for the default.
        default: the rule of the builder.
        norm: ``"private"`` or ``"shared"``.
        fusion: ``"exchange"``, or a baseline, which reads no rule.

    Raises:
        ConfigError: if it is no rule, or asks for own parts of norms that all streams share.
    """
    if norm == "shared" and exchange is None:
        return ExchangeRule(enabled=False, penalty="none")
    rule = as_rule(exchange, default)
    if norm == "shared" and fusion == "exchange" and (rule.enabled or rule.penalty != "none"):
        raise ConfigError(
            "norm='shared' gives all streams one scale per channel, so no stream has a part of its "
            "own that could be penalised or replaced; switch the exchange off (enabled=False, "
            "penalty='none'; in a configuration model.exchange: false and model.penalty: none)"
        )
    return rule


def as_rule(
    exchange: ExchangeRule | Mapping[str, Any] | None, default: ExchangeRule
) -> ExchangeRule:
    """The exchange rule meant: itself, the default, or that with the fields of a mapping.

    Raises:
        ConfigError: if the mapping holds an unknown key or value.
    """
    if isinstance(exchange, ExchangeRule):
        return exchange
    if exchange is None:
        return default
    fields = [field.name for field in dataclasses.fields(ExchangeRule)]
    if not isinstance(exchange, Mapping):
        raise ConfigError(
            f"exchange is an ExchangeRule or a dict of its fields, not {described(exchange)}"
        )
    for key in exchange:
        if key not in fields:
            raise ConfigError(
                f"exchange has no field {described(key)}{did_you_mean(str(key), fields)}; it has "
                f"{', '.join(fields)}"
            )
    return dataclasses.replace(default, **exchange)


def exchanges_in_decoder(
    asked: bool | None,
    tasks: Collection[str],
    rule: ExchangeRule,
    *,
    norms: bool,
    task_streams: str,
    norm: str,
    fusion: str,
) -> bool:
    """Whether a decoder exchanges channels.

    Args:
        asked: what was asked for; None: as the scenario needs it. One output: no, the paper's
            fusion exchanges in the encoder alone. Several: yes, wherever their streams can, for
            the decoder is where they meet.
        tasks: names of the outputs.
        rule: the network's rule.
        norms: the decoder has norms.
        task_streams: ``"private"`` or ``"shared"``.
        norm: ``"private"`` or ``"shared"``.
        fusion: ``"exchange"``, or a baseline.

    Raises:
        ConfigError: if exchange is asked for in a decoder without norms.
    """
    if asked and not norms:
        raise ConfigError("decoder_exchange=True needs norms to read: set decoder_norm='batch'")
    if asked is not None:
        return asked
    private = norms and task_streams == "private" and norm == "private"
    return len(tasks) > 1 and private and fusion == "exchange" and rule.enabled


def check_names(names: Collection[str], what: str) -> None:
    """Refuse names of inputs or outputs that a module cannot bear.

    Raises:
        StreamError: if there is no name, or one is not a plain word or taken by PyTorch.
    """
    if not names:
        raise StreamError(f"a network needs at least one {what}")
    if len(names) > MOST_FIELDS:
        raise StreamError(f"a network has at most {MOST_FIELDS} {what}s, not {len(names)}")
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
            raise StreamError(
                f"{what} {described(name)} cannot be named so; use letters, digits, '_' and '-', "
                "beginning with a letter"
            )
        if hasattr(nn.ModuleDict(), name) or hasattr(nn.ParameterDict(), name):
            raise StreamError(f"{what} {name!r}: PyTorch uses this name itself; choose another")
