"""Send the network of a run to the Hugging Face Hub, with a model card written from the run.

The card tells of the data, the scores of every subset of the sensors, the intended use and how the
network was chosen. With --out nothing is sent: card and weights are written to a folder, where the
card can be edited; cen push FOLDER owner/name then sends both as they are.
"""

import argparse
from pathlib import Path

from cen.cli import printing, sources, words
from cen.cli.parser import Parser
from cen.errors import ConfigError


def add(parser: Parser) -> None:
    """Declares the options."""
    parser.usage = "cen push RUN owner/name [--private] [--license ID] | cen push RUN --out FOLDER"
    parser.add_argument(
        "run_folder",
        metavar="RUN",
        type=words.path,
        help="folder of a run, or what --out wrote, or a .safetensors file",
    )
    parser.add_argument(
        "repository", metavar="owner/name", nargs="?", help="of the Hub; made if needed"
    )
    parser.option("--out FOLDER", words.path, "write the files here and send nothing")
    parser.add_argument(
        "--private", action="store_true", help="a new repository is seen by its owner alone"
    )
    parser.option("--license ID", str, "licence of the weights, as the Hub calls it, such as mit")
    printing.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the card and sends it with the weights."""
    source = sources.network_source(args.run_folder)
    if (args.repository is None) == (args.out is None):
        raise ConfigError("cen push needs one of: owner/name of the Hub, or --out FOLDER")
    import cen
    from cen.models import hub

    if args.repository is not None:
        hub.check_repository(args.repository)
    net = cen.load(source)
    if args.out is not None:
        words.out_folder("--out", args.out)
        kept = (args.out / hub.CARD).is_file()
        net.save_pretrained(args.out, run=_run_of(source), license=args.license)
        files = [str(args.out / name) for name in (hub.WEIGHTS, hub.CARD)]
        card_line = f"{files[1]} was there and is left as it is" if kept else f"card: {files[1]}"
        printing.emit(
            args, {"files": files, "card_kept": kept}, f"weights: {files[0]}\n{card_line}"
        )
        return 0
    if (source / hub.WEIGHTS).is_file() and (source / hub.CARD).is_file():
        if args.license:
            raise ConfigError(f"--license: {source / hub.CARD} is sent as it is; write it there")
        url = hub.push(source, args.repository, private=args.private)
    else:
        run = _run_of(source)
        url = net.push_to_hub(args.repository, run=run, private=args.private, license=args.license)
    printing.emit(
        args, {"url": url}, f"{url}, from where cen.load('hf://{args.repository}') gets it"
    )
    return 0


def _run_of(source: Path) -> Path | None:
    """The run folder that a network is from, where it is from one."""
    from cen.runfiles import folder_of

    folder = folder_of(source)
    return folder if (folder / "config.yaml").is_file() else None
