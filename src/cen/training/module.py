"""Training a channel exchanging network for dense prediction, as a Lightning module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from cen import exchange
from cen.errors import ConfigError
from cen.losses import fusion_loss
from cen.models import ChannelExchangeNetwork, Output
from cen.optim import OptimizerName, Schedule, build_optimizer, param_groups
from cen.training.rate import RateController
from cen.training.rows import absent_rows, kept
from cen.training.scoring import FusionScores, subsets

Batch = Mapping[str, Any]


class DensePrediction(LightningModule):
    """Loss, optimiser and validation of a network with named inputs and outputs.

    The loss is the sum over outputs of the losses of every stream and of the ensemble (paper,
    section 2.5 of the method) plus λ times :func:`cen.sparsity`. The penalty is added once per
    step, whatever the number of outputs and streams; the released code adds it once per output.

    Everything random in a step follows from (seed, step, rank), so that a resumed run repeats what
    an uninterrupted one does.

    Args:
        net: the network.
        schedule: learning rates; also says how many steps the run has.
        optimizer: "sgd", "adam" or "adamw".
        momentum: SGD momentum or Adam's first beta.
        weight_decay: weight decay.
        decay_scales: whether scales, shifts and biases decay too, see :func:`cen.param_groups`.
        sparsity: λ; with ``exchange_rate`` the weight that the controller starts from.
        exchange_rate: wished exchange rate at the end, see :class:`RateController`; or None.
        class_weights: one weight per class in the cross-entropy of every output, or None.
        modality_dropout: probability that a step runs with a random proper subset of the
            modalities, all non-empty ones being equally likely (this project's extension).
        freeze_statistics: norms keep their running statistics; scales and shifts still learn.
        seed: seed of the run.

    Raises:
        ConfigError: the class weights do not fit the classes, or ``exchange_rate`` cannot be had.

    Attributes:
        present: modalities of the running step.
        figures: losses, penalty and λ of the last step, as tensors that were not read back.
        validated: scores of the last validation, see :class:`FusionScores`.
        shown: what the progress bar shows.
    """

    def __init__(
        self,
        net: ChannelExchangeNetwork,
        *,
        schedule: Schedule,
        optimizer: OptimizerName = "adam",
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        decay_scales: bool = True,
        sparsity: float = 1e-3,
        exchange_rate: float | None = None,
        class_weights: Sequence[float] | None = None,
        modality_dropout: float = 0.0,
        freeze_statistics: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.net = net
        self.schedule = schedule
        self.optimizer: OptimizerName = optimizer
        self.momentum, self.weight_decay = momentum, weight_decay
        self.decay_scales = decay_scales
        self.sparsity = sparsity
        self.controller: RateController | None = None
        if exchange_rate is not None:
            initial = sparsity or 1e-4
            self.controller = RateController(net, exchange_rate, schedule, initial)
        weights = None if class_weights is None else torch.tensor(class_weights).float()
        for name, task in net.outputs.items():
            if (
                weights is not None
                and task.kind == "segmentation"
                and len(weights) != task.channels
            ):
                raise ConfigError(
                    f"train.class_weights holds {len(weights)} weights, but {name!r} has"
                    f" {task.channels} classes; give one for each"
                )
        self.register_buffer("class_weights", weights, persistent=False)
        self.modality_dropout = modality_dropout
        self.seed = seed
        self.present: tuple[str, ...] = tuple(net.inputs)
        self.scores = FusionScores(tuple(net.inputs), net.outputs)
        self.figures: dict[str, Tensor] = {}
        self.validated: dict[str, dict[str, Any]] = {}
        self.shown: dict[str, float | str] = {}
        if freeze_statistics:
            exchange.freeze_statistics(net)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser, with an encoder and a decoder group."""
        rates = self.schedule.rates(0)
        groups = param_groups(
            self.net,
            rates["encoder"],
            rates["decoder"],
            weight_decay=self.weight_decay,
            decay_scales=self.decay_scales,
        )
        return build_optimizer(groups, self.optimizer, momentum=self.momentum)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seeds the step, draws its modalities, sets its learning rates."""
        step = self.trainer.global_step
        torch.manual_seed(step_seed(self.seed, step, self.global_rank))
        self.present = draw_modalities(
            tuple(self.net.inputs), self.modality_dropout, self.seed, step
        )
        self.schedule.apply(self.trainer.optimizers[0], step)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch; fills ``figures`` with its parts (tensors, not read back)."""
        outputs = self.net({name: batch[name] for name in self.present})
        targets = {name: batch[name] for name in self.net.outputs}
        losses = fusion_loss(outputs, targets, self.net.outputs, self._class_weights())
        terms = self._balance(losses.terms, targets)
        task_loss = torch.stack(list(terms.values())).sum()
        sparsity = self._sparsity()
        if self.controller is None:
            penalty, weight = self.sparsity * sparsity, torch.full_like(sparsity, self.sparsity)
        else:
            penalty, weight = self.controller(self.trainer.global_step, self.present)
        loss = task_loss + penalty
        self.figures = {
            "train/loss": loss.detach(),
            "train/sparsity": sparsity.detach(),
            "lambda": weight.detach(),
            **{f"train/{name}": term.detach() for name, term in terms.items()},
        }
        return loss

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """One step; streams of modalities that are absent in it stay as they are."""
        if len(self.present) == len(self.net.inputs):
            optimizer.step(closure=optimizer_closure)
            return
        rows = absent_rows(self.net, self.present)
        with kept(self.trainer.optimizers[0], rows):
            optimizer.step(closure=optimizer_closure)

    def validation_step(self, batch: Sequence[Batch], batch_idx: int) -> None:
        """Counts one batch, given as groups of samples of one size."""
        for group in batch:
            targets = {name: group[name] for name in self.net.outputs}
            self.scores.update(predict(self.net, group, tuple(self.net.inputs)), targets)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the last validation scores, which the next saved network is labelled with."""
        checkpoint["validated"] = self.validated

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up the last validation scores of the run that is resumed."""
        self.validated = checkpoint["validated"]

    def _class_weights(self) -> dict[str, Tensor]:
        weights = self.class_weights
        if not isinstance(weights, Tensor):
            return {}
        # The losses are computed in float32, also where precision is 64-true.
        return dict.fromkeys(self.scores.tasks, weights.float())

    def _sparsity(self) -> Tensor:
        """Sum of the penalised magnitudes of the streams present in this step."""
        terms = [
            layer.penalty(
                [name for name in layer.streams.names if name.rpartition("/")[2] in self.present]
            )
            for layer in exchange.exchange_layers(self.net).values()
        ]
        return torch.stack(terms).sum() if terms else torch.zeros((), device=self.device)

    def _balance(
        self, terms: Mapping[str, Tensor], targets: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Weighs the terms of a process so that their mean over processes is the global one.

        A cross-entropy is a mean over the labelled pixels, and processes differ in how many they
        have. Gradients are averaged over processes without knowing that.
        """
        if self.trainer.world_size == 1:
            return terms
        names = list(self.scores.tasks)
        if not names:
            return terms
        local = torch.stack([self._labelled(name, targets[name]) for name in names])
        total = local.clone()
        torch.distributed.all_reduce(total)
        share = local * self.trainer.world_size / total.clamp(min=1e-12)
        factor = dict(zip(names, share, strict=True))
        return {
            key: term * factor[key.split("/")[0]] if key.split("/")[0] in factor else term
            for key, term in terms.items()
        }

    def _labelled(self, name: str, target: Tensor) -> Tensor:
        """How much weight the pixels of a batch have in its cross-entropy."""
        counted = target != self.net.outputs[name].ignore_index
        weights = self._class_weights().get(name)
        if weights is None:
            return counted.sum().float()
        return (weights[torch.where(counted, target, 0)] * counted).sum()


def predict(net: ChannelExchangeNetwork, batch: Batch, present: Sequence[str]) -> dict[str, Output]:
    """Runs the network on some modalities of a batch, at the size of the labels (bicubic)."""
    label = batch[next(iter(net.outputs))]
    size = (int(label.shape[-2]), int(label.shape[-1]))
    outputs: dict[str, Output] = net({name: batch[name] for name in present}, size=size)
    return outputs


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Seed of one step on one process, a pure function of its arguments."""
    state = np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)
    return int(state[0])


def draw_modalities(
    inputs: tuple[str, ...], probability: float, seed: int, step: int
) -> tuple[str, ...]:
    """The modalities of a step, the same on every process.

    Args:
        inputs: all modalities.
        probability: how likely a proper subset is; every non-empty one is equally likely.
        seed: seed of the run.
        step: the step, from 0.
    """
    proper = subsets(inputs)[1:]
    # The last entry keeps these draws apart from those of step_seed.
    rng = np.random.default_rng((seed, step, 0, 1))
    if not proper or rng.random() >= probability:
        return inputs
    return proper[int(rng.integers(len(proper)))]
