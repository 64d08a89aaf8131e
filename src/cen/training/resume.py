"""Reading the checkpoint that a run goes on from, which may be damaged or somebody else's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from cen.errors import CenError, CheckpointError
from cen.models.foreign_weights import reason_of, require_fit, tensors_of

LAST = Path("checkpoints") / "last.ckpt"
"""The checkpoint, from the run folder."""
UNFINISHED = LAST.with_name(".last.ckpt.part")
"""What it is written to."""


def read_checkpoint(run: Path) -> dict[str, Any]:
    """What RUN/checkpoints/last.ckpt holds; no code in it is run."""
    file = run / LAST
    try:
        # Mapped, because the tensors are not always looked at.
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # damaged archives end in exceptions of many types
        raise CheckpointError(useless(run, reason_of(error))) from error
    step = content.get("global_step") if isinstance(content, dict) else None
    if type(step) is not int or step < 0 or not isinstance(content.get("state_dict"), Mapping):
        raise CheckpointError(useless(run, "it holds no run"))
    return dict(content)


def check_network(run: Path, content: Mapping[str, Any], module: LightningModule) -> None:
    """Refuses a checkpoint whose weights are of another network, or cannot be right."""
    try:
        state = tensors_of(content["state_dict"], "it")
        require_fit(state, module.state_dict(), "it does not hold the network of config.yaml")
    except CheckpointError as error:
        raise CheckpointError(useless(run, str(error))) from None


def useless(run: Path, reason: str) -> str:
    """The message about a checkpoint that a run cannot go on from."""
    best = run / "best.safetensors"
    left = (
        f"the best network so far is whole in {best}, for cen evaluate and cen predict"
        if best.is_file()
        else "nothing else of the run is left to use"
    )
    return f"{run / LAST} cannot be gone on from: {reason}; {left}. Train anew in another folder"


class Restored(Callback):
    """Whether the trainer has taken over all that the checkpoint holds."""

    def __init__(self) -> None:
        self.done = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """All is there now."""
        self.done = True

    @contextmanager
    def restoring(self, run: Path, resumed: bool) -> Iterator[None]:
        """Blames the checkpoint for what goes wrong before the first step of a resumed run."""
        try:
            yield
        except CenError:
            raise
        except Exception as error:
            if resumed and not self.done:
                raise CheckpointError(useless(run, reason_of(error))) from error
            raise
