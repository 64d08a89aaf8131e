"""Other ways to fuse the same streams: the baselines that the method is compared with.

Read in this order: ``fuse`` (what a fusion block is), ``concat``, ``averaging``, ``attention`` and
``gating`` (the blocks), ``fused`` (the network that holds them), ``alignment`` (streams that a loss
pulls together). All use the encoder, the decoder and the shared convolutions of the method.
"""

from collections.abc import Mapping

from cen.models.baselines.alignment import AlignedNetwork, discrepancy
from cen.models.baselines.attention import Attention
from cen.models.baselines.averaging import Average, Sum
from cen.models.baselines.concat import Concat
from cen.models.baselines.fuse import Fuse
from cen.models.baselines.fused import FusedNetwork
from cen.models.baselines.gating import Gate

FUSIONS: Mapping[str, type[Fuse]] = {
    "concat": Concat,
    "average": Average,
    "sum": Sum,
    "attention": Attention,
    "gate": Gate,
}
"""The fusion blocks, by the name that ``fusion`` of `cen.build` gives them."""

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
    "discrepancy",
]
