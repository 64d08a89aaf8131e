"""The ``model`` part of a configuration: which network is built, and what it predicts."""

import json
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Annotated, Any, Literal

from cen.errors import ConfigError
from cen.options.constraints import (
    Amount,
    Channels,
    Count,
    Dropout,
    Networks,
    Seed,
    Share,
    Width,
    Within,
    limits,
)
from cen.tasks import KINDS, KindName


@dataclass
class OutputConfig:
    """One output of the network: what it predicts. Its name is that of a field of the data.

    Attributes:
        kind: ``segmentation``: cross-entropy, mIoU; ``depth``: L1, RMSE; ``normal``: 1 − cosine,
            angles; ``edge``: balanced cross-entropy, max-F; ``image``: L1, MAE (docs/multitask.md).
        channels: Channels of the output; null: the classes of a segmentation, 1 for depth and
            edges, 3 for normals, the channels of the field for images.
        weight: Weight of the output's loss, above 0; multiplied onto what ``train.weighting`` says.
        loss: Of a segmentation ``cross_entropy``, ``dice`` or another (docs/multitask.md); null:
            the first of the kind.
    """

    kind: KindName = "segmentation"
    channels: Channels | None = None
    weight: float = 1.0
    loss: str | None = None

    def check(self, key: str) -> None:
        """Refuses what the types of the fields do not show."""
        if not 0 < self.weight < math.inf:
            raise ConfigError(
                f"{key}.weight: {self.weight} is out of range; give a number above 0, or leave "
                "the output out"
            )
        if self.loss is not None:
            KINDS[self.kind].check_loss(f"{key}.loss: {self.kind}", self.loss)
        fixed = KINDS[self.kind].fixed_channels
        if fixed is not None and self.channels not in (None, fixed):
            raise ConfigError(
                f"{key}.channels: {self.channels}, but kind {self.kind} has {fixed}; leave "
                "channels out"
            )


_DENSE = ("refinenet", "pspnet", "segformer", "upernet", "fpn")
_SMP = "smp"
"""All networks of segmentation_models_pytorch, ``smp/NAME``."""
_UNETS = ("unet", "cycle")
_FUSING = (*_DENSE, "unet", _SMP)
_LIGHT = ("segformer", "upernet", "fpn")


