"""What must hold between the keys of a configuration."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cen.errors import ConfigError, described, did_you_mean, shown

if TYPE_CHECKING:
    from cen.config import Config
    from cen.config_data import ModalityConfig

AGGREGATORS = ("UPGrad", "DualProj", "MGDA", "PCGrad", "AlignedMTL", "IMTLG", "Mean", "Random")
"""Aggregators of TorchJD that make weights of the Gramian of the gradients alone."""

MOST_CHANNELS = 2**16
"""Most channels of anything: more is no network, and would take all memory to find out."""

_STATE = "keeps a state from step to step that no checkpoint holds, so a run could not be resumed"
_MATRIX = "needs every single gradient value rather than their inner products"
_NUMBER = "has a number of its own to be chosen, for which there is no key"
_REFUSED = {
    **dict.fromkeys(("NashMTL", "GradVac", "ExcessMTL", "PCD", "MoDo", "SDMGrad"), _STATE),
    **dict.fromkeys(("ConFIG", "GradDrop", "TrimmedMean"), _MATRIX),
    **dict.fromkeys(("CAGrad", "FairGrad", "Krum", "CRMOGM"), _NUMBER),
    "Sum": "is the same as Mean here",
    "Constant": "is what model.outputs.NAME.weight with train.weighting fixed is for",
}


def check_weighting(name: str) -> None:
    """Refuses a weighting that is unknown or cannot be used, with the reason.

    Raises:
        ConfigError: Naming what can be used.
    """
    known = ("fixed", "uncertainty", *AGGREGATORS)
    name = name if isinstance(name, str) else described(name)
    if name in known:
        return
    if name in _REFUSED:
        raise ConfigError(
            f"train.weighting: {name} of TorchJD {_REFUSED[name]}; use {', '.join(AGGREGATORS)}"
        )
    same = [word for word in known if word.lower() == name.lower()]
    hint = did_you_mean(same[0] if same else name, known)
    raise ConfigError(f"train.weighting: no weighting {name!r}{hint}; known: {', '.join(known)}")


def check_devices(config: Config) -> None:
    """Refuses a batch that cannot be dealt out to the devices. Evaluation needs no such batch.

    Raises:
        ConfigError: Naming the keys.
    """
    batch, devices = config.train.batch_size, config.train.devices
    if batch % devices:
        raise ConfigError(
            f"train.batch_size {batch} cannot be dealt out evenly to {devices} devices; it is "
            "counted over all of them together, so make it a multiple of them"
        )


def check_run(config: Config) -> None:
    """Checks what no single key shows.

    Raises:
        ConfigError: Naming the key, its value and what would be right.
    """
    data, model, train = config.data, config.model, config.train
    if not model.inputs:
        raise ConfigError("model.inputs: is empty; name at least one modality, such as {rgb: 3}")
    for name, channels in model.inputs.items():
        if not 1 <= channels <= MOST_CHANNELS:
            raise ConfigError(
                f"model.inputs.{name}: {channels} channels; give 1 to {MOST_CHANNELS}"
            )
        modality = data.modalities.get(name)
        if modality is None:
            continue
        for part in ("mean", "std"):
            numbers = getattr(modality, part)
            if numbers is not None and len(numbers) != channels:
                raise ConfigError(
                    f"data.modalities.{name}.{part}: {len(numbers)} numbers for {channels} "
                    f"channels of model.inputs.{name}; give one for each"
                )
        _check_modality(name, modality)
    _check_outputs(config)
    check_weighting(train.weighting)
    _check_cycle(config)
    _check_adversarial(config)
    _check_penalty(config)
    scale = data.transforms.scale
    if scale is not None and scale[0] > scale[1]:
        raise ConfigError(f"data.transforms.scale: {list(scale)} falls; give the smaller one first")
    if scale is not None and data.transforms.crop is None and train.batch_size > 1:
        raise ConfigError(
            "data.transforms.scale: gives images of different sizes, which make no batch; "
            "set data.transforms.crop, too"
        )
    if (train.schedule == "staged") != bool(train.stages):
        raise ConfigError("train.stages: must be given with train.schedule staged, and only then")
    if train.steps is None and not train.stages:
        raise ConfigError("train.steps: is null; give a number, or train.stages that add up to one")
    for index, stage in enumerate(train.stages):
        if stage.steps < 1:
            raise ConfigError(
                f"train.stages[{index}].steps: {stage.steps} is out of range; give 1 or more"
            )
    if train.stages and train.max_steps > sum(stage.steps for stage in train.stages):
        raise ConfigError("train.steps: is more than train.stages add up to; lengthen a stage")
    if isinstance(data.classes, list) and len(set(data.classes)) < len(data.classes):
        twice = next(name for name in data.classes if data.classes.count(name) > 1)
        raise ConfigError(f"data.classes: {shown(twice)} is there twice; give each its own name")
    if isinstance(data.classes, int) and not 2 <= data.classes <= MOST_CHANNELS:
        raise ConfigError(
            f"data.classes: {data.classes} is out of range; give 2 to {MOST_CHANNELS}"
        )


def _check_modality(name: str, modality: ModalityConfig) -> None:
    """Refuses keys that the kind does not use: a depth declared as an image would lose its unit."""
    if modality.kind == "image" and (modality.unit is not None or modality.missing is not None):
        raise ConfigError(
            f"data.modalities.{name}: unit and missing are for kind: depth, but its kind is "
            f"image; say kind: depth"
        )


_CHANNELS = {"depth": 1, "normal": 3, "edge": 1}


def _check_outputs(config: Config) -> None:
    model = config.model
    if not model.outputs:
        raise ConfigError(
            "model.outputs: is empty; name at least one, such as {segmentation: {kind: "
            "segmentation}}"
        )
    plain = model.name in ("refinenet", "pspnet") and model.decoder_norm == "none"
    private = model.task_streams == "private" and model.convolution == "shared"
    if len(model.outputs) > 1 and plain and private and model.fusion in ("exchange", "ensemble"):
        raise ConfigError(
            "model.decoder_norm: none leaves several outputs no norms to differ by in the decoder; "
            "say batch, or model.task_streams shared for one decoder with a head for each"
        )
    for name, output in model.outputs.items():
        key = f"model.outputs.{name}"
        if name in model.inputs and model.name != "cycle":
            raise ConfigError(
                f"{key}: is an input, too; a field of the data cannot be both, so take it out of "
                "model.inputs or predict another field"
            )
        if not 0 < output.weight < math.inf:
            raise ConfigError(
                f"{key}.weight: {output.weight} is out of range; give a number above 0, or leave "
                "the output out"
            )
        fixed = _CHANNELS.get(output.kind)
        if output.channels is not None and not 1 <= output.channels <= MOST_CHANNELS:
            raise ConfigError(
                f"{key}.channels: {output.channels} is out of range; give 1 to {MOST_CHANNELS}"
            )
        if fixed is not None and output.channels not in (None, fixed):
            raise ConfigError(
                f"{key}.channels: {output.channels}, but kind {output.kind} has {fixed}; leave "
                "channels out"
            )


def _check_penalty(config: Config) -> None:
    """Refuses two masters of λ."""
    train = config.train
    if train.sparsity_warmup and train.exchange_rate is not None:
        raise ConfigError(
            "train.sparsity_warmup: is not for train.exchange_rate, which steers λ itself; leave "
            "one of them out"
        )


def _check_cycle(config: Config) -> None:
    """Refuses what cycle fusion, where every modality is an input and a target, cannot do."""
    if config.model.name != "cycle":
        return
    if config.train.modality_dropout:
        raise ConfigError("train.modality_dropout: is not for model.name cycle; leave it out")
    if config.data.partial:
        raise ConfigError(
            "data.partial: true is not for model.name cycle, where what a sample lacks would be "
            "an input of all others, too; say false and list samples that have every modality"
        )


def _check_adversarial(config: Config) -> None:
    """Refuses what adversarial training cannot do."""
    train = config.train
    if train.adversarial == "none":
        return
    if not any(output.kind == "image" for output in config.model.outputs.values()):
        raise ConfigError(
            "train.adversarial: needs an output of kind image in model.outputs; say none to train "
            "without a discriminator"
        )
    if train.clip_norm is not None:
        raise ConfigError("train.clip_norm: is not for adversarial training; leave it out")
    if train.weighting != "fixed":
        raise ConfigError(
            f"train.weighting: {train.weighting}, but adversarial training takes fixed weights only"
        )
