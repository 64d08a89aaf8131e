"""The network of the fusion baselines: streams that become one, and one prediction per output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from cen.models.image_encoder import ImageEncoder
from cen.models.network import FUSED, ChannelExchangeNetwork, Encoder, Output, resize
from cen.models.weight_transfer import transfer


class FusedNetwork(ChannelExchangeNetwork):
    """One stream per input up to where they are fused, one stream from there on.

    Without streams of its own at the end it has no ensemble: its `Output` holds no streams, no
    alpha, and the prediction as the ensemble, which learns like any other. An absent input counts
    as zeros in a concatenation and in an attention block, and not at all in a mean, a sum or a gate
    (this project's choice). Where the features are fused is read off the names of the blocks:

    - ``"images"``: no block; the images are joined along their channels (early concatenation);
    - ``"stem"``: after the first convolution, which runs once per input;
    - ``"stage1"``, ``"stage2"``, ...: the feature map of this encoder stage, for the decoder;
    - an output's name: the decoder's features, one stream per input until there.

    Args:
        blocks: the fusion blocks (`Fuse`) by these names.
        joined: the encoder's stage (from 1) after which one stream goes on, 0 before the first
            one; None where each input has its own until the encoder's end.
        **parts: as for `ChannelExchangeNetwork`. ``encoder_streams`` are the inputs; layers behind
            the fusion have their own, the one stream `FUSED`.

    Attributes:
        alpha: empty; one prediction needs no weights.
        fusion: the blocks.
    """

    def __init__(
        self, *, blocks: Mapping[str, nn.Module], joined: int | None, **parts: Any
    ) -> None:
        super().__init__(**parts)
        self.fusion = nn.ModuleDict(dict(blocks))
        self.joined = joined
        self.alpha = nn.ParameterDict()

    def of_fitting(self, inputs: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """As in the base class, of the one stream that is left."""
        present = tuple(inputs)
        rows = tuple(i for i, name in enumerate(self.inputs) if name in present)
        with self.encoder_streams.activate(present, self._rows(inputs)):
            features = self._features(self._first(inputs, present, rows), rows)
            late = next(iter(self.outputs)) in self.fusion
            decoded = self._decode(features, present if late else (FUSED,))
        return {
            name: {FUSED: self.heads[name](self.fusion[name](x, rows) if late else x)}
            for name, x in decoded.items()
        }

    def combined(
        self, name: str, streams: dict[str, Tensor], size: Sequence[int] | None = None
    ) -> Output:
        """An output of the one stream that is left, as in the base class."""
        (prediction,) = streams.values()
        if size is not None:
            prediction = resize(prediction, size)
        prediction = self.outputs[name].rules.constrain(prediction)
        return Output({}, prediction, prediction.new_zeros(0))

    def take_over(self, old: ChannelExchangeNetwork) -> list[str]:
        """As in the base class, and the fusion's weights."""
        before = old.fusion if isinstance(old, FusedNetwork) else nn.Module()
        return [*super().take_over(old), *transfer(before, self.fusion, "fusion.")]

    def _first(
        self, inputs: Mapping[str, Tensor], present: Sequence[str], rows: Sequence[int]
    ) -> Tensor:
        """What the first convolution gives: (B, C, h, w) where it is fused, else packed."""
        is_image_encoder = isinstance(self.encoder, ImageEncoder)
        if FUSED in self.stems or (is_image_encoder and self.joined == 0):
            image = inputs[present[0]]
            joined = [
                inputs[name]
                if name in present
                else image.new_zeros(len(image), channels, *image.shape[2:])
                for name, channels in self.inputs.items()
            ]
            images = torch.cat(joined, 1)
            return images if is_image_encoder else cast(Tensor, self.stems[FUSED](images))
        x = self._stem(inputs, present)
        return cast(Tensor, self.fusion["stem"](x, rows)) if "stem" in self.fusion else x

    def _features(self, x: Tensor, rows: Sequence[int]) -> list[Tensor]:
        """The encoder's feature maps as the decoder takes them, finest first."""

        def after(stage: int, feature: Tensor) -> Tensor:
            if stage == self.joined:
                return cast(Tensor, self.fusion[f"stage{stage}"](feature, rows))
            return feature

        features = cast(Encoder, self.encoder).body(x, after)
        for stage in range(1, len(features) + 1):
            if f"stage{stage}" in self.fusion and stage != self.joined:
                block = self.fusion[f"stage{stage}"]
                features[stage - 1] = block(features[stage - 1], rows)
        return features
