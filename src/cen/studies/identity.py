"""What makes two runs the same run: the resolved configuration and the data, not the place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from cen.config import MOVABLE, Config
from cen.files import NETWORKS, SHARED_NETWORK, network_of
from cen.options.augmentation_options import AugmentConfig
from cen.options.network_options import unset

# Defaults that have changed, as they were when runs were first hashed: a key that has its value of
# then does not count, so that those runs keep their names.
_FORMER = {
    "model.encoder": "resnet50",
    "model.decoder_norm": "none",
    "model.decoder_exchange": False,
    "model.threshold": 2e-2,
    "model.dropout": 0.5,
    "train.exchange_rate_by": 0.75,
}
# Exchanging channels are dealt out in the order of these, and the first output is compared. Hashes
# do not tell it, as they did not at first.
_ORDERED = ("model.inputs", "model.outputs")
# Of every network: null means still what the default was.
_FORMER_OF_DATA = {"data.ignore_index": 255}
# Keys that entries of a mapping did not have when runs were first hashed: null does not count,
# nor augmentation that changes nothing.
_LATER = {
    "data.modalities": ("bands", "exif", "page", "variable", "augment"),
    "model.outputs": ("loss",),
}


def run_hash(config: Config, data: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that name a run of a configuration, data and way of evaluation.

    Only keys that differ from their default count, so that a key which a later version adds
    leaves the hash of old runs alone, and none of :data:`cen.config.MOVABLE`. For a key whose
    default a version changes, the former one is what counts; :func:`differences` finds one that
    was forgotten.
    """
    content = {"config": _changed(config), "data": data, "evaluation": dict(evaluation)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def short_digest(content: Any) -> str:
    """Six hexadecimal digits that tell folders of one name apart, of plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:6]


def differences(config: Config, kept: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Keys that count and differ between a configuration and config.yaml of a run, both values.

    A key that is missing there had no other value than its first default in a program without it;
    one that is no key any more had its default, or the run would have another hash.
    """
    default = _flat(Config().to_dict()) | _FORMER | _FORMER_OF_DATA
    ours, theirs = _as_before(_flat(config.to_dict())), _as_before({**default, **_flat(kept)})
    # Of a local file run_hash knows the content; it may lie elsewhere now.
    read = {"model.weights": config.model.weights, "train.start": config.train.start}
    apart = {*MOVABLE, *(key for key, place in read.items() if _digest_of(place))}
    keys = [key for key in ours if key not in apart and ours[key] != theirs[key]]
    same = [key for key in _ORDERED if ours[key] == theirs[key]]
    keys += [key for key in same if list(ours[key]) != list(theirs[key])]
    return {key: (ours[key], theirs[key]) for key in keys}


def _changed(config: Config) -> dict[str, Any]:
    """The keys that count and differ from their first default."""
    default = _as_before(_flat(Config().to_dict())) | _FORMER | _FORMER_OF_DATA
    flat = _as_before(_flat(config.to_dict()))
    for key in ("model.weights", "train.start"):
        flat[key] = _digest_of(flat[key]) or flat[key]
    return {
        key: value
        for key, value in flat.items()
        if key not in MOVABLE and (key not in default or default[key] != value)
    }


def _digest_of(weights: str | None) -> str | None:
    """What is in a local file of weights, as text; None for a URL, ``imagenet`` or no file.

    Of a run folder it is the file that a network is loaded from.
    """
    if not weights:
        return None
    file = network_of(Path(weights), ("", *NETWORKS, SHARED_NETWORK))
    if file is None:
        return None
    state = file.stat()
    return _digest(file, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _as_before(flat: dict[str, Any]) -> dict[str, Any]:
    """Keys left to the network or the data where that means what the former default was."""
    for key, later in _LATER.items():
        flat = flat | {key: {name: _first(entry, later) for name, entry in flat[key].items()}}
    flat = {
        key: _FORMER_OF_DATA[key] if value is None and key in _FORMER_OF_DATA else value
        for key, value in flat.items()
    }
    left = ("encoder", "threshold", "dropout")
    meant = {f"model.{key}": unset(flat["model.name"], key) for key in left}
    if len(flat["model.outputs"]) == 1 and unset(flat["model.name"], "decoder_norm") != "batch":
        meant |= {"model.decoder_norm": "none", "model.decoder_exchange": False}
    if flat["train.exchange_rate"] is None:  # nothing reads when it is reached
        flat["train.exchange_rate_by"] = _FORMER["train.exchange_rate_by"]
    same = {key for key, value in meant.items() if value == _FORMER[key]}
    return {k: _FORMER[k] if v is None and k in same else v for k, v in flat.items()}


def _first(entry: Any, later: Collection[str]) -> Any:
    """An entry of a mapping without the keys that were not there at first, and say nothing."""
    if not isinstance(entry, Mapping):
        return entry
    nothing = (None, vars(AugmentConfig()))
    return {key: value for key, value in entry.items() if key not in later or value not in nothing}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Groups of keys as dotted keys; mappings whose names the user chooses stay whole."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and (prefix + key) in _GROUPS:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


_GROUPS = {"data", "model", "train", "data.transforms"}
