"""The ``train`` part of a configuration: how the network is trained."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from cen.errors import ConfigError, described, did_you_mean
from cen.fetching import is_url
from cen.options.constraints import Amount, Count, Share, Within

AGGREGATORS = ("UPGrad", "DualProj", "MGDA", "PCGrad", "AlignedMTL", "IMTLG", "Mean", "Random")
"""Aggregators of TorchJD that make weights of the Gramian of the gradients alone."""

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
    """Refuses a weighting that is unknown or cannot be used, with the reason."""
    weightings = ("fixed", "uncertainty", *AGGREGATORS)
    name = name if isinstance(name, str) else described(name)
    if name in weightings:
        return
    if name in _REFUSED:
        raise ConfigError(
            f"train.weighting: {name} of TorchJD {_REFUSED[name]}; use {', '.join(AGGREGATORS)}"
        )
    same = [word for word in weightings if word.lower() == name.lower()]
    hint = did_you_mean(same[0] if same else name, weightings)
    raise ConfigError(
        f"train.weighting: no weighting {name!r}{hint}; known: {', '.join(weightings)}"
    )


Compiling = Literal["auto", "cuda_graphs"] | bool
LoggerName = Literal["csv", "tensorboard", "wandb", "mlflow"]


@dataclass
class Stage:
    """One stage of a staged schedule: constant rates and a fresh optimiser.

    The released recipe has three, each with a new SGD (no momentum carried over).

    Attributes:
        steps: Length of the stage in optimiser steps.
        encoder_lr: Learning rate of the encoder.
        decoder_lr: Learning rate of the decoder, the heads and α.
    """

    steps: Count = 1000
    encoder_lr: Amount = 5e-4
    decoder_lr: Amount = 3e-3


@dataclass
class TrainConfig:
    """How the network is trained. Everything is counted in optimiser steps.

    Attributes:
        start: A run folder or a file of ``cen.save`` whose network training starts from: every
            weight that fits is kept, while classes, inputs and outputs may be others
            (docs/training.md); null: ``model.weights`` alone.
        steps: Length of the run; null: the sum of ``stages``. Fewer than that stops early.
        batch_size: Samples per step, over all devices together; with ``accumulate`` of one piece.
        accumulate: Pieces of ``batch_size`` samples that make one step, one after the other, where
            the whole does not fit into memory. Batch norms see each piece for itself.
        optimizer: The optimiser; its state is fresh at the start and at every stage.
        encoder_lr: Learning rate of the encoder.
        decoder_lr: Learning rate of the decoder, the heads and α.
        momentum: Momentum of SGD; the first β of Adam.
        weight_decay: Weight decay (docs/training.md says of which parameters).
        norm_decay: Whether it applies to the scales and shifts of norms, too; recipes of
            transformers leave them out.
        schedule: How the rates fall: ``poly`` (power 0.9), ``cosine``, ``constant``, or
            ``staged``, which follows ``stages``.
        stages: The stages of schedule ``staged``.
        warmup: Steps in which the rates rise linearly to their value.
        sparsity: λ, the weight of the ℓ1 penalty on the scales, counted once per step.
        sparsity_warmup: The share of the run, from its start, over which λ rises from 0.
        alignment: Weight of the loss that ``model.fusion: align`` adds; nothing else reads it.
        token_sparsity: Weight of the mean score of all tokens, which ``model.fusion: tokenfusion``
            adds; nothing else reads it.
        exchange_rate: Share of own channels that shall be exchanged at the end: λ is then steered
            to it instead of staying fixed (this project's extension); null: λ stays.
        exchange_rate_by: When ``exchange_rate`` is reached: after this share of the run, counted in
            the learning rates of its steps added up. 0.3 is 30 % of the steps where the rate is
            constant, and the first 17 % under ``poly``, which begins with large ones. Scales that
            do not get there by themselves are set there a quarter of that time later. Read with
            ``exchange_rate`` alone.
        freeze_statistics: The encoder's norms keep the running statistics they start with, as in
            the released segmentation runs; only sensible with pretrained weights.
        freeze_encoder: Nothing of the encoder learns, neither scales nor private stems, and its
            norms keep their statistics; the exchange there stays as it is. Needs ``model.weights``
            or ``start``.
        patience: Validations without a better score after which training ends early; null: never.
        modality_dropout: Probability with which a step leaves out modalities at random, so that
            the network learns to do without them (this project's extension).
        robust: Every step learns from its batch twice, with all modalities and without some of
            them, drawn at random, so that any of them may be missing later (this project's
            extension). With two, a step has half as many multiply-adds again.
        clip_norm: Greatest norm of the gradient; null: not clipped.
        class_weights: One weight per class in the loss of segmentations; null: all 1.
        weighting: How the losses of several outputs are weighed: ``fixed`` (``weight`` of each),
            ``uncertainty`` (learned), or a gradient aggregator of TorchJD by name, such as
            ``UPGrad`` or ``PCGrad`` (docs/multitask.md).
        every_output: Each batch holds ground truth for every output, for data where some samples
            have none for some; a sample may then be read more than once in an epoch.
        balance_classes: Samples are drawn by class, so that each class of the segmentations comes
            up equally often, in place of each sample once per epoch; every label map is read once
            before.
        adversarial: Discriminators for the outputs of kind image, and the form of their loss:
            ``bce`` (released) or ``least_squares``; ``none``: no discriminator.
        l1: Weight of the absolute error of images beside the adversarial loss.
        cycle_weight: Weight of the cycle term of model.name cycle; 0: the directions are merely
            trained together.
        generator_mode: How a generator is evaluated: ``eval``: without dropout, with running
            statistics if it keeps any; ``instance``: with those of the image at hand;
            ``released``: these and dropout, as the released code did.
        precision: Number format, as Lightning names it.
        compile: Training steps run the network compiled by ``torch.compile``, the same up to
            rounding, after a minute or more of compiling; ``auto``: on a CUDA GPU, in runs of at
            least 5,000 steps; ``cuda_graphs``: on such a GPU, and with the kernels of a pass
            launched at once, for networks so small that launching takes longer than computing
            (docs/training.md).
        accelerator: ``cpu``, ``gpu``, or ``auto``: a GPU where there is one.
        devices: Number of GPUs, or of CPU processes; with ``nodes`` of each machine.
        nodes: Number of machines, on each of which srun or torchrun starts the command
            (docs/several-machines.md).
        strategy: How several processes share the work: ``ddp``: each has the whole network;
            ``fsdp``: the weights of convolutions and linear layers are dealt out to them, for
            networks that do not fit into the memory of one (FSDP2); ``auto``: ``ddp``.
        loggers: Where figures go, by name: ``csv`` (metrics.csv, of which reports and tables are
            made), ``tensorboard``, ``wandb``, ``mlflow`` (docs/training.md).
        log_every: Steps from one line of metrics.csv to the next.
        validate_every: Steps from one validation to the next.
        checkpoint_every: Steps from one resumable checkpoint to the next.
    """

    start: str | None = None
    steps: Count | None = 1000
    batch_size: Annotated[int, Within(1, 1000000)] = 8
    accumulate: Annotated[int, Within(1, 10000)] = 1
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    encoder_lr: Amount = 1e-3
    decoder_lr: Amount = 1e-3
    momentum: Share = 0.9
    weight_decay: Amount = 0.0
    norm_decay: bool = True
    schedule: Literal["poly", "cosine", "staged", "constant"] = "poly"
    stages: list[Stage] = field(default_factory=list)
    warmup: Annotated[int, Within(0)] = 0
    sparsity: Amount = 1e-3
    sparsity_warmup: Share = 0.0
    alignment: Amount = 0.1
    token_sparsity: Amount = 1.0
    exchange_rate: Share | None = None
    exchange_rate_by: Annotated[float, Within(0.05, 0.9)] = 0.3
    freeze_statistics: bool = False
    freeze_encoder: bool = False
    patience: Count | None = None
    modality_dropout: Share = 0.0
    robust: bool = False
    clip_norm: Annotated[float, Within(1e-12)] | None = None
    class_weights: list[Amount] | None = None
    weighting: str = "fixed"
    every_output: bool = False
    balance_classes: bool = False
    adversarial: Literal["none", "bce", "least_squares"] = "none"
    l1: Amount = 100.0
    cycle_weight: Amount = 10.0
    generator_mode: Literal["eval", "instance", "released"] = "eval"
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "64-true"] = "32-true"
    compile: Compiling = "auto"
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: Annotated[int, Within(1, 1024)] = 1
    nodes: Annotated[int, Within(1, 10000)] = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    loggers: list[LoggerName] = field(default_factory=lambda: ["csv", "tensorboard"])
    log_every: Count = 10
    validate_every: Count = 200
    checkpoint_every: Count = 200

    @property
    def processes(self) -> int:
        """How many train together, on all machines."""
        return self.nodes * self.devices

    @property
    def samples_per_step(self) -> int:
        """Samples of one optimiser step, over all pieces and devices."""
        return self.batch_size * self.accumulate

    @property
    def dropped_share(self) -> float:
        """The share of steps in which the network also, or only, sees some of its modalities."""
        return 1.0 if self.robust else self.modality_dropout

    def passes(self, inputs: int) -> float:
        """What the passes of a sample cost in the mean, over one with all of its ``inputs``.

        The proper subsets, which are equally likely, have half of the inputs in the mean.
        """
        if inputs == 1:
            return 1.0
        return 1.5 if self.robust else 1 - self.modality_dropout / 2

    @property
    def max_steps(self) -> int:
        """Steps of the whole run: ``steps``, or where it is null the sum of the stages."""
        return self.steps if self.steps is not None else sum(s.steps for s in self.stages)

    def check(self) -> None:
        """Refuses what no single key shows.

        Raises:
            ConfigError: Naming the key, its value and what would be right.
        """
        check_weighting(self.weighting)
        if is_url(self.start):
            raise ConfigError("train.start: is a URL; download the file and name what you got")
        if self.sparsity_warmup and self.exchange_rate is not None:
            raise ConfigError(
                "train.sparsity_warmup: is not for train.exchange_rate, which steers λ itself; "
                "leave one of them out"
            )
        if (self.schedule == "staged") != bool(self.stages):
            raise ConfigError(
                "train.stages: must be given with train.schedule staged, and only then"
            )
        if self.steps is None and not self.stages:
            raise ConfigError(
                "train.steps: is null; give a number, or train.stages that add up to one"
            )
        if self.stages and self.max_steps > sum(stage.steps for stage in self.stages):
            raise ConfigError("train.steps: is more than train.stages add up to; lengthen a stage")
        if self.exchange_rate is not None and self.freeze_encoder:
            raise ConfigError(
                "train.exchange_rate: needs scales that move, and train.freeze_encoder keeps those "
                "of the encoder; leave one of them out"
            )
        if self.every_output and self.balance_classes:
            raise ConfigError(
                "train.balance_classes: draws samples by class, which train.every_output changes; "
                "leave one of them out"
            )
        if len(set(self.loggers)) < len(self.loggers):
            raise ConfigError("train.loggers: names one of them twice; leave one out")
        self._check_robust()
        self._check_accumulation()
        self._check_adversarial()

    def _check_robust(self) -> None:
        """Refuses what a step cannot do that learns twice from its batch."""
        if self.robust and self.modality_dropout:
            raise ConfigError(
                "train.robust: leaves modalities out in a pass of its own in every step; set "
                "train.modality_dropout to 0"
            )
        if self.robust and self.adversarial != "none":
            raise ConfigError("train.robust: is not for adversarial training; say false")
        if self.robust and self.compile == "cuda_graphs":
            raise ConfigError(
                "train.compile: cuda_graphs runs a network once per step, and train.robust twice; "
                "say true"
            )

    def _check_accumulation(self) -> None:
        """Refuses what needs the gradient of a whole batch at once."""
        if self.accumulate > 1 and self.compile == "cuda_graphs":
            raise ConfigError(
                "train.compile: cuda_graphs keeps the gradients of one pass alone, and "
                "train.accumulate adds those of several; say true"
            )
        if self.accumulate > 1 and self.adversarial != "none":
            raise ConfigError("train.accumulate: is not for adversarial training; leave it out")
        if self.accumulate > 1 and self.weighting not in ("fixed", "uncertainty"):
            raise ConfigError(
                f"train.accumulate: is not for train.weighting {self.weighting}, which compares the"
                " gradients of a whole batch; say fixed or uncertainty, or leave it out"
            )

    def _check_adversarial(self) -> None:
        """Refuses what training against discriminators cannot do."""
        if self.adversarial != "none" and self.clip_norm is not None:
            raise ConfigError("train.clip_norm: is not for adversarial training; leave it out")
        if self.adversarial != "none" and self.weighting != "fixed":
            raise ConfigError(
                f"train.weighting: {self.weighting}, but adversarial training takes fixed weights "
                "only"
            )

    def check_devices(self) -> None:
        """Refuses a batch that cannot be dealt out to the devices; evaluation needs no such batch.

        Raises:
            ConfigError: Naming the keys.
        """
        if self.batch_size % self.processes:
            raise ConfigError(
                f"train.batch_size {self.batch_size} cannot be dealt out evenly to {self.processes}"
                " devices; it is counted over all of them together, so make it a multiple of them"
            )
        if self.strategy == "fsdp":
            self._check_sharding()

    def _check_sharding(self) -> None:
        """Refuses what is not for weights that are dealt out to processes."""
        reasons = {
            "needs several processes; give train.devices or train.nodes": self.processes == 1,
            "is not for adversarial training; say ddp": self.adversarial != "none",
            f"is not for train.weighting {self.weighting}; say ddp, or fixed or uncertainty": (
                self.weighting not in ("fixed", "uncertainty")
            ),
            "is not for train.precision 16-mixed; say bf16-mixed": self.precision == "16-mixed",
            "is not for train.compile; leave it out": self.compile is True,
        }
        for reason, holds in reasons.items():
            if holds:
                raise ConfigError(f"train.strategy: fsdp {reason}")
