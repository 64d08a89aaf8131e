"""What watches a run: its figures, its exchange, and whether its loss is still a number."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from cen.errors import CenWarning, TrainingError
from cen.exchange import exchange_layers, inspect
from cen.exchange.functional import own_part
from cen.files import write_json
from cen.runfiles import read_if_there
from cen.scores import SCORES, mean_headline
from cen.training.batch_facts import BatchFacts, first_of_all
from cen.training.module import DensePrediction

_HISTORY = 100

_DECLARE = (
    "Declare such values with data.modalities.NAME.missing or take the sample out (cen data check"
    " finds others)"
)


class StepLog(Callback):
    """Logs the losses, learning rates, λ, α and validation scores.

    Between the logged steps nothing is read back from the device.

    Args:
        every: steps from one row to the next.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs the figures of the step where one is due."""
        module = dense_prediction(pl_module)
        if trainer.global_step % self.every and trainer.global_step != trainer.max_steps:
            return
        figures = _mean_over_processes(trainer, module.figures)
        rates = module.schedule.rates(trainer.global_step - 1)
        figures |= {"lr": rates["decoder"], "lr/encoder": rates["encoder"]}
        log_figures(trainer, figures)
        # What the outputs lose: with the penalty, whose weight is raised, it would seem to rise.
        module.shown["loss"] = figures["train/loss"] - figures.get("train/penalty", 0.0)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reads the scores off their counts, summed over processes, and logs them."""
        module = dense_prediction(pl_module)
        scores = module.scores.compute()
        module.scores.reset()
        module.validated = scores
        figures = {}
        for output, entry in scores.items():
            columns = {"ensemble": entry["ensemble"]}
            columns |= {f"streams/{stream}": s for stream, s in entry["streams"].items()}
            for column, values in columns.items():
                for score in SCORES:
                    if values.get(score) is not None:
                        figures[f"val/{output}/{column}/{score}"] = values[score]
        log_figures(trainer, figures)
        if (mean := mean_headline(scores)) is not None:
            labels = [task.rules.labels for task in module.net.outputs.values()]
            module.shown["mIoU" if labels == [True] else "score"] = mean


