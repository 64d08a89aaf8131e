"""Image translation on Rooms: CEN against channel concatenation, and more and more modalities.

Every row has the same data, steps and seeds; only what is named differs. Runs that were stopped are
resumed, finished ones are kept. The rows of one pair are its streams, their ensemble (both from the
run "cen"), and early concatenation with the same U-Net.

    python experiments/rooms_translation.py --out experiments/rooms-translation
    python experiments/rooms_translation.py --out experiments/rooms-translation --table
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from runs import complete_all, evaluated, mean_spread, parser_of, rooms

PAIRS = (
    "shade-texture-rgb",
    "depth-normal-rgb",
    "rgb-shade-normal",
    "rgb-normal-shade",
    "rgb-edge-depth",
)
CONCAT = [
    *("--model.fusion", "concat", "--model.fusion_at", "early"),
    *("--model.decoder_exchange", "false", "--train.sparsity", "0"),
]
ROWS: dict[str, list[str]] = {
    # Exchange everywhere, little of it.
    "cen": ["--model.first_norm", "instance", "--train.sparsity", "1e-2"],
    # Exchange at half of the image's size alone, soon all of the own channels.
    "cen-fine": [
        *("--model.first_norm", "batch", "--train.sparsity", "1"),
        *("--model.exchange_stages", "[1]", "--model.decoder_exchange", "false"),
    ],
    # The released U-Net, and the one of the row cen-fine.
    "concat": [*CONCAT, "--model.first_norm", "null"],
    "concat-norm": [*CONCAT, "--model.first_norm", "batch"],
    "no-exchange": ["--model.exchange", "false", "--train.sparsity", "0"],
}
SERIES = ("depth_zbuffer", "normal", "edge_texture", "reshading")
SCORES = ("mae", "rmse", "frechet_efficientnet_lite0")


def main() -> None:
    """Runs what is missing, or prints the tables of what is there."""
    parser = parser_of(__doc__)
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=PAIRS)
    parser.add_argument("--rows", nargs="+", default=["cen", "concat"], choices=list(ROWS))
    parser.add_argument("--series", type=int, nargs="*", default=[1, 2, 3, 4])
    parser.add_argument("--size", type=int, nargs=2, default=[64, 96], metavar=("H", "W"))
    parser.add_argument("--scenes", type=int, default=4000, help="to train on")
    args, overrides = parser.parse_known_args()
    if not args.table:
        data = rooms(args.out, args.size, args.scenes)
        jobs = [
            (f"{pair}-{row}-{seed}", f"rooms-{pair}", [*ROWS[row], "--seed", str(seed)])
            for seed in args.seeds
            for pair in args.pairs
            for row in args.rows
        ] + [
            (f"growing-{count}-{seed}", "rooms-growing-rgb", [*fewer(count), "--seed", str(seed)])
            for seed in args.seeds
            for count in args.series
        ]
        # What makes a row comes last, so that no option given here undoes it.
        jobs = [(name, config, [*data, *overrides, *own]) for name, config, own in jobs]
        complete_all(args.out, jobs, args.jobs)
    print(pairs_table(args.out, args.pairs, args.rows, args.seeds))
    print()
    print(series_table(args.out, args.series, args.seeds))


def fewer(count: int) -> list[str]:
    """Options that leave the first ``count`` modalities of the series."""
    options = []
    for name in SERIES[count:]:
        options += [f"--model.inputs.{name}", "null"]
    return options + (["--train.sparsity", "0"] if count == 1 else [])


def scores_of(out: Path, names: Sequence[str]) -> list[dict]:
    """Scores of the only output with all modalities present, of the runs that are finished."""
    found = []
    for name in names:
        if evaluation := evaluated(out / "runs" / name):
            (scores,) = evaluation["full"].values()
            facts = {"mode": evaluation["generator_mode"], "seed": name.rpartition("-")[2]}
            found.append(scores | facts)
    return found


def pairs_table(out: Path, pairs: Sequence[str], rows: Sequence[str], seeds: Sequence[int]) -> str:
    """Markdown: every stream, the ensemble and the other rows, mean ± standard deviation.

    The last column is the mean over seeds of the MAE divided by that of the row "concat".
    """
    lines = [
        "| pair | row | runs | generator | MAE | RMSE | Fréchet (EfficientNet-Lite0) | of concat |",
        "|---" * 8 + "|",
    ]
    for pair in pairs:
        plain = scores_of(out, [f"{pair}-concat-{seed}" for seed in seeds])
        concat = {scores["seed"]: scores["ensemble"]["mae"] for scores in plain}
        for row in rows:
            found = scores_of(out, [f"{pair}-{row}-{seed}" for seed in seeds])
            if not found:
                continue
            parts = {row: [scores["ensemble"] for scores in found]}
            for stream in found[0]["streams"]:
                parts[f"{row}, {stream} alone"] = [s["streams"][stream] for s in found]
            for name, values in parts.items():
                cells = " | ".join(cell(values, score) for score in SCORES)
                ratios = [
                    value["mae"] / concat[scores["seed"]]
                    for value, scores in zip(values, found, strict=True)
                    if scores["seed"] in concat
                ]
                ratio = f"{statistics.mean(ratios):.3f}" if ratios else "–"
                lines.append(
                    f"| {pair} | {name} | {len(found)} | {found[0]['mode']} | {cells} | {ratio} |"
                )
    return "\n".join(lines)


def series_table(out: Path, series: Sequence[int], seeds: Sequence[int]) -> str:
    """Markdown: the ensemble of one, two, … modalities."""
    lines = ["| modalities | runs | MAE | RMSE | Fréchet (EfficientNet-Lite0) |", "|---" * 5 + "|"]
    for count in series:
        found = scores_of(out, [f"growing-{count}-{seed}" for seed in seeds])
        if found:
            values = [scores["ensemble"] for scores in found]
            cells = " | ".join(cell(values, score) for score in SCORES)
            lines.append(f"| {' + '.join(SERIES[:count])} | {len(found)} | {cells} |")
    return "\n".join(lines)


def cell(values: Sequence[dict], score: str) -> str:
    """Mean and spread of one score over the runs."""
    known = [value[score] for value in values if value.get(score) is not None]
    return mean_spread(known, ".4g", ".2g") if known else "–"


if __name__ == "__main__":
    main()
