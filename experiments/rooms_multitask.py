"""Several tasks on Rooms: CEN against shared and private decoders and single-task networks.

Scenario "multitask": rgb -> segmentation, depth, normals. Scenario "multimodal": rgb + depth ->
segmentation, normals, edges. Every row has the same encoder, decoder, steps and seeds; only what is
named differs. Each row of several tasks is trained with equal weights, and with each of the
weightings of TUNING on one seed, of which the best on the VALIDATION split (Δ_m against the
single-task networks there) is trained with the other seeds: the same effort for every row. Runs
that were stopped are resumed, finished ones are kept; one thread per run.

    python experiments/rooms_multitask.py --out experiments/rooms-multitask
    python experiments/rooms_multitask.py --out experiments/rooms-multitask --table

Further options go to ``cen train``, for example ``--train.sparsity 3e-4``; rows without exchange
keep to 0. Scenario "imagenet", EfficientNet-Lite0 from its ImageNet weights, needs the file of them
(docs/backbones.md): ``--scenarios imagenet --model.weights FILE --train.steps 300``, or 1200
into another folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs import complete_all, evaluated, mean_spread, parser_of

from cen.models.network_file import read_header
from cen.scores import SCORES, main_score, relative_gains

# No penalty, whatever is said for the other rows on the command line.
OFF = ["--train.sparsity", "0", "--train.exchange_rate", "null"]
SEGMENTATION, DEPTH = "segmentation: {kind: segmentation%s}", "depth: {kind: depth%s}"
NORMAL, EDGES = "normal: {kind: normal%s}", "edge_occlusion: {kind: edge%s}"


@dataclass(frozen=True)
class Scenario:
    """One question: a configuration, its outputs and the rows that answer it.

    Attributes:
        config: the shipped configuration.
        outputs: by name, the YAML of an output, with a place for its weight.
        joint: rows that predict every output, and the options in which they differ.
        tuned: rows of these that are also tuned.
        single: options of the single-task rows.
        single_of: by output, the scenario whose single-task networks stand for it; its own for
            outputs that are not named.
        weighting: what the joint rows are trained with first, of TUNING.
    """

    config: str
    outputs: Mapping[str, str]
    joint: Mapping[str, list[str]]
    tuned: Sequence[str]
    single: list[str]
    single_of: Mapping[str, str] = field(default_factory=dict)
    weighting: str = "equal"


MULTITASK = {"segmentation": SEGMENTATION, "depth": DEPTH, "normal": NORMAL}
SCARCE = ["--data.options.annotated", "{segmentation: 0.1}", "--data.partial", "true"]
SCARCE += ["--train.every_output", "true"]
SHARINGS: dict[str, list[str]] = {
    "shared": [*OFF, "--model.task_streams", "shared"],
    "private": [*OFF, "--model.decoder_exchange", "false"],
    # A decoder with convolutions of its own for each task, as is usual elsewhere.
    "decoders": [*OFF, "--model.task_streams", "separate"],
    "decoders-cen": ["--model.convolution", "private"],  # these, which exchange as well
    "cen": [],
}
# What EfficientNet-Lite0 was trained with, and what the studies of photographs train it by.
IMAGENET = ["--data.modalities.rgb", "{mean: [0.498, 0.498, 0.498], std: [0.502, 0.502, 0.502]}"]
IMAGENET += ["--model.name", "fpn", "--model.encoder", "timm/tf_efficientnet_lite0"]
IMAGENET += ["--model.width", "null", "--train.encoder_lr", "1e-3"]
REACHED = ["--train.exchange_rate", "0.3", "--train.exchange_rate_by", "0.3"]


def pair(**outputs: str) -> Scenario:
    """Two of the tasks of "multitask", against its single-task networks, with its best weights."""
    weighting = "normal4" if "normal" in outputs else "equal"
    single_of = dict.fromkeys(outputs, "multitask")
    return Scenario("rooms-multitask", outputs, SHARINGS, (), OFF, single_of, weighting)


SCENARIOS = {
    "multitask": Scenario(
        "rooms-multitask",
        MULTITASK,
        SHARINGS,
        tuple(SHARINGS),
        OFF,
    ),
    "segmentation+depth": pair(segmentation=SEGMENTATION, depth=DEPTH),
    "segmentation+normal": pair(segmentation=SEGMENTATION, normal=NORMAL),
    "depth+normal": pair(depth=DEPTH, normal=NORMAL),
    # Labels for one training scene in ten, depth and normals for all.
    "scarce": Scenario(
        "rooms-multitask",
        MULTITASK,
        {row: [*SCARCE, *options] for row, options in SHARINGS.items()},
        (),
        [*OFF, "--data.options.train", "100"],
        {"depth": "multitask", "normal": "multitask"},
        "normal4",
    ),
    "imagenet": Scenario(
        "rooms-multitask",
        MULTITASK,
        {
            **{row: [*IMAGENET, *options] for row, options in SHARINGS.items()},
            **{row: [*IMAGENET, *SHARINGS[row], *REACHED] for row in ("decoders-cen", "cen")},
        },
        (),
        [*IMAGENET, *OFF],
        weighting="normal4",  # chosen on validation against equal ones, in 300 steps, seed 0
    ),
    "multimodal": Scenario(
        "rooms-multimodal-multitask",
        {"segmentation": SEGMENTATION, "normal": NORMAL, "edge_occlusion": EDGES},
        {
            "rgb": ["--model.inputs", "{rgb: 3}"],
            "depth": ["--model.inputs", "{depth: 1}"],
            "cen": [],
        },
        ("rgb", "depth", "cen"),
        [],  # single-task fusion is CEN fusion with one output
    ),
}

# By name: weights of single outputs (1 where none is given), and what train.weighting is.
TUNING: dict[str, tuple[dict[str, float], str]] = {
    "equal": ({}, "fixed"),
    "normal4": ({"normal": 4.0}, "fixed"),
    "normal10": ({"normal": 10.0}, "fixed"),
    "edge4": ({"normal": 10.0, "edge_occlusion": 4.0}, "fixed"),
    "uncertainty": ({}, "uncertainty"),
    "pcgrad": ({}, "PCGrad"),
}


@dataclass(frozen=True)
class Run:
    """One training: a row of a scenario with a weighting and a seed."""

    scenario: str
    row: str
    weighting: str
    seed: int

    @property
    def name(self) -> str:
        """Folder of the run."""
        of = SCENARIOS[self.scenario].single_of.get(self.row.removeprefix("single-"))
        return f"{of or self.scenario}-{self.row}-{self.weighting}-{self.seed}"

    def options(self) -> list[str]:
        """Arguments of ``cen train`` behind the configuration."""
        scenario = SCENARIOS[self.scenario]
        weights, weighting = TUNING[self.weighting]
        single = self.row.removeprefix("single-")
        names = [single] if single != self.row else list(scenario.outputs)
        told = [scenario.outputs[n] % (f", weight: {weights[n]}" if n in weights else "")
                for n in names]  # fmt: skip
        own = scenario.single if single != self.row else scenario.joint[self.row]
        outputs = ["--model.outputs", "{" + ", ".join(told) + "}"]
        return [*outputs, "--train.weighting", weighting, "--seed", str(self.seed), *own]


def main() -> None:
    """Runs what is missing, or prints the tables of what is there."""
    parser = parser_of(__doc__, jobs=1)
    parser.add_argument("--scenarios", nargs="+", default=["multitask"], choices=list(SCENARIOS))
    parser.add_argument("--weightings", nargs="+", default=list(TUNING), choices=list(TUNING))
    parser.add_argument("--rows", nargs="+", help="train these alone; default: all")
    args, overrides = parser.parse_known_args()
    for scenario in args.scenarios:
        if not args.table:
            first, *others = args.seeds
            # One seed of everything first: the whole table stands early, and then gets firmer.
            train(args, [*plain(scenario, first), *candidates(scenario, first, args)], overrides)
            for seed in others:
                train(args, [*plain(scenario, seed), *chosen(scenario, seed, args)], overrides)
        print(tables(args, scenario))


def plain(scenario: str, seed: int) -> list[Run]:
    """The rows with nothing to tune: single-task networks, and all others with equal weights."""
    asked = SCENARIOS[scenario]
    single = [Run(scenario, f"single-{name}", "equal", seed) for name in asked.outputs]
    return [*single, *(Run(scenario, row, asked.weighting, seed) for row in asked.joint)]


def candidates(scenario: str, seed: int, args: argparse.Namespace) -> list[Run]:
    """Every weighting of every row that is tuned."""
    rows = SCENARIOS[scenario].tuned
    return [Run(scenario, row, w, seed) for w in args.weightings if w != "equal" for row in rows]


def chosen(scenario: str, seed: int, args: argparse.Namespace) -> list[Run]:
    """The best weighting of every row that is tuned, where all have been tried."""
    best = {row: best_weighting(args, scenario, row) for row in SCENARIOS[scenario].tuned}
    return [Run(scenario, row, w, seed) for row, w in best.items() if w not in (None, "equal")]


def best_weighting(args: argparse.Namespace, scenario: str, row: str) -> str | None:
    """The weighting with the greatest Δ_m on the validation split, with the first seed."""
    found = {w: validated_gain(args, scenario, row, w) for w in args.weightings}
    gains = {weighting: gain for weighting, gain in found.items() if gain is not None}
    return max(gains, key=lambda weighting: gains[weighting]) if len(gains) == len(found) else None


def validated_gain(
    args: argparse.Namespace, scenario: str, row: str, weighting: str
) -> float | None:
    """Δ_m on the validation split, with the first seed; None where a run is not finished."""
    seed = args.seeds[0]
    scores = validated(args.out, Run(scenario, row, weighting, seed))
    single = {
        name: validated(args.out, Run(scenario, f"single-{name}", "equal", seed)).get(name)
        for name in SCENARIOS[scenario].outputs
    }
    if not scores or None in single.values():
        return None
    return statistics.mean(relative_gains(scores, single).values())


def validated(out: Path, run: Run) -> dict[str, Any]:
    """Validation scores of the ensemble at a run's best checkpoint, by output."""
    folder = out / "runs" / run.name
    if not (folder / "evaluation.json").exists():
        return {}
    metrics = read_header(folder / "best.safetensors")["metadata"]["metrics"]
    return {name: entry["ensemble"] for name, entry in metrics.items()}


