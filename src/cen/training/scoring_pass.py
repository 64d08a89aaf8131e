"""One pass of a network over a data set that scores every subset of the modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import Dataset

from cen.errors import ConfigError
from cen.metrics import Features, ImageDistance
from cen.metrics.frechet import Protocol
from cen.models import ChannelExchangeNetwork, Output
from cen.predict.evaluating import Evaluating
from cen.predict.tiles import Tile
from cen.predict.views import Views, joined, warn_of_tiles
from cen.training.batch_fields import (
    Batch,
    prediction_streams,
    targets_of,
)
from cen.training.batch_views import BatchViews, described
from cen.training.batches import FusionData, reading_in_processes
from cen.training.file_units import compared, file_units
from cen.training.fusion_scores import FusionScores, Subset, subsets
from cen.training.generator_statistics import GeneratorMode, generating
from cen.training.processes import together
from cen.training.trainer import make_trainer, quiet


def score_network(
    net: ChannelExchangeNetwork,
    dataset: Dataset[Any],
    *,
    which: Sequence[Subset] | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    tile: Tile = None,
    generator_mode: GeneratorMode = "eval",
    features: Features | None = None,
    protocol: Protocol = "clean",
    batch_size: int = 8,
    workers: int = 0,
    accelerator: str = "auto",
    devices: int = 1,
    nodes: int = 1,
) -> dict[str, dict[str, Any]]:
    """Scores a network on a data set, in one pass over it.

    Logits are upsampled to the size of the labels by bicubic interpolation, as in the released
    code. With several scales or flipping, the class probabilities (unit normals, depths, logits of
    edges) of the variants are averaged, for each stream and for the ensemble (this project's
    extension).

    Args:
        net: the network.
        dataset: samples by index: dicts of tensors named like inputs and outputs; sizes may differ.
        which: subsets of the modalities; None for every non-empty one.
        scales: factors by which the inputs are resized (bilinear).
        flip: also on mirrored inputs.
        tile: side of the tiles that pictures are cut into, see :class:`cen.predict.views.Views`.
        generator_mode: how the network is run, see :func:`cen.training.generating`.
        features: feature network of the Fréchet and kernel distances of image outputs, which are
            taken with all modalities present; None for no distances.
        protocol: see :func:`cen.metrics.to_bytes`.
        batch_size: samples per batch and device.
        workers: processes that read.
        accelerator: as Lightning names it.
        devices: number of devices. No sample is counted twice.
        nodes: number of machines with so many devices each.

    Returns:
        ``{subset joined by "+": {output: {"ensemble": scores, "streams": {name: scores}, "alpha":
        {name: weight}}}}``, the scores being those of the output's kind, such as
        :class:`cen.metrics.SegmentationScores`.

    Raises:
        ConfigError: tiles do not fit the network or the mode.
    """
    views = Views(tile, tuple(scales), flip)
    if tile is not None:
        _check_tiles(net, generator_mode)
    subsets_scored = which or subsets(tuple(net.inputs))
    module = _ScoringPass(net, dataset, subsets_scored, views, generator_mode, features, protocol)
    data = FusionData(
        None, dataset, batch_size=batch_size, workers=workers, outputs=net.outputs, whole=net.cyclic
    )
    with Evaluating(net):
        _run(module, data, accelerator, devices, nodes)
    return module.result


def _check_tiles(net: ChannelExchangeNetwork, mode: GeneratorMode) -> None:
    if mode != "eval":
        raise ConfigError(
            f"tile: with the generator mode {mode} norms take statistics of the whole picture, "
            'which tiles do not have; leave tiles out, or evaluate in mode "eval"'
        )
    warn_of_tiles(net)


def _run(
    module: LightningModule, data: FusionData, accelerator: str, devices: int, nodes: int
) -> None:
    trainer = make_trainer(
        accelerator,
        devices,
        nodes,
        "auto" if nodes * devices == 1 else "ddp",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    try:
        with quiet(), together(trainer), reading_in_processes():
            trainer.test(module, datamodule=data, verbose=False)
    except SystemExit:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from None


class _ScoringPass(LightningModule):
    """Runs every subset on every batch and counts."""

    def __init__(
        self,
        net: ChannelExchangeNetwork,
        dataset: Dataset[Any],
        which: Sequence[Subset],
        views: Views,
        generator_mode: GeneratorMode,
        features: Features | None,
        protocol: Protocol,
    ) -> None:
        super().__init__()
        self.net, self.generator_mode = net, generator_mode
        self.views = BatchViews(net, dataset, views)
        self.units = file_units(net.outputs, described(dataset, "targets"))
        shown = prediction_streams(net)
        self.scores = nn.ModuleDict(
            {
                "+".join(s): FusionScores(
                    s, net.predicted_from(s), [name for name in s if name in shown], self.units
                )
                for s in which
            }
        )
        self.distances = nn.ModuleDict()
        if features is not None:
            # Of all modalities together alone: the features cost more than the network.
            for name in compared(net.outputs, self.units):
                columns = ("ensemble", *(s for s in shown if s != name))
                self.distances[name] = ImageDistance(features, columns, protocol=protocol)
        self.result: dict[str, dict[str, Any]] = {}

    def _is_full(self, scores: FusionScores) -> bool:
        return len(scores.inputs) == len(self.net.inputs)

    def test_step(self, batch: Sequence[Batch], batch_idx: int) -> None:
        """Counts one batch, given as groups of samples of one size."""
        with generating(self.net, self.generator_mode, batch_idx):
            for group in batch:
                targets = targets_of(self.net, group)
                for scores in self.scores.values():
                    assert isinstance(scores, FusionScores)
                    pieces = self.views.bands(group, scores.inputs)
                    # Some scores of images are of windows, or of each image.
                    for first, outputs in [joined(pieces)] if self.net.generated else pieces:
                        height = next(iter(outputs.values())).ensemble.shape[-2]
                        rows = slice(first, first + height)
                        truth = {name: t[..., rows, :] for name, t in targets.items()}
                        scores.update(outputs, truth)
                        if self._is_full(scores):
                            self._measure(outputs, truth)

    def on_test_epoch_end(self) -> None:
        """Reads the scores off their counts, summed over processes."""
        for key, scores in self.scores.items():
            assert isinstance(scores, FusionScores)
            values = scores.compute()
            alpha = self.net.alpha_weights(scores.inputs)
            for output, entry in values.items():
                entry["alpha"] = alpha.get(output, {})
                if output in self.distances and self._is_full(scores):
                    self._add_distances(output, entry)
            self.result[key] = values

    def _measure(self, outputs: Mapping[str, Output], targets: Mapping[str, Tensor]) -> None:
        """Counts generated and true images, where both are known."""
        for name, distance in self.distances.items():
            assert isinstance(distance, ImageDistance)
            # Partly annotated samples may have no picture at all: two black ones would be equal.
            some = torch.isfinite(targets[name]).flatten(1).any(1)
            if not some.any():
                continue
            target = targets[name][some]
            columns = {"ensemble": outputs[name].ensemble, **outputs[name].streams}
            pictures = {c: self._picture(name, image[some], target) for c, image in columns.items()}
            distance.update(pictures, self._picture(name, target, target))

    def _picture(self, output: str, image: Tensor, target: Tensor) -> Tensor:
        """An image as pictures are compared, in [-1, 1]; black where nothing is known."""
        if (unit := self.units.get(output)) is not None:
            image = unit.picture(image)
        return torch.where(torch.isfinite(target), image, -1)

    def _add_distances(self, output: str, entry: dict[str, Any]) -> None:
        distance = self.distances[output]
        assert isinstance(distance, ImageDistance)
        name = distance.features.name
        for column, distance_scores in distance.compute().items():
            values = entry["ensemble"] if column == "ensemble" else entry["streams"][column]
            values |= distance_scores.to_dict(name)
