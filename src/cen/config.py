"""Configurations: what a run is, as typed, documented values that a YAML file gives.

A configuration file is a tree of keys; every key is a field of one of the dataclasses of
:mod:`cen.options`, whose docstring is what ``cen train --help`` and ``docs/configuration.md``
print. A file gives only the keys that differ from the defaults, and the command line overrides any
of them (``--train.steps 100``). A key or value that does not fit is refused with the nearest one
that does. Nothing here imports torch, so that the command line starts quickly.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cen import parsing
from cen.documents import read_yaml
from cen.errors import ConfigError
from cen.fetching import refuse_fetched
from cen.files import write_text
from cen.options.constraints import Seed, check_finite, check_ranges, walk
from cen.options.data_options import ELSEWHERE, DataConfig
from cen.options.network_options import ModelConfig
from cen.options.training_options import TrainConfig
from cen.tasks import KINDS


@dataclass
class Config:
    """A whole run: data, network, training and seed.

    Attributes:
        data: Which files are read, and as what.
        model: Which network is built.
        train: How it is trained.
        seed: Every random choice of the run follows from it.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: Seed = 0

    @classmethod
    def from_dict(
        cls,
        values: Mapping[str, Any],
        overrides: Mapping[str, Any] | None = None,
        source: str = "configuration",
        lines: Mapping[str, int] | None = None,
    ) -> "Config":
        """Builds a configuration from nested values; keys not given keep their defaults.

        Args:
            values: Nested mappings, as a YAML file gives them.
            overrides: Dotted keys (``train.steps``) to values that replace those; a value may be
                text as typed on the command line. ``None`` or ``"null"`` for an entry of a mapping
                (``data.modalities.depth``) removes it.
            source: What an error message calls the origin of ``values``.
            lines: Line numbers by dotted key, for error messages.

        Raises:
            ConfigError: A key is unknown, or a value has the wrong type or is out of range.
        """
        origins = {key: f"{source}, line {line}" for key, line in (lines or {}).items()}
        base = cls().to_dict()
        if isinstance(values.get("train"), Mapping) and "stages" in values["train"]:
            base["train"]["steps"] = None  # stages bring their own length
        parsing.merge(base, values, cls)
        for key, value in (overrides or {}).items():
            parsing.override(base, key, value, cls)
            origins[key] = f"--{key}"
        places = parsing.Places(source, origins, elsewhere=ELSEWHERE)
        config: Config = parsing.parse(base, cls, "", places)
        config.check()
        return config

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        overrides: Mapping[str, Any] | None = None,
        *,
        of_run: bool = False,
    ) -> "Config":
        """Reads a YAML file; see :meth:`from_dict` for ``overrides`` and errors.

        Nothing is fetched because a file says so: a URL as ``data.root`` or ``model.weights``, and
        options of storage, must be among the overrides.

        Args:
            path: The file.
            overrides: Dotted keys to values that replace those of the file.
            of_run: It is RUN/config.yaml, whose ``model.weights`` tell where its network once
                started from and are not read again.
        """
        path = Path(path)
        read = read_yaml(path, ConfigError, "; give a YAML file")
        if not isinstance(read.value, dict):
            what = "is empty" if read.value is None else "holds no keys"
            raise ConfigError(f"{path}: {what}; start with 'data:', 'model:' or 'train:'")
        config = cls.from_dict(read.value, overrides, str(path), read.lines)
        unread = ("model.weights",) if of_run else ()
        asked = (*(overrides or {}), *unread)
        refuse_fetched(dict(walk(config)), asked, f"{path}: ")
        return config

    def to_dict(self) -> dict[str, Any]:
        """The configuration as nested plain values that YAML and JSON can hold."""
        values: dict[str, Any] = parsing.plain(self)
        return values

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all keys to a YAML file, which appears whole or not at all."""
        text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        write_text(Path(path), text, ConfigError)

    def check(self) -> None:
        """Checks ranges and what keys must have in common.

        Raises:
            ConfigError: Naming the key, its value and what would be right.
        """
        data, model, train = self.data, self.model, self.train
        check_ranges(self)
        check_finite(self.to_dict(), "")
        for part in (data, model, train):
            part.check()
        for name, modality in data.modalities.items():
            modality.check(name, model.inputs.get(name))
        if train.start is not None and model.weights is not None:
            raise ConfigError(
                "train.start: brings the weights of its encoder along; leave model.weights out"
            )
        if train.patience is not None and not data.validation:
            raise ConfigError(
                "train.patience: counts validations, and data.validation is 0; leave one of them "
                "out"
            )
        if data.transforms.scale and data.transforms.crop is None and train.batch_size > 1:
            raise ConfigError(
                "data.transforms.scale: gives images of different sizes, which make no batch; "
                "set data.transforms.crop, too"
            )
        if train.balance_classes and not any(KINDS[o.kind].labels for o in model.outputs.values()):
            raise ConfigError(
                "train.balance_classes: needs an output of kind segmentation in model.outputs"
            )
        generated = any(KINDS[output.kind].generated for output in model.outputs.values())
        if train.adversarial != "none" and not generated:
            raise ConfigError(
                "train.adversarial: needs an output of kind image in model.outputs; say none to "
                "train without a discriminator"
            )
        if model.name == "cycle":
            self._check_cycle()

    def _check_cycle(self) -> None:
        """Refuses what cycle fusion, where every modality is an input and a target, cannot do."""
        if self.train.modality_dropout:
            raise ConfigError("train.modality_dropout: is not for model.name cycle; leave it out")
        if self.train.robust:
            raise ConfigError("train.robust: is not for model.name cycle; leave it out")
        if self.data.partial:
            raise ConfigError(
                "data.partial: true is not for model.name cycle, where what a sample lacks would "
                "be an input of all others, too; say false and list samples that have every "
                "modality"
            )


MOVABLE = (
    *("data.root", "data.workers", "train.accelerator", "train.devices", "train.nodes"),
    *("train.strategy", "train.loggers"),
)
"""What may differ from the configuration of a run afterwards: where it runs, what it reads and who
is told of it, never what it computes."""

EXTENDABLE = ("train.steps", "train.patience")
"""What may differ, too, when a run is gone on with: how long it trains."""
