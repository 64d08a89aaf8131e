"""Configurations: what a run is, as typed, documented values that a YAML file gives.

A configuration file is a tree of keys; every key is a field of one of the dataclasses below, and
its docstring is what ``cen train --help`` and ``docs/configuration.md`` print. A file gives only
the keys that differ from the defaults, and the command line overrides any of them
(``--train.steps 100``). A key or value that does not fit is refused with the nearest one that does.

This module imports neither torch nor any other part of CEN but its errors, so that the command
line starts quickly. The types of single values are checked by jsonargparse.
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from cen import parsing
from cen.checks import check_run
from cen.config_data import DataConfig
from cen.config_ranges import check_numbers, check_ranges
from cen.documents import read_yaml
from cen.errors import ConfigError
from cen.fetching import refuse_fetched
from cen.files import write_text


@dataclass
class OutputConfig:
    """One output of the network: what it predicts. Its name is that of a field of the data.

    Attributes:
        kind: ``segmentation``: cross-entropy, mIoU; ``depth``: L1, RMSE; ``normal``: 1 − cosine,
            angles; ``edge``: balanced cross-entropy, max-F; ``image``: L1, MAE (docs/multitask.md).
        channels: Channels of the output; null: the classes of a segmentation, 1 for depth and
            edges, 3 for normals, the channels of the field for images.
        weight: Weight of the output's loss, above 0; multiplied onto what ``train.weighting`` says.
    """

    kind: Literal["segmentation", "depth", "normal", "edge", "image"] = "segmentation"
    channels: int | None = None
    weight: float = 1.0


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
    inputs: dict[str, int] = field(default_factory=lambda: {"rgb": 3, "depth": 1})
    outputs: dict[str, OutputConfig] = field(
        default_factory=lambda: {"segmentation": OutputConfig()}
    )
    task_streams: Literal["private", "shared"] = "private"
    width: int | None = None
    decoder_channels: int | None = None
    decoder_norm: Literal["none", "batch"] | None = None
    decoder_exchange: bool | None = None
    fusion: Literal[
        "exchange", "ensemble", "concat", "average", "sum", "attention", "gate", "align"
    ] = "exchange"
    fusion_at: Literal["early", "middle", "late", "all"] | None = None
    exchange: bool = True
    exchange_stages: list[int] | None = None
    threshold: float | None = None
    scope: Literal["own", "any"] = "own"
    penalty: Literal["own", "all", "none"] = "own"
    guide: Literal["scale", "random"] = "scale"
    random_rate: float = 0.0
    random_seed: int = 0
    norm: Literal["private", "shared"] = "private"
    convolution: Literal["shared", "private"] = "shared"
    dropout: float | None = None
    weights: str | None = None
    statistics: Literal["running", "instance"] = "running"
    first_norm: Literal["batch", "instance"] | None = None
    discriminator_width: int | None = None
    discriminator_layers: int = 3


@dataclass
class StageConfig:
    """One stage of a staged schedule: constant rates and a fresh optimiser.

    Attributes:
        steps: Length of the stage in optimiser steps.
        encoder_lr: Learning rate of the encoder.
        decoder_lr: Learning rate of the decoder, the heads and α.
    """

    steps: int = 1000
    encoder_lr: float = 5e-4
    decoder_lr: float = 3e-3


@dataclass
class TrainConfig:
    """How the network is trained. Everything is counted in optimiser steps.

    Attributes:
        steps: Length of the run; null: the sum of ``stages``. Fewer than that stops early.
        batch_size: Samples per step, over all devices together.
        optimizer: The optimiser; its state is fresh at the start and at every stage.
        encoder_lr: Learning rate of the encoder.
        decoder_lr: Learning rate of the decoder, the heads and α.
        momentum: Momentum of SGD; the first β of Adam.
        weight_decay: Weight decay (docs/training.md says of which parameters).
        schedule: How the rates fall: ``poly`` (power 0.9), ``cosine``, ``constant``, or
            ``staged``, which follows ``stages``.
        stages: The stages of schedule ``staged``.
        warmup: Steps in which the rates rise linearly to their value.
        sparsity: λ, the weight of the ℓ1 penalty on the scales, counted once per step.
        sparsity_warmup: The share of the run, from its start, over which λ rises from 0.
        alignment: Weight of the loss that ``model.fusion: align`` adds; nothing else reads it.
        exchange_rate: Share of own channels that shall be exchanged at the end: λ is then steered
            to it instead of staying fixed (this project's extension); null: λ stays.
        exchange_rate_by: By when: the share of the learning that is done by then, counted in
            learning rates summed over steps. Read with ``exchange_rate`` alone.
        freeze_statistics: The encoder's norms keep the running statistics they start with, as in
            the released segmentation runs; only sensible with pretrained weights.
        modality_dropout: Probability with which a step leaves out modalities at random, so that
            the network learns to do without them (this project's extension).
        clip_norm: Greatest norm of the gradient; null: not clipped.
        class_weights: One weight per class in the cross-entropy; null: all 1.
        weighting: How the losses of several outputs are weighed: ``fixed`` (``weight`` of each),
            ``uncertainty`` (learned), or a gradient aggregator of TorchJD by name, such as
            ``UPGrad`` or ``PCGrad`` (docs/multitask.md).
        every_output: Each batch holds ground truth for every output, for data where some samples
            have none for some; a sample may then be read more than once in an epoch.
        adversarial: Discriminators for the outputs of kind image, and the form of their loss:
            ``bce`` (released) or ``least_squares``; ``none``: no discriminator.
        l1: Weight of the absolute error of images beside the adversarial loss.
        cycle_weight: Weight of the cycle term of model.name cycle; 0: the directions are merely
            trained together.
        generator_mode: How a generator is evaluated: ``eval``: without dropout, with running
            statistics if it keeps any; ``instance``: with those of the image at hand;
            ``released``: these and dropout, as the released code did.
        precision: Number format, as Lightning names it.
        accelerator: ``cpu``, ``gpu``, or ``auto``: a GPU where there is one.
        devices: Number of GPUs, or of CPU processes.
        log_every: Steps from one line of metrics.csv to the next.
        validate_every: Steps from one validation to the next.
        checkpoint_every: Steps from one resumable checkpoint to the next.
    """

    steps: int | None = 1000
    batch_size: int = 8
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    encoder_lr: float = 1e-3
    decoder_lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["poly", "cosine", "staged", "constant"] = "poly"
    stages: list[StageConfig] = field(default_factory=list)
    warmup: int = 0
    sparsity: float = 1e-3
    sparsity_warmup: float = 0.0
    alignment: float = 0.1
    exchange_rate: float | None = None
    exchange_rate_by: float = 0.75
    freeze_statistics: bool = False
    modality_dropout: float = 0.0
    clip_norm: float | None = None
    class_weights: list[float] | None = None
    weighting: str = "fixed"
    every_output: bool = False
    adversarial: Literal["none", "bce", "least_squares"] = "none"
    l1: float = 100.0
    cycle_weight: float = 10.0
    generator_mode: Literal["eval", "instance", "released"] = "eval"
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "64-true"] = "32-true"
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = 1
    log_every: int = 10
    validate_every: int = 200
    checkpoint_every: int = 200

    @property
    def max_steps(self) -> int:
        """Steps of the whole run: ``steps``, or where it is null the sum of the stages."""
        return self.steps if self.steps is not None else sum(s.steps for s in self.stages)


@dataclass
class Config:
    """A whole run: data, network, training and seed.

    Attributes:
        data: Which files are read, and as what.
        model: Which network is built.
        train: How it is trained.
        seed: Every random choice of the run follows from it.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0

    @classmethod
    def from_dict(
        cls,
        values: Mapping[str, Any],
        overrides: Mapping[str, Any] | None = None,
        source: str = "configuration",
        lines: Mapping[str, int] | None = None,
    ) -> "Config":
        """Builds a configuration from nested values; keys not given keep their defaults.

        Args:
            values: Nested mappings, as a YAML file gives them.
            overrides: Dotted keys (``train.steps``) to values that replace those; a value may be
                text as typed on the command line. ``None`` or ``"null"`` for an entry of a mapping
                (``data.modalities.depth``) removes it.
            source: What an error message calls the origin of ``values``.
            lines: Line numbers by dotted key, for error messages.

        Raises:
            ConfigError: A key is unknown, or a value has the wrong type or is out of range.
        """
        known = {key: f"{source}, line {line}" for key, line in (lines or {}).items()}
        base = cls().to_dict()
        if isinstance(values.get("train"), Mapping) and "stages" in values["train"]:
            base["train"]["steps"] = None  # stages bring their own length
        parsing.merge(base, values, cls)
        for key, value in (overrides or {}).items():
            parsing.override(base, key, value, cls)
            known[key] = f"--{key}"
        config: Config = parsing.parse(base, cls, "", parsing.Places(source, known))
        config.check()
        return config

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        overrides: Mapping[str, Any] | None = None,
        *,
        of_run: bool = False,
    ) -> "Config":
        """Reads a YAML file; see :meth:`from_dict` for ``overrides`` and errors.

        Nothing is fetched because a file says so: a URL as ``data.root`` or ``model.weights``, and
        options of storage, must be among the overrides.

        Args:
            path: The file.
            overrides: Dotted keys to values that replace those of the file.
            of_run: It is RUN/config.yaml, whose ``model.weights`` tell where its network once
                started from and are not read again.
        """
        path = Path(path)
        read = read_yaml(path, ConfigError, "; give a YAML file")
        if not isinstance(read.value, dict):
            what = "is empty" if read.value is None else "holds no keys"
            raise ConfigError(f"{path}: {what}; start with 'data:', 'model:' or 'train:'")
        config = cls.from_dict(read.value, overrides, str(path), read.lines)
        unread = ("model.weights",) if of_run else ()
        asked = (*(overrides or {}), *unread)
        refuse_fetched(dict(walk(config)), asked, f"{path}: ")
        return config

    def to_dict(self) -> dict[str, Any]:
        """The configuration as nested plain values that YAML and JSON can hold."""
        values: dict[str, Any] = parsing.plain(self)
        return values

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all keys to a YAML file, which appears whole or not at all."""
        text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        write_text(Path(path), text, ConfigError)

    def check(self) -> None:
        """Checks ranges and what keys must have in common.

        Raises:
            ConfigError: Naming the key, its value and what would be right.
        """
        check_ranges(walk(self))
        stages = enumerate(self.train.stages)
        check_ranges((f"train.stages[{i}].{k}", v) for i, stage in stages for k, v in walk(stage))
        check_numbers(self.to_dict(), "")
        check_run(self)


MOVABLE = ("data.root", "data.workers", "train.accelerator", "train.devices")
"""What may differ from the configuration of a run afterwards: where it runs and what it reads,
never what it computes."""


def walk(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the dotted key and value of every field that is no dataclass itself."""
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            yield from walk(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, value
