"""Encoders and networks of other libraries by their names there: timm's and smp's, and no others.

A name is looked up in the library's own list of what it has, so that nothing that stands in a
configuration or a checkpoint makes the program import, fetch or run anything else. Weights are
fetched where a person asks for them alone.
"""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from cen.errors import CheckpointError, ConfigError, did_you_mean, message_of
from cen.models.efficientnet_names import as_timm
from cen.models.foreign_weights import check_values, fill
from cen.models.image_encoder import LEAST_STRIDE, ImageEncoder
from cen.models.pretrained import GIVE_WEIGHTS, read_weights
from cen.tasks import Task

LIBRARIES = {"timm": "timm", "smp": "segmentation_models_pytorch"}
"""The package that a name such as ``timm/convnext_tiny`` begins with."""

ARCHITECTURES: tuple[str, ...] = (
    "DeepLabV3",
    "DeepLabV3Plus",
    "FPN",
    "Linknet",
    "MAnet",
    "PAN",
    "PSPNet",
    "Segformer",
    "UPerNet",
    "Unet",
    "UnetPlusPlus",
)
"""Networks of segmentation_models_pytorch; its DPT hands on more than feature maps."""


def library_of(name: str) -> str | None:
    """The library that the name of an encoder or a network begins with; None: none of them."""
    head, slash, _ = name.partition("/")
    return head if slash and head in LIBRARIES else None


