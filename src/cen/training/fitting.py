"""Training a network from a configuration into a run folder."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import Strategy
from torch.utils.data import Dataset

from cen.config import Config
from cen.conventions import normals_in_doubt
from cen.data import AlignedDataset
from cen.data.tools.training_range import seen_range
from cen.errors import CheckpointError, ConfigError
from cen.fetching import is_url
from cen.files import NETWORKS
from cen.launch import check_processes, is_first
from cen.models import ChannelExchangeNetwork
from cen.models.network_file import read_header
from cen.options.training_options import TrainConfig
from cen.runfiles import check_by_command, way_on
from cen.training.batches import FusionData, reading_in_processes
from cen.training.callbacks import ExchangeMonitor, FiniteLoss, StepLog
from cen.training.data_warnings import warn_of_data
from cen.training.generation.cycle_fusion import feeds_of
from cen.training.loggers import check_loggers, run_loggers
from cen.training.machine import check_batch, check_compile, check_machine
from cen.training.module import DensePrediction
from cen.training.module_choice import training_module
from cen.training.processes import alone, tell_rank, together
from cen.training.resume import LAST, Restored, check_network, read_checkpoint
from cen.training.run_checkpoint import RunCheckpoint, StopAsked, StopRequest
from cen.training.run_progress import RunProgress, progress_shown
from cen.training.runs import claim_run, finish_run, start_run
from cen.training.sample_panels import PanelsInTraining
from cen.training.setup import (
    build_network,
    check_normals,
    metadata,
    open_dataset,
    tasks_of,
)
from cen.training.start import start_from
from cen.training.trainer import make_trainer, quiet
from cen.training.weight_sharding import ShardedStrategy, Sharding


def fit(
    config: Config, run_dir: str | Path, resume: bool = False, *, progress: bool = True
) -> ChannelExchangeNetwork:
    """Trains the network of a configuration on its data and fills the run folder.

    The best checkpoint is chosen on the validation split; the test split is never opened.

    Args:
        config: what to train, on what; see :class:`cen.config.Config`.
        run_dir: the run folder; new or empty unless ``resume``.
        resume: go on with the run in the folder from its last checkpoint, or from the start where
            it was stopped before its first one.
        progress: show a progress bar.

    Returns:
        The network with its last weights.

    Raises:
        ConfigError: the configuration does not fit the data, or the folder is in use.
        CheckpointError: ``resume`` without a run in the folder.
        DataError: a file of the data set cannot be used.
        TrainingError: the loss is no longer finite; the last good checkpoint stays.
        KeyboardInterrupt: the user stopped the run. It was saved and can be resumed.
    """
    _check_options(config)
    if resume:
        check_by_command(Path(run_dir))
    train = open_dataset(config, "train")
    check_batch(config, train)
    validation = open_dataset(config, "validation") if config.data.validation else None
    torch.manual_seed(config.seed)
    tasks = tasks_of(config, train)
    if not resume and is_first():
        warn_of_data(config, run_dir, train)
    data_facts = _said_of(config, train, Path(run_dir) if resume else None)
    feeds = feeds_of(tasks, train.targets) if config.model.name == "cycle" else None
    resumed = resume and (Path(run_dir) / LAST).is_file()
    if resume and not resumed:
        _check_weights(config.model.weights, run_dir)
    net = build_network(config, tasks, feeds, resumed=resumed)
    if config.train.start is not None and not resumed:
        start_from(net, config.train.start, train)
    # Pictures during training, for networks that generate images.
    panels: tuple[Callback, ...] = ()
    if validation is not None and net.generated:
        panels = (PanelsInTraining(Path(run_dir) / "panels", validation),)
    return train_network(
        config,
        run_dir,
        net,
        train,
        validation,
        metadata=data_facts,
        resume=resume,
        progress=progress,
        callbacks=panels,
        called=False,
    )


def _check_options(config: Config) -> None:
    """Refuses what needs no data to be refused."""
    check_machine(config.train.accelerator, config.train.devices, config.train.nodes)
    check_compile(config.train)
    check_loggers(config.train.loggers)
    if config.train.freeze_encoder and not (config.model.weights or config.train.start):
        raise ConfigError(
            "train.freeze_encoder: the encoder would keep random weights; give model.weights, or "
            "train.start (cen train --from RUN)"
        )


def _said_of(config: Config, train: AlignedDataset, resumed: Path | None) -> dict[str, Any]:
    """What checkpoints say of the data beside the weights."""
    data_facts = {
        **metadata(train),
        "seen": seen_range(train),
        "modality_dropout": config.train.dropped_share,
    }
    if resumed is not None and _doubtful(resumed, train):
        # What the run has learnt so far is not in the conventions of this version.
        del data_facts["conventions"]
    return data_facts


def _check_weights(weights: str | None, run_dir: str | Path) -> None:
    if is_url(weights):
        raise ConfigError(
            f"{run_dir} was stopped before its first checkpoint, and its model.weights is a URL "
            f"({weights}), which is not fetched because a file says so; delete the folder and "
            "train again with --model.weights"
        )


def _doubtful(run_dir: Path, train: AlignedDataset) -> bool:
    """Whether a run that is resumed was trained on normals as they were read once."""
    for file in (run_dir / name for name in NETWORKS):
        try:
            stored = read_header(file)["metadata"]
        except CheckpointError:  # there is none yet, or going on does not need it
            continue
        check_normals(stored, train)
        return bool(normals_in_doubt(stored))
    return False


def train_network(
    config: Config,
    run_dir: str | Path,
    net: ChannelExchangeNetwork,
    train: Dataset[Any],
    validation: Dataset[Any] | None,
    *,
    metadata: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: bool = True,
    callbacks: tuple[Callback, ...] = (),
    called: bool = True,
) -> ChannelExchangeNetwork:
    """Like :func:`fit`, for a network and data sets of your own.

    Args:
        config: ``config.train`` and ``config.seed`` say how to train; the rest is only recorded.
        run_dir: the run folder.
        net: the network; trained in place.
        train: samples by (epoch, index) key: dicts of tensors named like inputs and outputs.
        validation: samples by index, or None; then no best checkpoint is kept.
        metadata: what checkpoints say beside the weights.
        resume: go on with the run in the folder.
        progress: show a progress bar.
        callbacks: more Lightning callbacks; they run before the run's own.
        called: network and data are the caller's, so that ``cen train --resume`` cannot go on.

    Returns:
        ``net``.

    Raises:
        CenError: as :func:`fit` does.
    """
    run_dir = Path(run_dir)
    check_processes(config.train.nodes, config.train.devices)
    config.train.check_devices()
    sharded = config.train.strategy == "fsdp"
    # FSDP2 leaves its hooks in what it was given.
    module = training_module(config, copy.deepcopy(net) if sharded else net)
    data = FusionData(
        train,
        validation,
        batch_size=config.train.samples_per_step,
        scored=config.train.batch_size,
        steps=config.train.max_steps,
        seed=config.seed,
        workers=config.data.workers,
        outputs=net.outputs,
        every_output=config.train.every_output,
        balanced=config.train.balance_classes,
        whole=net.cyclic,
    )
    # What is refused up to here leaves no folder behind.
    with claim_run(run_dir, resume):
        start_run(config, run_dir, resume, called)
        more = (Sharding(net, config.train.clip_norm), *callbacks) if sharded else callbacks
        _train(config, run_dir, module, data, metadata or {}, resume, progress, more)
    return net


def _train(
    config: Config,
    run_dir: Path,
    module: DensePrediction,
    data: FusionData,
    metadata: Mapping[str, Any],
    resume: bool,
    progress: bool,
    callbacks: tuple[Callback, ...],
) -> None:
    """Runs the trainer in a folder that is this process's own."""
    how, last, restored = config.train, run_dir / LAST, Restored()
    resume_step = _step_of(run_dir, module, how.max_steps) if resume and last.exists() else 0
    if resume_step and how.precision == "64-true":
        module.double()  # as Lightning does, but behind the checkpoint's weights, which it rounds
    finite, stop = FiniteLoss(how.log_every), StopRequest()
    watchers = [
        *callbacks,
        restored,
        finite,
        StepLog(how.log_every),
        ExchangeMonitor(run_dir, how.log_every, how.max_steps, how.checkpoint_every, resume_step),
        *([progress_shown(how.log_every)] if progress else []),
        RunCheckpoint(
            run_dir,
            every=how.checkpoint_every,
            validate_every=None if data.validation is None else how.validate_every,
            patience=how.patience,
            metadata=metadata,
            finite=finite,
            stop=stop,
        ),
    ]
    tell_rank()
    loggers = run_loggers(run_dir, how.loggers, resume_step, config.to_dict())
    trainer = _trainer(how, run_dir, watchers, loggers, data.validation is not None)

    def reached() -> int:
        # A run that is resumed stands at its last step before the trainer has read that.
        return max(resume_step, trainer.global_step)

    def left(asked: bool) -> None:
        finish_run(run_dir, "interrupted" if asked else "failed", reached(), always=True)

    with (
        _end_noted(run_dir, how.max_steps, reached),
        stop.listening(),
        quiet(),
        together(trainer, left),
        reading_in_processes(),
        restored.restoring(run_dir, bool(resume_step)),
    ):
        trainer.fit(
            module,
            datamodule=data,
            ckpt_path=last if resume_step else None,
            weights_only=True if resume_step else None,
        )


