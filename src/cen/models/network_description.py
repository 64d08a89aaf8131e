"""What `cen.build` is asked for: its arguments, checked, with what was left open filled in."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from torch import nn

from cen import schema
from cen.arguments import mapping, option
from cen.errors import CheckpointError, ConfigError, StreamError, described, did_you_mean
from cen.exchange import ExchangeRule
from cen.options.constraints import Channels
from cen.options.network_options import NetworkOptions, options_of, unset
from cen.tasks import Task

MOST_FIELDS = 256
"""Most inputs, and most outputs, of a network."""

RESERVED = ("ensemble", "fused")
"""Names that no input can have: those of what is made of all of them."""


@dataclass(frozen=True)
class NetworkDescription:
    """A network to be built.

    Attributes:
        options: its options; encoder, dropout, norms and exchange of the decoder are filled in.
        tasks: the task of each output.
        rule: how channels are exchanged.
        feeds: of a cycle network, by name: factors and summands per channel with which a ground
            truth or a prediction becomes an input.
    """

    options: NetworkOptions
    tasks: Mapping[str, Task]
    rule: ExchangeRule
    feeds: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, arguments: Mapping[str, Any]) -> NetworkDescription:
        """The network that arguments of `cen.build` describe.

        Raises:
            ConfigError: an argument is unknown, missing, or of another type, or some do not go
                together.
            StreamError: the name of an input or output cannot be used.
        """
        option_values = {**_EMPTY, **checked(name, arguments)}
        outputs, exchange, feeds = (option_values.pop(key) for key in _EMPTY)
        options = NetworkOptions(name=name, **option_values)
        tasks = check_fields(options.inputs, outputs, apart=name != "cycle")
        norm = options.decoder_norm or ("batch" if len(tasks) > 1 else None)
        filled = {
            "encoder": options.resolved("encoder"),
            "dropout": options.resolved("dropout"),
            "decoder_norm": norm or options.resolved("decoder_norm"),
        }
        options = dataclasses.replace(options, **filled)
        rule = rule_of(exchange, options)
        exchanges = exchanges_in_decoder(options, tasks, rule)
        options = dataclasses.replace(options, decoder_exchange=exchanges)
        return cls(options, tasks, rule, feeds or {})

    def to_dict(self) -> dict[str, Any]:
        """The arguments of `cen.build` as JSON-able values, but for weights to start from."""
        name = self.options.name
        kept = {key: getattr(self.options, key) for key in options_of(name) if key != "weights"}
        outputs = {key: task.to_dict() for key, task in self.tasks.items()}
        feeds = {key: [list(part) for part in parts] for key, parts in self.feeds.items()}
        return {
            **kept,
            "inputs": dict(self.options.inputs),
            "outputs": outputs,
            "exchange": dataclasses.asdict(self.rule),
            **({"feeds": feeds} if name == "cycle" else {}),
        }


_EMPTY = {"outputs": None, "exchange": None, "feeds": None}


def arguments_of(network: str) -> list[str]:
    """The names of the arguments of `cen.build` for a network."""
    own = [key for key in options_of(network) if key != "name"]
    return [*own, "outputs", "exchange", *(["feeds"] if network == "cycle" else [])]


def checked(network: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `cen.build` after a check of their names and types.

    Returns:
        The same; numbers of NumPy have become those of Python, which a checkpoint can hold.
    """
    names, hints = arguments_of(network), options_of(network)
    for key in arguments:
        if key not in names:
            raise ConfigError(
                f"a {network} network has no option {key!r}{did_you_mean(key, names)}; it has "
                f"{', '.join(names)}"
            )
    for key, example in (("inputs", "{'rgb': 3}"), ("outputs", "{'segmentation': 40}")):
        if key not in arguments:
            raise ConfigError(f"a {network} network needs {key}, such as {key}={example}")
    inputs = mapping("inputs", arguments["inputs"], "{'rgb': 3, 'depth': 1}: channels by name")
    option_values = dict(arguments)
    option_values["inputs"] = {
        key: option(f"the number of channels of input {described(key)}", value, Channels)
        for key, value in inputs.items()
    }
    # What weights may be, the loader of them says; the others are not of plain types.
    for key in option_values.keys() & hints.keys() - {"inputs", "weights"}:
        option_values[key] = option(key, option_values[key], hints[key])
    return option_values


