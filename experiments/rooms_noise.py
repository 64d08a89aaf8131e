"""A copy of Rooms (layout nyudv2) whose sensors are worse: noise on colours and on distances.

    python experiments/rooms_noise.py DATA OUT --rgb 40 --depth 0.3

Standard deviations are in steps of 255 and in metres; the noise is drawn once per picture, so every
row of a study sees the same. Labels, splits and holes of depth stay. OUT must not exist; it appears
whole. For the question which method stands noise better: docs/results/rooms-study.md.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

HOLE = 0
"""Value of depth where the sensor saw nothing."""


def main() -> None:
    """Write the copy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="what cen data rooms wrote, layout nyudv2")
    parser.add_argument("out", type=Path, help="folder of the copy")
    parser.add_argument("--rgb", type=float, default=40.0, help="standard deviation, of 255")
    parser.add_argument("--depth", type=float, default=0.3, help="standard deviation in metres")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f"{args.out} exists; give a new folder")
    if not (args.data / "rgb").is_dir() or not (args.data / "depth").is_dir():
        parser.error(f"{args.data} has no folders rgb and depth; give Rooms in layout nyudv2")
    half = args.out.with_name(args.out.name + ".part")
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(args.data, half)
    about = yaml.safe_load((half / "dataset.yaml").read_text("utf-8"))
    for name, sigma in (("rgb", args.rgb), ("depth", args.depth / about["depth_unit"])):
        for index, file in enumerate(sorted((half / name).iterdir())):
            rng = np.random.default_rng([args.seed, index, name == "depth"])
            image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(file), noisy(np.asarray(image), sigma, rng, holes=name == "depth"))
    about["noise"] = {"rgb": args.rgb, "depth": args.depth, "seed": args.seed}
    (half / "dataset.yaml").write_text(yaml.safe_dump(about, sort_keys=False), "utf-8")
    half.rename(args.out)


def noisy(
    image: NDArray[np.generic], sigma: float, rng: np.random.Generator, *, holes: bool
) -> NDArray[np.generic]:
    """``image`` plus Gaussian noise, in its own type and range; holes stay holes."""
    limits = np.iinfo(image.dtype)
    values = image + sigma * rng.standard_normal(image.shape)
    result = np.clip(np.rint(values), limits.min + int(holes), limits.max).astype(image.dtype)
    if holes:
        result[image == HOLE] = HOLE
    return result


if __name__ == "__main__":
    main()
