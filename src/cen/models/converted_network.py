"""A network of one's own, converted, as a network of named inputs and outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypedDict, Unpack, overload

from torch import Tensor, fx, nn

from cen import exchange, schema
from cen.arguments import mapping
from cen.errors import CheckpointError, ConfigError, ShapeError, described
from cen.exchange import ExchangeRule, MultiStream, Streams
from cen.exchange.conversion.converting import Sharing, WeakScales
from cen.exchange.conversion.norm_choice import MissingScales, Where
from cen.models.network import ChannelExchangeNetwork
from cen.models.network_description import check_fields
from cen.models.weight_transfer import restreamed
from cen.tasks import Task

NAME = "converted"
"""What a checkpoint calls such a network."""

_RESULTS = ("logits", "out", "predicted_depth")
"""Names that networks of others give to what they predict."""


class ConversionOptions(TypedDict, total=False):
    """The options of `cen.exchange.convert`, which says what they mean."""

    where: Where
    exchange: ExchangeRule | None
    norm: Sharing
    convolution: Sharing
    weak_scales: WeakScales
    shared: Where
    missing_scales: MissingScales
    stem: str | Sequence[str] | None


@overload
def convert(
    module: nn.Module,
    streams: Sequence[str] | Mapping[str, int],
    outputs: None = None,
    **options: Unpack[ConversionOptions],
) -> MultiStream: ...


@overload
def convert(
    module: nn.Module,
    streams: Mapping[str, int],
    outputs: Mapping[str, int | Task],
    **options: Unpack[ConversionOptions],
) -> ConvertedNetwork: ...


def convert(
    module: nn.Module,
    streams: Sequence[str] | Mapping[str, int],
    outputs: Mapping[str, int | Task] | None = None,
    **options: Unpack[ConversionOptions],
) -> MultiStream | ConvertedNetwork:
    """Makes a multi-stream network of a copy of any module with norms.

    Args:
        module: The single-stream network; it is not changed. With outputs it returns for images
            (B, C, H, W) a tensor (B, channels, h, w), or a dict or dataclass with one per output;
            where there is one output it may be called ``logits`` or ``out`` in it.
        streams: Names; or channels by name, {"rgb": 3, "thermal": 1}, so that each stream may have
            its own number.
        outputs: Number of classes or `Task` of each output, by name: then the result is called,
            saved, fine-tuned and predicted with as those of `cen.build` are, and has an ensemble.
            None: a dict of inputs gives a dict of what the module returns.
        **options: Those of `cen.exchange.convert`: which norms exchange (``where``), and the like.

    Raises:
        ConversionError: A layer cannot be converted (named), or no norm matches ``where``.
        ConfigError: An option is unknown, or outputs are given without numbers of channels.
    """
    if outputs is None:
        return exchange.convert(module, streams, **options)
    inputs = mapping("streams", streams, "{'rgb': 3, 'depth': 1}: channels by name, with outputs=")
    tasks = check_fields(inputs, outputs)
    network = exchange.convert(module, dict(inputs), **options)
    fates = network.summary()
    config = {
        "name": NAME,
        "network": type(module).__name__,
        "inputs": dict(inputs),
        "outputs": {name: task.to_dict() for name, task in tasks.items()},
        "exchange": asdict(options.get("exchange") or ExchangeRule()),
        "exchanging": list(fates.exchanging),
        "shared": list(fates.shared),
        **{key: options[key] for key in _KEPT if key in options},  # type: ignore[literal-required]
    }
    return ConvertedNetwork(network, tasks, config)


_KEPT: Mapping[str, Any] = {
    "norm": str,
    "convolution": str,
    "missing_scales": str,
    "stem": str | Sequence[str] | None,
}
"""Options that a checkpoint keeps as they are, with their types."""


class ConvertedNetwork(ChannelExchangeNetwork):
    """A converted network with named outputs and an ensemble; `cen.convert` makes it.

    Its outputs have no streams of their own: each input predicts all of them.

    Args:
        module: The converted network.
        outputs: The task of each output.
        config: What its checkpoint says of it.

    Attributes:
        module: The converted network; ``module.summary()`` tells what became of its norms.
        encoder: Its part of the name ``encoder`` or ``backbone``; where it has none, all of it.
        decoder: All of it.
    """

    module: MultiStream
    folded_part = "predictions"

    def __init__(
        self, module: MultiStream, outputs: Mapping[str, Task], config: Mapping[str, Any]
    ) -> None:
        super().__init__(
            encoder=nn.Identity(),
            decoder=nn.Identity(),
            stems={},
            heads={},
            inputs=module.channels,
            outputs=outputs,
            encoder_streams=module.streams,
            decoder_streams=module.streams,
            config=config,
        )
        self.module = module
        parts = dict(module.module.named_children())
        # Other names of its parts, under which they are not saved twice.
        del self.encoder, self.decoder
        encoder = next((parts[name] for name in ("encoder", "backbone") if name in parts), module)
        self.__dict__ |= {"encoder": encoder, "decoder": module}
        self.rebuild = self._restreamed

    def summary(self) -> exchange.ConversionSummary:
        """What exchanges, what is private, what stays shared, and why."""
        return self.module.summary()

    def admitted(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As of all networks, and with the channels of the widest input."""
        return self.module.admitted(super().admitted(inputs))

    def predictions(self, inputs: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """What each input predicts, by output.

        Raises:
            ConfigError: The network does not return what the outputs need.
            ShapeError: What it returns has other channels.
        """
        results = self.module.predictions(inputs)
        predictions = {name: self._read(result) for name, result in results.items()}
        return {
            output: {name: predictions[name][output] for name in predictions}
            for output in self.outputs
        }

    def _read(self, result: Any) -> dict[str, Tensor]:
        """The prediction of each output in what the network returns for a stream."""
        if _tensor(result) is not None and len(self.outputs) == 1:
            return {name: self._checked(name, result) for name in self.outputs}
        if dataclasses.is_dataclass(result) and not isinstance(result, Mapping | type):
            result = {one.name: getattr(result, one.name) for one in dataclasses.fields(result)}
        if isinstance(result, Mapping):
            keys = {name: name for name in self.outputs if name in result}
            if len(self.outputs) == 1 and not keys:
                usual = [key for key in _RESULTS if _tensor(result.get(key)) is not None]
                keys = dict.fromkeys(self.outputs, usual[0]) if usual else {}
            if keys.keys() == self.outputs.keys():
                return {name: self._checked(name, result[key]) for name, key in keys.items()}
        had = list(result) if isinstance(result, Mapping) else type(result).__name__
        raise ConfigError(
            f"the network returns {had}, in which {', '.join(self.outputs)} cannot be found: let "
            "it return a dict with a tensor (B, channels, h, w) by output, or the tensor itself "
            "where there is one output, or convert a module around it whose forward does"
        )

    def _checked(self, name: str, value: Any) -> Any:
        """A prediction as (B, channels, h, w)."""
        channels = self.outputs[name].channels
        tensor = _tensor(value)
        if tensor is not None and tensor.ndim == 3 and channels == 1:
            return value.unsqueeze(1)
        if tensor is None or tensor.ndim != 4 or tensor.shape[1] != channels:
            shape = described(value) if tensor is None else tuple(tensor.shape)
            raise ShapeError(
                f"output {name!r} of the network is {shape}, where (B, {channels}, h, w) is "
                "expected; outputs= and the network's last layer say different things"
            )
        return value

    def take_over(self, old: ChannelExchangeNetwork) -> list[str]:
        """The ensemble's scalars; the weights are there, since the module is a copy."""
        for name in self.alpha:
            self._take_over_alpha(old, name)
        return []

    def _restreamed(
        self, *, inputs: Mapping[str, int], outputs: Mapping[str, Any], **config: Any
    ) -> ConvertedNetwork:
        """The same network for other inputs, and for outputs of as many channels."""
        tasks = check_fields(inputs, outputs)
        before = {name: task.channels for name, task in self.outputs.items()}
        if {name: task.channels for name, task in tasks.items()} != before:
            raise ConfigError(
                f"the outputs of a converted network are those of its own last layers ({before}); "
                "give the module new ones, load the weights that fit, and convert it again"
            )
        network = restreamed(self.module, Streams(list(inputs)), inputs, config.get("stem"))
        return ConvertedNetwork(
            network,
            tasks,
            {
                **config,
                "inputs": dict(inputs),
                "outputs": {name: task.to_dict() for name, task in tasks.items()},
            },
        )


def _tensor(value: Any) -> Tensor | None:
    """A tensor, or what a recorded one is in the pass that `cen.fold` records."""
    tensor = value.node.meta.get("value") if isinstance(value, fx.Proxy) else value
    return tensor if isinstance(tensor, Tensor) else None


def rebuilt(config: Mapping[str, Any], module: nn.Module | None, path: object) -> ConvertedNetwork:
    """The network that a checkpoint describes, made of its plain one.

    Args:
        config: What the header says.
        module: The plain network.
        path: The file, for messages.

    Raises:
        CheckpointError: There is no module, or the header does not describe such a network.
    """
    hints = {
        "name": str,
        "network": str,
        "inputs": Mapping[str, int],
        "outputs": Mapping[str, Mapping[str, Any]],
        "exchange": Mapping[str, Any],
        "exchanging": Sequence[str],
        "shared": Sequence[str],
        **_KEPT,
    }
    schema.check_arguments(config, hints, f"{path}: config", CheckpointError)
    if module is None:
        raise CheckpointError(
            f"{path} holds a converted {str(config['network'])[:80]}, and a file says nothing of "
            "its code: give a network of that class, with any weights, cen.load(path, module=...)"
        )
    exchanging, shared = set(config["exchanging"]), set(config["shared"])
    outputs = {name: Task.of(dict(task)) for name, task in config["outputs"].items()}
    network = convert(
        module,
        dict(config["inputs"]),
        outputs,
        where=_named(exchanging),
        shared=_named(shared),
        exchange=ExchangeRule(**config["exchange"]),
        weak_scales="keep",
        **{key: config[key] for key in _KEPT if key in config},
    )
    network.config = dict(config)
    return network


def _named(names: set[str]) -> Callable[[str, nn.Module], bool]:
    return lambda name, _: name in names
