"""Which data set a command is about: a layout and a folder, or a configuration that says both."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cen.cli import sources, words
from cen.cli.parser import Parser
from cen.data.readers.registry import LAYOUTS
from cen.errors import ConfigError, nearest
from cen.fetching import is_url

if TYPE_CHECKING:
    from cen.data.readers.opening import DatasetRecipe


def add_source(parser: Parser, verb: str, more: str = "") -> None:
    """Declares NAME, ROOT, ``--fields`` and ``--workers``, and takes the keys of ``data``."""
    parser.free = "keys"
    parser.usage = f"cen data NAME {verb} [ROOT] {more}[--data.KEY VALUE ...]"
    parser.epilog = (
        "Keys of a configuration are options: --data.classes 40, "
        "--data.modalities.depth.unit 0.0001, --data.options.columns '[rgb, segmentation, depth]'."
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        type=words.path_text,
        help="a layout (nyudv2), or a configuration: a file or its name",
    )
    parser.add_argument(
        "root",
        metavar="ROOT",
        nargs="?",
        type=words.path_text,
        help="where the data are; default: what NAME says",
    )
    parser.option(
        "--fields FIELDS",
        str,
        "what to read: names with commas between them, or all; default: what NAME trains with, "
        "and of a layout the usual fields",
    )
    parser.option(
        "--workers N",
        words.whole(1, 1024),
        "processes that read; default: one per core where there are many samples",
    )


def source_of(args: argparse.Namespace) -> DatasetRecipe:
    """The data set that the words name."""
    for key in args.free:
        if not key.startswith(("data.", "model.inputs", "model.outputs")):
            raise ConfigError(f"--{key}: says nothing of the data; keys of data. are possible")
    if args.name in LAYOUTS:
        return _of_layout(args)
    names = [*LAYOUTS, *sources.shipped()]
    if args.name not in names and os.sep not in args.name and not Path(args.name).suffix:
        raise ConfigError(f"{args.name}: no layout and no configuration{nearest(args.name, names)}")
    root = {"data.root": args.root} if args.root else {}
    # Weights are not read, wherever they come from.
    config = sources.load_config(args.name, {**args.free, **root, "model.weights": "null"})
    sources.need_data(config)
    from cen.training.setup import data_source

    return _with_fields(data_source(config), args.fields)


def _of_layout(args: argparse.Namespace) -> DatasetRecipe:
    rendered = args.name == "rooms"
    if args.root is None and not rendered:
        raise ConfigError(f"cen data {args.name} {args.action} needs ROOT, where the data are")
    if args.root is not None and not is_url(args.root) and not Path(args.root).exists():
        raise ConfigError(
            f"{args.root}: there is no such folder or file; give ROOT, where the data are"
        )
    from cen.config import Config
    from cen.training.setup import data_source

    overrides = {**args.free, "data.layout": args.name, "data.root": args.root or "rooms"}
    config = Config.from_dict({}, overrides, "the command line")
    # The fields of the default configuration need not be those of this layout.
    return _with_fields(replace(data_source(config), inputs=None, outputs=None), args.fields)


def _with_fields(source: DatasetRecipe, fields: str | None) -> DatasetRecipe:
    names = [] if fields is None else [name.strip() for name in fields.split(",")]
    return replace(source, fields=tuple(names))
