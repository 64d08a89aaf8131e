"""The method: channels exchanged between streams, guided by the scales of their norms.

Depends on torch alone. Read in this order: ``streams`` (who rides on the batch axis),
``functional`` (the paper's equation), ``rule`` and ``stream_norm`` (the layer that calls it),
``running_statistics``, ``batch_norm``, ``instance_norm``, ``group_norm`` and ``layer_norm`` (how it
normalises), ``penalty`` (what drives scales to 0).

Beside it stand what reads it, ``inspection``; what several processes need, ``sync_batch_norm``; an
ablation, ``random_guidance``, and an extension, ``partial_statistics``. How any network gets such
layers is a folder of its own, ``conversion``.
"""

from cen.exchange.batch_norm import StreamBatchNorm, freeze_statistics
from cen.exchange.conversion.conversion_summary import ConversionSummary, NormFate
from cen.exchange.conversion.converting import convert, convert_layers, converted_layers
from cen.exchange.conversion.first_pass import FirstPass
from cen.exchange.conversion.multistream import MultiStream
from cen.exchange.conversion.private_convolution import StreamConv2d
from cen.exchange.conversion.private_stems import StreamStem, adapt_channels
from cen.exchange.functional import exchange, group_parts, parts, replaced_channels
from cen.exchange.group_norm import StreamGroupNorm
from cen.exchange.inspection import Inspection, LayerExchange, inspect
from cen.exchange.instance_norm import StreamInstanceNorm, instance_statistics
from cen.exchange.layer_norm import StreamLayerNorm, StreamRMSNorm
from cen.exchange.partial_statistics import keep_partial_statistics
from cen.exchange.penalty import exchange_layers, exchange_rate, sparsity, total_penalty
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
