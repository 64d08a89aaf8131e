"""Pictures of a run: some samples with their truth and what the network says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch.utils.data import Dataset

from cen.data import Modality
from cen.data.readers.splitting import evenly
from cen.errors import DataError
from cen.files import contained
from cen.models import ChannelExchangeNetwork
from cen.predict.arrays import read_prediction, read_streams, read_truth
from cen.predict.views import Views
from cen.report.panels import Panel, PanelOutput, save_panel
from cen.training.batch_views import BatchViews
from cen.training.generator_statistics import GeneratorMode, generating
from cen.training.partial_labels import fill_in


@torch.no_grad()
def write_panels(
    folder: Path,
    net: ChannelExchangeNetwork,
    dataset: Dataset[Any],
    count: int,
    mode: GeneratorMode = "eval",
    without: bool = False,
    views: Views = Views(),  # noqa: B008 (frozen)
) -> None:
    """Writes samples spread evenly over a data set to RUN/panels, replacing those in it.

    The data set has ``raw(index)`` and ``modalities`` beside its samples; ``without``: also what is
    predicted when each of the modalities is missing; ``views``: how the network looks at a sample.
    """
    looks = BatchViews(net, dataset, views)
    length = len(dataset)  # type: ignore[arg-type]
    contained(folder.parent, folder, DataError)
    for old in folder.glob("*.npz"):
        old.unlink(missing_ok=True)  # by another evaluation at the same time
    device = next(net.parameters()).device
    for number, index in enumerate(evenly(length, count)):
        sample = fill_in(dataset[index], net.outputs, whole=net.cyclic)
        batch = {name: sample[name][None].to(device) for name in (*net.inputs, *net.outputs)}
        with generating(net, mode, number):
            outputs = looks.whole(batch, tuple(net.inputs))
            left = {
                missing: looks.whole(batch, [name for name in net.inputs if name != missing])
                for missing in (net.inputs if without and len(net.inputs) > 1 else ())
            }
        panel = Panel(
            name=str(sample["name"]),
            inputs=_pictures(dataset, index, tuple(net.inputs)),
            outputs={
                name: PanelOutput(
                    truth=_compact(read_truth(net.outputs[name], sample[name])),
                    streams={
                        stream: _compact(values)
                        for stream, values in read_streams(net.outputs[name], output).items()
                    },
                    ensemble=_compact(read_prediction(net.outputs[name], output.ensemble[0])),
                    kind=net.outputs[name].kind,
                    without={
                        missing: _compact(
                            read_prediction(net.outputs[name], reduced_outputs[name].ensemble[0])
                        )
                        for missing, reduced_outputs in left.items()
                    },
                )
                for name, output in outputs.items()
            },
        )
        save_panel(folder / f"{number:02d}.npz", panel)


class PanelsInTraining(Callback):
    """Writes the grids of some validation samples anew after every validation.

    For runs that generate images, whose progress no figure shows. ``cen report RUN`` shows them
    while the run goes on, and ``cen evaluate`` replaces them.
    """

    def __init__(self, folder: Path, dataset: Dataset[Any], count: int = 4) -> None:
        self.folder, self.dataset, self.count = folder, dataset, count

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes them, on one process."""
        if trainer.is_global_zero:
            module: Any = pl_module
            write_panels(
                self.folder, module.net, self.dataset, self.count, module.how.generator_mode
            )


def _compact(values: NDArray[Any]) -> NDArray[Any]:
    """Floats at half the size, which is still finer than any picture."""
    return values.astype(np.float16) if values.dtype == np.float32 else values


def _pictures(dataset: Any, index: int, names: tuple[str, ...]) -> dict[str, Any]:
    raw = dataset.raw(index)
    pictures: dict[str, Any] = {}
    for name in names:
        modality: Modality = {**dataset.targets, **dataset.modalities}[name]
        pictures[name] = modality.picture(raw[name])
    return pictures