@dataclass
class NetworkOptions:
    """What every network is built of: keys of ``model``, and arguments of `cen.build`.

    Attributes:
        name: The decoder, a key of ``cen.models.builders``: refinenet, segformer, upernet, fpn
            (output stride 4), pspnet (a dilated encoder, output stride 8), unet, or cycle, a U-Net
            in which every modality is in turn the target; or a whole network of
            segmentation_models_pytorch, such as smp/DeepLabV3Plus (docs/backbones.md).
        encoder: The encoder: resnet18 to resnet152, mit_b0 to mit_b5, timm/NAME or smp/NAME; with
            unet and cycle unet3 to unet9, by how often they halve the image, which is at least 2 to
            that power pixels high and wide; with smp/NAME one of its own, or timm/NAME. null:
            resnet50; unet8 with unet and cycle, as released; resnet34 with smp.
        inputs: Channels of every modality that the network takes; each is one stream.
        task_streams: With several outputs: ``private``: the decoder has a stream for each, with
            norms of its own; ``separate``: a decoder for each, with convolutions of its own, too,
            whose streams exchange among the inputs alone; ``shared``: one decoder with a head for
            each (ablation).
        width: Channels of the encoder's stem, of which the others follow; null: 64, as released,
            and 32 for mit_b0. Encoders of others have their own.
        decoder_channels: Channels of the decoder; null: 256 for refinenet, as released, and for
            segformer, 512 for pspnet and upernet, 128 for fpn, as in their papers.
        decoder_norm: Norm layers behind the decoder's convolutions; null: none with one output, as
            released for refinenet; batch with several, which need norms to differ (this project's
            extension), and for all others.
        decoder_exchange: Exchange in the decoder's norms too (this project's extension): among the
            inputs with one output, among the outputs of the same input with several, then from the
            second norm on. null: with several outputs alone, where nothing else switches it off.
        fusion: How the modalities meet: ``exchange`` (the method), or a baseline: ``ensemble``
            (streams that exchange nothing), ``concat``, ``average``, ``sum``, ``attention``,
            ``gate``, ``align``, ``tokenfusion`` (docs/baselines.md).
        fusion_at: Where a baseline fuses or aligns: early, middle, late, or at all stages; null:
            all, or late where pspnet is fused.
        exchange_stages: Stages of the encoder, counted from 1, that exchange; null: all.
        exchange_norms: Names of the norms of the encoder that exchange, or patterns of them such as
            ``*.norm1``; null: as each encoder has it (docs/backbones.md).
        norm: Norm layers private to a stream, or shared by all (ablation).
        convolution: Convolutions shared by all streams, or private to each (ablation). Encoders of
            timm, of smp and of your own take private ones with one input alone.
        dropout: Probability of the decoder's dropout layers; null: 0.5, as released, and 0.1 for
            pspnet, segformer, upernet and fpn, as in their papers' code.
        drop_path: Stochastic depth of mit_b0 to mit_b5 and of timm's encoders that have it; null:
            0.1 for mit, as in its paper, else timm's own.
        weights: Weights that the encoder starts from: ``imagenet``, a file or a URL; null: random.
        statistics: Instance norms of unet: ``running`` statistics, which evaluation uses (as
            released), or always those of the image at hand (``instance``).
        first_norm: A norm behind the first convolution of unet too, after which channels are
            exchanged; null: none, as released. For small images.
    """

    name: str = "refinenet"
    encoder: Annotated[
        str | None,
        Networks(**dict.fromkeys(_DENSE, "resnet50"), unet="unet8", cycle="unet8", smp="resnet34"),
    ] = None
    inputs: dict[str, Channels] = field(default_factory=lambda: {"rgb": 3, "depth": 1})
    task_streams: Annotated[Literal["private", "separate", "shared"], Networks(*_FUSING)] = (
        "private"
    )
    width: Annotated[Width | None, Networks(*_DENSE, *_UNETS)] = None
    decoder_channels: Annotated[
        Width | None, Networks(refinenet=256, pspnet=512, segformer=256, upernet=512, fpn=128)
    ] = None
    decoder_norm: Annotated[
        Literal["none", "batch"] | None,
        Networks(refinenet="none", pspnet="batch", **dict.fromkeys(_LIGHT, "batch")),
    ] = None
    decoder_exchange: bool | None = None
    fusion: Annotated[
        Literal[
            "exchange",
            "ensemble",
            "concat",
            "average",
            "sum",
            "attention",
            "gate",
            "align",
            "tokenfusion",
        ],
        Networks(*_FUSING),
    ] = "exchange"
    fusion_at: Annotated[Literal["early", "middle", "late", "all"] | None, Networks(*_FUSING)] = (
        None
    )
    exchange_stages: Annotated[list[Count] | None, Networks(*_DENSE, "unet")] = None
    exchange_norms: Annotated[list[str] | None, Networks(*_FUSING)] = None
    norm: Annotated[Literal["private", "shared"], Networks(*_FUSING)] = "private"
    convolution: Annotated[Literal["shared", "private"], Networks(*_DENSE, "unet")] = "shared"
    dropout: Annotated[
        Dropout | None,
        Networks(refinenet=0.5, pspnet=0.1, unet=0.5, cycle=0.5, **dict.fromkeys(_LIGHT, 0.1)),
    ] = None
    drop_path: Annotated[Dropout | None, Networks(*_DENSE)] = None
    weights: Annotated[str | None, Networks(*_DENSE, _SMP)] = None
    statistics: Annotated[Literal["running", "instance"], Networks(*_UNETS)] = "running"
    first_norm: Annotated[Literal["batch", "instance"] | None, Networks(*_UNETS)] = None

    def resolved(self, option: str) -> Any:
        """The value of an option; where it is null, what that means for this network."""
        value = getattr(self, option)
        return unset(self.name, option) if value is None else value


