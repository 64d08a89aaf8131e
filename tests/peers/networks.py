"""Networks of other projects, small and untrained: what `test_peers` converts.

Nothing is imported before a network is made. Names are those of the libraries.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from torch import nn


@dataclass(frozen=True)
class Peer:
    """A network, and what is expected of its conversion.

    Attributes:
        library: What it comes from.
        name: Its name there.
        make: Makes it.
        shape: (C, *) of an image.
        refused: Decisive words of the refusal; "" where every stream is exact.
        options: Of the conversion.
    """

    library: str
    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    refused: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.library}/{self.name}"


def skip_without(peer: Peer) -> None:
    """Skips a test where the library of a network cannot be imported."""
    library = {"smp": "segmentation_models_pytorch"}.get(peer.library, peer.library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module(library)
        except (ImportError, RuntimeError) as error:
            pytest.skip(f"{peer.library}: {error}")


TIMM_MAPS = """
resnet18 resnet26t resnext26ts resnest14d seresnet18
regnety_002 dla34 ese_vovnet19b_dw cs3darknet_s resnetv2_18
resnetv2_50x1_bit tf_efficientnet_lite0 efficientnet_b0
mobilenetv3_small_050 mobilenetv4_conv_small_050 ghostnet_050 mixnet_s lcnet_050
repvgg_a0 mobileone_s0 repvit_m0_9 repghostnet_050 fastvit_t8 hgnetv2_b0 starnet_s1
inception_next_atto convnext_atto convnextv2_atto edgenext_xx_small mobilevit_xxs mobilevitv2_050
efficientvit_b0 poolformer_s12 pvt_v2_b0 mambaout_femto shvit_s1
nf_regnet_b0
"""

TIMM_SIZED = {
    "shvit_s1": 128,  # smaller ones leave two values to a norm in training
    "vit_tiny_patch16_224": 32,
    "vit_small_patch14_reg4_dinov2": 28,
    "eva02_tiny_patch14_224": 28,
    "cait_xxs24_224": 32,
    "xcit_nano_12_p8_224": 32,
    "coat_lite_tiny": 32,
    "davit_tiny": 32,
    "focalnet_tiny_srf": 32,
    "swin_tiny_patch4_window7_224": 32,
    "swinv2_tiny_window8_256": 32,
    "swinv2_cr_tiny_ns_224": 64,
    "maxvit_rmlp_pico_rw_256": 64,
    "coatnet_pico_rw_224": 64,
    "levit_128s": 128,
    "tiny_vit_5m_224": 64,
    "efficientformer_l1": 224,
    "crossvit_tiny_240": 240,
    "mixer_s32_224": 64,
    "gmixer_12_224": 32,
    "resmlp_12_224": 32,
    "pit_ti_224": 32,
    "tnt_s_patch16_224": 32,
    "hiera_tiny_224": 64,
}

_NO_NORM = "holds no BatchNorm, InstanceNorm, GroupNorm, LayerNorm or RMSNorm"
TIMM_REFUSED = dict.fromkeys(("nf_regnet_b0", "resmlp_12_224"), _NO_NORM)


def timm_networks() -> Iterator[Peer]:
    """Those of timm."""

    def make(name: str, size: int) -> nn.Module:
        timm = importlib.import_module("timm")
        made: nn.Module
        try:
            made = timm.create_model(name, num_classes=5, img_size=size)
        except TypeError:  # it takes images of any size
            made = timm.create_model(name, num_classes=5)
        return made

    sized = dict(TIMM_SIZED)
    for name in TIMM_MAPS.split():
        sized.setdefault(name, 32)
    for name, size in sized.items():
        yield Peer(
            "timm",
            name,
            lambda name=name, size=size: make(name, size),
            (3, size, size),
            TIMM_REFUSED.get(name, ""),
        )


SMP = """
Unet/resnet18 UnetPlusPlus/resnet18 MAnet/resnet18 Linknet/resnet18 FPN/resnet18 PSPNet/resnet18
PAN/resnet18 DeepLabV3/resnet18 DeepLabV3Plus/resnet18 UPerNet/resnet18 Segformer/mit_b0
Unet/mobilenet_v2 Unet/timm-regnetx_002 FPN/tu-convnext_atto
"""


def smp_networks() -> Iterator[Peer]:
    """Those of segmentation_models.pytorch."""

    def make(architecture: str, encoder: str) -> nn.Module:
        smp = importlib.import_module("segmentation_models_pytorch")
        made: nn.Module = getattr(smp, architecture)(encoder, encoder_weights=None, classes=4)
        return made

    for name in SMP.split():
        architecture, _, encoder = name.partition("/")
        size = {"PAN": 128, "MAnet": 64}.get(architecture, 32)
        yield Peer("smp", name, lambda a=architecture, e=encoder: make(a, e), (3, size, size))


_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
_PYRAMID = {"hidden_sizes": [16, 32, 40, 64], "depths": [1, 1, 1, 1], "num_labels": 4}
_MAPS = {"embedding_size": 16, "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}
_HEADS = {"num_attention_heads": [1, 2, 4, 8]}
_SWIN = {
    "image_size": 64,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}
_STAGES = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
_BEIT = {
    "out_indices": [1, 2, 3, 4],
    "use_auxiliary_head": False,
    "num_labels": 4,
    "pool_scales": [1, 2],
}
_DPT = {"backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [8, 16, 32, 32]}
_MOBILE = {
    "hidden_sizes": [32, 48, 64],
    "neck_hidden_sizes": [8, 16, 24, 32, 40, 64, 96],
    "num_attention_heads": 2,
    "num_labels": 4,
    "image_size": 64,
}
_LEVIT = {
    "image_size": 64,
    "hidden_sizes": [32, 48, 64],
    "num_attention_heads": [2, 3, 4],
    "depths": [1, 1, 1],
    "key_dim": [8, 8, 8],
}
_PYRAMID_HEADS = {"num_heads": [1, 2, 4, 8]}
_HIERA = {
    "embed_dim": 16,
    "image_size": [64, 64],
    "depths": [1, 1, 2, 1],
    "num_heads": [1, 2, 4, 8],
}
_FRAMES = {**_VIT, "num_frames": 4}

# Name of the model: name of its configuration, options of that, size of an image.
TRANSFORMERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "SegformerForSemanticSegmentation": (
        "SegformerConfig",
        {**_PYRAMID, **_HEADS, "decoder_hidden_size": 32},
        64,
    ),
    "SwinModel": ("SwinConfig", _SWIN, 64),
    "Swinv2Model": ("Swinv2Config", _SWIN, 64),
    "ConvNextForImageClassification": ("ConvNextConfig", _PYRAMID, 32),
    "ConvNextV2ForImageClassification": ("ConvNextV2Config", _PYRAMID, 32),
    "ViTModel": ("ViTConfig", _VIT, 32),
    "DeiTModel": ("DeiTConfig", _VIT, 32),
    "Dinov2Model": ("Dinov2Config", _VIT, 32),
    "Dinov2WithRegistersModel": ("Dinov2WithRegistersConfig", _VIT, 32),
    "DINOv3ViTModel": ("DINOv3ViTConfig", _VIT, 32),
    "BeitForSemanticSegmentation": ("BeitConfig", {**_VIT, **_BEIT}, 32),
    "Data2VecVisionModel": ("Data2VecVisionConfig", _VIT, 32),
    "DPTModel": ("DPTConfig", {**_VIT, **_DPT, "is_hybrid": False}, 32),
    "PvtForImageClassification": ("PvtConfig", {**_PYRAMID, **_HEADS, "image_size": 64}, 64),
    "PvtV2ForImageClassification": ("PvtV2Config", {**_PYRAMID, **_HEADS, "image_size": 64}, 64),
    "ResNetModel": ("ResNetConfig", _MAPS, 32),
    "RegNetModel": ("RegNetConfig", {**_MAPS, "groups_width": 8}, 32),
    "BitModel": ("BitConfig", {**_MAPS, "num_groups": 4}, 64),
    "MobileViTForSemanticSegmentation": ("MobileViTConfig", _MOBILE, 64),
    "MobileViTV2Model": ("MobileViTV2Config", {"image_size": 64, "width_multiplier": 0.25}, 64),
    "PoolFormerModel": ("PoolFormerConfig", _PYRAMID, 64),
    "FocalNetModel": ("FocalNetConfig", {"image_size": 64, "embed_dim": 16, "depths": [1] * 4}, 64),
    "HieraModel": ("HieraConfig", _HIERA, 64),
    "GLPNForDepthEstimation": ("GLPNConfig", {**_PYRAMID, **_HEADS, "decoder_hidden_size": 16}, 64),
    "CLIPVisionModel": ("CLIPVisionConfig", _VIT, 32),
    "SiglipVisionModel": ("SiglipVisionConfig", _VIT, 32),
    "EfficientNetModel": (
        "EfficientNetConfig",
        {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320},
        64,
    ),
    "LevitModel": ("LevitConfig", _LEVIT, 64),
    "VideoMAEModel": ("VideoMAEConfig", {**_FRAMES, "tubelet_size": 2}, 32),
    "TimesformerModel": ("TimesformerConfig", _FRAMES, 32),
}
_QUERIES = r"gets 5 rows where 4 ride through the network"


def transformers_networks() -> Iterator[Peer]:
    """Those of transformers."""

    def library() -> Any:
        return importlib.import_module("transformers")

    def make(model: str, config: str, options: dict[str, Any]) -> nn.Module:
        made: nn.Module = getattr(library(), model)(getattr(library(), config)(**options))
        return made

    for name, (config, options, size) in TRANSFORMERS.items():
        frames = (4,) if "num_frames" in options else ()
        yield Peer(
            "transformers",
            name,
            lambda n=name, c=config, o=options: make(n, c, o),
            (*frames, 3, size, size),
        )
    yield Peer("transformers", "UperNetForSemanticSegmentation", _upernet, (3, 64, 64))
    yield Peer("transformers", "MaskFormerForInstanceSegmentation", _maskformer, (3, 64, 64))
    yield Peer(
        "transformers", "Mask2FormerForUniversalSegmentation", _mask2former, (3, 64, 64), _QUERIES
    )


def _upernet() -> nn.Module:
    lib: Any = importlib.import_module("transformers")
    backbone = lib.ConvNextConfig(**_PYRAMID, **_STAGES)
    head = {"hidden_size": 16, "pool_scales": [1, 2], "use_auxiliary_head": False, "num_labels": 4}
    made: nn.Module = lib.UperNetForSemanticSegmentation(
        lib.UperNetConfig(backbone_config=backbone, **head)
    )
    return made


def _maskformer() -> nn.Module:
    lib: Any = importlib.import_module("transformers")
    heads = {"decoder_attention_heads": 2, "encoder_attention_heads": 2}
    layers = {"decoder_layers": 1, "encoder_layers": 1, "decoder_ffn_dim": 64}
    decoder = lib.DetrConfig(d_model=32, num_queries=5, **layers, **heads)
    backbone = lib.ResNetConfig(**_MAPS, **_STAGES)
    sizes = {"fpn_feature_size": 32, "mask_feature_size": 32}
    made: nn.Module = lib.MaskFormerForInstanceSegmentation(
        lib.MaskFormerConfig(backbone_config=backbone, decoder_config=decoder, **sizes)
    )
    return made


def _mask2former() -> nn.Module:
    lib: Any = importlib.import_module("transformers")
    backbone = lib.SwinConfig(**{**_SWIN, "depths": [1] * 4, "num_heads": [1, 2, 2, 2]}, **_STAGES)
    sizes = {"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "num_queries": 5}
    layers = {"encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2}
    widths = {"encoder_feedforward_dim": 64, "dim_feedforward": 64}
    made: nn.Module = lib.Mask2FormerForUniversalSegmentation(
        lib.Mask2FormerConfig(backbone_config=backbone, **sizes, **layers, **widths)
    )
    return made


_INSTANCE = {"norm_name": ("instance", {"affine": True})}
_SEGMENTS = {"in_channels": 3, "out_channels": 4}
_FLAT = {"spatial_dims": 2, **_SEGMENTS}
_LEVELS = {"channels": (8, 16, 32), "strides": (2, 2)}
_UNET = {**_FLAT, **_LEVELS, "num_res_units": 1}
_BASIC = {**_FLAT, "features": (8, 8, 16, 16, 16, 8)}
_SEG = {**_FLAT, "init_filters": 8, "blocks_down": (1, 2)}
_WINDOWS = {"feature_size": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 4), **_INSTANCE}
_PATCHES = {"img_size": (32, 32), "hidden_size": 32, "mlp_dim": 64, "num_heads": 2}
_DYN = {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2]}
_MEDNEXT = {"blocks_down": (1, 1), "blocks_bottleneck": 1, "blocks_up": (1, 1)}
_DENSE = {"init_features": 8, "growth_rate": 4, "block_config": (2, 2)}
_FLEXIBLE = {"backbone": "efficientnet-b0", "decoder_channels": (16, 16, 8, 8, 8)}
_NO_SCALE = "has no affine scale, so there is no γ to read"

# Name, options, shape of an image, words of the refusal.
MONAI: list[tuple[str, dict[str, Any], tuple[int, ...], str]] = [
    ("UNet", {**_UNET, "norm": "batch"}, (3, 32, 32), ""),
    ("UNet, instance norms", _UNET, (3, 32, 32), _NO_SCALE),
    ("BasicUNet", _BASIC, (3, 32, 32), ""),
    ("BasicUNetPlusPlus", _BASIC, (3, 32, 32), ""),
    ("DynUNet", {**_FLAT, **_DYN, **_INSTANCE, "filters": [8, 16, 32]}, (3, 32, 32), ""),
    ("SegResNet", {**_SEG, "blocks_up": (1,)}, (3, 32, 32), ""),
    ("SegResNetDS", {**_SEG, "norm": "batch"}, (3, 32, 32), ""),
    ("AttentionUnet, instance norms", {**_FLAT, **_LEVELS}, (3, 32, 32), _NO_SCALE),
    ("SwinUNETR", {**_FLAT, **_WINDOWS}, (3, 64, 64), ""),
    ("UNETR", {**_FLAT, **_PATCHES, **_INSTANCE, "feature_size": 8}, (3, 32, 32), ""),
    (
        "ViT",
        {"spatial_dims": 2, "in_channels": 3, "patch_size": (8, 8), "num_layers": 2, **_PATCHES},
        (3, 32, 32),
        "",
    ),
    ("VNet", {**_FLAT, "in_channels": 1}, (1, 32, 32), ""),
    ("MedNeXt", {**_SEG, **_MEDNEXT}, (3, 32, 32), ""),
    ("DenseNet", {**_FLAT, **_DENSE}, (3, 32, 32), ""),
    ("FlexibleUNet", {**_SEGMENTS, **_FLEXIBLE}, (3, 32, 32), ""),
]


def monai_networks() -> Iterator[Peer]:
    """Those of MONAI."""

    def make(name: str, options: dict[str, Any]) -> nn.Module:
        library = importlib.import_module("monai.networks.nets")
        made: nn.Module = getattr(library, name.partition(",")[0])(**options)
        return made

    for name, options, shape, refused in MONAI:
        # Norms for cross attention, which these do not call, stand before the MLP.
        where = {"where": ["*norm2"]} if name == "ViT" else {}
        yield Peer("monai", name, lambda n=name, o=options: make(n, o), shape, refused, where)


def peers() -> list[Peer]:
    """All of them."""
    return [*timm_networks(), *smp_networks(), *transformers_networks(), *monai_networks()]
