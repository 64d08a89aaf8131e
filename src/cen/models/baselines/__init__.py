"""Other ways to fuse the same streams: the baselines that the method is compared with.

``blocks`` (the fusion blocks), ``fused`` (the network that holds them), ``alignment`` (streams that
a loss pulls together), ``token_fusion`` (streams that exchange tokens). All use the encoder, the
decoder and the shared convolutions of the method.
"""

from cen.models.baselines.alignment import AlignedNetwork, discrepancy
from cen.models.baselines.blocks import FUSIONS, Attention, Average, Concat, Fuse, Gate, Sum
from cen.models.baselines.fused import FusedNetwork
from cen.models.baselines.token_fusion import TokenExchange, TokenFusionNetwork

PLACES = ("early", "middle", "late", "all")
"""Where features can be fused; what ``fusion_at`` of `cen.build` takes."""

__all__ = [
    "FUSIONS",
    "PLACES",
    "AlignedNetwork",
    "Attention",
    "Average",
    "Concat",
    "Fuse",
    "FusedNetwork",
    "Gate",
    "Sum",
    "TokenExchange",
    "TokenFusionNetwork",
    "discrepancy",
]