@dataclass
class ModelConfig(NetworkOptions):
    """Which network is built, and by which rule it exchanges.

    Attributes:
        outputs: What the network predicts, by name.
        exchange: Exchange channels at all; false: streams that share convolutions only.
        threshold: θ, the magnitude below which a scale marks its channel as exchanged (with
            ``model.fusion: tokenfusion`` the score of a token); null: the paper's
            0.02 for segmentation networks, 0.01 for unet and cycle.
        scope: ``own``: a stream gives away channels of its own part only (the paper);
            ``any``: any channel below the threshold (the released code).
        parts: Of scope ``own``: ``paper``: each of S streams may give way in 1/S of the channels;
            ``keeper``: each channel has one stream that keeps it, and all others may give way there
            (this project's extension, docs/models.md). The same with two streams.
        penalty: The scales that the penalty pulls at: a stream's own part, all, or none.
        guide: What says which channels are exchanged: their ``scale``, or ``random``: a fixed
            random share of each own part, from the start (ablation).
        random_rate: The share of each own part that guide random exchanges.
        random_seed: The draw of guide random; the run's seed is added to it.
        discriminator_width: Channels of the discriminator's first convolution; null: 64.
        discriminator_layers: Convolutions of the discriminator that halve; 3 as released.
    """

    outputs: dict[str, OutputConfig] = field(
        default_factory=lambda: {"segmentation": OutputConfig()}
    )
    exchange: bool = True
    threshold: Annotated[
        Amount | None, Networks(**dict.fromkeys((*_DENSE, _SMP), 2e-2), unet=1e-2, cycle=1e-2)
    ] = None
    scope: Literal["own", "any"] = "own"
    parts: Literal["paper", "keeper"] = "paper"
    penalty: Literal["own", "all", "none"] = "own"
    guide: Literal["scale", "random"] = "scale"
    random_rate: Share = 0.0
    random_seed: Seed = 0
    discriminator_width: Width | None = None
    discriminator_layers: Annotated[int, Within(1, 16)] = 3

    def arguments(self) -> dict[str, Any]:
        """The arguments of `cen.build` but for outputs and the exchange rule, as configured."""
        own = options_of(self.name)
        # The discriminators heed the statistics, whatever the generator is.
        unread = [item for item in fields(NetworkOptions) if item.name not in (*own, "statistics")]
        wrong = [item for item in unread if getattr(self, item.name) != item.default]
        if wrong:
            words = (f"--model.{x.name} {json.dumps(x.default).strip(chr(34))}" for x in wrong)
            raise ConfigError(
                f"model.{wrong[0].name}: is not for model.name {self.name}; leave it out, or say "
                f"{' '.join(words)} where the configuration has it"
            )
        return {name: getattr(self, name) for name in own}

    def rule(self, seed: int) -> dict[str, Any]:
        """The fields of the exchange rule that are configured.

        Args:
            seed: That of the run: another draw for every one, so that the spread over seeds is that
                of the draw, too.
        """
        return {
            "scope": self.scope,
            "parts": self.parts,
            "penalty": self.penalty,
            "enabled": self.exchange,
            "guide": self.guide,
            "rate": self.random_rate,
            "seed": self.random_seed + seed,
            **({} if self.threshold is None else {"threshold": self.threshold}),
        }

    def check(self) -> None:
        """Refuses what no single key shows."""
        if not self.inputs:
            raise ConfigError(
                "model.inputs: is empty; name at least one modality, such as {rgb: 3}"
            )
        if not self.outputs:
            raise ConfigError(
                "model.outputs: is empty; name at least one, such as {segmentation: {kind: "
                "segmentation}}"
            )
        if self.parts == "keeper" and self.scope != "own":
            raise ConfigError(
                "model.parts: keeper says where a stream may give way, which model.scope any does "
                "not heed; set model.scope own"
            )
        plain = self.name in _DENSE and self.decoder_norm == "none"
        private = self.task_streams == "private" and self.convolution == "shared"
        if len(self.outputs) > 1 and plain and private and self.fusion in ("exchange", "ensemble"):
            raise ConfigError(
                "model.decoder_norm: none leaves several outputs no norms to differ by in the "
                "decoder; say batch, or model.task_streams shared for one decoder with a head for "
                "each"
            )
        for name, output in self.outputs.items():
            key = f"model.outputs.{name}"
            if name in self.inputs and self.name != "cycle":
                raise ConfigError(
                    f"{key}: is an input, too; a field of the data cannot be both, so take it out "
                    "of model.inputs or predict another field"
                )
            output.check(key)


@cache
def options_of(network: str) -> Mapping[str, Any]:
    """The types of the options that a network has, by name, ranges included.

    Args:
        network: The name of its decoder; one of somebody's own has them all.
    """
    network = _family(network)
    hints = typing.get_type_hints(NetworkOptions, include_extras=True)
    return {
        name: hint
        for name, hint in hints.items()
        if network not in (*_DENSE, *_UNETS, _SMP)
        or all(network in m.names for m in limits(hint)[1] if isinstance(m, Networks))
    }


def unset(network: str, option: str) -> Any:
    """What null means for a network where an option is left out; None: the same for all."""
    hint = typing.get_type_hints(ModelConfig, include_extras=True)[option]
    defaults = [m.unset.get(_family(network)) for m in limits(hint)[1] if isinstance(m, Networks)]
    return defaults[0] if defaults else None


def _family(network: str) -> str:
    """What the networks of one library have in common: its name."""
    return _SMP if network.startswith(f"{_SMP}/") else network
