"""Saving and loading networks: one safetensors file that says everything about the network."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from cen import schema, weightfiles
from cen.conventions import normals_in_doubt
from cen.errors import CenWarning, CheckpointError, described
from cen.exchange import keep_partial_statistics
from cen.files import NETWORKS, SHARED_NETWORK
from cen.models import converted_network, hub
from cen.models.builders import build
from cen.models.foreign_weights import (
    existing,
    read_tensors,
    require_fit,
    require_shapes,
    shadow_of,
)
from cen.models.network import ChannelExchangeNetwork
from cen.models.network_description import check_description


def save(
    net: ChannelExchangeNetwork,
    path: str | Path,
    *,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a network to one ``.safetensors`` file, from which `load` rebuilds it.

    The header holds the arguments of `cen.build` (with the exchange rule: threshold and scope),
    the class names of each output, and the metadata. The file appears in one step: a reader never
    sees half of it.

    Args:
        net: the network, on any device.
        path: the file to write; its folder is made if needed.
        metadata: JSON-able values to keep with the weights, added to ``net.metadata``. Used by
            other parts of CEN: ``"preprocessing"`` (by input), ``"classes"`` (names by output),
            ``"palette"``, ``"metrics"`` and ``"step"``.

    Raises:
        CheckpointError: if the metadata is not JSON-able or the file cannot be written.
    """
    if not isinstance(net, ChannelExchangeNetwork):
        raise CheckpointError(
            f"save writes networks of cen.build, and of cen.convert with outputs=; of "
            f"{described(net)} keep the state_dict yourself"
        )
    net.write(path, metadata)


def load(path: str | Path, module: nn.Module | None = None) -> ChannelExchangeNetwork:
    """Rebuild a network that `save` wrote.

    The file is data: nothing in it is executed, and nothing that it names is opened or fetched.
    Of a repository of the Hugging Face Hub that file alone is fetched.

    Args:
        path: a ``.safetensors`` file, or a run folder: its ``best.safetensors``, else its
            ``last.safetensors``; or a folder of ``save_pretrained``. As text also
            ``hf://owner/name``, ``hf://owner/name@revision`` or ``hf://owner/name/file.safetensors``
            (``cen[hub]``).
        module: of a network that `cen.convert` made, a plain one of the same class and sizes; its
            weights do not matter.

    Returns:
        The network on the CPU, in eval mode; ``.metadata`` holds what was saved beside it.

    Raises:
        CheckpointError: if the file is missing, damaged, or not written by `save`, or its weights
            cannot be right (NaN, infinite); or the Hub does not give it.
        CenError: huggingface_hub is not installed.
    """
    if not isinstance(path, str | os.PathLike):
        raise CheckpointError(
            f"load takes the path of a file or of a run folder, not {described(path)}"
        )
    path = hub.fetched(path) if hub.is_address(path) else checkpoint_of(Path(path))
    header = read_header(path)
    converted = dict(header["config"]).get("name") == converted_network.NAME
    if module is not None and not converted:
        raise CheckpointError(f"{path} holds a network of cen.build; leave out module=")
    net = _rebuilt(path, header, module) if converted else _build(path, header)
    state = read_tensors(path)
    require_fit(state, net.state_dict(), f"{path} does not hold the network it describes")
    net.load_state_dict(state)
    net.metadata = header["metadata"]
    _warn_of_normals(path, net.metadata)
    return net.eval()


def from_pretrained(
    name: str | Path, module: nn.Module | None = None, *, revision: str | None = None
) -> ChannelExchangeNetwork:
    """As `load`, by the names that users of the Hub know.

    Args:
        name: ``owner/name`` of the Hugging Face Hub, or a folder of ``save_pretrained`` where there
            is one of this name.
        module: see `load`.
        revision: a branch, tag or commit of the repository; None: its main branch.

    Raises:
        CheckpointError, CenError: see `load`.
    """
    if isinstance(name, Path) or Path(name).is_dir():
        return load(name, module)
    at = "" if revision is None else f"@{revision}"
    return load(f"{hub.PREFIX}{name.removeprefix(hub.PREFIX)}{at}", module)


def checkpoint_of(path: Path) -> Path:
    """The file that `load` reads: the path itself, or the first of a folder that is there.

    Raises:
        CheckpointError: the folder holds none.
    """
    if not path.is_dir():
        return path
    files = [path / name for name in (*NETWORKS, SHARED_NETWORK) if (path / name).is_file()]
    if not files:
        raise CheckpointError(
            f"{path} holds neither {' nor '.join(NETWORKS)}; has the run saved anything?"
        )
    return files[0]


def opened(net: ChannelExchangeNetwork | str | Path) -> ChannelExchangeNetwork:
    """A network as it is, or the one of a file or run folder; see `load`."""
    return net if isinstance(net, ChannelExchangeNetwork) else load(net)


def _warn_of_normals(path: Path, metadata: Mapping[str, Any]) -> None:
    """Tells of a network that was trained when Taskonomy's normals were read with a wrong z."""
    if names := normals_in_doubt(metadata):
        warnings.warn(
            f"{path}: was trained when z of Taskonomy's normals was read with the wrong sign. If "
            f"it was trained on Taskonomy's own files, z of its {', '.join(names)} has the other "
            "sign than in this version, and its figures are not to be compared with new ones: "
            "train it anew, or turn z of what it predicts. Networks trained on Rooms are right",
            CenWarning,
            stacklevel=3,
        )


def read_header(path: str | Path) -> dict[str, Any]:
    """What a checkpoint says beside its weights, read without loading them.

    Returns:
        ``{"version": ..., "config": arguments of cen.build, "metadata": {...}}``.

    Raises:
        CheckpointError: if the file is missing, damaged, or not written by `save`.
    """
    header = weightfiles.read_header(existing(path))
    if header is None:
        raise CheckpointError(
            f"{path} holds weights but does not say of which network; only files written by "
            "cen.save can be loaded so (released checkpoints: cen.load_released)"
        )
    return dict(header)


def _build(path: Path, header: Mapping[str, Any]) -> ChannelExchangeNetwork:
    """The network that a file describes, after a look at whether the file holds its weights."""
    config, place = dict(header["config"]), "config"
    schema.check(config.get("name"), str, f"{path}: its header: config.name", CheckpointError)
    wrong = (
        f"{path} (written by cen {header['version'][:40]}) describes a network that this version "
        "cannot build"
    )
    try:
        check_description(config, place)
    except CheckpointError as error:
        raise CheckpointError(f"{wrong}: {error}") from None
    # Nothing is allocated, whatever sizes the header claims.
    shadow = shadow_of(partial(build, **config), wrong)
    shapes = weightfiles.read_shapes(path)
    if _partial(shapes):
        keep_partial_statistics(shadow)
    require_shapes(shapes, shadow.state_dict(), f"{path} does not hold the network it describes")
    net = build(**config)
    if _partial(shapes):
        keep_partial_statistics(net)
    return net


def _rebuilt(
    path: Path, header: Mapping[str, Any], module: nn.Module | None
) -> ChannelExchangeNetwork:
    """The converted network that a file describes, made of a plain one of somebody's own."""
    net = converted_network.rebuilt(dict(header["config"]), module, path)
    if _partial(weightfiles.read_shapes(path)):
        keep_partial_statistics(net)
    return net


def _partial(keys: Iterable[str]) -> bool:
    return any(key.endswith(".partial_mean") for key in keys)
