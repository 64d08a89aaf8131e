"""Evaluate a run: every stream, the ensemble, every subset of the modalities.

The figures also go to RUN/evaluation.json, from which cen report reads them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cen.cli import printing, sources, words
from cen.cli.parser import Parser
from cen.errors import ConfigError
from cen.launch import is_first


def add(parser: Parser) -> None:
    """Declares the options."""
    parser.free = "keys"
    parser.epilog = (
        "--data.root FOLDER, --data.workers N, --train.accelerator NAME and --train.devices N "
        "replace what the run was configured with."
    )
    parser.add_argument("run_folder", metavar="RUN", type=words.path, help="folder of a run")
    parser.option("--split split", ["test", "validation"], "test or validation", "test")
    words.add_looks(parser, "none")
    parser.add_argument(
        "--fold", action="store_true", help="compute once what exchange made equal (cen.fold)"
    )
    parser.option(
        "--single TASK=RUN...",
        str,
        "run folders of single-task networks to compare with, by output: segmentation=runs/s",
        [],
    )
    parser.option(
        "--features network",
        ["auto", "inception", "efficientnet_lite0", "none"],
        "features on which generated images are compared: inception (FID and KID), "
        "efficientnet_lite0 (which auto takes where it is installed), or none",
        "auto",
    )
    parser.option(
        "--features-weights FILE", words.path_text, "file or URL of the weights of --features"
    )
    parser.option(
        "--protocol protocol",
        ["clean", "released"],
        "how images become pictures for it: clean, or released (each stretched on its own)",
        "clean",
    )
    parser.option(
        "--generator-mode mode",
        ["eval", "instance", "released"],
        "how a generator is run: eval, instance or released (docs/translation.md); default: what "
        "the run says",
    )
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluates, and prints one line per stream and ensemble."""
    folder = sources.trained_run(args.run_folder)
    sources.need_data(sources.config_of(folder, args.free))
    single = _single(args.single)
    from cen.report.summary import evaluation_dict
    from cen.report.tables import evaluation_table
    from cen.training import evaluate

    with printing.quiet_stdout(args):
        result = evaluate(
            folder,
            args.split,
            scales=args.scales,
            flip=args.flip,
            tile=args.tile,
            features=None if args.features == "none" else args.features,
            features_weights=args.features_weights,
            protocol=args.protocol,
            generator_mode=args.generator_mode,
            single=single,
            overrides=args.free,
            fold=args.fold,
        )
    if not is_first():  # another process of a run prints nothing
        return 0
    printing.emit(args, evaluation_dict(result), evaluation_table(result))
    return 0


def _single(pairs: Sequence[str]) -> dict[str, Path]:
    """Run folders by output, from words such as ``depth=runs/depth``."""
    single: dict[str, Path] = {}
    for word in pairs:
        name, equals, folder = word.partition("=")
        if not equals or not name:
            raise ConfigError(f"--single {word}: write it as TASK=RUN, such as depth=runs/depth")
        if name in single:
            raise ConfigError(f"--single {word}: {name} is given twice; one run each")
        words.free_path(f"--single {name}", folder)
        single[name] = sources.trained_run(Path(folder))
    return single
