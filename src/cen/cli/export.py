"""Export the network of a run to ONNX or to a program of PyTorch, and compare what it gives.

One file for each subset of the modalities; what a file expects is in its metadata.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cen.cli import printing, sources, words
from cen.cli.parser import Parser
from cen.errors import CenError, ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from cen.models import ChannelExchangeNetwork

_SIZES = ((1, 1, 1), (4, 1, 2), (1, 2, 1))
"""Batch, and height and width over the least ones, of the samples that are compared."""


def add(parser: Parser) -> None:
    """Declares the options."""
    sources.add_network(parser)
    parser.option("-o --out OUT", words.path, "folder to write to", Path("exported"))
    parser.option("--format format", ["onnx", "pt2"], "ONNX, or torch.export", "onnx")
    parser.option("--inputs NAMES", str, "modalities with commas between, rgb,depth; default: all")
    parser.add_argument(
        "--all-subsets", action="store_true", help="a file for every subset of the modalities"
    )
    parser.add_argument(
        "--fold", action="store_true", help="compute once what exchange made equal (cen.fold)"
    )
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exports, and prints how each file compares."""
    source = sources.network_source(args.run_folder)
    words.out_folder("--out", args.out)
    if args.inputs and args.all_subsets:
        raise ConfigError("--inputs and --all-subsets: give one of them")
    import cen
    from cen.predict.exporting import export
    from cen.training.fusion_scores import subsets

    net = cen.load(source)
    which = [tuple(net.inputs)]
    if args.all_subsets:
        which = [s for s in subsets(tuple(net.inputs)) if net.predicted_from(s)]
    elif args.inputs:
        which = [_chosen(args.inputs, net)]
    samples, real = _samples(net, source)
    rows, figures = [], {}
    for names in which:
        path = args.out / f"{'+'.join(names)}.{args.format}"
        own = [{name: sample[name] for name in names} for sample in samples]
        found = export(net, path, own, form=args.format, folded=args.fold)
        figures["+".join(names)] = {"file": str(path), **found._asdict()}
        values = (f"{found.difference:.1e}", f"{100 * found.labels:.3f}")
        speeds = (f"{1000 * found.seconds:.1f}", f"{1000 * found.eager:.1f}")
        rows.append((str(path), *values, *speeds))
    head = ("file", "largest difference", "same labels %", "ms", "ms in PyTorch")
    told = f"compared on {'samples of the validation split' if real else 'random numbers'}"
    printing.emit(args, {"real_samples": real, "files": figures}, printing.table(head, rows), told)
    return 0


def _chosen(text: str, net: "ChannelExchangeNetwork") -> tuple[str, ...]:
    names = text.split(",")
    for name in names:
        if name not in net.inputs:
            raise ConfigError(f"--inputs {text}: no modality {name!r}{nearest(name, net.inputs)}")
    return tuple(name for name in net.inputs if name in names)


def _samples(
    net: "ChannelExchangeNetwork", source: Path
) -> "tuple[Sequence[Mapping[str, Tensor]], bool]":
    """Inputs of several sizes; of the validation data of the run where they are there."""
    import torch
    from torch.nn.functional import interpolate

    align = max(net.smallest, 64)
    sizes = [(batch, tall * align, wide * align) for batch, tall, wide in _SIZES]
    try:
        folder = source if source.is_dir() else source.parent
        from cen.training.module import inputs_of
        from cen.training.setup import open_dataset

        config = sources.config_of(sources.run_folder(folder), {})
        sources.need_data(config)
        sample = open_dataset(config, "validation")[0]
        batch = {name: sample[name][None] for name in net.inputs}
        inputs = inputs_of(net, batch, tuple(net.inputs))
    except CenError:
        torch.manual_seed(0)
        noise = [{n: torch.randn(b, c, h, w) for n, c in net.inputs.items()} for b, h, w in sizes]
        return noise, False
    found = [{name: value.contiguous() for name, value in inputs.items()}]
    for number, height, width in sizes:
        found.append(
            {
                name: interpolate(value, (height, width)).expand(number, -1, -1, -1).contiguous()
                for name, value in inputs.items()
            }
        )
    return found, True
