"""Train a network from a configuration, or resume an interrupted run.

Every key of the configuration is an option, ``--train.steps 100``; ``--help`` shows those that are
set most often.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cen.cli import printing, sources, words
from cen.cli.parser import Parser
from cen.errors import ConfigError
from cen.launch import is_first

if TYPE_CHECKING:
    from cen.config import Config

_OFTEN = (
    *("data.root", "data.layout", "data.classes", "data.transforms.crop", "data.transforms.scale"),
    *("data.workers", "model.encoder", "model.weights", "model.inputs", "model.fusion"),
    *("train.steps", "train.batch_size", "train.encoder_lr", "train.decoder_lr", "train.sparsity"),
    *("train.exchange_rate", "train.robust", "train.precision", "train.accelerator"),
    *("train.devices", "seed"),
)
"""The keys that somebody sets who starts."""


class _HelpAll(argparse.Action):
    """Prints the help with every key, and stops."""

    def __call__(self, parser: argparse.ArgumentParser, *args: Any) -> None:
        """Replaces the short list of keys by the long one."""
        assert isinstance(parser, Parser)
        parser.more_help = _every_key
        parser.print_help()
        parser.exit()


def add(parser: Parser) -> None:
    """Declares the options."""
    parser.free = "keys"
    parser.more_help = _keys_set_often
    parser.add_argument(
        "--help-all", action=_HelpAll, nargs=0, help="as --help, with every key of a configuration"
    )
    parser.add_argument(
        "config",
        metavar="CONFIG",
        nargs="?",
        type=words.path_text,
        help="a YAML file, or a name that cen configs ls prints",
    )
    parser.option("--out RUN", words.path, "run folder to write; default: runs/NAME-DATE-TIME")
    parser.option(
        "--from RUN",
        words.path,
        "start from the network of a run, or of a .safetensors file; the keys given, such as "
        "--data.classes, may ask for others than it has; without CONFIG the rest is as in the run",
    )
    parser.option("--resume RUN", words.path, "go on with a run; --train.steps N makes it longer")
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Trains, and prints the last figures."""
    config, folder = _resumed(args) if args.resume else _fresh(args)
    sources.need_data(config)
    from cen.training import fit

    ended = bool(args.resume) and final_figures(folder)["steps"] == config.train.max_steps
    with printing.quiet_stdout(args):
        fit(config, folder, resume=bool(args.resume))
    if not is_first():  # another process of a run prints nothing
        return 0
    figures = final_figures(folder)
    rows = [(name, f"{value:.4g}") for name, value in figures["metrics"].items()]
    shown = printing.table((f"after {figures['steps']} steps", "value"), rows)
    more = f"run folder: {folder}\nnext: cen evaluate {folder}; cen report {folder}"
    if ended:
        longer = f"cen train --resume {folder} --train.steps N"
        more = f"the run had done all of its steps; longer: {longer}\n{more}"
    printing.emit(args, figures, shown, more)
    return 0


def _fresh(args: argparse.Namespace) -> tuple[Config, Path]:
    start = getattr(args, "from")
    if args.config is None and start is None:
        raise ConfigError("cen train needs a configuration: a file or a name of cen configs ls")
    config = sources.load_config(args.config, args.free) if start is None else _from(args, start)
    if config.train.processes > 1 and not args.out:
        # Each process runs this very command, at another time.
        several = "devices" if config.train.devices > 1 else "nodes"
        raise ConfigError(
            f"train.{several}: with more than one, name the run folder with --out RUN"
        )
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = args.out or Path("runs") / f"{Path(args.config or start).stem}-{stamp}"
    words.out_folder("--out", folder)
    return config, folder


def _from(args: argparse.Namespace, start: Path) -> Config:
    """The configuration of a run that starts from the network of another one."""
    network = sources.network_source(start).resolve()
    if "train.start" in args.free:
        raise ConfigError("--train.start: is what --from says; leave one of them out")
    # The weights that the other run once started from are in its network.
    overrides = {"model.weights": None, **args.free, "train.start": str(network)}
    if args.config is not None:
        return sources.load_config(args.config, overrides)
    if network.is_file():
        raise ConfigError(f"--from {start}: is a file, so give a CONFIG, too, or name a run folder")
    from cen.config import Config

    return Config.load(network / "config.yaml", overrides)


def _resumed(args: argparse.Namespace) -> tuple[Config, Path]:
    if args.config or args.out or getattr(args, "from"):
        raise ConfigError(
            "--resume goes on with the run's own configuration: leave out CONFIG, --from and --out"
        )
    folder = sources.run_folder(args.resume)
    from cen.runfiles import check_by_command

    check_by_command(folder)
    return sources.config_of(folder, args.free, resumed=True), folder


def final_figures(folder: Path) -> dict[str, Any]:
    """The last value of every metric of a run; learning rates and single layers are left out."""
    from cen.report.runfolder import read_run

    run = read_run(folder)
    last = {name: list(series.values())[-1] for name, series in run.metrics.items() if series}
    left_out = ("exchange/", "lr")
    kept = {n: v for n, v in last.items() if n == "exchange/rate" or not n.startswith(left_out)}
    return {"run": str(folder), "steps": run.last_step, "metrics": dict(sorted(kept.items()))}


def _keys_set_often() -> str:
    """The keys that are set most often, a line each, for the help."""
    from cen import parsing
    from cen.config import Config

    lines = ["keys of a configuration that are set most often, each an option (--train.steps 100):"]
    keys_by_name = {key.name: key for key in parsing.keys(Config)}
    for key in map(keys_by_name.__getitem__, _OFTEN):
        start = re.split(r"[;.] ", key.text.replace("``", ""), maxsplit=1)[0].rstrip(".")
        text = textwrap.shorten(start, 66 - len(key.default_text), placeholder=" …")
        lines.append(f"  --{key.name:24}{text} ({key.default_text})")
    return "\n".join([*lines, "All others: cen train --help-all, or docs/configuration.md."])


def _every_key() -> str:
    """Every key of a configuration, for the long help."""
    from cen import parsing
    from cen.config import Config

    lines = ["keys of a configuration, each an option (--train.steps 100):"]
    for section in parsing.sections(Config):
        lines.append("")
        for key in section.keys:
            lines.append(f"  --{key.name}  ({key.type}; default: {key.default_text})")
            text = key.text.replace("``", "")
            lines += textwrap.wrap(text, 92, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)
