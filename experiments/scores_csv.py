"""Every score of finished runs as a CSV: what the pages in docs/results were made from.

python experiments/scores_csv.py experiments/rooms-translation/runs > scores.csv
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

COLUMNS = ["run", "split", "generator", "inputs", "output", "prediction", "score", "value"]


def main() -> None:
    """Prints a line per run, subset of the inputs, output, stream or ensemble, and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of run folders")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for folder in parser.parse_args().runs:
        for file in sorted(folder.glob("*/evaluation.json")):
            found = json.loads(file.read_text())
            for inputs, outputs in found["scores"].items():
                for output, scores in outputs.items():
                    predictions = {**scores["streams"], "ensemble": scores["ensemble"]}
                    for prediction, values in predictions.items():
                        for score, value in values.items():
                            if isinstance(value, int | float):
                                head = [file.parent.name, found["split"], found["generator_mode"]]
                                tail = [inputs, output, prediction, score, f"{value:.6g}"]
                                writer.writerow([*head, *tail])


if __name__ == "__main__":
    main()
