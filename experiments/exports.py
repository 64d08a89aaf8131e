"""What exports are worth: exactness over subsets, sizes and batches, speed, and mIoU in int8.

    python experiments/exports.py RUN... --out TABLE.json

Of each run folder every subset of the modalities is exported to ONNX and run on samples of the
validation split at three sizes, one and four at a time, and all modalities once more folded and in
int8. Times are medians of one picture of the data, with one thread. A run that cannot be exported
stands in the table with the reason.
"""

import argparse
import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import torch

import cen
from cen.bench.timing import timed
from cen.errors import CenError
from cen.models import ChannelExchangeNetwork
from cen.predict.export_comparison import Comparison, Sample
from cen.predict.exporting import Exporting, export
from cen.training.export_samples import samples_of
from cen.training.fusion_scores import subsets


def main() -> None:
    """Exports, and prints a row of Markdown for each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = {}
    print("| network | difference | ms: PyTorch | folded | ONNX | folded | int8 | mIoU | int8 |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for run in args.runs:
        table[run.name] = measured(run)
        args.out.write_text(json.dumps(table, indent=1), "utf-8")
        print(row(run.name, table[run.name]), flush=True)


def measured(run: Path) -> dict[str, Any]:
    """How every export of a run compares, by subset, "folded" and "int8"."""
    net = cen.load(run)
    samples, _, _ = samples_of(net, run)
    scored, training, _ = samples_of(net, run, calibrated=32)
    found: dict[str, Any] = {}
    for names in subsets(tuple(net.inputs)):
        found["+".join(names)] = attempt(net, samples, Exporting(), names=names)
    found["folded"] = attempt(net, samples, Exporting(folded=True))
    found["folded"]["in_torch"] = seconds_folded(net, samples[0])
    int8 = Exporting(precision="int8", tolerance=100)
    found["int8"] = attempt(net, scored, int8, calibration=training)
    return found


def attempt(
    net: ChannelExchangeNetwork, samples: list[Sample], how: Exporting, **which: Any
) -> dict[str, Any]:
    """The figures of one export, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found: Comparison = export(net, Path(folder, "net.onnx"), samples, how, **which)
        except CenError as error:
            return {"refused": str(error)}
    return found._asdict()


def seconds_folded(net: ChannelExchangeNetwork, sample: Sample) -> float:
    """Median time of the folded network in PyTorch."""
    folded, size = cen.fold(net), next(iter(sample.inputs.values())).shape[-2:]
    with torch.inference_mode():
        times = [timed(lambda: folded(dict(sample.inputs), size=size)) for _ in range(7)]
    return median(times[2:])  # the first records


def row(name: str, found: dict[str, Any]) -> str:
    """A row of the table."""
    exports = [value for key, value in found.items() if key != "int8"]
    reasons = [value["refused"] for value in found.values() if "refused" in value]
    if reasons:
        return f"| {name} | {reasons[0]} |"
    whole, folded, int8 = next(iter(found.values())), found["folded"], found["int8"]
    before, after = next(iter(int8["scores"].values()))
    cells = [
        f"{max(one['difference'] for one in exports):.1e}",
        *(f"{1000 * one:.0f}" for one in (whole["eager"], folded["in_torch"])),
        *(f"{1000 * one['seconds']:.0f}" for one in (whole, folded, int8)),
        f"{before:.2f}",
        f"{after:.2f}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
