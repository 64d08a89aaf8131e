"""Training a channel exchanging network for dense prediction, as a Lightning module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from cen import exchange
from cen.errors import ConfigError
from cen.losses import fusion_loss, output_losses
from cen.models import ChannelExchangeNetwork, Output
from cen.models.compiled import Compiled, compiles, subset_count
from cen.optim import Schedule, build_optimizer, freeze_encoder, param_groups
from cen.options.training_options import TrainConfig
from cen.stream import Stream, input_of
from cen.training.absent_streams import absent_rows, kept
from cen.training.batch_fields import Batch, cut, inputs_of, predict, prediction_streams, targets_of
from cen.training.draws import draw_modalities, step_seed
from cen.training.fusion_scores import FusionScores
from cen.training.generator_statistics import generating
from cen.training.rate import RateController
from cen.weighting import GradientWeighting, UncertaintyWeighting, make_weighting


class DensePrediction(LightningModule):
    """Loss, optimiser and validation of a network with named inputs and outputs.

    The loss is the weighted sum over outputs of the losses of every stream and of the ensemble
    (paper, section 2.5 of the method) plus λ times :func:`cen.sparsity`. The penalty is added once
    per step, whatever the number of outputs and streams; the released code adds it once per output.

    Everything random in a step follows from (seed, step, rank), so that a resumed run repeats what
    an uninterrupted one does.

    Args:
        net: the network.
        how: how it is trained: the keys of ``train`` that a step reads. With ``exchange_rate`` λ is
            steered, see :class:`RateController`, and ``sparsity`` is what it starts from.
        weights: fixed weight of each output's loss; None: all count alike.
        seed: seed of the run.

    Raises:
        ConfigError: the class weights do not fit the classes, or ``exchange_rate`` cannot be had.

    Attributes:
        present: modalities of the running step.
        lacking: those of its second pass, which is without some; () where there is none.
        run_net: the call of the network in a training step: its own, or compiled.
        figures: losses, their weights, penalty and λ of the last step, as tensors that were not
            read back.
        validated: scores of the last validation, see :class:`FusionScores`.
        shown: what the progress bar shows.
    """

    def __init__(
        self,
        net: ChannelExchangeNetwork,
        how: TrainConfig,
        *,
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.net, self.how = net, how
        self.schedule = Schedule.of(how)
        self.controller: RateController | None = None
        if how.exchange_rate is not None:
            self.controller = RateController(
                net, how.exchange_rate, self.schedule, how.sparsity or 1e-4, how.exchange_rate_by
            )
        classes = None if how.class_weights is None else torch.tensor(how.class_weights).float()
        for name, task in net.outputs.items():
            if classes is not None and task.rules.labels and len(classes) != task.channels:
                raise ConfigError(
                    f"train.class_weights holds {len(classes)} weights, but {name!r} has"
                    f" {task.channels} classes; give one for each"
                )
        self.register_buffer("class_weights", classes, persistent=False)
        alike = dict.fromkeys(net.outputs, 1.0)
        self.weighting = make_weighting(how.weighting, weights or alike, net)
        if how.dropped_share:
            exchange.keep_partial_statistics(net)
        self.seed = seed
        self.present: tuple[str, ...] = tuple(net.inputs)
        self.lacking: tuple[str, ...] = ()
        self.run_net: Callable[..., Any] = net.__call__
        self.scores = FusionScores(tuple(net.inputs), net.outputs, prediction_streams(net))
        self.figures: dict[str, Tensor] = {}
        self.validated: dict[str, dict[str, Any]] = {}
        self.shown: dict[str, float | str] = {}
        self._whole: dict[str, Tensor] | None = None
        if how.freeze_statistics:
            # A decoder has no pretrained statistics to keep.
            exchange.freeze_statistics(net.encoder)
        if how.freeze_encoder:
            freeze_encoder(net)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser, with an encoder and a decoder group."""
        rates = self.schedule.rates(0)
        groups = param_groups(
            self.net,
            rates["encoder"],
            rates["decoder"],
            weight_decay=self.how.weight_decay,
            norm_decay=self.how.norm_decay,
        )
        if learned := list(self.weighting.parameters()):
            rate = {"lr": rates["decoder"], "weight_decay": 0.0}
            groups.append({"params": learned, "name": "decoder", **rate})
        return build_optimizer(groups, self.how.optimizer, momentum=self.how.momentum)

    def on_fit_start(self) -> None:
        """Compiles the network for the training steps where that is asked for or pays."""
        how = self.how  # a graph does not put weights together that are dealt out
        if how.strategy != "fsdp" and compiles(how.compile, self.device, how.max_steps):
            graphs = how.compile == "cuda_graphs"
            subsets = subset_count(self.net.inputs)
            self.run_net = Compiled(self.net, "train.compile", graphs, subsets)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seeds the step, draws its modalities, sets its learning rates."""
        step = self.trainer.global_step
        torch.manual_seed(step_seed(self.seed, step, self.global_rank))
        inputs = tuple(self.net.inputs)
        self.present = draw_modalities(inputs, self.how.modality_dropout, self.seed, step)
        if self.how.robust and len(inputs) > 1:
            self.lacking = draw_modalities(inputs, 1.0, self.seed, step)
        self.schedule.apply(self.trainer.optimizers[0], step)
        if self.how.freeze_encoder:
            freeze_encoder(self.net)  # validation leaves all of it in training mode

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch; fills ``figures`` with its parts (tensors, not read back).

        With ``accumulate`` the batch is that of the whole step: all pieces but the last have left
        their gradients when this returns the loss of the last.
        """
        if self.how.accumulate == 1:
            return self._loss(batch)
        self._whole = targets_of(self.net, batch)
        self.trainer.optimizers[0].zero_grad()
        noted: list[dict[str, Tensor]] = []
        *others, last = cut(batch, self.how.accumulate)
        for piece in others:
            loss = self._loss(piece, last=False) / self.how.accumulate
            noted.append(self.figures)
            with torch.autocast(self.device.type, enabled=False):
                # Not for DDP, which averages the gradients in the pass of the last piece.
                self.trainer.strategy.backward(loss, None)
        loss = self._loss(last)
        noted.append(self.figures)
        self.figures = _mean_of(noted)
        return loss / self.how.accumulate

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        """Drops the gradients of the last step, unless pieces of this one have left theirs."""
        if self.how.accumulate == 1:
            optimizer.zero_grad()

    def _loss(self, batch: Batch, last: bool = True) -> Tensor:
        """The loss of a batch or a piece of it; the last one holds the penalty of the step."""
        targets = targets_of(self.net, batch)
        outputs = self.run_net(inputs_of(self.net, batch, self.present))
        amend = partial(self._with_lacking, batch, targets) if self.lacking else None
        return self._total(outputs, targets, amend, last=last)

    def _with_lacking(
        self, batch: Batch, targets: Mapping[str, Tensor], parts: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """The loss of every output, and that of the same batch without some modalities."""
        outputs = self.run_net(inputs_of(self.net, batch, self.lacking))
        lacking = output_losses(self._terms(outputs, targets)[0])
        return {name: part + lacking[name] for name, part in parts.items()}

    def _total(
        self,
        outputs: Mapping[str, Output],
        targets: Mapping[str, Tensor],
        amend: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
        last: bool = True,
    ) -> Tensor:
        """The loss of a step; ``amend`` changes the outputs' losses before they are weighed."""
        terms, present = self._terms(outputs, targets)
        parts, auxiliary = output_losses(terms), self.net.auxiliary_loss()
        if amend is not None:
            parts = amend(parts)
            # Of its own pass, if there was one: a network hands out that of the last alone.
            auxiliary = auxiliary + self.net.auxiliary_loss()
        weighted = self.weighting(parts, present, self._gradient_scale())
        self.figures = {f"train/{name}": term.detach() for name, term in terms.items()}
        # Once per step: pieces are divided by their number.
        penalty = self._penalty() * self.how.accumulate if last else 0.0
        loss: Tensor = weighted.total + penalty + getattr(self.how, self.net.auxiliary) * auxiliary
        self.figures = {"train/loss": loss.detach(), **self.figures}
        if auxiliary.requires_grad:
            self.figures[f"train/{self.net.auxiliary}"] = auxiliary.detach()
        if len(self.net.outputs) > 1 or list(self.weighting.parameters()):
            weights = weighted.weights.items()
            self.figures |= {f"weight/{name}": weight.detach() for name, weight in weights}
        return loss

    def _terms(
        self, outputs: Mapping[str, Output], targets: Mapping[str, Tensor]
    ) -> tuple[Mapping[Stream, Tensor], Mapping[str, Tensor] | None]:
        """The losses of streams and ensembles, and what `_balance` says of the outputs."""
        tasks, tallies = self.net.outputs, self._tallies(targets)
        losses = fusion_loss(outputs, targets, tasks, self._class_weights(), tallies=tallies)
        return self._balance(losses.terms, targets)

    def _penalty(self) -> Tensor:
        """The penalty of a step; notes it and its weight in the figures."""
        sparsity = self._sparsity()
        if self.controller is None:
            rising = self.how.sparsity_warmup * self.schedule.steps
            share = min(1.0, (self.trainer.global_step + 1) / rising) if rising else 1.0
            weight = torch.full_like(sparsity, self.how.sparsity * share)
            penalty = weight * sparsity
        else:
            penalty, weight = self.controller(self.trainer.global_step, self.present)
        noted = {
            "train/sparsity": sparsity.detach(),
            "train/penalty": penalty.detach(),
            "lambda": weight.detach(),
        }
        self.figures = {**noted, **self.figures}
        return penalty

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """One step; streams of modalities that are absent in it stay as they are."""
        self._update(partial(optimizer.step, closure=optimizer_closure))

    def _update(self, take_step: Callable[[], Any]) -> None:
        """Takes an optimiser's step; absent streams stay as they are, the rate as is asked for."""
        step = self.trainer.global_step
        rows = (
            [] if len(self.present) == len(self.net.inputs) else absent_rows(self.net, self.present)
        )
        with kept(self.trainer.optimizers[0], rows):
            take_step()
            if self.controller is not None:
                self.controller.enforce(step)

    def validation_step(self, batch: Sequence[Batch], batch_idx: int) -> None:
        """Counts one batch, given as groups of samples of one size."""
        with generating(self.net, self.how.generator_mode, batch_idx):
            for group in batch:
                targets = targets_of(self.net, group)
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
        labelled = [name for name, task in self.net.outputs.items() if task.rules.labels]
        return dict.fromkeys(labelled, weights.float())

    def _gradient_scale(self) -> float:
        """What losses are multiplied by before they are differentiated (float16 only)."""
        if not isinstance(self.weighting, GradientWeighting):
            return 1.0  # nothing else asks, and reading it waits for the device
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return 1.0 if scaler is None else float(scaler.get_scale())

    def _sparsity(self) -> Tensor:
        """Sum of the penalised magnitudes of the streams present in this step."""
        layers = exchange.exchange_layers(self.net).values()
        pairs = [
            (layer, [n for n in layer.streams.names if input_of(n) in self.present])
            for layer in layers
        ]
        return exchange.total_penalty(pairs, self.device)

    @property
    def _parts(self) -> int:
        """In how many parts the loss of a step is computed: by processes, and one after another."""
        return self.trainer.world_size * self.how.accumulate

    def _balance(
        self, terms: Mapping[Stream, Tensor], targets: Mapping[str, Tensor]
    ) -> tuple[Mapping[Stream, Tensor], Mapping[str, Tensor] | None]:
        """Weighs the terms of a part of a step so that their mean over parts is the global one.

        A loss is a mean over the pixels with ground truth, and processes differ in how many they
        have, as do pieces that are accumulated. Gradients are averaged without knowing that.

        Returns:
            The terms; and by output, 1 where any process has ground truth for it, else 0, as far as
            a weighting asks for that.
        """
        asked = isinstance(self.weighting, UncertaintyWeighting)
        if self._parts == 1 and not asked:
            return terms, None
        names = list(self.net.outputs)
        local = torch.stack([self._counted(name, targets[name]) for name in names])
        whole = self._whole or targets
        total = torch.stack([self._counted(name, whole[name]) for name in names])
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(total)
        present = dict(zip(names, (total > 0).float(), strict=True)) if asked else None
        if self._parts == 1:
            return terms, present
        share = local * self._parts / total.clamp(min=1e-12)
        factor = dict(zip(names, share, strict=True))
        return {key: term * factor[key.output] for key, term in terms.items()}, present

    def _tallies(self, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What losses need to know of the whole step, where they see a part of it."""
        if self._parts == 1:
            return {}
        whole, tallies = self._whole or targets, {}
        for name, task in self.net.outputs.items():
            if (tally := task.rules.tally(whole[name])) is not None:
                if self.trainer.world_size > 1:
                    torch.distributed.all_reduce(tally)
                tallies[name] = tally
        return tallies

    def _counted(self, name: str, target: Tensor) -> Tensor:
        """How much weight the pixels of a batch have in the loss of an output."""
        return self.net.outputs[name].rules.counted(target, self._class_weights().get(name))


def _mean_of(noted: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of every figure over the pieces that have it."""
    names = dict.fromkeys(name for figures in reversed(noted) for name in figures)
    return {
        name: torch.stack([figures[name] for figures in noted if name in figures]).mean()
        for name in names
    }
