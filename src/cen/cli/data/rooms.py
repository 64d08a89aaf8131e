"""Render rooms with objects: RGB, depth, labels."""

import argparse
import functools

from cen.cli import printing, words
from cen.cli.parser import Parser
from cen.data.readers.registry import ROOMS_WRITERS


def add(rooms: Parser) -> None:
    """Declares the options."""
    rooms.description = "Render the embedded data set Rooms and write it in a layout of real data."
    rooms.add_argument("out", metavar="OUT", type=words.path, help="folder to write to")
    rooms.option(
        "--layout layout",
        ROOMS_WRITERS,
        "file layout: nyudv2 (folders of the released code), nyudv2-mat (the authors' .mat), "
        "sunrgbd, taskonomy, or folder (one folder per domain and a dataset.yaml)",
        "nyudv2",
    )
    rooms.option(
        "--labels label-set",
        ["parts", "functions"],
        "parts: a class is a shape and a material; functions: (shape + material) mod 3, "
        "which neither modality shows alone",
        "parts",
    )
    rooms.option("--size H W", words.whole(32, 4096), "height and width in pixels", [96, 128])
    scenes = "scenes to train on (validation is cut from them)"
    rooms.option("--train N", words.whole(1), scenes, 1000)
    rooms.option("--test N", words.whole(1), "scenes to test on", 200)
    rooms.option("--seed N", words.whole(0, 2**32 - 1), "", 0)
    rooms.option("--workers N", words.whole(1, 1024), "processes", 1)


def run(args: argparse.Namespace) -> int:
    """Renders and writes."""
    words.out_folder("OUT", args.out)
    from cen.data import write_rooms

    kept = (args.out / "dataset.yaml").is_file()  # that of other data is refused
    with printing.progress("rendering") as advance:
        write_rooms(
            args.out,
            layout=args.layout,
            labels=args.labels,
            size=tuple(args.size),
            train=args.train,
            test=args.test,
            seed=args.seed,
            workers=args.workers,
            progress=functools.partial(advance, "rendering"),
        )
    # The layout of the released code calls the list of the test split so.
    listed = " (listed in val.txt)" if (args.out / "val.txt").is_file() else ""
    counts = f"{args.train} scenes to train on, {args.test} to test on{listed}"
    print(f"{args.out}: {counts}{'; already there, kept' if kept else ''}")
    return 0