def check_description(config: Mapping[str, Any], place: str) -> None:
    """Checks arguments of `cen.build` that come from a file, before any of them is acted on."""
    hints = get_type_hints(NetworkOptions)
    # A file with weights of its own has no business to name others.
    hints = {key: hints[key] for key in options_of(str(config["name"])) if key != "weights"}
    rule, task = get_type_hints(ExchangeRule), get_type_hints(Task)
    hints["outputs"] = Mapping[str, int | Mapping[str, Any]]
    hints["exchange"] = Mapping[str, Any] | None
    hints["feeds"] = Mapping[str, Sequence[Sequence[float]]] | None
    schema.check_arguments(config, hints, place, CheckpointError)
    for output, settings in dict(config.get("outputs") or {}).items():
        if isinstance(settings, Mapping):
            schema.check_arguments(settings, task, f"{place}.outputs.{output}", CheckpointError)
    if config.get("exchange") is not None:
        schema.check_arguments(config["exchange"], rule, f"{place}.exchange", CheckpointError)


def check_fields(
    inputs: Mapping[str, int],
    outputs: Mapping[str, int | Task | Mapping[str, Any]],
    *,
    apart: bool = True,
) -> dict[str, Task]:
    """The tasks of the outputs, after a check of all names and channels."""
    check_names(inputs, "input")
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
    return tasks


def rule_of(
    exchange: ExchangeRule | Mapping[str, Any] | None, options: NetworkOptions
) -> ExchangeRule:
    """The exchange rule of a network.

    Args:
        exchange: the rule, its fields, or None for the network's own, which exchanges nothing where
            norms are shared.
        options: the network.
    """
    shared = options.norm == "shared"
    if shared and exchange is None:
        return ExchangeRule(enabled=False, penalty="none")
    threshold = unset(options.name, "threshold")
    own = ExchangeRule() if threshold is None else ExchangeRule(threshold)
    rule = as_rule(exchange, own)
    if shared and options.fusion == "exchange" and (rule.enabled or rule.penalty != "none"):
        raise ConfigError(
            "norm='shared' gives all streams one scale per channel, so no stream has a part of its "
            "own that could be penalised or replaced; switch the exchange off (enabled=False, "
            "penalty='none'; in a configuration model.exchange: false and model.penalty: none)"
        )
    return rule


def as_rule(
    exchange: ExchangeRule | Mapping[str, Any] | None, default: ExchangeRule
) -> ExchangeRule:
    """The exchange rule meant: itself, the default, or that with the fields of a mapping."""
    if isinstance(exchange, ExchangeRule):
        return exchange
    if exchange is None:
        return default
    fields = [field.name for field in dataclasses.fields(ExchangeRule)]
    if not isinstance(exchange, Mapping):
        raise ConfigError(
            f"exchange is an ExchangeRule or a dict of its fields, such as {{'enabled': False}} "
            f"for streams that exchange nothing, not {described(exchange)}"
        )
    for key in exchange:
        if key not in fields:
            raise ConfigError(
                f"exchange has no field {described(key)}{did_you_mean(str(key), fields)}; it has "
                f"{', '.join(fields)}"
            )
    return dataclasses.replace(default, **exchange)


def exchanges_in_decoder(
    options: NetworkOptions, tasks: Collection[str], rule: ExchangeRule
) -> bool:
    """Whether a decoder exchanges channels.

    Args:
        options: what was asked for. Where that is nothing, as the scenario needs it. One output:
            no, the paper's fusion exchanges in the encoder alone. Several: yes, wherever their
            streams can, for the decoder is where they meet. Cycle fusion: no.
        tasks: names of the outputs.
        rule: the network's rule.
    """
    asked, norms = options.decoder_exchange, options.decoder_norm != "none"
    if asked and not norms:
        raise ConfigError("decoder_exchange=True needs norms to read: set decoder_norm='batch'")
    if asked is not None:
        return asked
    private = norms and options.task_streams == "private" and options.norm == "private"
    several = len(tasks) > 1 and options.name != "cycle"
    return several and private and options.fusion == "exchange" and rule.enabled


def check_names(names: Collection[str], what: str) -> None:
    """Refuse names of inputs or outputs that a module cannot bear."""
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