def _step_of(run_dir: Path, module: DensePrediction, steps: int) -> int:
    """The step that a run is resumed from, after a check that its network and length allow it."""
    content = read_checkpoint(run_dir)
    check_network(run_dir, content, module)
    done = int(content["global_step"])
    if steps < done:
        raise ConfigError(
            f"train.steps: {steps}, but the run in {run_dir} has done {done}; give more"
        )
    return done


@contextmanager
def _end_noted(run_dir: Path, steps: int, reached: Callable[[], int]) -> Iterator[None]:
    """Notes in run.json how the training ended, and says how to go on with one that was stopped."""
    status = "failed"
    try:
        yield
        status = "finished"
    except StopAsked:
        status = "interrupted"
        raise KeyboardInterrupt(
            f"stopped after step {reached()} of {steps}; go on with: {way_on(run_dir)}"
        ) from None
    except (SystemExit, KeyboardInterrupt):  # the former is what Lightning makes of the latter
        if not is_first():
            raise
        status = "interrupted"
        saved = (run_dir / LAST).is_file()
        way = "go on from the last checkpoint" if saved else "nothing was saved, begin again"
        raise KeyboardInterrupt(
            f"aborted in step {reached()} of {steps}; {way} with: {way_on(run_dir)}"
        ) from None
    finally:
        # Where the first process was killed, another one notes it.
        finish_run(run_dir, status, reached(), always=alone())


