"""Fusion on Rooms: CEN against single modalities and against two streams without exchange.

Every row has the same encoder, decoder, steps and seeds; only what is named differs. Two
single-threaded runs at a time; runs that were stopped are resumed, finished ones are kept.

    python experiments/rooms_fusion.py --out experiments/rooms-fusion
    python experiments/rooms_fusion.py --out experiments/rooms-fusion --table
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runs import call, complete_all, evaluated, mean_spread, parser_of

_NO_PENALTY = ("--train.exchange_rate", "null", "--train.sparsity", "0")
ROWS: dict[str, list[str]] = {
    "cen": [],
    "cen-lambda": ["--train.exchange_rate", "null"],
    "no-exchange": ["--model.exchange", "false", *_NO_PENALTY],
    "rgb": ["--model.inputs", "{rgb: 3}", *_NO_PENALTY],
    "depth": ["--model.inputs", "{depth: 1}", *_NO_PENALTY],
}
LABELS = ("parts", "functions")


def main() -> None:
    """Runs what is missing, or prints the table of what is there."""
    parser = parser_of(__doc__)
    parser.add_argument("--config", default="rooms-demo")
    parser.add_argument("--labels", nargs="+", default=list(LABELS), choices=LABELS)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--skip", nargs="+", default=[], help="for example functions-depth")
    args, overrides = parser.parse_known_args()
    if not args.table:
        for labels in args.labels:
            data = args.out / "data" / labels
            if not (data / "dataset.yaml").exists():
                call(["data", "rooms", str(data), "--labels", labels, "--workers", "2"])
        jobs = [
            (
                f"{labels}-{row}-{seed}",
                args.config,
                [
                    *("--model.name", "refinenet"),  # what rooms-demo had when these were run
                    *("--data.root", str((args.out / "data" / labels).resolve())),
                    *("--seed", str(seed), *ROWS[row], *overrides),
                ],
            )
            for seed in args.seeds
            for labels in args.labels
            for row in args.rows
            if f"{labels}-{row}" not in args.skip
        ]
        complete_all(args.out, jobs, args.jobs)
    print(table(args.out, args.labels, args.rows, args.seeds))


def table(out: Path, labels: Sequence[str], rows: Sequence[str], seeds: Sequence[int]) -> str:
    """Markdown: test mIoU in %, mean ± standard deviation over the seeds that are finished."""
    lines = ["| labels | row | runs | rgb stream | depth stream | ensemble |", "|---" * 6 + "|"]
    for name in labels:
        for row in rows:
            found = [evaluated(out / "runs" / f"{name}-{row}-{s}") for s in seeds]
            scores = [one["full"]["segmentation"] for one in found if one]
            if scores:
                cells = [cell(scores, part) for part in ("rgb", "depth", "ensemble")]
                lines.append(f"| {name} | {row} | {len(scores)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(found: Sequence[dict], part: str) -> str:
    """The mean IoU of a stream or the ensemble."""
    parts = [{"ensemble": scores["ensemble"], **scores["streams"]}.get(part) for scores in found]
    values = [100 * scores["mean_iou"] for scores in parts if scores is not None]
    return mean_spread(values, ".1f") if values else "–"


if __name__ == "__main__":
    main()