def library(name: str) -> Any:
    """A library.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(LIBRARIES[name])
    except (ImportError, RuntimeError) as error:  # torchvision's where it is of another torch
        raise ConfigError(
            f"{name}/… needs the package {LIBRARIES[name]} ({error}); install it with: pip install "
            "'cen[backbones]'"
        ) from error


def encoder_of(
    name: str, output_stride: int, drop_path: float | None, weights: str | None
) -> ImageEncoder:
    """An encoder of another library.

    Args:
        name: ``timm/NAME`` or ``smp/NAME``.
        output_stride: greatest stride of a feature map: 32, 16 or 8.
        drop_path: rate of stochastic depth; None: the library's own.
        weights: ``"imagenet"`` for those that the library has for this name, fetched into its own
            cache; or a file with its names. None: random.

    Raises:
        ConfigError: the library is missing, or has no such encoder, or not so.
        CheckpointError: the weights cannot be used.
    """
    head, _, plain = name.partition("/")
    options: dict[str, Any] = {} if output_stride == 32 else {"output_stride": output_stride}
    if drop_path is not None:
        options["drop_path_rate"] = drop_path
    if head == "timm":
        return ImageEncoder(_timm_encoder(plain, options, weights), name)
    return ImageEncoder(_smp_encoder(plain, options, weights), name)


def _timm_encoder(name: str, options: Mapping[str, Any], weights: str | None) -> nn.Module:
    timm = library("timm")
    free = _free_size(timm, name)
    with torch.device("meta"):
        shadow = timm.create_model(name, features_only=True, **free)
    every = shadow.feature_info.info
    strides = [entry["reduction"] for entry in every]
    indices = [index for index, stride in enumerate(strides) if stride >= LEAST_STRIDE]
    if len(set(strides)) == 1:
        # A plain transformer: maps of one size, of which four are taken at equal distances.
        count = min(4, len(strides))
        indices = [len(strides) * (step + 1) // count - 1 for step in range(count)]
    arguments = {"features_only": True, "out_indices": tuple(indices), **free, **options}
    state: dict[str, Tensor] | None = None
    if weights is not None:
        arguments["pretrained"] = True
        if weights != "imagenet":
            state = as_timm(read_weights(weights, f"timm/{name}"))
            check_values(state, weights)
            arguments["pretrained_cfg_overlay"] = {"state_dict": dict(state), "custom_load": False}
    net = _made(f"timm/{name}", lambda: timm.create_model(name, **arguments), weights)
    if state is not None:
        _check_taken(net, state, f"{weights} does not hold the weights of timm/{name}")
    return net


def _check_taken(net: nn.Module, state: Mapping[str, Tensor], wrong: str) -> None:
    """Refuses weights that timm has passed over, as it does for some of its networks.

    Whatever names it has changed, the values are those of the file; but for tables of positions,
    which it resizes. Statistics of norms count, too: a file of parameters alone has none.
    """
    values: dict[tuple[str, torch.Size], list[Tensor]] = {}
    for key, value in state.items():
        values.setdefault((_statistic(key), value.shape), []).append(value)
    parameters = dict(net.named_parameters())
    missing = [
        key
        for key, value in net.state_dict().items()
        if ((key in parameters and "pos" not in key) or _statistic(key))
        and not any(torch.equal(value, v) for v in values.get((_statistic(key), value.shape), []))
    ]
    if missing:
        raise CheckpointError(
            f"{wrong}: {', '.join(missing[:4])} (of {len(missing)}) are not there"
        )


def _statistic(key: str) -> str:
    """Which statistic of a norm a tensor is, that no other may stand in for; "" for none."""
    last = key.rpartition(".")[2]
    return last if last in ("running_mean", "running_var") else ""


def _free_size(timm: Any, name: str) -> dict[str, Any]:
    """The option with which a transformer of timm takes images of any size, where it has one.

    Raises:
        ConfigError: timm has no encoder of this name.
    """
    # is_model knows names alone: neither those of files nor of the hub.
    if not timm.is_model(name) or ":" in name or "/" in name:
        near = did_you_mean(name.partition(".")[0], timm.list_models())
        raise ConfigError(f"timm has no encoder {name!r}{near}; timm.list_models() names all")
    for option in ({"dynamic_img_size": True}, {"strict_img_size": False}):
        try:
            with torch.device("meta"):
                timm.create_model(name, features_only=True, **option)
        except TypeError:  # the network has no such option
            continue
        except Exception as error:
            raise ConfigError(f"timm/{name} gives no feature maps: {message_of(error)}") from error
        return option
    return {}


def _smp_encoder(name: str, options: Mapping[str, Any], weights: str | None) -> nn.Module:
    smp = library("smp")
    _check_smp(smp, name)
    own = weights if weights == "imagenet" else None
    encoder = _made(
        f"smp/{name}", lambda: smp.encoders.get_encoder(name, weights=own, **options), weights
    )
    if weights is not None and own is None:
        _load(encoder, read_weights(weights, f"smp/{name}"), weights)
    return encoder


def _check_smp(smp: Any, name: str) -> None:
    names = list(smp.encoders.encoders)
    if name not in names:
        hint = did_you_mean(name, names)
        raise ConfigError(
            f"smp has no encoder {name!r}{hint}; timm's are named timm/NAME, others are "
            f"{', '.join(names[:8])}, … (segmentation_models_pytorch.encoders.get_encoder_names())"
        )


def network_of(name: str, encoder: str, weights: str | None) -> tuple[ImageEncoder, SmpDecoder]:
    """A network of segmentation_models_pytorch.

    Args:
        name: ``smp/NAME``, one of `ARCHITECTURES`.
        encoder: one of smp's, or ``timm/NAME``.
        weights: of the encoder, see `encoder_of`.

    Raises:
        ConfigError: the library is missing, or has no such network or encoder, or does not put
            them together.
        CheckpointError: the weights cannot be used.
    """
    plain = name.removeprefix("smp/")
    if plain not in ARCHITECTURES:
        hint = did_you_mean(plain, ARCHITECTURES)
        raise ConfigError(f"smp has no network {plain!r}{hint}; known: {', '.join(ARCHITECTURES)}")
    smp = library("smp")
    of_timm = encoder.startswith("timm/")
    part = encoder.partition("/")[2] if library_of(encoder) else encoder
    named, options = part, {}
    if of_timm:
        named, options = f"tu-{part}", _free_size(library("timm"), part)
    else:
        _check_smp(smp, part)
    make = getattr(smp, plain)
    arguments = {"encoder_weights": None, "classes": 1, **options}
    network: Any = _made(name, lambda: make(named, **arguments), None)
    if weights is not None:
        source = (_timm_encoder if of_timm else _smp_encoder)(part, {}, weights)
        _load(network.encoder.model if of_timm else network.encoder, source.state_dict(), weights)
    image_encoder = ImageEncoder(network.encoder, encoder, every=True)
    if network.requires_divisible_input_shape:
        image_encoder.multiple = image_encoder.smallest = max(
            image_encoder.multiple, int(network.encoder.output_stride)
        )
    return image_encoder, SmpDecoder(network.decoder, network.segmentation_head)


class SmpDecoder(nn.Module):
    """A decoder of segmentation_models_pytorch.

    Args:
        decoder: maps the encoder's feature maps to one.
        head: its classifier, of which each output gets one alike.

    Attributes:
        channels: channels of the decoder's output.
        reads: the feature map that is said to be read; which ones are is the decoder's own matter.
        first_norms: pattern of the names of the norms that see the encoder features first: none.
        batches: it is trained on batches, so that batch norms suit it.
    """

    reads = (0,)
    first_norms = ""
    batches = True

    def __init__(self, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder
        self._head = (head,)  # no part of the network
        self.channels = int(cast(nn.Conv2d, cast(nn.Sequential, head)[0]).in_channels)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map all that the encoder gave to (N, channels, H, W)."""
        return cast(Tensor, self.decoder(list(features)))

    def make_head(self, task: Task) -> nn.Module:
        """The classifier of one output, enlarged to the image's size as smp does."""
        head = copy.deepcopy(cast(nn.Sequential, self._head[0]))
        old = cast(nn.Conv2d, head[0])
        head[0] = nn.Conv2d(
            old.in_channels,
            task.channels,
            cast(Any, old.kernel_size),
            padding=cast(Any, old.padding),
        )
        nn.init.xavier_uniform_(cast(nn.Conv2d, head[0]).weight)
        nn.init.zeros_(cast(Tensor, cast(nn.Conv2d, head[0]).bias))
        return head


