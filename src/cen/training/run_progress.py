"""How far a run is: a bar on a terminal, now and then a line in a file."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich import get_console
from rich.cells import cell_len
from rich.progress import ProgressColumn
from rich.table import Column

from cen.durations import span
from cen.training.callbacks import dense_prediction

# Of the progress line: columns from which there is room for the steps per second, the characters
# that the bar keeps, and the figures that come before the others.
_WIDE = 110
_SHORTEST_BAR = 1
_FIRST = ("loss", "mIoU", "score", "exchange")

_LINES = 20
"""Lines in a file for a whole run."""


def progress_shown(every: int) -> Callback:
    """The bar where it can be drawn again and again, else lines; ``every``: see `RunLines`."""
    console = get_console()
    return RunProgress(leave=True) if console.is_terminal or console.is_jupyter else RunLines(every)


class RunLines(Callback):
    """A line with step, loss, validation score, exchange rate and the time left, 20 in a run.

    Args:
        every: steps from which to which the figures are new.
    """

    def __init__(self, every: int = 1) -> None:
        self.every = every
        self._begin: tuple[int, float] | None = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Notes when the first step began; of a run that is resumed, says where it goes on."""
        if self._begin is not None:
            return
        self._begin = (trainer.global_step, time.monotonic())
        if trainer.global_step and trainer.is_global_zero:
            going = f"goes on after step {trainer.global_step} of {trainer.max_steps}"
            get_console().print(going, markup=False, highlight=False, soft_wrap=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Prints a line where one is due, on the first process."""
        step, steps = trainer.global_step, trainer.max_steps
        if step != steps and step % (self.every * max(1, steps // _LINES // self.every)):
            return
        if not trainer.is_global_zero or self._begin is None:
            return
        first, begin = self._begin
        left = (time.monotonic() - begin) / max(1, step - first) * (steps - step)
        shown = dense_prediction(pl_module).shown
        figures = [f"{name} {shown[name]:.3f}" for name in _FIRST if name in shown]
        words = [f"step {step} of {steps}", *figures, *([f"{span(left)} left"] if left else [])]
        get_console().print(", ".join(words), markup=False, highlight=False, soft_wrap=True)


class RunProgress(RichProgressBar):
    """One bar over the whole run with loss, validation score (mIoU), exchange rate and α.

    It keeps to one line of the terminal: figures that find no room there, α first, are left to the
    run's files, and the bar gets the room that they leave.
    """

    _columns: tuple[ProgressColumn, ...] = ()

    @property
    def total_train_batches(self) -> int | float:
        """The steps of the whole run; of one that is resumed Lightning counts those that are left.

        Steps that are done are counted from the start of the run by both.
        """
        return self.trainer.num_training_batches

    def configure_columns(self, trainer: Trainer) -> list[ProgressColumn]:
        """The columns before the figures; on a narrow terminal without the steps per second."""
        text, bar, *counts = super().configure_columns(trainer)
        if get_console().width < _WIDE:
            counts = counts[:-1]
        self._columns = (text, *counts)
        return [text, bar, *counts]

    def _init_progress(self, trainer: Trainer) -> None:
        super()._init_progress(trainer)
        figures = [] if self._metric_component is None else [self._metric_component]
        for column in (*self._columns, *figures):
            # The table takes missing room from columns that may wrap: from the bar alone.
            column._table_column = Column(no_wrap=True)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """The figures last logged that fit the line; reading them costs nothing."""
        kept: dict[str, int | str | float | dict[str, float]] = {}
        room, shown = self._room(), dense_prediction(pl_module).shown
        first = [name for name in _FIRST if name in shown]
        for name in dict.fromkeys([*first, *shown]):
            value = shown[name]
            figure = value if isinstance(value, str) else f"{value:{self.theme.metrics_format}}"
            room -= cell_len(f" {name}: {figure}")
            if room < 0:
                break
            kept[name] = value
        return kept

    def _room(self) -> int:
        """Characters of the line that the other columns leave to figures."""
        tasks = [] if self.progress is None else self.progress.tasks
        used_width = sum(
            1 + max((cell_len(str(column.render(task))) for task in tasks), default=0)
            for column in self._columns
        )
        return get_console().width - used_width - _SHORTEST_BAR

    def _get_train_description(self, current_epoch: int) -> str:
        # The whole run is one epoch for Lightning, so its number says nothing.
        return "Training".ljust(len(self.validation_description))
