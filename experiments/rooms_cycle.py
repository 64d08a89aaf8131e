"""Cycle fusion on Rooms against separate fusion networks, one for each target.

One network of K modalities in all directions, with and without the cycle term, against K networks
of the same size, each trained for as many steps. Runs that were stopped are resumed, finished ones
are kept.

    python experiments/rooms_cycle.py --out experiments/rooms-cycle
    python experiments/rooms_cycle.py --out experiments/rooms-cycle --table
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from runs import complete_all, evaluated, mean_spread, parser_of, rooms

SETS: dict[str, tuple[str, ...]] = {
    "rooms-cycle": ("rgb", "depth_zbuffer", "normal"),
    "rooms-cycle-shade": ("reshading", "edge_texture", "rgb"),
}
TOGETHER: dict[str, list[str]] = {"cycle": [], "no-cycle-term": ["--train.cycle_weight", "0"]}


def main() -> None:
    """Runs what is missing, or prints the table of what is there."""
    parser = parser_of(__doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--size", type=int, nargs=2, default=[64, 96], metavar=("H", "W"))
    parser.add_argument("--scenes", type=int, default=4000, help="to train on")
    args, overrides = parser.parse_known_args()
    if not args.table:
        data = rooms(args.out, args.size, args.scenes)
        # What makes a row comes last, so that no option given here undoes it.
        jobs = [
            (f"{config}-{name}-{seed}", config, [*data, "--seed", str(seed), *overrides, *options])
            for seed in args.seeds
            for config in args.sets
            for name, options in runs_of(config).items()
        ]
        complete_all(args.out, jobs, args.jobs, ["--features", "none"])
    print(table(args.out, args.sets, args.seeds))


def runs_of(config: str) -> dict[str, list[str]]:
    """Options of the runs of a set of modalities, by name."""
    separate = {}
    for target in SETS[config]:
        options = ["--model.name", "unet", f"--model.inputs.{target}", "null"]
        # The released weight: what balances several targets is nothing to one.
        options += [f"--model.outputs.{target}.weight", "100"]
        for other in SETS[config]:
            if other != target:
                options += [f"--model.outputs.{other}", "null"]
        separate[f"to-{target}"] = options
    return TOGETHER | separate


def error(folder: Path, target: str) -> float | None:
    """MAE of the ensemble of a target from all other modalities; None where it is missing."""
    evaluation = evaluated(folder)
    return float(evaluation["full"][target]["ensemble"]["mae"]) if evaluation else None


def table(out: Path, sets: Sequence[str], seeds: Sequence[int]) -> str:
    """Markdown: MAE per target, and the error of the one network over that of the separate ones."""
    lines = ["| modalities | network | target | runs | MAE | ratio |", "|---" * 6 + "|"]
    for config in sets:
        ratios: dict[str, dict[int, list[float]]] = {
            name: {s: [] for s in seeds} for name in TOGETHER
        }
        for target in SETS[config]:
            alone = {s: error(out / "runs" / f"{config}-to-{target}-{s}", target) for s in seeds}
            lines += row(config, "separate", target, list(alone.values()), [])
            for name in TOGETHER:
                found = {s: error(out / "runs" / f"{config}-{name}-{s}", target) for s in seeds}
                pairs = {s: (found[s], alone[s]) for s in seeds}
                own = {s: a / b for s, (a, b) in pairs.items() if a is not None and b is not None}
                for seed, ratio in own.items():
                    ratios[name][seed].append(ratio)
                lines += row(config, name, target, list(found.values()), list(own.values()))
        for name, by_seed in ratios.items():
            full = [statistics.mean(v) for v in by_seed.values() if len(v) == len(SETS[config])]
            if full:
                mean = mean_spread(full, ".3f")
                lines.append(f"| {config} | {name} | mean of the three | {len(full)} | | {mean} |")
    return "\n".join(lines)


def row(
    config: str, name: str, target: str, errors: Sequence[float | None], ratios: Sequence[float]
) -> list[str]:
    """One line of the table; none where no run is finished."""
    known = [value for value in errors if value is not None]
    if not known:
        return []
    ratio = f"{statistics.mean(ratios):.3f}" if ratios else ""
    mean = mean_spread(known, ".4g", ".2g")
    return [f"| {config} | {name} | {target} | {len(known)} | {mean} | {ratio} |"]


if __name__ == "__main__":
    main()
