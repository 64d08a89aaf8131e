"""Evaluation of a run: every stream, the ensemble, every subset of the modalities."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from cen.config import Config
from cen.data import AlignedDataset
from cen.data.data_identity import data_digest, data_identity
from cen.errors import ConfigError, did_you_mean
from cen.exchange import inspect
from cen.files import write_json
from cen.folding import FoldedNetwork
from cen.launch import is_first, launched
from cen.metrics.frechet import Protocol
from cen.models import ChannelExchangeNetwork, load
from cen.predict.tiles import Tile
from cen.predict.views import Views
from cen.scores import relative_gains
from cen.training.file_units import compared, file_units
from cen.training.generation.image_scores import (
    feature_network,
    image_facts,
    refuse_image_options,
)
from cen.training.generator_statistics import GeneratorMode
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
    tile: Tile = None,
    panels: int = 6,
    features: str | None = "auto",
    features_weights: str | Path | None = None,
    protocol: Protocol = "clean",
    generator_mode: GeneratorMode | None = None,
    single: Mapping[str, str | Path] | None = None,
    overrides: Mapping[str, Any] | None = None,
    fold: bool = False,
) -> dict[str, Any]:
    """Evaluates the network of a run on the data it was configured for.

    Writes RUN/evaluation.json and RUN/panels. Nothing else in the program reads a test split.

    Args:
        run: the run folder; its best checkpoint is used, or the last where there is none.
        split: "test" or "validation".
        all_subsets: also every proper subset of the modalities, in the same pass over the data.
        scales: see :func:`score_network`.
        flip: see there.
        tile: see there.
        panels: how many samples are kept as pictures.
        features: feature network for the distances of image outputs: "inception" (FID and KID),
            "efficientnet_lite0", None for no distances, or "auto": the latter where its weights are
            installed and there is an image output.
        features_weights: file or URL of its weights, see :func:`cen.metrics.load_features`.
        protocol: how images become pictures for it, see :func:`cen.metrics.to_bytes`.
        generator_mode: see :func:`cen.training.generating`; None for what the configuration says.
        single: run folders of single-task networks by output, whose ensembles the network's is
            compared with, see :func:`cen.scores.relative_gains`.
        overrides: dotted keys of the configuration to change, such as "data.root".
        fold: compute once what exchange made common, see :func:`cen.fold`.

    Returns:
        What evaluation.json holds, see :class:`cen.runfiles.Evaluation`.

    Raises:
        CheckpointError: the run holds no network.
        ConfigError: the data have other classes than the network, a single-task run cannot be
            compared, or statistics of images cannot be folded.
        DataError: a file of the data set cannot be used.
    """
    run = Path(run)
    config, net, dataset = _opened(run, split, overrides)
    _check_single(net, config, single or {}, overrides)
    refuse_image_options(net, features, features_weights, protocol, generator_mode)
    compares = compared(net.outputs, file_units(net.outputs, dataset.targets))
    network = feature_network(features, features_weights, compares)
    mode = generator_mode or config.train.generator_mode
    if fold and mode != "eval":
        raise ConfigError(
            f"fold: generator mode {mode} takes statistics of the image, which cannot be folded; "
            "leave it out, or take generator mode eval"
        )
    tiles = {} if tile is None else {"tile": tile}
    how: dict[str, Any] = {"scales": list(scales), "flip": flip, **tiles}
    facts = how | _facts(net, dataset, config) | image_facts(net, mode, network, protocol)
    scored = FoldedNetwork(net).net if fold else net
    scores = _scorer(config)(
        scored,
        dataset,
        which=None if all_subsets else [tuple(net.inputs)],
        generator_mode=mode,
        features=network,
        protocol=protocol,
        **how,
    )
    result = {"split": split, **facts, "scores": scores}
    if is_first():
        # Before the comparison, which may find that no gain is defined: the scores are kept.
        write_json(run / "evaluation.json", result)
        without = all_subsets and not net.cyclic
        views = Views(tile, tuple(scales), flip)
        write_panels(run / "panels", net, dataset, panels, mode, without, views)
    if single:
        how |= {"split": split, "overrides": overrides, "generator_mode": generator_mode}
        result["single"] = _compare(scores["+".join(net.inputs)], single, **how)
        if is_first():
            write_json(run / "evaluation.json", result)
    return result


def _scorer(config: Config) -> Callable[..., dict[str, dict[str, Any]]]:
    """`score_network` on the machine that a configuration names."""
    how = config.train
    return partial(
        score_network,
        batch_size=how.batch_size,
        workers=config.data.workers,
        accelerator=how.accelerator,
        devices=how.devices,
        nodes=_nodes(config),
    )


def _opened(
    run: Path, split: Literal["test", "validation"], overrides: Mapping[str, Any] | None
) -> tuple[Config, ChannelExchangeNetwork, AlignedDataset]:
    """The configuration, the network and the data of a run, after all checks of the three."""
    config = Config.load(run / "config.yaml", overrides, of_run=True)
    how = config.train
    check_machine(how.accelerator, how.devices, _nodes(config))
    net = load(run)
    dataset = open_dataset(config, split)
    if len(dataset) < (count := how.devices * _nodes(config)):
        raise ConfigError(
            f"train.devices: {count}, but the {split} split has {len(dataset)} samples; give as "
            "many or fewer"
        )
    check_normals(net.metadata, dataset)
    known_targets(dataset)
    _check_classes(net, dataset, config.data.root)
    return config, net, dataset


def _nodes(config: Config) -> int:
    """Machines that evaluate: this one alone, unless a command was started on each of them."""
    return config.train.nodes if launched() is not None else 1


def _facts(net: ChannelExchangeNetwork, dataset: AlignedDataset, config: Config) -> dict[str, Any]:
    """What stands in every evaluation beside the scores; units in sentences."""
    data, exchange = metadata(dataset), inspect(net)
    units = file_units(net.outputs, dataset.targets)
    return {
        "root": config.data.root,
        "data": data_digest(data_identity(config.data.root, config.data.layout)),
        "samples": len(dataset),
        "step": net.metadata.get("step"),
        **({"exchange_rate": exchange.rate} if exchange.layers else {}),
        **({"units": {name: unit.text(name) for name, unit in units.items()}} if units else {}),
        "classes": data["classes"],
        "palette": data["palette"],
    }


def _check_classes(net: ChannelExchangeNetwork, dataset: AlignedDataset, root: str) -> None:
    for name, task in net.outputs.items():
        if task.classes is None:
            continue
        names, own = tuple(dataset.labels[name].names), tuple(task.classes)
        if own != names:
            raise ConfigError(
                f"{root} has the {len(names)} classes {', '.join(names[:4])}, …, but the network "
                f"was trained for {len(own)}: {', '.join(own[:4])}, …; give the data set it "
                "was trained for as data.root"
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
        place = f"--single {name}={run}"
        if name not in net.outputs:
            hint = did_you_mean(name, net.outputs)
            raise ConfigError(
                f"{place}: no output of the network{hint}; it has {', '.join(net.outputs)}"
            )
        outputs, own = load(run).outputs, net.outputs[name]
        task = outputs.get(name)
        if task is None or not task.same_kind(own) or len(outputs) > 1:
            condition = "alone" if len(outputs) > 1 else f"of kind {own.kind}"
            raise ConfigError(
                f"{place}: that network predicts {', '.join(outputs)}; name a run that predicts "
                f"{name}, {condition}"
            )
        if (task.channels, task.classes) != (own.channels, own.classes):
            raise ConfigError(
                f"{place}: that network was trained for {task.channels} channels or classes and "
                f"this one for {own.channels}, or under other names; name a run on the same data"
            )
        theirs = Config.load(Path(run) / "config.yaml", overrides, of_run=True)
        own_facts, others = _setting(config), _setting(theirs)
        if differing := [key for key, value in own_facts.items() if others[key] != value]:
            warnings.warn(
                f"{place}: differs in {', '.join(differing)}, so Δ_m says more than what the tasks "
                "do for each other",
                stacklevel=3,
            )


def _setting(config: Config) -> dict[str, Any]:
    """What runs have in common that are compared."""
    data = {f"data.{key}": getattr(config.data, key) for key in ("layout", "root", "options")}
    return {**data, "train steps": config.train.max_steps}


def _compare(
    scores: Mapping[str, Mapping[str, Any]],
    runs: Mapping[str, str | Path],
    *,
    split: Literal["test", "validation"],
    overrides: Mapping[str, Any] | None,
    generator_mode: GeneratorMode | None,
    **how: Any,
) -> dict[str, Any]:
    """The ensembles with all modalities against single-task networks, each on its own data."""
    alone: dict[str, Any] = {}
    for name, run in runs.items():
        config, net, dataset = _opened(Path(run), split, overrides)
        mode = generator_mode or config.train.generator_mode
        full = tuple(net.inputs)
        single_scores = _scorer(config)(net, dataset, which=[full], generator_mode=mode, **how)
        alone[name] = single_scores["+".join(full)][name]["ensemble"]
    gains = relative_gains({name: entry["ensemble"] for name, entry in scores.items()}, alone)
    return {
        "delta_m": sum(gains.values()) / len(gains),
        "gains": gains,
        "outputs": len(scores),
        "runs": {name: str(run) for name, run in runs.items()},
        "scores": alone,
    }
