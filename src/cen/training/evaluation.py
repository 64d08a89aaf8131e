"""Evaluation of a run: every stream, the ensemble, every subset of the modalities."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from cen.config import Config
from cen.data import AlignedDataset
from cen.errors import ConfigError, did_you_mean
from cen.exchange import inspect
from cen.metrics.frechet import Protocol
from cen.models import ChannelExchangeNetwork, load
from cen.scores import relative_gains
from cen.training.file_units import FileUnit, compared, file_units
from cen.training.generation.image_scores import (
    feature_network,
    image_facts,
    refuse_image_options,
)
from cen.training.generator_statistics import GeneratorMode
from cen.training.json_files import first_process, write_json
from cen.training.machine import check_machine
from cen.training.partial_labels import known_targets
from cen.training.sample_panels import write_panels
from cen.training.scoring_pass import score_network
from cen.training.setup import check_normals, metadata, open_dataset


def evaluate(
    run: str | Path,
    split: Literal["test", "validation"] = "test",
    *,
    all_subsets: bool = True,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    panels: int = 6,
    features: str | None = "auto",
    features_weights: str | Path | None = None,
    protocol: Protocol = "clean",
    generator_mode: GeneratorMode | None = None,
    single: Mapping[str, str | Path] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Evaluates the network of a run on the data it was configured for.

    Writes RUN/evaluation.json and RUN/panels. Nothing else in the program reads a test split.

    Args:
        run: the run folder; its best checkpoint is used, or the last where there is none.
        split: "test" or "validation".
        all_subsets: also every proper subset of the modalities, in the same pass over the data.
        scales: see :func:`score_network`.
        flip: see :func:`score_network`.
        panels: how many samples are kept as pictures.
        features: feature network for the distances of image outputs: "inception" (FID and KID),
            "efficientnet_lite0", None for no distances, or "auto": the latter where its weights are
            installed and there is an image output.
        features_weights: file or URL of its weights, see :func:`cen.metrics.load_features`.
        protocol: how images become pictures for it, see :func:`cen.metrics.to_bytes`.
        generator_mode: how the network is run, see :func:`cen.training.generating`; None for what
            the configuration says. It stands beside every figure.
        single: run folders of single-task networks by output; they are scored in the same way, and
            the ensemble with all modalities is compared with theirs, see
            :func:`cen.scores.relative_gains`.
        overrides: dotted keys of the configuration to change, such as "data.root" or
            "train.devices".

    Returns:
        What evaluation.json holds: ``{"split", "samples", "classes", "palette", "scores": {subset
        joined by "+": {output: {"ensemble", "streams", "alpha"}}}}`` (scores as named in
        :data:`cen.scores.SCORES`; ``kid`` is KID times 100); with ``single`` also
        ``"single"``: ``{"delta_m", "gains": {output: share}, "outputs": how many the network has,
        "runs": {output: folder}, "scores": {output: scores of its ensemble}}``.

    Raises:
        CheckpointError: the run holds no network.
        ConfigError: the data have other classes than the network, or a single-task run cannot be
            compared.
        DataError: a file of the data set cannot be used.
    """
    run = Path(run)
    config, net, dataset = _opened(run, split, overrides)
    _check_single(net, config, single or {}, overrides)
    refuse_image_options(net, features, features_weights, protocol, generator_mode)
    mode = generator_mode or config.train.generator_mode
    units = file_units(net.outputs, dataset.targets)
    network = feature_network(features, features_weights, compared(net.outputs, units))
    scores = score_network(
        net,
        dataset,
        which=None if all_subsets else [tuple(net.inputs)],
        scales=scales,
        flip=flip,
        generator_mode=mode,
        features=network,
        protocol=protocol,
        batch_size=config.train.batch_size,
        workers=config.data.workers,
        accelerator=config.train.accelerator,
        devices=config.train.devices,
    )
    how = {"scales": scales, "flip": flip, "generator_mode": generator_mode}
    alone = {
        name: _ensemble_of(Path(other), name, split, overrides, how)
        for name, other in (single or {}).items()
    }
    result = {
        "split": split,
        "samples": len(dataset),
        "step": net.metadata.get("step"),
        "scales": list(scales),
        "flip": flip,
        **_facts(net, dataset, units),
        **image_facts(net, mode, network, protocol),
        "scores": scores,
    }
    if first_process():
        # Before the comparison, which may find that no gain is defined: the scores are kept.
        write_json(run / "evaluation.json", result)
        write_panels(run / "panels", net, dataset, panels, mode)
    if single:
        result["single"] = _compare(scores["+".join(net.inputs)], alone, single)
        if first_process():
            write_json(run / "evaluation.json", result)
    return result


