"""How a network looks at batches of a data set: in pieces, at several scales, mirrored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from cen.data import Modality
from cen.models import ChannelExchangeNetwork, Output
from cen.predict.flips import mirror, mirror_truth, vector_fields
from cen.predict.scenes import TensorScene
from cen.predict.views import Band, Views, bands, joined
from cen.training.batch_fields import Batch, inputs_of, label_size


class BatchViews:
    """What a network predicts of batches, at the size of their ground truth.

    What a cycle network is given is mirrored as ground truth and resized as an input.

    Args:
        net: the network.
        dataset: the data set, which says what its fields are, or nothing.
        views: how often, and in which pieces, the network looks.
    """

    def __init__(
        self,
        net: ChannelExchangeNetwork,
        dataset: Dataset[Any],
        views: Views = Views(),  # noqa: B008 (frozen)
    ) -> None:
        self.net, self.views = net, views
        self.modalities = described(dataset, "modalities")
        self.vectors = vector_fields(net.outputs, described(dataset, "targets"))

    def bands(self, batch: Batch, present: Sequence[str]) -> Iterable[Band]:
        """What is predicted of some modalities, in pieces where pictures are cut."""

        def scene(mirrored: bool) -> TensorScene:
            read_inputs = self._mirrored if mirrored else partial(inputs_of, self.net)
            return TensorScene(read_inputs(batch, present))

        return bands(self.net, scene, label_size(self.net, batch), self.views, self.vectors)

    def whole(self, batch: Batch, present: Sequence[str]) -> dict[str, Output]:
        """The same as a whole."""
        return joined(self.bands(batch, present)).outputs

    def _mirrored(self, batch: Batch, present: Sequence[str]) -> dict[str, Tensor]:
        """What the network is given of a mirrored batch."""
        if self.net.cyclic:
            # It makes its inputs of ground truth, whose vectors have no mean to mind.
            turned = {n: mirror_truth(batch[n], n in self.vectors) for n in present if n in batch}
            return inputs_of(self.net, turned, present)
        inputs = inputs_of(self.net, batch, present)
        return {name: mirror(image, self.modalities.get(name)) for name, image in inputs.items()}


def described(dataset: Dataset[Any], what: str) -> Mapping[str, Modality]:
    """How fields of a data set are read; nothing is known of data sets of one's own."""
    fields = getattr(dataset, what, {})
    return fields if isinstance(fields, Mapping) else {}
