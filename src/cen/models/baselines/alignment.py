"""Fusion by alignment: a loss pulls the streams' features to one distribution.

The maximum mean discrepancy (Gretton, Borgwardt, Rasch, Schölkopf, Smola, "A Kernel Two-Sample
Test", JMLR 2012) between streams as a loss for RGB-D segmentation: Wang, Wang, Tao, See, Wang,
"Learning Common and Specific Features for RGB-D Semantic Segmentation with Deconvolutional
Networks", ECCV 2016. Several Gaussian widths around the mean distance: Long, Cao, Wang, Jordan,
"Learning Transferable Features with Deep Adaptation Networks", ICML 2015. Which features are
compared, and that they are first averaged on a small grid, is this project's choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cen.errors import ShapeError
from cen.models.network import ChannelExchangeNetwork, split_rows
from cen.tasks.pairs import check_numbers, check_together

GRID = 4
"""Side of the grid to which feature maps are averaged before they are compared."""

_EXACT = "donot_use_mm_for_euclid_dist"
WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Widths of the Gaussian kernels, as multiples of the mean squared distance."""


def discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """The squared maximum mean discrepancy between two samples of vectors (biased estimate).

    Args:
        first: (N, C).
        second: (M, C).

    Returns:
        A scalar of at least 0, in float32; 0 where the samples are equal. The widths of the
        kernels follow the mean distance, without a gradient.

    Raises:
        ShapeError: one is no (N, C) with N at least 1, or C differs.
        DataError: no floating point tensors, or on different devices.
    """
    check_together(first, second, "the second sample", "the first sample")
    for name, sample in (("first", first), ("second", second)):
        check_numbers(sample, f"the {name} sample", "N, C")
    if first.shape[1] != second.shape[1] or not (first.numel() and second.numel()):
        raise ShapeError(
            f"samples of vectors are (N, C) and (M, C), none of them empty, got "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    # Autocast would round the distances, of which differences are taken.
    with torch.autocast(first.device.type, enabled=False):
        both = torch.cat([first.float(), second.float()])
        # From differences, which lose no digits, but without a tensor of all of them.
        squares = torch.cdist(both, both, compute_mode=_EXACT).square() / both.shape[1]
        mean = squares.detach().mean().clamp(min=1e-12)
        kernel = torch.stack([torch.exp(-squares / (mean * width)) for width in WIDTHS]).mean(0)
        n = len(first)
        within = kernel[:n, :n].mean() + kernel[n:, n:].mean()
        return within - 2 * kernel[:n, n:].mean()


class AlignedNetwork(ChannelExchangeNetwork):
    """Streams without exchange and their ensemble, with a loss that aligns their features.

    Args:
        place: which features: ``"early"`` (after the first convolution), ``"middle"`` (of the
            stage in the middle of the encoder), ``"late"`` (of the decoder) or ``"all"`` (of every
            stage of the encoder).
        **parts: as for `ChannelExchangeNetwork`.
    """

    def __init__(self, *, place: str, **parts: Any) -> None:
        super().__init__(**parts)
        self.place = place
        self._terms: list[Tensor] = []

    def auxiliary_loss(self) -> Tensor:
        """The mean discrepancy between pairs of streams in the last pass in training mode.

        A scalar; 0 where only one stream was present. Handing it out forgets it, so that no graph
        is kept.
        """
        terms, self._terms = self._terms, []
        return torch.stack(terms).mean() if terms else super().auxiliary_loss()

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: everything but the terms, which hang on a graph."""
        return {**self.__dict__, "_terms": []}

    def _stem(self, inputs: Mapping[str, Tensor], present: Sequence[str]) -> Tensor:
        if self.training:  # a pass that only looks leaves the terms of a training step alone
            self._terms = []
        packed = super()._stem(inputs, present)
        if self.place == "early":
            self._align(packed, len(present))
        return packed

    def _encode(self, inputs: Mapping[str, Tensor], present: Sequence[str]) -> list[Tensor]:
        features = super()._encode(inputs, present)
        chosen = {"middle": features[len(features) // 2 - 1 :][:1], "all": features}
        for feature in chosen.get(self.place, []):
            self._align(feature, len(present))
        return features

    def _decode(self, features: Sequence[Tensor], streams: Sequence[str]) -> dict[str, Tensor]:
        decoded = super()._decode(features, streams)
        if self.place == "late":
            for feature in decoded.values():
                self._align(feature, len(streams))
        return decoded

    def _align(self, packed: Tensor, streams: int) -> None:
        """Keep the discrepancies between all pairs of the packed streams."""
        if not self.training or streams < 2:
            return
        pooled = split_rows(F.adaptive_avg_pool2d(packed, GRID), streams)
        samples = [pooled[:, s].flatten(2).movedim(1, 2).flatten(0, 1) for s in range(streams)]
        self._terms += [discrepancy(a, b) for a, b in combinations(samples, 2)]
