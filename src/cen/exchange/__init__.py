"""The method: channels exchanged between streams, guided by the scales of their norms.

Depends on torch alone. Read in this order: ``streams`` (who rides on the batch axis),
``functional`` (the paper's equation), ``rule`` and ``stream_norm`` (the layer that calls it),
``running_statistics``, ``batch_norm``, ``instance_norm``, ``group_norm`` and ``layer_norm`` (how it
normalises), ``penalty`` (what drives scales to 0), ``multistream`` and ``conversion`` (any network
becomes multi-stream).

A conversion asks ``plain_norms`` what a layer computes, ``norm_choice`` and ``residual_branches``
what becomes of it, and says so in a ``conversion_summary``; at the ``first_pass`` ``row_order``
shows whose rows the norms get, and ``shared_norms`` finds those that are no modules.

Beside it stand what reads it, ``inspection``; what several processes need, ``sync_batch_norm``;
and ablations and extensions, each in a file:
``random_guidance``, ``private_convolution``, ``private_stems``, ``partial_statistics``.
"""

from cen.exchange.batch_norm import StreamBatchNorm, freeze_statistics
from cen.exchange.conversion import convert, convert_layers, converted_layers
from cen.exchange.conversion_summary import ConversionSummary, NormFate
from cen.exchange.first_pass import FirstPass
from cen.exchange.functional import exchange, group_parts, parts, replaced_channels
from cen.exchange.group_norm import StreamGroupNorm
from cen.exchange.inspection import Inspection, LayerExchange, inspect
from cen.exchange.instance_norm import StreamInstanceNorm, instance_statistics
from cen.exchange.layer_norm import StreamLayerNorm, StreamRMSNorm
from cen.exchange.multistream import MultiStream
from cen.exchange.partial_statistics import keep_partial_statistics
from cen.exchange.penalty import exchange_layers, exchange_rate, sparsity, total_penalty
from cen.exchange.private_convolution import StreamConv2d
from cen.exchange.private_stems import StreamStem, adapt_channels
from cen.exchange.random_guidance import random_parts
from cen.exchange.rule import ExchangeRule
from cen.exchange.stream_norm import StreamNorm
from cen.exchange.streams import Streams
from cen.exchange.sync_batch_norm import StreamSyncBatchNorm, synchronise

__all__ = [
    "ConversionSummary",
    "ExchangeRule",
    "FirstPass",
    "Inspection",
    "LayerExchange",
    "MultiStream",
    "NormFate",
    "StreamBatchNorm",
    "StreamConv2d",
    "StreamGroupNorm",
    "StreamInstanceNorm",
    "StreamLayerNorm",
    "StreamNorm",
    "StreamRMSNorm",
    "StreamStem",
    "StreamSyncBatchNorm",
    "Streams",
    "adapt_channels",
    "convert",
    "convert_layers",
    "converted_layers",
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
