"""TokenFusion: tokens of one stream that score low are replaced by those of the others.

Wang, Chen, Cao, Huang, Sun, Wang, "Multimodal Token Fusion for Vision Transformers", CVPR 2022, by
authors of the method, as their released code has it for images of sensors that lie on each other:
a small network of each stream gives every token of a block a score between 0 and 1; what attention
gives for the token is multiplied by it, and where it is below θ replaced by that of the other
stream; a loss pulls the scores to zero. Tokens of one place belong together, so the projection of a
token to the other stream is the identity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from cen.exchange import Streams
from cen.exchange.conversion.private_convolution import StreamConv2d
from cen.exchange.functional import exchange_masked
from cen.exchange.layer_norm import StreamLayerNorm
from cen.models.network import ChannelExchangeNetwork, split_rows


class TokenExchange(nn.Module):
    """What becomes of the tokens that attention gives, in all blocks of a stage.

    Args:
        channels: C of the tokens.
        streams: the streams.
        threshold: θ, the score below which a token is replaced; 0.02 in the released code.

    Attributes:
        score: of a map (B·P, C, H, W) of the P streams present, two logits (B·P, 2, H, W), of which
            the softmax of the first is the score; a network for each stream.
        given: the scores of the blocks in the running pass in training mode, (B·P, 1, H, W) each.
    """

    def __init__(self, channels: int, streams: Streams, threshold: float) -> None:
        super().__init__()
        self.streams, self.threshold = streams, threshold
        widths = (channels, channels, max(1, channels // 2), max(1, channels // 4), 2)
        layers: list[nn.Module] = [StreamLayerNorm(channels, streams, channel_axis=1)]
        for before, after in pairwise(widths):
            conv = StreamConv2d(nn.Conv2d(before, after, 1), streams)
            nn.init.trunc_normal_(conv.weight, std=0.02)  # as the authors draw all linear layers
            nn.init.zeros_(cast(Tensor, conv.bias))
            layers += [conv, nn.GELU()]
        self.score = nn.Sequential(*layers[:-1])
        self.given: list[Tensor] = []

    def forward(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Weigh and replace what attention gave.

        Args:
            x: the map that the block was given, (B·P, C, H, W).
            mixed: what its attention made of it, tokens (B·P, H·W, C).

        Returns:
            As ``mixed``.
        """
        scores = self.score(x).softmax(1)[:, :1]
        # What is recomputed in a backward pass has been counted.
        if self.training and self.streams.update_statistics:
            self.given.append(scores)
        weights = scores.flatten(2).transpose(1, 2)
        return replaced_tokens(mixed, weights, len(self.streams.active), self.threshold)

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: everything but the scores, which hang on a graph."""
        return {**self.__dict__, "given": []}


def replaced_tokens(mixed: Tensor, scores: Tensor, streams: int, threshold: float) -> Tensor:
    """Tokens times their scores; those that score low replaced by what the others have there.

    Of more than two streams it is the mean of the others (this project's extension).

    Args:
        mixed: tokens (B·P, N, C), sample by sample.
        scores: their scores (B·P, N, 1), in [0, 1].
        streams: P; a lone stream keeps its tokens.
        threshold: θ.

    Returns:
        (B·P, N, C).
    """
    weighed = mixed * scores.to(mixed.dtype)
    if streams == 1:
        return weighed
    low = split_rows(scores, streams) < threshold
    return exchange_masked(split_rows(weighed, streams), low, [range(streams)]).flatten(0, 1)


class TokenFusionNetwork(ChannelExchangeNetwork):
    """Streams that exchange tokens in a transformer, and their ensemble.

    Its auxiliary loss is the mean score, over all blocks, streams and tokens, of the last pass in
    training mode: the ℓ1 of the paper, whose released code adds up all scores of a batch instead.
    """

    auxiliary = "token_sparsity"

    def auxiliary_loss(self) -> Tensor:
        """The mean score of the last pass; a scalar. Handing it out forgets the scores."""
        scores = [score.flatten() for layer in self._layers() for score in layer.given]
        self._forget()
        return torch.cat(scores).mean() if scores else super().auxiliary_loss()

    def _encode(self, inputs: Mapping[str, Tensor], present: Sequence[str]) -> list[Tensor]:
        if self.training:  # a pass that only looks leaves the scores of a training step alone
            self._forget()
        return super()._encode(inputs, present)

    def _layers(self) -> list[TokenExchange]:
        return [layer for layer in self.encoder.modules() if isinstance(layer, TokenExchange)]

    def _forget(self) -> None:
        for layer in self._layers():
            layer.given.clear()
