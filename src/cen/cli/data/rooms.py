"""Render rooms with objects: RGB, depth, labels."""

import argparse

from cen.cli import words
from cen.cli.data.source import progress
from cen.cli.parser import Parser
from cen.data.readers.registry import ROOMS_WRITERS


def add(rooms: Parser) -> None:
    """Declares the options."""
    rooms.description = "Render the embedded data set Rooms and write it in a layout of real data."
    rooms.add_argument("out", metavar="OUT", type=words.path, help="folder to write to")
    rooms.add_argument(
        "--layout",
        metavar="layout",
        choices=list(ROOMS_WRITERS),
        default="nyudv2",
        help="file layout: nyudv2 (folders of the released code), nyudv2-mat (the authors' .mat), "
        "sunrgbd, taskonomy, or folder (one folder per domain and a dataset.yaml); "
        "default: nyudv2",
    )
    rooms.add_argument(
        "--labels",
        metavar="label set",
        choices=["parts", "functions"],
        default="parts",
        help="parts: a class is a shape and a material; functions: (shape + material) mod 3, "
        "which neither modality shows alone; default: parts",
    )
    rooms.add_argument(
        "--size",
        metavar=("H", "W"),
        type=words.whole(32, 4096),
        nargs=2,
        default=[96, 128],
        help="height and width in pixels; default: 96 128",
    )
    rooms.add_argument(
        "--train",
        metavar="N",
        type=words.whole(1),
        default=1000,
        help="scenes to train on (validation is cut from them); default: 1000",
    )
    rooms.add_argument(
        "--test",
        metavar="N",
        type=words.whole(1),
        default=200,
        help="scenes to test on; default: 200",
    )
    rooms.add_argument(
        "--seed", metavar="N", type=words.whole(0, 2**32 - 1), default=0, help="default: 0"
    )
    rooms.add_argument(
        "--workers",
        metavar="N",
        type=words.whole(1, 1024),
        default=1,
        help="processes; default: 1",
    )


def run(args: argparse.Namespace) -> int:
    """Renders and writes."""
    words.out_folder("OUT", args.out)
    from cen.data import write_rooms

    scenes = args.train + args.test
    with progress() as bar:
        task = bar.add_task("rendering", total=scenes)
        write_rooms(
            args.out,
            layout=args.layout,
            labels=args.labels,
            size=tuple(args.size),
            train=args.train,
            test=args.test,
            seed=args.seed,
            workers=args.workers,
            progress=lambda done, _: bar.update(task, completed=done),
        )
    print(f"{args.out}: {args.train} scenes to train on, {args.test} to test on")
    return 0
