"""The network that ties named inputs, an encoder, a decoder and named outputs together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cen import notebook
from cen.errors import ConfigError, ShapeError, described
from cen.exchange import Streams
from cen.exchange.functional import whole
from cen.models.image_encoder import ImageEncoder, stems_in
from cen.models.input_checks import SMALLEST, Padding, check_inputs, in_precision_of, same_size
from cen.models.shareable_network import ShareableNetwork
from cen.models.stems import filled, take_over_stems, tile
from cen.models.weight_transfer import transfer
from cen.stream import Stream, input_of
from cen.tasks import Task

FUSED = "fused"
"""Name of the stream of a part of a network where the inputs have become one; always present."""


class Output(NamedTuple):
    """One output of a network.

    Attributes:
        streams: prediction of each stream that was present, (B, C, H, W), by input name.
        ensemble: their sum weighted with alpha, (B, C, H, W). The predictions are detached inside
            it, so that its loss teaches alpha alone (as released).
        alpha: softmax of the ensemble's scalars over the streams present, (S,), in order.
    """

    streams: dict[str, Tensor]
    ensemble: Tensor
    alpha: Tensor

    def _repr_html_(self) -> str:
        """For notebooks: shapes and α."""
        shape = " × ".join(map(str, self.ensemble.shape))
        # A network that fuses its inputs has no streams, and no weights of them.
        pairs = zip(self.streams, self.alpha.tolist(), strict=True) if self.streams else ()
        rows = [(name, f"α {weight:.2f}") for name, weight in pairs]
        return notebook.table(f"Output {shape}, {self.ensemble.dtype}", [*rows, ("ensemble", "")])


class Encoder(Protocol):
    """What is asked of an encoder of stages; see `ResNet`.

    Any other that maps images to feature maps becomes an `ImageEncoder`, which has no first
    convolution and no stages of its own.
    """

    conv1: nn.Conv2d
    width: int
    channels: Sequence[int]
    stages: Sequence[str]
    exchanging: str

    def body(self, x: Tensor, after: Callable[[int, Tensor], Tensor] | None = None) -> list[Tensor]:
        """Map what the first convolution gave to feature maps, finest first."""


class ChannelExchangeNetwork(ShareableNetwork):
    """Streams of named inputs through one encoder and decoder to named outputs.

    The streams ride on the batch axis (sample-major: row ``b * S + s``) through ordinary layers;
    the stream norms inside tell them apart and exchange channels. One output: the decoder runs one
    stream per input. Several outputs (this project's reading of the paper's multitask scenario):
    it runs one per output and input, each named by a `Stream`, the encoder features being repeated
    for each output; a decoder without private layers runs once for all. Use `cen.build` to make
    one.

    Args:
        encoder: encoder whose norms are stream norms on ``encoder_streams``. Its ``conv1`` serves
            inputs of one or three channels.
        decoder: decoder whose norms are stream norms on ``decoder_streams``.
        stems: private first convolution of every other input, by name.
        heads: classifier of each output, by name.
        inputs: channels of each input, by name, in the order of the streams.
        outputs: task of each output, by name.
        encoder_streams: one stream per input.
        decoder_streams: one stream per input; or one `Stream` per output and input, output by
            output.
        config: the arguments of `cen.build` that make this network, as plain JSON-able values.

    Attributes:
        rebuild: `cen.build`, which made it, for networks alike with other inputs or outputs.
        auxiliary: the key of ``train`` that weighs `auxiliary_loss`.
        folded_part: the method that `cen.fold` records.
        cyclic: whether inputs and outputs are the same, each predicted from the others.
        alpha: the ensemble's scalars of each output, one per input, before the softmax.
        metadata: what a checkpoint says beside the weights (classes, preprocessing, ...).
    """

    cyclic = False
    auxiliary = "alignment"
    folded_part = "of_fitting"
    rebuild: Callable[..., ChannelExchangeNetwork] | None = None

    def __init__(
        self,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        stems: Mapping[str, nn.Module],
        heads: Mapping[str, nn.Module],
        inputs: Mapping[str, int],
        outputs: Mapping[str, Task],
        encoder_streams: Streams,
        decoder_streams: Streams,
        config: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.inputs = dict(inputs)
        self.outputs = dict(outputs)
        self.config = dict(config)
        self.metadata: dict[str, Any] = {}
        self.encoder_streams = encoder_streams
        self.decoder_streams = decoder_streams
        self.encoder = encoder
        self.decoder = decoder
        self.stems = nn.ModuleDict(dict(stems))
        self.heads = nn.ModuleDict(dict(heads))
        # Equal scalars: every stream has the same say in the beginning (as released).
        self.alpha = nn.ParameterDict(
            {name: nn.Parameter(torch.ones(len(inputs))) for name in outputs}
        )

    @property
    def generated(self) -> list[str]:
        """Names of the outputs that are generated images, see `cen.tasks.Kind`."""
        return [name for name, task in self.outputs.items() if task.rules.generated]

    def forward(
        self, inputs: Mapping[str, Tensor], size: tuple[int, int] | None = None
    ) -> dict[str, Output]:
        """Predict every output from any non-empty subset of the inputs.

        Args:
            inputs: (B, C, H, W) by name, all with the same B, H and W, H and W at least
                ``encoder.smallest`` (32 with a ResNet).
            size: height and width of the outputs, reached with bicubic interpolation (as the
                released evaluation does); None for the decoder's resolution (stride 4
                with RefineNet, 8 with PSPNet).

        Returns:
            One `Output` per output, by name.

        Raises:
            StreamError: if no input is given or one is unknown.
            ShapeError: if a shape does not fit; the message names the input.
            DataError: if an input is no floating point tensor, is on another device, or (on the
                CPU, in evaluation) holds NaN or infinity. Half and double precision are converted
                to that of the weights.
        """
        predictions = self.predictions(self.admitted(inputs))
        return {name: self.combined(name, streams, size) for name, streams in predictions.items()}

    def predictions(self, inputs: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """What each stream predicts of admitted inputs, by output."""
        padding = Padding.of(inputs, self.multiple)
        predictions = self.of_fitting(padding.padded(inputs))
        return {name: padding.cut(streams) for name, streams in predictions.items()}

    def of_fitting(self, inputs: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """The same of images of a size that the encoder takes; what `cen.fold` records."""
        present = tuple(inputs)
        with self.encoder_streams.activate(present, self._rows(inputs)):
            features = self._encode(inputs, present)
            decoded = self._decode(features, present)
            return {
                name: self.encoder_streams.unpack(self.heads[name](rows))
                for name, rows in decoded.items()
            }

    @property
    def smallest(self) -> int:
        """The least height and width of its inputs; tiles of a picture begin at its multiples."""
        return int(getattr(self.encoder, "smallest", SMALLEST))

    @property
    def multiple(self) -> int:
        """Of what its images' height and width are made multiples by padding; 1 for most."""
        return int(getattr(self.encoder, "multiple", 1))

    def auxiliary_loss(self) -> Tensor:
        """A loss of the network's own on its last forward pass in training mode; a scalar.

        The training module adds it with a weight. 0 for all but some of the baselines.
        """
        return torch.zeros((), device=next(self.parameters()).device)

    def alpha_weights(self, present: Collection[str] | None = None) -> dict[str, dict[str, float]]:
        """The ensemble's weight of every stream, by output and input; `cen.inspect` reads it.

        Args:
            present: the inputs that there are, over which weights are normalised; None: all.
        """
        weights = {}
        for output, alpha in self.alpha.items():
            pairs = zip(self.sources(output), whole(alpha.detach()), strict=True)
            scalars = {name: a for name, a in pairs if present is None or name in present}
            if scalars:
                shares = torch.stack(list(scalars.values())).softmax(0).tolist()
                weights[output] = dict(zip(scalars, shares, strict=True))
        return weights

    @property
    def outputs_apart(self) -> bool:
        """Whether each output has streams of its own in the decoder."""
        return isinstance(self.decoder_streams.names[0], Stream)

    def sources(self, output: str) -> tuple[str, ...]:
        """The inputs that an output is predicted from, in order: the entries of its alpha."""
        return tuple(self.inputs)

    def predicted_from(self, present: Collection[str]) -> dict[str, Task]:
        """The outputs that are scored when some inputs are there: all of them."""
        return dict(self.outputs)

    def enter(self, name: str, value: Tensor) -> Tensor:
        """What the network takes in of a value of a sample: the value itself."""
        return value

    def adapt(
        self,
        *,
        inputs: Mapping[str, int] | None = None,
        outputs: Mapping[str, int | Task] | None = None,
    ) -> ChannelExchangeNetwork:
        """A new network for other inputs or outputs with every weight that fits; see `finetune`."""
        if self.rebuild is None:
            raise ConfigError("only a network that cen.build or cen.load gave can be adapted")
        config = {**self.config}
        config["inputs"] = self.inputs if inputs is None else inputs
        config["outputs"] = self.outputs if outputs is None else outputs
        new = self.rebuild(**config)
        reference = next(self.parameters())
        new.to(device=reference.device, dtype=reference.dtype)
        with torch.no_grad():
            new.take_over(self)
        preprocessing = self.metadata.get("preprocessing", {})
        new.metadata = {
            "preprocessing": {
                name: value
                for name, value in preprocessing.items()
                if name in new.inputs and self.inputs.get(name) == new.inputs[name]
            },
            **{key: self.metadata[key] for key in ("conventions",) if key in self.metadata},
        }
        return new.train(self.training)

    def take_over(self, old: ChannelExchangeNetwork) -> list[str]:
        """Copies every weight of another network that fits, see `finetune`; names the others."""
        left = transfer(old.encoder, self.encoder, "encoder.")
        left += transfer(old.decoder, self.decoder, "decoder.", self.outputs)
        if isinstance(self.encoder, ImageEncoder):
            self.encoder.take_over(cast(ImageEncoder, old.encoder))
        else:
            take_over_stems(self._first_convolutions(), old._first_convolutions())
        for name, task in self.outputs.items():
            before = old.outputs.get(name)
            if before is None or (before.kind, before.channels) != (task.kind, task.channels):
                continue
            transfer(old.heads[name], self.heads[name])
            self._take_over_alpha(old, name)
        return [name for name in left if not name.startswith(stems_in(self.encoder))]

    def _take_over_alpha(self, old: ChannelExchangeNetwork, name: str) -> None:
        """The ensemble's scalars of an output; a new stream gets the mean of the others'."""
        if name in self.alpha and name in old.alpha:
            scalars = dict(zip(old.sources(name), old.alpha[name], strict=True))
            mean = old.alpha[name].mean()
            every = [scalars.get(source, mean) for source in self.sources(name)]
            self.alpha[name].copy_(torch.stack(every))

    def _first_convolutions(self) -> dict[str, nn.Module]:
        """Those of an encoder of stages: the private ones by input, the shared one by ``""``."""
        shared = cast(nn.Module | None, self.encoder.conv1)
        return {**dict(self.stems.items()), **({} if shared is None else {"": shared})}

    def _first_convolution(self, name: str, image: Tensor) -> Tensor:
        """What the first convolution of an input makes of it."""
        conv = self.stems[name] if name in self.stems else cast(Encoder, self.encoder).conv1
        return cast(Tensor, conv(tile(image)))

    def admitted(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs in order, checked, in the precision of the weights; autocast lowers it again.

        Raises:
            StreamError, ShapeError, DataError: as `forward` says.
        """
        present = {name: inputs[name] for name in check_inputs(inputs, self.inputs, self.smallest)}
        return in_precision_of(next(self.parameters()), present, finite=not self.training)

    def _rows(self, inputs: Mapping[str, Tensor]) -> int | None:
        """How many rows ride through an encoder that may fold some behind them; None: as given."""
        if not isinstance(self.encoder, ImageEncoder):
            return None
        return len(inputs) * next(iter(inputs.values())).shape[0]

    def _stem(self, inputs: Mapping[str, Tensor], present: Sequence[str]) -> Tensor:
        """The packed results of the first convolutions; the images where the encoder has them."""
        if isinstance(self.encoder, ImageEncoder):
            return self.encoder_streams.pack(filled({name: inputs[name] for name in present}))
        if any(name in self.stems for name in present):
            firsts = {name: self._first_convolution(name, inputs[name]) for name in present}
            return self.encoder_streams.pack(firsts)
        images = self.encoder_streams.pack({name: tile(inputs[name]) for name in present})
        return cast(Tensor, cast(Encoder, self.encoder).conv1(images))

    def _encode(self, inputs: Mapping[str, Tensor], present: Sequence[str]) -> list[Tensor]:
        """The packed feature maps of the streams present, finest first."""
        return cast(Encoder, self.encoder).body(self._stem(inputs, present))

    def _decode(self, features: Sequence[Tensor], streams: Sequence[str]) -> dict[str, Tensor]:
        """What the decoder makes of packed features for each output, packed alike."""
        separate = self.outputs_apart
        every = self.decoder_streams.names
        names = [name for name in every if input_of(name) in streams] if separate else streams
        with self.decoder_streams.activate(names):
            features = self._dealt_out(features, streams, names) if separate else list(features)
            decoded: Tensor = self.decoder_streams.replayed(self.decoder(features))
            if not separate:
                return dict.fromkeys(self.outputs, decoded)
            rows = iter(self.decoder_streams.unpack(decoded).values())
        # In the order of `decoder_names`: those of an output together.
        return {name: self._packed({key: next(rows) for key in streams}) for name in self.outputs}

    def _dealt_out(
        self, features: Sequence[Tensor], streams: Sequence[str], names: Sequence[str]
    ) -> list[Tensor]:
        """Features packed for some streams, packed for those of the decoder, which are active."""
        dealt = []
        for x in features:
            rows = self.encoder_streams.unpack(x) if len(streams) > 1 else {streams[0]: x}
            dealt.append(self.decoder_streams.pack({name: rows[input_of(name)] for name in names}))
        return dealt

    def _packed(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Rows of the streams of the encoder, or of the one that they were fused to."""
        return self.encoder_streams.pack(rows) if len(rows) > 1 else next(iter(rows.values()))

    def combined(
        self, name: str, streams: dict[str, Tensor], size: Sequence[int] | None = None
    ) -> Output:
        """An output of what its streams predict, (B, C, h, w) each, resized to (H, W) first."""
        if size is not None:
            streams = {key: resize(value, size) for key, value in streams.items()}
        order, scalars = self.sources(name), self.alpha[name]
        if tuple(streams) != order:  # by static index: a compiled graph copies none from the host
            scalars = torch.stack([scalars[order.index(key)] for key in streams])
        alpha = torch.softmax(scalars, 0)
        values = [value.detach() for value in streams.values()]
        return Output(streams, self._ensemble(name, values, alpha), alpha)

    def _ensemble(self, name: str, values: Sequence[Tensor], alpha: Tensor) -> Tensor:
        return self.outputs[name].rules.ensemble(values, alpha)


def split_rows(packed: Tensor, *sizes: int) -> Tensor:
    """View the rows of a packed tensor (B * S, ...) as (B, *sizes, ...), S the product of sizes."""
    return torch.unflatten(packed, 0, (-1, *sizes))


def resize(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (B, C, h, w) to ``size`` = (H, W) with bicubic interpolation, as released.

    Raises:
        ShapeError: if ``size`` is no height and width.
    """
    plain = isinstance(size, Sequence) and len(size) == 2
    if not plain or any(isinstance(v, float | str) or v < 1 for v in size):
        raise ShapeError(f"size is (height, width) in pixels, not {described(size)}")
    if same_size(logits.shape[-2:], size):
        return logits
    return F.interpolate(logits, (size[0], size[1]), mode="bicubic", align_corners=False)


def decoder_names(outputs: Iterable[str], inputs: Iterable[str]) -> list[Stream]:
    """Names of the streams of a decoder that keeps outputs apart."""
    return [Stream(output, name) for output, name in itertools.product(outputs, inputs)]


def networks_in(module: nn.Module) -> list[ChannelExchangeNetwork]:
    """The networks in a module: itself, or what DDP and the like are wrapped around."""
    return [part for part in module.modules() if isinstance(part, ChannelExchangeNetwork)]


def check_network(net: object) -> None:
    """Refuses what is no network of `cen.build`."""
    if not isinstance(net, ChannelExchangeNetwork):
        raise ConfigError(f"the network is one of cen.build, not {described(net)}")
