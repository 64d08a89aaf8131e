"""The method: channels exchanged between streams, guided by the scales of their norms.

Depends on torch alone. Read in this order: ``streams`` (who rides on the batch axis),
``functional`` (the exchange as a pure function), ``norm`` and ``norms`` (the only layers that know
about streams), ``conversion`` (any network becomes multi-stream).
"""

from cen.exchange.conv import StreamConv2d
from cen.exchange.conversion import convert, convert_layers
from cen.exchange.functional import (
    exchange,
    group_parts,
    parts,
    random_parts,
    replaced_channels,
)
from cen.exchange.inspection import Inspection, LayerExchange, inspect
from cen.exchange.multistream import MultiStream
from cen.exchange.norm import (
    ExchangeRule,
    StreamNorm,
    exchange_layers,
    exchange_rate,
    sparsity,
    total_penalty,
)
from cen.exchange.norms import (
    StreamBatchNorm,
    StreamGroupNorm,
    StreamInstanceNorm,
    freeze_statistics,
    instance_statistics,
    keep_partial_statistics,
)
from cen.exchange.streams import Streams
from cen.exchange.sync import StreamSyncBatchNorm, synchronise

__all__ = [
    "ExchangeRule",
    "Inspection",
    "LayerExchange",
    "MultiStream",
    "StreamBatchNorm",
    "StreamConv2d",
    "StreamGroupNorm",
    "StreamInstanceNorm",
    "StreamNorm",
    "StreamSyncBatchNorm",
    "Streams",
    "convert",
    "convert_layers",
    "exchange",
    "exchange_layers",
    "exchange_rate",
    "freeze_statistics",
    "group_parts",
    "inspect",
    "instance_statistics",
    "keep_partial_statistics",
    "parts",
    "random_parts",
    "replaced_channels",
    "sparsity",
    "synchronise",
    "total_penalty",
]
