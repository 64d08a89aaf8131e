"""Cycle multimodal fusion: one network in which every modality is in turn the target.

The paper names this scenario; its full text on it is not at hand, so what is built here is this
project's reading (docs/translation.md), the smallest consistent extension of multimodal fusion.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from cen.errors import ConfigError, ShapeError, StreamError, described, did_you_mean
from cen.exchange import Streams, convert_layers
from cen.models.network import ChannelExchangeNetwork, Encoder, Output
from cen.models.network_description import NetworkDescription
from cen.models.stems import private_stems
from cen.models.unet import make_unet
from cen.stream import Stream
from cen.tasks import Task
from cen.tasks.kind import weighted_sum
from cen.tasks.pairs import check_labels, check_numbers

Feed = tuple[tuple[float, ...], tuple[float, ...]]
"""Factor and summand per channel that make an input of a ground truth or a prediction."""


class CycleFusionNetwork(ChannelExchangeNetwork):
    """K modalities; each is predicted from the K − 1 others, in one packed pass.

    There is one stream per direction, `Stream` (target, source). All K (K − 1) of them share every
    convolution; norms are private per stream, channels are exchanged among the sources of the same
    target alone, and every target has a head and an ensemble of its own. The streams of a target do
    not see it, so nothing of a hidden modality reaches its own prediction. Use `cen.build` with the
    name ``"cycle"`` to make one.

    Args:
        streams: the directions, grouped by target.
        feeds: how a ground truth or prediction of each modality becomes an input.
        **parts: as for `ChannelExchangeNetwork`, encoder and decoder on ``streams``.

    Attributes:
        alpha: the ensemble's scalars of each target, one per source, before the softmax.
    """

    cyclic = True
    folded_part = "predictions"

    def __init__(self, *, streams: Streams, feeds: Mapping[str, Feed], **parts: Any) -> None:
        super().__init__(encoder_streams=streams, decoder_streams=streams, **parts)
        self._every = [name for name in streams.names if isinstance(name, Stream)]
        self.feeds = dict(feeds)
        self.alpha = nn.ParameterDict(
            {name: nn.Parameter(torch.ones(len(self.inputs) - 1)) for name in self.outputs}
        )

    def sources(self, output: str) -> tuple[str, ...]:
        """The modalities that a target is predicted from, in order."""
        return tuple(name for name in self.inputs if name != output)

    def predicted_from(self, present: Collection[str]) -> dict[str, Task]:
        """All with all modalities, each hidden from its own prediction; else those not there."""
        if len(present) == len(self.inputs):
            return dict(self.outputs)
        return {name: task for name, task in self.outputs.items() if name not in present}

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        size: tuple[int, int] | None = None,
        targets: Collection[str] | None = None,
    ) -> dict[str, Output]:
        """Predict modalities from the others, all directions in one pass.

        Args:
            inputs: (B, C, H, W) by name, all of one size; any non-empty subset.
            size: height and width of the outputs; None for the decoder's own.
            targets: what to predict; None for every modality that another one is given for. A
                target that is given, too, is hidden from its own prediction.

        Returns:
            One `Output` per target, its streams by the name of their source.

        Raises:
            StreamError: if a name is unknown, or a target has no source.
            ShapeError: if a shape does not fit; the message names the input.
        """
        admitted = self.admitted(inputs)
        directions = self._directions(tuple(admitted), targets)
        predictions = self.predictions(admitted, directions)
        return {name: self.combined(name, streams, size) for name, streams in predictions.items()}

    def predictions(
        self,
        inputs: Mapping[str, Tensor],
        directions: Sequence[tuple[str, tuple[str, ...]]] | None = None,
    ) -> dict[str, dict[str, Tensor]]:
        """What each source predicts of its target; as in the base class.

        Args:
            inputs: what `admitted` gives.
            directions: targets in order, each with its sources; None for all there are.
        """
        directions = self._directions(tuple(inputs), None) if directions is None else directions
        targets = {target for target, _ in directions}
        order = [s for s in self._every if s.output in targets and s.input in inputs]
        with self.encoder_streams.activate(order):
            # Once for all directions of a source.
            sources = dict.fromkeys(stream.input for stream in order)
            firsts = {name: self._first_convolution(name, inputs[name]) for name in sources}
            packed = self.encoder_streams.pack({s: firsts[s.input] for s in order})
            decoded: Tensor = self.decoder(cast(Encoder, self.encoder).body(packed))
            decoded = self.encoder_streams.replayed(decoded)
        rows = torch.unflatten(decoded, 0, (-1, len(order)))
        return {
            target: self._predict(target, sources, rows, order) for target, sources in directions
        }

    def predict(
        self, target: str, inputs: Mapping[str, Tensor], size: tuple[int, int] | None = None
    ) -> Output:
        """Predict one modality from any non-empty subset of the others.

        Raises:
            StreamError: if the target is unknown or among the inputs, or no input is given.
            ShapeError: if a shape does not fit.
        """
        if target in inputs:
            raise StreamError(
                f"the target {target!r} is among its own inputs; give others of "
                f"{', '.join(self.inputs)}"
            )
        outputs: dict[str, Output] = self(inputs, size, targets=[target])
        return outputs[target]

    def enter(self, name: str, value: Tensor) -> Tensor:
        """What the network takes in of a modality's ground truth.

        Args:
            name: the modality.
            value: (B, H, W) labels of a segmentation, which become one channel per class (all 0
                where ignored); else (B, C, H, W), 0 where missing.

        Raises:
            ConfigError: the modality is unknown.
            ShapeError: the shape does not fit.
            DataError: the type does not fit.
        """
        task = self._task(name)
        if task.rules.labels:
            check_labels(value, f"modality {name!r}")
            return task.rules.planes(value)
        check_numbers(value, f"modality {name!r}", "B, C, H, W")
        if value.shape[1] != task.channels:
            raise ShapeError(
                f"modality {name!r} has {task.channels} channels, got {tuple(value.shape)}"
            )
        return torch.where(torch.isfinite(value), self._affine(name, task.rules.planes(value)), 0)

    def reenter(self, name: str, output: Output) -> Tensor:
        """A prediction as an input: what `fused` gives, in the form of ground truth.

        A segmentation enters as its softmax, edges as probabilities, normals with unit length.

        Raises:
            ConfigError: the modality is unknown, or ``output`` is no `Output`.
        """
        task = self._task(name)
        if not isinstance(output, Output):
            raise ConfigError(f"a prediction is a cen.models.Output, not {described(output)}")
        value = task.rules.activate(fused(output))
        return value if task.rules.labels else self._affine(name, value)

    def adapt(self, **changes: Any) -> ChannelExchangeNetwork:
        """Not offered: a new modality would bring directions to all the others."""
        raise ConfigError("a cycle network cannot take over weights for other modalities")

    def _task(self, name: str) -> Task:
        if name not in self.outputs:
            hint = did_you_mean(name, self.outputs)
            modalities = ", ".join(self.outputs)
            raise ConfigError(f"unknown modality {name!r}{hint}; the modalities are {modalities}")
        return self.outputs[name]

    def _directions(
        self, present: Sequence[str], targets: Collection[str] | None
    ) -> list[tuple[str, tuple[str, ...]]]:
        """Targets in order, each with the sources that are there."""
        for name in targets or ():
            if name not in self.outputs:
                raise StreamError(
                    f"unknown target {name!r}{did_you_mean(name, self.outputs)}; the modalities "
                    f"are {', '.join(self.outputs)}"
                )
        directions = []
        for target in self.outputs:
            sources = tuple(name for name in present if name != target)
            if sources and (targets is None or target in targets):
                directions.append((target, sources))
            elif targets is not None and target in targets:
                raise StreamError(
                    f"nothing to predict {target!r} from: it alone was given; give at least one of "
                    f"{', '.join(self.sources(target))}"
                )
        return directions

    def _predict(
        self,
        target: str,
        sources: Sequence[str],
        rows: Tensor,
        order: Sequence[Stream],
    ) -> dict[str, Tensor]:
        first = next(place for place, stream in enumerate(order) if stream.output == target)
        own = rows[:, first : first + len(sources)]
        values = torch.unflatten(self.heads[target](own.flatten(0, 1)), 0, own.shape[:2])
        return {name: values[:, k] for k, name in enumerate(sources)}

    def _ensemble(self, name: str, values: Sequence[Tensor], alpha: Tensor) -> Tensor:
        return self.outputs[name].rules.constrain(weighted_sum(values, alpha))

    def _affine(self, name: str, value: Tensor) -> Tensor:
        if name not in self.feeds:
            return value
        factor, summand = (value.new_tensor(part).view(1, -1, 1, 1) for part in self.feeds[name])
        return value * factor + summand


def fused(output: Output) -> Tensor:
    """The ensemble of an output with a path for gradients to its streams, but none to alpha."""
    return weighted_sum(list(output.streams.values()), output.alpha.detach())


def cycle(description: NetworkDescription) -> CycleFusionNetwork:
    """A U-Net for cycle multimodal fusion (this project's reading of the paper's scenario).

    Every modality is an input and an output, and there are at least three. A segmentation has one
    channel per class as an input, too.

    Raises:
        ConfigError: if there are fewer than three modalities, or names, channels or values do not
            fit.
    """
    options, tasks, rule = description.options, description.tasks, description.rule
    check_cycle(options.inputs, tasks)
    feeds = {name: (tuple(a), tuple(b)) for name, (a, b) in description.feeds.items()}
    for name, parts in feeds.items():
        if any(len(part) != options.inputs.get(name) for part in parts):
            raise ConfigError(f"feeds of {name!r}: give one factor and summand per input channel")
    plain, decoder = make_unet(options)
    stems = private_stems(plain, options.inputs)
    groups = [[Stream(t, s) for s in options.inputs if s != t] for t in tasks]
    streams = Streams([name for group in groups for name in group], groups)
    convert_layers(plain, streams, where=plain.exchanging, exchange=rule)
    convert_layers(decoder, streams, exchange=rule if options.decoder_exchange else None)
    return CycleFusionNetwork(
        streams=streams,
        feeds=feeds,
        encoder=plain,
        decoder=decoder,
        stems=stems,
        heads={name: decoder.make_head(task) for name, task in tasks.items()},
        inputs=options.inputs,
        outputs=tasks,
        config=description.to_dict(),
    )


def check_cycle(inputs: Mapping[str, int], tasks: Mapping[str, Task]) -> None:
    """Refuses modalities of which not every one can be the target of the others."""
    if set(inputs) != set(tasks):
        odd = sorted(set(inputs) ^ set(tasks))
        raise ConfigError(
            f"in cycle fusion every modality is an input and an output; {', '.join(odd)} is only "
            "one of them"
        )
    if list(inputs) != list(tasks):
        raise ConfigError("in cycle fusion inputs and outputs are given in the same order")
    if len(inputs) < 3:
        raise ConfigError(
            f"cycle fusion needs at least 3 modalities, not {len(inputs)}: with two there is "
            "nothing to fuse in either direction"
        )
    for name, task in tasks.items():
        if task.channels != inputs[name]:
            raise ConfigError(
                f"modality {name!r} has {inputs[name]} channels as an input but {task.channels} "
                f"as an output ({task.kind}); give the same"
            )
