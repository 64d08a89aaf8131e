"""What the program does, recorded on tiny data, so that two commits can be compared.

``record OUT`` trains every shipped configuration for six steps through the command line, evaluates
it, writes a report page, predicts a scene, and checks and counts the data of every layout.
``compare OLD NEW`` says where two records differ: weights, figures, files and reports.
``continue OLD OUT`` copies the run folders of an older record, evaluates them, and trains them on,
with the program of today: what was written before must stay readable.

A record of an earlier commit is made with that commit's package on the path::

    PYTHONPATH=src python experiments/behaviour.py record records/new
    PYTHONPATH=../earlier/src python experiments/behaviour.py record records/old
    python experiments/behaviour.py compare records/old records/new

Defaults change on purpose, and a few steps on tiny pictures make rounding grow to percents. Whether
the same options give the same numbers is therefore seen with the options that the older program
wrote down, on its data, in two steps of double precision::

    PYTHONPATH=../earlier/src python experiments/behaviour.py record records/old --double
    PYTHONPATH=src python experiments/behaviour.py record records/new --double --like records/old
    python experiments/behaviour.py compare records/old records/new
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

STEPS = 6
DOUBLE = ["--train.precision=64-true", "--train.log_every=1", "--train.validate_every=1"]
TOLERANCE = 1e-6
SIZE = ["--size", "64", "96", "--train", "10", "--test", "3"]
LAYOUTS = ("nyudv2", "nyudv2-mat", "sunrgbd", "taskonomy", "folder")
PLAIN = (".png", ".npy", ".mat", ".txt", ".yaml", ".md", ".jpg")
# What says when or where something was made, not what.
VOLATILE = (
    "time",
    "seconds",
    "date",
    "version",
    "run",
    "root",
    "path",
    "host",
    "pid",
    "git",
    "out",
    "command",
    "finished",
    "started",
    "directory",
)


def layout_of(name: str) -> str:
    """The layout that a shipped configuration reads."""
    if name.startswith("nyudv2-mat"):
        return "nyudv2-mat"
    if name.startswith("sunrgbd"):
        return "sunrgbd"
    if name.startswith("folder"):
        return "folder"
    plain = ("rooms-demo", "rooms-small", "rooms-study", "rooms-multi", "nyudv2")
    return "nyudv2" if name.startswith(plain) else "taskonomy"


TINY = ["--model.weights=null", "--model.decoder_channels=8", "--data.transforms.crop=[64, 64]"]
GENERATED = ["--model.encoder=unet5", "--model.discriminator_width=4"]
GENERATED += ["--data.transforms.resize=[32, 48]", "--data.transforms.crop=[32, 32]"]
ROOMS = "--data.options={size: [64, 96], train: 10, test: 3}"
STAGED = "refinenet|pspnet"
OF_NYUDV2 = f"{STAGED}|segformer|upernet"
"""Made for the classes of NYUDv2; on other data they take what there is."""
SMALL = {
    "": ["--train.batch_size=2", "--train.accelerator=cpu", "--data.workers=0"],
    "^(?!.*convnext)": ["--model.width=4"],
    "convnext": ["--model.encoder=timm/test_convnext"],
    f"{OF_NYUDV2}|^taskonomy-semantic$": TINY,
    f"{STAGED}|^taskonomy-semantic$": ["--train.freeze_statistics=false"],
    STAGED: ["--data.transforms.shorter_side=64"],
    "^rooms-multi": ["--model.decoder_channels=8", ROOMS],
    # Translation: two dashes and more.
    "^(?!.*(multi|cycle|semantic$))(taskonomy|rooms).*-.*-": GENERATED,
}
"""What makes shipped configurations small, by patterns of their names."""


def options(name: str, steps: int = STEPS) -> list[str]:
    """What makes a shipped configuration small: sizes, and a few steps from random weights."""
    words = [w for pattern, some in SMALL.items() if re.search(pattern, name) for w in some]
    words += [f"--train.validate_every={steps}"]
    if re.search(STAGED, name):
        words += [f"--train.stages.{stage}.steps={max(steps // 3, 1)}" for stage in range(3)]
    else:
        words += [f"--train.steps={steps}"]
    if re.search(OF_NYUDV2, name) and layout_of(name) != "nyudv2":
        words += ["--data.classes=null"]
    return words


def cen(*words: str, output: Path | None = None) -> bool:
    """One command in a process of its own, on one thread; its output goes to a file."""
    command = [sys.executable, "-c", "import sys; from cen.cli import main; sys.exit(main())"]
    command += words
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(done.stdout)
    if done.returncode not in (0, 1):
        print(f"exit {done.returncode}: cen {' '.join(words)}\n{done.stderr[-2000:]}", flush=True)
    return done.returncode == 0


def record(
    out: Path, only: Sequence[str] = (), double: bool = False, like: Path | None = None
) -> None:
    """Writes a record into an empty folder, of shipped configurations or of those of ``like``."""
    # Relative paths, so that what is written does not depend on where the record lies.
    out.mkdir(parents=True, exist_ok=True)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        str(Path(part).resolve()) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep)
    )
    os.chdir(out)
    if like is not None:
        shutil.copytree(like / "data", "data")
    for layout in LAYOUTS:
        if like is None:
            cen("data", "rooms", f"data/{layout}", "--layout", layout, *SIZE)
        for verb in ("check", "stats"):
            found = Path("reports") / f"{layout}-{verb}.json"
            cen("data", layout, verb, f"data/{layout}", "--json", output=found)
    # As files, since every version has them: an earlier one had no function that names them here.
    files = (resources.files("cen") / "configs").iterdir()
    names = [file.name[:-5] for file in files if file.name.endswith(".yaml")]
    if like is not None:
        names = [run.name for run in (like / "runs").iterdir()]
    for name in sorted(names):
        if only and name not in only:
            continue
        print(name, flush=True)
        run = f"runs/{name}"
        source = name if like is None else str(like / run / "config.yaml")
        words = ["--data.root", f"data/{layout_of(name)}", *options(name, 2 if double else STEPS)]
        words = [] if like is not None else words
        if cen("train", source, "--out", run, *words, *(DOUBLE if double else ())):
            cen("evaluate", run, "--json", output=Path("reports") / f"{name}-evaluate.json")
            cen("inspect", run, "--json", output=Path("reports") / f"{name}-inspect.json")
    if double or not Path("runs/rooms-demo").exists():
        return
    cen("report", "runs/rooms-demo")
    rgb, _, depth = Path("data/nyudv2/val.txt").read_text().splitlines()[0].split("\t")
    scene = ["--rgb", f"data/nyudv2/{rgb}", "--depth", f"data/nyudv2/{depth}"]
    for name, given in (("both", scene), ("rgb", scene[:2]), ("depth", scene[2:])):
        cen("predict", "runs/rooms-demo", *given, "-o", f"predictions/{name}")


def go_on(old: Path, out: Path) -> None:
    """Evaluates and trains on, with the program of today, the runs of an older record."""
    shutil.copytree(old, out)
    os.chdir(out)
    for run in sorted(Path("runs").iterdir()):
        fine = cen("evaluate", str(run)) and cen("report", str(run)) and cen("inspect", str(run))
        print(f"{run.name}: {'fine' if fine else 'FAILED'}", flush=True)
    for run in sorted(Path("runs").iterdir()):
        # An interrupted run is one that has steps to go: a copy whose configuration asks for more.
        fine = cen("train", "--resume", str(run))
        print(f"{run.name}: resume {'fine' if fine else 'FAILED'}", flush=True)


def compare(old: Path, new: Path) -> int:
    """Prints what differs between two records; the number of differences."""
    count = 0
    names = {path.relative_to(root) for root in (old, new) for path in root.rglob("*")}
    for name in sorted(names):
        one, other = old / name, new / name
        if one.is_dir() or other.is_dir() or "hparams" in name.name or "events" in name.name:
            continue
        if not (one.exists() and other.exists()):
            print(f"only in {'old' if one.exists() else 'new'}: {name}")
            count += 1
            continue
        for difference in differences(one, other):
            print(f"{name}: {difference}")
            count += 1
    print(f"{count} differences in {len(names)} files")
    return count


def differences(one: Path, other: Path) -> Iterator[str]:
    """How two files of the same name differ, by their kind."""
    if one.suffix == ".safetensors":
        yield from of_arrays(load_file(one), load_file(other))
    elif one.suffix == ".npz":
        with np.load(one) as a, np.load(other) as b:
            yield from of_arrays(dict(a), dict(b))
    elif one.suffix == ".json":
        texts = one.read_text(), other.read_text()
        if texts[0] != texts[1]:
            yield from of_values(*(json.loads(text or "null") for text in texts))
    elif one.suffix == ".csv":
        tables = [list(csv.DictReader(path.read_text().splitlines())) for path in (one, other)]
        yield from of_values(*tables)
    elif one.suffix in PLAIN and one.read_bytes() != other.read_bytes():
        yield "not the same bytes"


def of_arrays(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> Iterator[str]:
    """Names, shapes and values of two sets of arrays."""
    if one.keys() != other.keys():
        yield f"other names: {sorted(one.keys() ^ other.keys())[:6]}"
    worst, where = 0.0, ""
    for name in one.keys() & other.keys():
        a, b = one[name], other[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            yield f"{name}: {a.dtype}{a.shape} and {b.dtype}{b.shape}"
        elif a.dtype.kind in "fc":
            if not np.array_equal(np.isnan(a), np.isnan(b)):
                yield f"{name}: NaN at other places"
                continue
            a, b = np.nan_to_num(a), np.nan_to_num(b)
            scale = max(float(np.abs(a).max(initial=0)), 1e-12)
            gap = float(np.abs(a.astype(np.float64) - b).max(initial=0)) / scale
            worst, where = max((worst, where), (gap if gap == gap else math.inf, name))
        elif not np.array_equal(a, b):
            yield f"{name}: other values"
    if worst > TOLERANCE:
        yield f"{where}: {worst:.2g} relative"


def of_values(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Where two trees of JSON values differ; times and paths may."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys(), key=str):
            if any(word in str(key).lower() for word in VOLATILE):
                continue
            if key not in one or key not in other:
                yield f"{where}.{key} only in {'old' if key in one else 'new'}"
            else:
                yield from of_values(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from of_values(*pair, f"{where}[{index}]")
    elif one != other and not close(one, other):
        yield f"{where}: {str(one)[:60]} and {str(other)[:60]}"


def close(one: Any, other: Any) -> bool:
    """Whether two values are numbers that agree up to rounding."""
    try:
        return math.isclose(float(one), float(other), rel_tol=TOLERANCE, abs_tol=1e-9)
    except (TypeError, ValueError):
        return False


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record")
    recording.add_argument("out", type=Path)
    recording.add_argument("--only", nargs="*", default=())
    recording.add_argument("--double", action="store_true", help="two steps, double precision")
    recording.add_argument("--like", type=Path, help="a record whose data and options to take")
    for verb in ("compare", "continue"):
        both = verbs.add_parser(verb)
        both.add_argument("old", type=Path)
        both.add_argument("new", type=Path)
    args = parser.parse_args()
    if args.verb == "record":
        like = args.like.resolve() if args.like else None
        record(args.out.resolve(), args.only, args.double, like)
        return 0
    if args.verb == "continue":
        go_on(args.old.resolve(), args.new.resolve())
        return 0
    return min(compare(args.old, args.new), 1)


if __name__ == "__main__":
    sys.exit(main())