class ExchangeMonitor(Callback):
    """Logs the exchange rate of every layer and stream, and warns where a run goes astray.

    RUN/exchange.json gets a list of ``{"step", "rate", "alpha", "layers"}``, at most about a
    hundred of them; the last one also holds the mask of every layer.

    Args:
        run_dir: where exchange.json goes; None writes no file.
        every: steps from one look to the next.
        steps: length of the run.
        save_every: steps from one writing of the file to the next, a multiple of ``every`` or not;
            as often as checkpoints, so that a resumed run finds the entries up to where it goes on.
        resume_step: entries of later steps are dropped from an existing file.
    """

    def __init__(
        self,
        run_dir: Path | None,
        every: int = 10,
        steps: int = 1,
        save_every: int = 1,
        resume_step: int = 0,
    ) -> None:
        self.path = None if run_dir is None else run_dir / "exchange.json"
        self.every, self.steps, self.save_every = every, steps, save_every
        self.history: list[dict[str, Any]] = []
        self._warned: set[str] = set()
        if self.path is not None and resume_step:
            entries = read_if_there(self.path, [])
            self.history = [e for e in entries if e.get("step", resume_step + 1) <= resume_step]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the network where a look is due."""
        step = trainer.global_step
        if not trainer.is_global_zero:
            return
        last = step == trainer.max_steps
        if step % self.every == 0 or last:
            self._look(trainer, pl_module)
        if step % self.save_every == 0 or last:
            self._write()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at a network whose training ended before its last step, for want of patience."""
        step = trainer.global_step
        if not trainer.is_global_zero or step >= trainer.max_steps:
            return
        if not self.history or self.history[-1]["step"] != step:
            self._look(trainer, pl_module)
        self._tell_missed(self.history[-1]["rate"], step, dense_prediction(pl_module))
        self._write()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Writes what was seen so far when the user stops the run."""
        # A loss that is not finite leaves the file of the last good checkpoint.
        if trainer.is_global_zero and not isinstance(exception, TrainingError):
            self._write()

    def _write(self) -> None:
        if self.path is not None and self.history:
            write_json(self.path, self.history, indent=None)

    def _look(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module, step = dense_prediction(pl_module), trainer.global_step
        inspection = inspect(module.net)
        figures = {
            f"exchange/{layer.name}/{layer.stream}": layer.rate for layer in inspection.layers
        }
        if inspection.layers:
            figures["exchange/rate"] = inspection.rate
            module.shown["exchange"] = inspection.rate
        for output, alpha in inspection.alpha.items():
            figures |= {f"alpha/{output}/{stream}": value for stream, value in alpha.items()}
            name = "α" if len(inspection.alpha) == 1 else f"α {output}"
            module.shown[name] = " ".join(f"{value:.2f}" for value in alpha.values())
        log_figures(trainer, figures)
        self._record(step, inspection.to_dict(masks=True))
        rules = [layer.exchange for layer in exchange_layers(module.net).values()]
        guided = any(r is not None and r.enabled and r.guide == "scale" for r in rules)
        if guided and inspection.layers:  # streams without a partner have nobody to exchange with
            self._warn(inspection.rate, step, module)

    def _record(self, step: int, entry: dict[str, Any]) -> None:
        spacing = max(self.every, self.steps // _HISTORY)
        if self.history:
            for layer in self.history[-1]["layers"]:
                layer.pop("mask", None)
            if len(self.history) > 1 and step - self.history[-2]["step"] < spacing:
                self.history.pop()
        self.history.append({"step": step, **entry})

    def _warn(self, rate: float, step: int, module: DensePrediction) -> None:
        if module.controller is not None:
            if step == self.steps:
                self._tell_missed(rate, step, module)
        elif rate == 0 and module.how.sparsity > 0 and step >= 0.4 * self.steps:
            self._say(
                "zero",
                f"step {step}: no channel is exchanged yet. Raise train.sparsity (λ is too small"
                " to push any scale below the threshold), train longer, or ask for a share with"
                " train.exchange_rate",
            )
        if rate > 0.75 and module.how.dropped_share:
            way = (
                "Lower train.sparsity (λ is too large), or set train.exchange_rate"
                if module.controller is None
                else "Lower train.exchange_rate"
            )
            self._say(
                "much",
                f"step {step}: {rate:.0%} of the own channels are exchanged, so a stream keeps"
                " little to predict from where the others are missing, as"
                f" {'train.robust' if module.how.robust else 'train.modality_dropout'} means it to."
                f" {way}",
            )

    def _tell_missed(self, rate: float, step: int, module: DensePrediction) -> None:
        """Says that training ended at another rate than was asked for, and why."""
        if module.controller is None or abs(rate - module.controller.rate) <= 0.03:
            return
        why = (
            f"training ended early, in step {step} of {self.steps}"
            if step < self.steps
            else "other scales fell below the threshold by themselves, or the last steps had not"
            " all modalities"
        )
        self._say(
            "missed",
            f"the exchange rate ended at {rate:.3f} instead of {module.controller.rate}: {why}",
        )

    def _say(self, topic: str, message: str) -> None:
        if topic not in self._warned:
            self._warned.add(topic)
            warnings.warn(message, stacklevel=2)


class FiniteLoss(Callback):
    """Stops a run whose loss is no longer a finite number; its last good checkpoint stays.

    Names the sample, field and file of values that cannot be meant, as a warning where the loss is
    finite in spite of them.

    On the CPU the loss is looked at in every step. On an accelerator, or with several processes,
    it is remembered on the device and looked at every ``every`` steps and before each checkpoint,
    together with the weights.

    Args:
        every: steps from one look to the next.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self._bad: Tensor | None = None
        self._facts: BatchFacts | None = None
        self._warned = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remembers whether the loss was finite; looks where a look is due."""
        module = dense_prediction(pl_module)
        if self._facts is None:
            self._facts = BatchFacts(module.net)
        self._facts.note(batch)
        bad = ~torch.isfinite(module.figures["train/loss"])
        self._bad = bad if self._bad is None else self._bad | bad
        if trainer.global_step % self.every == 0 or trainer.global_step == trainer.max_steps:
            self.check(trainer, module)
        elif trainer.world_size == 1 and bad.device.type == "cpu":
            self.check(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks before weights that are no numbers are scored."""
        self.check(trainer, dense_prediction(pl_module))

    def check(self, trainer: Trainer, module: DensePrediction | None = None) -> None:
        """Looks now.

        Args:
            trainer: the trainer.
            module: look at its parameters and statistics, too: they may be infinite where the
                loss is not.

        Raises:
            TrainingError: a loss since the last look was not finite, on any process.
        """
        bad = self._bad is not None and bool(self._bad)
        self._bad = None
        if module is not None and not bad:
            state = [*module.net.parameters(), *module.net.buffers()]
            finite = torch.stack([torch.isfinite(own_part(t)).all() for t in state])
            bad = not bool(finite.all())
        if trainer.world_size > 1:
            bad = trainer.strategy.reduce_boolean_decision(bad, all=False)
        facts, fault = self._facts, None
        if facts is not None:
            fault = facts.fault(getattr(trainer.train_dataloader, "dataset", None))
            facts.clear()
        if bad and trainer.world_size > 1:
            fault = first_of_all(fault)  # the bad sample may be another process's
        if fault is not None and bad:
            raise TrainingError(
                f"the loss is not finite in step {trainer.global_step} or shortly before, because"
                f" of the data: {fault}. {_DECLARE}; the last good checkpoint was kept"
            )
        if fault is not None and not self._warned:
            # A norm takes what is so large as its scale, and the rest of the field for nothing.
            self._warned = True
            warnings.warn(f"{fault}, which cannot be meant. {_DECLARE}", CenWarning, stacklevel=2)
        if bad:
            raise TrainingError(
                f"the loss is not finite in step {trainer.global_step} or shortly before; the last"
                " good checkpoint was kept. Its data are finite, so"
                " lower train.encoder_lr and train.decoder_lr, set train.clip_norm (1.0, say),"
                " add train.warmup, or use train.precision 32-true"
            )


def dense_prediction(module: LightningModule) -> DensePrediction:
    """A module that is trained, as what it is."""
    assert isinstance(module, DensePrediction)
    return module


def log_figures(trainer: Trainer, figures: Mapping[str, float]) -> None:
    """Sends figures to every logger under the number of steps done so far."""
    if trainer.is_global_zero:
        for logger in trainer.loggers:
            logger.log_metrics(dict(figures), step=trainer.global_step)
            logger.save()


def _mean_over_processes(trainer: Trainer, figures: dict[str, Tensor]) -> dict[str, float]:
    values = torch.stack([value.float() for value in figures.values()])
    if trainer.world_size > 1:
        values = trainer.strategy.reduce(values, reduce_op="mean")
    return dict(zip(figures, values.tolist(), strict=True))