def tested(out: Path, run: Run) -> dict[str, Any]:
    """Test scores of the ensemble with all inputs of the run, by output."""
    full = evaluated(out / "runs" / run.name).get("full", {})
    return {name: entry["ensemble"] for name, entry in full.items()}


def train(args: argparse.Namespace, runs: Iterable[Run], overrides: Sequence[str]) -> None:
    """Trains and evaluates runs, or goes on with them."""
    wanted = [run for run in runs if args.rows is None or run.row in args.rows]
    # What makes a row comes last and wins.
    jobs = [
        (run.name, SCENARIOS[run.scenario].config, [*overrides, *run.options()]) for run in wanted
    ]
    complete_all(args.out, jobs, args.jobs)


def tables(args: argparse.Namespace, scenario: str) -> str:
    """Markdown: the summary over seeds, the tuning, and every run."""
    found = {row: best_weighting(args, scenario, row) for row in SCENARIOS[scenario].tuned}
    rows = [(f"single-{name}", "equal") for name in SCENARIOS[scenario].outputs]
    rows += [(row, SCENARIOS[scenario].weighting) for row in SCENARIOS[scenario].joint]
    rows += [(row, best) for row, best in found.items() if best not in (None, "equal")]
    parts = [f"## {scenario}, test split", summary(args, scenario, rows)]
    if found:
        parts += ["### Tuning: Δ_m on the validation split, first seed", tuning(args, scenario)]
    return "\n\n".join([*parts, "### Every run, test split", every_run(args, scenario)])


