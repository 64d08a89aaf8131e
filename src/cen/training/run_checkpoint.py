"""Checkpoints of a run: to go on from, to use, and on Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from cen.errors import CheckpointError
from cen.files import write_problem
from cen.scores import mean_headline
from cen.signals import listening
from cen.training.callbacks import FiniteLoss
from cen.training.module import DensePrediction
from cen.training.resume import LAST, UNFINISHED
from cen.training.weight_sharding import whole_state

_AGREE = 25
"""Steps, at most, after which processes on accelerators ask each other whether to stop."""


class StopAsked(Exception):  # noqa: N818 (no error)
    """Raised inside the trainer to leave it after the step in which the user asked to stop."""


class StopRequest:
    """Whether the user asked to stop (Ctrl-C, SIGTERM of a job scheduler, a closed terminal)."""

    def __init__(self) -> None:
        self.asked = False
        self.begun = False
        """Whether a step has begun, so that there is something to be saved after it."""
        self.agreed = False
        """Whether all processes have agreed to stop; they end by themselves then."""

    @contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Turns the first signal into a request; a second Ctrl-C aborts at once.

        Before the first step, where nothing is to be saved, any signal does. Signals are only heard
        in the main thread; elsewhere this does nothing.
        """
        with listening(self._hear):
            yield self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if not self.begun or (again and number == signal.SIGINT):
            raise KeyboardInterrupt


class RunCheckpoint(Checkpoint):
    """Keeps RUN/best.safetensors, RUN/last.safetensors and RUN/checkpoints/last.ckpt.

    The best one has the highest validation score of the ensemble, mIoU for a segmentation (mean
    over outputs, see :func:`cen.scores.headline`); without a validation split there is none.
    ``last.ckpt`` holds all that is needed to go on: it is written after the validation of a step
    where both are due, so that no validation is lost.

    Args:
        run_dir: the run folder.
        every: steps from one resumable checkpoint to the next.
        validate_every: steps from one validation to the next, None for no validation.
        patience: validations without a better score after which training ends; None: never.
        metadata: what is stored beside the weights: classes, preprocessing, ...
        finite: consulted before writing, so that a ruined network never replaces a good one.
        stop: asked after each step (with several processes, after each logged step); a request
            saves and leaves the trainer by :class:`StopAsked`.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        every: int,
        validate_every: int | None,
        patience: int | None = None,
        metadata: Mapping[str, Any],
        finite: FiniteLoss,
        stop: StopRequest,
    ) -> None:
        self.run_dir = run_dir
        self.every, self.validate_every = every, validate_every
        self.metadata = dict(metadata)
        self.finite, self.stop = finite, stop
        self.patience = patience
        self.best: float | None = None
        self.waited = 0

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, and the validations since."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the best score of the run that is resumed."""
        self.best = state_dict["best"]
        self.waited = state_dict.get("waited", 0)  # files of older versions have none

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends a run at once that has ended for want of a better score, and is resumed."""
        trainer.should_stop = trainer.should_stop or self._out_of_patience

    @property
    def _out_of_patience(self) -> bool:
        return self.patience is not None and self.waited >= self.patience

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """From now on a request to stop waits for the end of the step."""
        self.stop.begun = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves where a checkpoint is due and no validation of this step is still to come."""
        if trainer.is_global_zero and not self.run_dir.is_dir():
            raise CheckpointError(
                f"{self.run_dir} is gone: the run folder was removed or renamed while the run went "
                f"on, so that step {trainer.global_step} cannot be kept"
            )
        if trainer.global_step == trainer.max_steps:
            trainer.should_stop = True  # this makes Lightning validate after the last step
        if not self._validates(trainer.global_step, trainer.max_steps):
            self._step_done(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the best network, and the checkpoint that waited for this validation."""
        assert isinstance(pl_module, DensePrediction)
        self.finite.check(trainer, pl_module)
        score = mean_headline(pl_module.validated)
        if score is not None and (self.best is None or score > self.best):
            self.best, self.waited = score, 0
            self._save_network(trainer, pl_module, "best.safetensors")
        else:
            self.waited += 1
        trainer.should_stop = trainer.should_stop or self._out_of_patience
        self._step_done(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the finished run."""
        self._save(trainer, pl_module)

    def _validates(self, step: int, steps: int) -> bool:
        if self.validate_every is None:
            return False
        return step % self.validate_every == 0 or step == steps

    def _step_done(self, trainer: Trainer, module: LightningModule) -> None:
        due, stop = trainer.global_step % self.every == 0, self.stop.asked
        if trainer.world_size > 1:
            # Processes agree now and then only, because agreeing makes the devices wait.
            every = min(self.finite.every, _AGREE) if module.device.type != "cpu" else 1
            agree = due or trainer.global_step % every == 0
            stop = agree and trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop or due:
            self._save(trainer, module)
        if stop and trainer.global_step < trainer.max_steps:
            self.stop.agreed = True
            raise StopAsked

    def _save(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, DensePrediction)
        self.finite.check(trainer, module)
        self._save_network(trainer, module, "last.safetensors")
        # All processes take part in saving; process 0 alone writes.
        checkpoint, unfinished = self.run_dir / LAST, self.run_dir / UNFINISHED
        try:
            trainer.save_checkpoint(unfinished)
            if trainer.is_global_zero:
                unfinished.replace(checkpoint)
        except Exception as problem:
            unfinished.unlink(missing_ok=True)
            if (cause := write_problem(problem)) is None:
                raise
            raise CheckpointError(f"{checkpoint} cannot be written: {cause}") from problem

    def _save_network(self, trainer: Trainer, module: DensePrediction, name: str) -> None:
        state = whole_state(module.net)
        if trainer.is_global_zero:
            facts: dict[str, Any] = {"step": trainer.global_step, "metrics": module.validated}
            module.net.write(self.run_dir / name, self.metadata | facts, state)