def _made(name: str, make: Any, weights: str | None) -> nn.Module:
    """What a library makes; whatever it raises is said to be of the name, or of the weights."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice about their own names and caches
            return cast(nn.Module, make())
    except (*_OF_WEIGHTS, TypeError, ValueError, AssertionError, AttributeError) as error:
        reason = f"{type(error).__name__}: {message_of(error)}"
        if weights is None or not isinstance(error, _OF_WEIGHTS):
            raise ConfigError(f"{name} cannot be built so: {reason}") from error
        raise CheckpointError(
            f"the weights {weights!r} of {name} cannot be used ({reason}); where they could not be "
            f"fetched, download {_published(name)} on a machine that has a network and "
            f"{GIVE_WEIGHTS}"
        ) from error


_OF_WEIGHTS = (OSError, RuntimeError, KeyError)
"""What is raised of weights that cannot be fetched or do not fit."""


def _published(name: str) -> str:
    """Where a library has the weights of a name from."""
    head, _, plain = name.partition("/")
    if head == "timm":
        pretrained_config = library("timm").models.get_pretrained_cfg(plain)
        page = pretrained_config.hf_hub_id if pretrained_config is not None else None
    else:
        settings = library("smp").encoders.encoders.get(plain, {}).get("pretrained_settings", {})
        page = settings.get("imagenet", {}).get("repo_id")
    return f"model.safetensors from https://huggingface.co/{page}" if page else "them"


def _load(encoder: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Loads weights; a classifier in the file is left out."""
    own = encoder.state_dict()
    kept = {key: value for key, value in state.items() if key in own}
    fill(encoder, kept, f"{source} does not hold this encoder")
