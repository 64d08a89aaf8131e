"""Networks: plain encoders and decoders, the network of streams, and its checkpoints.

Read in this order: ``resnet``, ``refinenet``, ``pspnet`` and ``unet`` (ordinary single-stream
networks), ``network`` (named inputs through streams to named outputs), ``assembly`` and
``builders`` (how parts become one network), ``converted_network`` (one of somebody's own),
``baselines`` (what it is compared with), ``costs``, ``network_file``, ``released`` and
``pretrained`` (weights), ``finetuning``.
"""

from cen.exchange import adapt_channels
from cen.models.builders import build, builders, encoders
from cen.models.converted_network import ConvertedNetwork, convert
from cen.models.cycle import CycleFusionNetwork
from cen.models.finetuning import finetune
from cen.models.network import ChannelExchangeNetwork, Output
from cen.models.network_file import from_pretrained, load, read_header, save
from cen.models.patchgan import PatchGAN
from cen.models.pretrained import save_encoder
from cen.models.pspnet import PSPNetDecoder
from cen.models.refinenet import RefineNetDecoder
from cen.models.released import load_released, released_state_dict, save_released
from cen.models.resnet import ResNet
from cen.tasks import Task

__all__ = [
    "ChannelExchangeNetwork",
    "ConvertedNetwork",
    "CycleFusionNetwork",
    "Output",
    "PSPNetDecoder",
    "PatchGAN",
    "RefineNetDecoder",
    "ResNet",
    "Task",
    "adapt_channels",
    "build",
    "builders",
    "convert",
    "encoders",
    "finetune",
    "from_pretrained",
    "load",
    "load_released",
    "read_header",
    "released_state_dict",
    "save",
    "save_encoder",
    "save_released",
]
