"""Layer norm and RMS norm of streams: over the channels of each position."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cen.exchange.functional import exchange_masked
from cen.exchange.layer_norm_function import scaled, streamwise_layer_norm
from cen.exchange.rule import ExchangeRule
from cen.exchange.stream_norm import StreamNorm
from cen.exchange.streams import Streams


class StreamLayerNorm(StreamNorm):
    """Layer norm with private γ and β per stream, and the exchange of channels after it.

    That the channels of tokens are exchanged is this project's extension: the paper exchanges those
    of maps, after batch or instance norm. Channel c of a token is replaced by the partners' channel
    c of the same token, where |γ_c| < θ. There are no statistics over a batch, so that a stream
    whose partners are absent needs none of its own.

    With one stream it computes what ``nn.LayerNorm`` computes.

    Args:
        num_features: C ≥ 1.
        streams: The streams of this part of the network.
        exchange: The rule, or None.
        eps: Added to the variance.
        channel_axis: -1: tokens (B·S, N, C), channels-last maps (B·S, H, W, C).
            1: maps (B·S, C, H, W), as LayerNorm2d of timm and ConvNeXt have them.
        bias: False leaves out β.
    """

    eps: float | None

    def __init__(
        self,
        num_features: int,
        streams: Streams,
        *,
        exchange: ExchangeRule | None = None,
        eps: float | None = 1e-5,
        channel_axis: int = -1,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, streams, exchange=exchange, bias=bias)
        self.eps, self.channel_axis = eps, channel_axis

    def _streamwise(self, packed: Tensor, count: int) -> Tensor:
        rows = packed.movedim(self.channel_axis, -1)
        return self._tokens(rows, count).movedim(-1, self.channel_axis)

    def _tokens(self, rows: Tensor, count: int) -> Tensor:
        """(B·S, *, C) → (B·S, *, C)."""
        if count == 1:
            return self._normalised(rows, *self._affine())
        rule = self._acting_rule()
        replaced = None if rule is None else self._replaced_now(rule)
        # Of two streams a channel is one of two, which is chosen along with the norm.
        paired = rule is not None and rule.scope == "own" and len(self.streams) == 2
        result = self._of_streams(
            torch.unflatten(rows, 0, (-1, count)), replaced if paired else None
        )
        if rule is not None and replaced is not None and not paired:
            stretched = replaced.view(count, *[1] * (result.ndim - 3), self.num_features)
            result = exchange_masked(result, stretched, self._groups_now(), rule.parts)
        return result.flatten(0, 1)

    def _of_streams(self, apart: Tensor, replaced: Tensor | None) -> Tensor:
        """Normalises (B, S, *, C) with γ and β of the streams; exchanges between two."""
        scale, shift = self._rows(self.weight), None if self.bias is None else self._rows(self.bias)
        eager = isinstance(apart, Tensor) and not torch.compiler.is_compiling()
        if eager and type(self)._normalised is StreamLayerNorm._normalised:
            if apart.is_cuda and torch.is_autocast_enabled("cuda"):
                # As autocast does with layer norms, whatever the precision of their scales.
                wide = torch.promote_types(scale.dtype, torch.float32)
                apart, scale = apart.to(wide), scale.to(wide)
                shift = None if shift is None else shift.to(wide)
            if apart.dtype == scale.dtype:
                first = self.streams.groups[0][0]
                return streamwise_layer_norm(apart, scale, shift, self.eps or 0.0, replaced, first)
        normalised = self._normalised(apart, None, None)
        # Where scales are more precise than features, as under autocast, they stay what they are.
        return scaled(normalised, scale, shift, replaced).to(normalised.dtype)

    def _normalised(self, rows: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        """Each position's channels, normalised, scaled and shifted where that is given."""
        return F.layer_norm(rows, (self.num_features,), scale, shift, self.eps or 0.0)


class StreamRMSNorm(StreamLayerNorm):
    """RMS norm with private γ per stream (this project's extension): no mean is taken away.

    With one stream it computes what ``nn.RMSNorm`` computes; arguments as of `StreamLayerNorm`.

    Args:
        num_features: C ≥ 1.
        streams: The streams of this part of the network.
        exchange: The rule, or None.
        eps: Added to the mean square; None is the smallest step of the features' precision.
        channel_axis: -1 or 1.
        bias: True adds β, which most of these norms have not.
    """

    def __init__(
        self,
        num_features: int,
        streams: Streams,
        *,
        exchange: ExchangeRule | None = None,
        eps: float | None = None,
        channel_axis: int = -1,
        bias: bool = False,
    ) -> None:
        super().__init__(
            num_features,
            streams,
            exchange=exchange,
            eps=eps,
            channel_axis=channel_axis,
            bias=bias,
        )

    def _normalised(self, rows: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        result = F.rms_norm(rows, (self.num_features,), scale, self.eps)
        return result if shift is None else result + shift
