"""Evaluate a run: every stream, the ensemble, every subset of the modalities.

The figures also go to RUN/evaluation.json, from which cen report reads them.
"""

import argparse
from typing import Any

from cen.cli import common
from cen.cli.parser import Parser


def add(parser: Parser) -> None:
    """Declares the options."""
    parser.add_argument("run_folder", metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--split",
        metavar="split",
        choices=["test", "validation"],
        default="test",
        help="test (default) or validation",
    )
    common.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluates, and prints one line per stream and ensemble."""
    folder = common.run_folder(args.run_folder)
    from cen.training import evaluate

    with common.quiet_stdout(args):
        result = evaluate(folder, split=args.split)
    common.emit(args, result, describe(result))
    return 0


def describe(result: dict[str, Any]) -> str:
    """The scores of an evaluation as a table."""
    rows = []
    for subset, outputs in result["scores"].items():
        for output, scores in outputs.items():
            for stream, values in scores.get("streams", {}).items():
                rows.append(
                    _row(subset, output, stream, values, scores.get("alpha", {}).get(stream))
                )
            rows.append(_row(subset, output, "ensemble", scores["ensemble"], None))
    head = ("inputs", "output", "stream", "pixel acc", "mean acc", "mIoU", "alpha")
    return f"{result['split']} split, %\n" + common.table(head, rows)


def _row(
    subset: str, output: str, stream: str, values: Any, alpha: float | None
) -> tuple[str, ...]:
    figures = (
        common.percent(values.get(k)) for k in ("pixel_accuracy", "mean_accuracy", "mean_iou")
    )
    return (subset, output, stream, *figures, "" if alpha is None else f"{alpha:.3f}")
