"""Serve a page on which files are sent and every stream, the ensemble and each sensor are seen.

Any subset of the sensors will do; scenes of the run's test split are there to be tried. Programs
call the same address (docs/serving.md).
"""

import argparse
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cen.cli import sources, words
from cen.cli.parser import Parser
from cen.errors import CenError

if TYPE_CHECKING:
    import cen
    from cen.serving.answers import Example


def add(parser: Parser) -> None:
    """Declares the options."""
    sources.add_network(parser)
    parser.option("--host ADDRESS", str, "to listen at; 0.0.0.0: for other machines", "127.0.0.1")
    parser.option("--port N", words.whole(1, 65535), "to listen at", 7860)
    parser.option("--examples N", words.whole(0, 100), "scenes of the test split to try", 4)
    parser.option("--megabytes N", words.factor(0.001, 1000), "most of a file that is sent", 32.0)
    parser.option("--megapixels N", words.factor(0.001, 60), "most of a picture", 4.0)
    parser.option(
        "--seconds N", words.factor(0.1, 3600), "after which no further subset is predicted", 60.0
    )
    parser.option("--waiting N", words.whole(1, 10_000), "requests that wait; more are refused", 64)


def run(args: argparse.Namespace) -> int:
    """Serves until it is stopped."""
    source = sources.network_source(args.run_folder)
    import cen
    from cen.runfiles import folder_of
    from cen.serving.server import served
    from cen.serving.uploads import Limits

    predictor = cen.Predictor(cen.load(source), source=source, fold=False)
    examples = _examples(source, predictor, args.examples)
    with served(
        predictor,
        f"CEN: {folder_of(source).resolve().name}",
        source=source,
        examples=examples,
        limits=Limits(args.megabytes, args.megapixels, args.seconds, args.waiting),
        host=args.host,
        port=args.port,
    ) as url:
        print(f"serving {source} at {url}; Ctrl-C stops it", flush=True)
        wait()
    return 0


def wait() -> None:
    """Until the process is told to end."""
    threading.Event().wait()


def _examples(source: Path, predictor: "cen.Predictor", count: int) -> "list[Example]":
    """Scenes of the test split of the run, where its data are there."""
    from cen.serving.server import examples_of

    if not count:
        return []
    try:
        return examples_of(sources.dataset_of(source, "test", {}), predictor, count)
    except CenError as error:
        print(f"no examples: {error}", flush=True)
        return []