def _strategy(how: TrainConfig) -> str | Strategy:
    if how.processes == 1:
        return "auto"
    if how.strategy == "fsdp":
        return ShardedStrategy()
    # Neither of the two losses of an adversarial step reaches all parameters, and a step without
    # some modality leaves the private stem of that modality without gradient.
    unused = how.adversarial != "none" or how.modality_dropout
    return "ddp_find_unused_parameters_true" if unused else "ddp"


def _trainer(
    how: TrainConfig,
    run_dir: Path,
    callbacks: list[Callback],
    loggers: list[Logger],
    validates: bool,
) -> Trainer:
    return make_trainer(
        how.accelerator,
        how.devices,
        how.nodes,
        _strategy(how),
        precision=how.precision,
        max_steps=how.max_steps,
        val_check_interval=how.validate_every,
        check_val_every_n_epoch=None,
        limit_val_batches=None if validates else 0,
        num_sanity_val_steps=0,
        gradient_clip_val=None if how.strategy == "fsdp" else how.clip_norm,
        logger=loggers,
        callbacks=callbacks,
        enable_progress_bar=any(isinstance(callback, RunProgress) for callback in callbacks),
        # Nothing goes through Lightning's own logging; this only silences its advice about it.
        log_every_n_steps=1,
        default_root_dir=run_dir,
    )
