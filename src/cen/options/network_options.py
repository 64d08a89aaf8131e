"""The ``model`` part of a configuration: which network is built, and what it predicts."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from cen.errors import ConfigError
from cen.options.constraints import Amount, Channels, Count, Seed, Share, Width, Within
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
        loss: Of a segmentation ``cross_entropy``, ``label_smoothing``, ``focal``, ``ohem``,
            ``dice`` or ``lovasz`` (docs/multitask.md); null: cross_entropy. Other kinds have one.
    """

    kind: KindName = "segmentation"
    channels: Channels | None = None
    weight: float = 1.0
    loss: str | None = None

    def check(self, key: str) -> None:
        """Refuses what the types of the fields do not show.

        Args:
            key: Where it stands, ``model.outputs.NAME``.

        Raises:
            ConfigError: Naming the key, its value and what would be right.
        """
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


@dataclass
class ModelConfig:
    """Which network is built (the arguments of ``cen.build``).

    Attributes:
        name: The decoder, a key of ``cen.models.builders``: refinenet, pspnet, unet, or cycle, a
            U-Net in which every modality is in turn the target.
        encoder: The encoder: resnet18, resnet34, resnet50, resnet101 or resnet152; with unet and
            cycle unet3 to unet9, by how often they halve the image.
        inputs: Channels of every modality that the network takes; each is one stream.
        outputs: What the network predicts, by name.
        task_streams: With several outputs: ``private``: the decoder has a stream for each, with
            norms of its own; ``shared``: one decoder with a head for each (ablation).
        width: Channels of the encoder's stem; null: 64, as released.
        decoder_channels: Channels of the decoder; null: 256 for refinenet, as released, 512 for
            pspnet, as in its paper.
        decoder_norm: Norm layers in the decoder; null: none with one output, as released for
            refinenet; batch with several, and for pspnet.
        decoder_exchange: Exchange in the decoder's norms too (this project's extension); null:
            with several outputs alone.
        fusion: How the modalities meet: ``exchange`` (the method), or a baseline: ``ensemble``
            (streams that exchange nothing), ``concat``, ``average``, ``sum``, ``attention``,
            ``gate``, ``align`` (docs/baselines.md).
        fusion_at: Where a baseline fuses or aligns: early, middle, late, or at all stages; null:
            all, or late where pspnet is fused.
        exchange: Exchange channels at all; false: streams that share convolutions only.
        exchange_stages: Stages of the encoder, counted from 1, that exchange; null: all.
        threshold: θ, the magnitude below which a scale marks its channel as exchanged; null: the
            paper's 0.02 for segmentation networks, 0.01 for unet and cycle.
        scope: ``own``: a stream gives away channels of its own part only (the paper);
            ``any``: any channel below the threshold (the released code).
        penalty: The scales that the penalty pulls at: a stream's own part, all, or none.
        guide: What says which channels are exchanged: their ``scale``, or ``random``: a fixed
            random share of each own part, from the start (ablation).
        random_rate: The share of each own part that guide random exchanges.
        random_seed: The draw of guide random; the run's seed is added to it.
        norm: Norm layers private to a stream, or shared by all (ablation).
        convolution: Convolutions shared by all streams, or private to each (ablation).
        dropout: Probability of the decoder's dropout layers; null: 0.5, as released, and 0.1 for
            pspnet, as in its paper's code.
        weights: Weights that the encoder starts from: ``imagenet``, a file or a URL; null: random.
        statistics: Instance norms of unet: ``running`` statistics, which evaluation uses (as
            released), or always those of the image at hand (``instance``).
        first_norm: A norm behind the first convolution of unet too, after which channels are
            exchanged; null: none, as released. For small images.
        discriminator_width: Channels of the discriminator's first convolution; null: 64.
        discriminator_layers: Convolutions of the discriminator that halve; 3 as released.
    """

    name: str = "refinenet"
    encoder: str = "resnet50"
    inputs: dict[str, Channels] = field(default_factory=lambda: {"rgb": 3, "depth": 1})
    outputs: dict[str, OutputConfig] = field(
        default_factory=lambda: {"segmentation": OutputConfig()}
    )
    task_streams: Literal["private", "shared"] = "private"
    width: Width | None = None
    decoder_channels: Width | None = None
    decoder_norm: Literal["none", "batch"] | None = None
    decoder_exchange: bool | None = None
    fusion: Literal[
        "exchange", "ensemble", "concat", "average", "sum", "attention", "gate", "align"
    ] = "exchange"
    fusion_at: Literal["early", "middle", "late", "all"] | None = None
    exchange: bool = True
    exchange_stages: list[Count] | None = None
    threshold: Amount | None = None
    scope: Literal["own", "any"] = "own"
    penalty: Literal["own", "all", "none"] = "own"
    guide: Literal["scale", "random"] = "scale"
    random_rate: Share = 0.0
    random_seed: Seed = 0
    norm: Literal["private", "shared"] = "private"
    convolution: Literal["shared", "private"] = "shared"
    dropout: Share | None = None
    weights: str | None = None
    statistics: Literal["running", "instance"] = "running"
    first_norm: Literal["batch", "instance"] | None = None
    discriminator_width: Width | None = None
    discriminator_layers: Annotated[int, Within(1, 16)] = 3

    def check(self) -> None:
        """Refuses what no single key shows.

        Raises:
            ConfigError: Naming the key, its value and what would be right.
        """
        if not self.inputs:
            raise ConfigError(
                "model.inputs: is empty; name at least one modality, such as {rgb: 3}"
            )
        if not self.outputs:
            raise ConfigError(
                "model.outputs: is empty; name at least one, such as {segmentation: {kind: "
                "segmentation}}"
            )
        plain = self.name in ("refinenet", "pspnet") and self.decoder_norm == "none"
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