def _opened(
    run: Path, split: Literal["test", "validation"], overrides: Mapping[str, Any] | None
) -> tuple[Config, ChannelExchangeNetwork, AlignedDataset]:
    """The configuration, the network and the data of a run, after all checks of the three."""
    config = Config.load(run / "config.yaml", overrides, of_run=True)
    check_machine(config.train.accelerator, config.train.devices)
    net = load(run)
    dataset = open_dataset(config, split)
    if len(dataset) < config.train.devices:
        raise ConfigError(
            f"train.devices: {config.train.devices}, but the {split} split has {len(dataset)} "
            "samples; give as many or fewer"
        )
    check_normals(net.metadata, dataset)
    known_targets(dataset)
    _check_classes(net, {n: c.names for n, c in dataset.labels.items()}, config.data.root)
    return config, net, dataset


def _facts(
    net: ChannelExchangeNetwork, dataset: AlignedDataset, units: Mapping[str, FileUnit]
) -> dict[str, Any]:
    """What stands in every evaluation beside the scores; ``units`` in sentences."""
    known, found = metadata(dataset), inspect(net)
    told = {name: unit.text(name) for name, unit in units.items()}
    return {
        **({"exchange_rate": found.rate} if found.layers else {}),
        **({"units": told} if told else {}),
        "classes": known["classes"],
        "palette": known["palette"],
    }


def _check_classes(
    net: ChannelExchangeNetwork, classes: Mapping[str, tuple[str, ...]], root: str
) -> None:
    for name, task in net.outputs.items():
        if task.classes is None:
            continue
        found, known = tuple(classes[name]), tuple(task.classes)
        if known != found:
            raise ConfigError(
                f"{root} has the {len(found)} classes {', '.join(found[:4])}, …, but the network "
                f"was trained for {len(known)}: {', '.join(known[:4])}, …; name the data set it "
                f"was trained for with --data.root"
            )


def _check_single(
    net: ChannelExchangeNetwork,
    config: Config,
    single: Mapping[str, str | Path],
    overrides: Mapping[str, Any] | None,
) -> None:
    """Refuses single-task runs that cannot be compared, before anything is computed.

    Warns of those that differ in data or length, and so in more than the number of tasks.
    """
    for name, run in single.items():
        if name not in net.outputs:
            hint = did_you_mean(name, net.outputs)
            raise ConfigError(
                f"--single {name}={run}: no output of the network{hint}; it has"
                f" {', '.join(net.outputs)}"
            )
        other = load(run)
        if name not in other.outputs or not other.outputs[name].same_kind(net.outputs[name]):
            raise ConfigError(
                f"--single {name}={run}: that network predicts {', '.join(other.outputs)}; name a"
                f" run that predicts {name}, of kind {net.outputs[name].kind}"
            )
        if len(other.outputs) > 1:
            raise ConfigError(
                f"--single {name}={run}: that network predicts {', '.join(other.outputs)}; name a"
                f" run that predicts {name} alone"
            )
        task, own = other.outputs[name], net.outputs[name]
        if (task.channels, task.classes) != (own.channels, own.classes):
            raise ConfigError(
                f"--single {name}={run}: that network was trained for {task.channels} channels or"
                f" classes and this one for {own.channels}, or under other names; name a run on"
                " the same data"
            )
        theirs = Config.load(Path(run) / "config.yaml", overrides, of_run=True)
        differing = [
            key
            for key, mine, other_value in (
                ("data.layout", config.data.layout, theirs.data.layout),
                ("data.root", config.data.root, theirs.data.root),
                ("data.options", config.data.options, theirs.data.options),
                ("train steps", config.train.max_steps, theirs.train.max_steps),
            )
            if mine != other_value
        ]
        if differing:
            warnings.warn(
                f"--single {name}={run}: differs in {', '.join(differing)}, so Δ_m says more than"
                " what the tasks do for each other",
                stacklevel=3,
            )


def _ensemble_of(
    run: Path,
    output: str,
    split: Literal["test", "validation"],
    overrides: Mapping[str, Any] | None,
    how: Mapping[str, Any],
) -> dict[str, Any]:
    """Scores of the ensemble of another run on its own data, with all its modalities."""
    config = Config.load(run / "config.yaml", overrides, of_run=True)
    net = load(run)
    mode = how["generator_mode"] or config.train.generator_mode
    dataset = open_dataset(config, split)
    check_normals(net.metadata, dataset)
    scores = score_network(
        net,
        dataset,
        which=[tuple(net.inputs)],
        batch_size=config.train.batch_size,
        workers=config.data.workers,
        accelerator=config.train.accelerator,
        devices=config.train.devices,
        **{**how, "generator_mode": mode},
    )
    found: dict[str, Any] = scores["+".join(net.inputs)][output]["ensemble"]
    return found


def _compare(
    scores: Mapping[str, Any], alone: Mapping[str, Any], runs: Mapping[str, str | Path]
) -> dict[str, Any]:
    """The network against single-task networks, by the main score of each output."""
    gains = relative_gains({name: entry["ensemble"] for name, entry in scores.items()}, alone)
    return {
        "delta_m": sum(gains.values()) / len(gains),
        "gains": gains,
        "outputs": len(scores),
        "runs": {name: str(run) for name, run in runs.items()},
        "scores": dict(alone),
    }