def summary(args: argparse.Namespace, scenario: str, rows: Sequence[tuple[str, str]]) -> str:
    """One line per row and weighting: mean ± standard deviation over the finished seeds."""
    outputs = SCENARIOS[scenario].outputs
    head = ["network", "weights", "seeds", *(title(name) for name in outputs), "Δ_m %", "worst %"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row, weighting in rows:
        runs = [Run(scenario, row, weighting, seed) for seed in args.seeds]
        scores = [tested(args.out, run) for run in runs]
        done = [s for s in scores if s]
        if not done:
            continue
        cells = [row, weighting, str(len(done))]
        for name in outputs:
            values = [s[name][main_score(s[name])] for s in done if name in s]
            cells.append(spread(values, scale_of(done, name)) if values else "–")
        gains = [g for run in runs if (g := gains_of(args.out, run))]
        if len(outputs) == len(next(iter(done))) and gains:
            cells.append(spread([statistics.mean(g.values()) for g in gains], 100))
            worst = [statistics.mean(g[name] for g in gains) for name in outputs]
            cells.append(f"{100 * min(worst):+.1f}")
        else:
            cells += ["–", "–"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def gains_of(out: Path, run: Run) -> dict[str, float]:
    """Relative gains of a run on the test split over the single-task networks of its seed."""
    scores, single = tested(out, run), {}
    for name in SCENARIOS[run.scenario].outputs:
        apart = tested(out, Run(run.scenario, f"single-{name}", "equal", run.seed))
        if name not in scores or name not in apart:
            return {}
        single[name] = apart[name]
    return relative_gains(scores, single)


def tuning(args: argparse.Namespace, scenario: str) -> str:
    """Δ_m of every weighting of every tuned row on the validation split."""
    lines = ["| network | " + " | ".join(args.weightings) + " | taken |"]
    lines.append("|---" * (len(args.weightings) + 2) + "|")
    for row in SCENARIOS[scenario].tuned:
        gains = [validated_gain(args, scenario, row, w) for w in args.weightings]
        cells = [row, *("–" if gain is None else f"{100 * gain:+.1f}" for gain in gains)]
        cells.append(best_weighting(args, scenario, row) or "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def every_run(args: argparse.Namespace, scenario: str) -> str:
    """One line per finished run."""
    outputs = SCENARIOS[scenario].outputs
    head = ["network", "weights", "seed", *(title(name) for name in outputs), "code"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for folder in sorted((args.out / "runs").glob(f"{scenario}-*/evaluation.json")):
        row, weighting, seed = folder.parent.name.removeprefix(f"{scenario}-").rsplit("-", 2)
        scores = tested(args.out, Run(scenario, row, weighting, int(seed)))
        cells = [
            spread([scores[name][main_score(scores[name])]], scale_of([scores], name))
            if name in scores
            else "–"
            for name in outputs
        ]
        info = json.loads((folder.parent / "run.json").read_text())
        code = str(info.get("git") or "")[:7]
        lines.append("| " + " | ".join([row, weighting, seed, *cells, code]) + " |")
    return "\n".join(lines)


def title(output: str) -> str:
    """Column head of an output."""
    main = {"segmentation": "mean_iou", "depth": "rmse", "normal": "mean_angle"}
    score = SCORES[main.get(output, "max_f")]
    arrow = "↑" if score.higher else "↓"
    return f"{output}: {score.head}{' %' if score.unit == '%' else ''} {arrow}"


def scale_of(scores: Sequence[Mapping[str, Any]], name: str) -> float:
    """100 for shares, which are printed in percent."""
    known = next(s[name] for s in scores if name in s)
    return 100.0 if SCORES[str(main_score(known))].unit == "%" else 1.0


def spread(values: Sequence[float], scale: float) -> str:
    """Mean ± standard deviation."""
    digits = 1 if scale == 100 else 3 if statistics.mean(values) < 3 else 2
    return mean_spread([scale * value for value in values], f".{digits}f")


if __name__ == "__main__":
    main()
