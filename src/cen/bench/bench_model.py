"""What a network takes: time, memory and share of the machine's peak, against its list form."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cen.bench.model_steps import (
    MATMUL,
    MODES,
    Case,
    Form,
    Mode,
    make_step,
    matmul_step,
    multiply_adds,
)
from cen.bench.peak_memory import peak_memory
from cen.bench.timing import (
    Interval,
    Progress,
    Step,
    check_device,
    check_rounds,
    clock_of,
    paired_ratio,
    prefixed,
    stopwatch,
    take_turns,
    timed,
)
from cen.config import Config
from cen.exchange import exchange_layers, exchange_rate

_PEAK = "matmul"


@dataclass(frozen=True)
class Measured:
    """One form of one network in one mode.

    Attributes:
        streams: Modalities S.
        batch: Samples per step, each with all modalities.
        size: (H, W).
        rate: Share of the own channels that is exchanged.
        mode: "evaluation" (forward pass) or "training" (a whole step).
        form: "list" (a list of tensors, one call per stream), "packed" (as the library runs it), or
            "folded"; compiled or not.
        seconds: Median time of a step.
        samples_per_second: ``batch`` over that.
        multiply_adds: Of a step, convolutions and matrix products alone.
        faster: Time of the list form over that of this one, in the same rounds.
        peak_share: Multiply-adds per second over those of a product of matrices in the same rounds.
        memory: Bytes that a step takes at its peak beyond network and inputs; None: not asked.
        compile_seconds: What the first call took beyond a usual one, where it compiles.
    """

    streams: int
    batch: int
    size: tuple[int, int]
    rate: float
    mode: Mode
    form: Form
    seconds: float
    samples_per_second: float
    multiply_adds: int
    faster: Interval
    peak_share: Interval
    memory: int | None = None
    compile_seconds: float | None = None


@dataclass(frozen=True)
class ModelSpeeds:
    """What was measured, and on what.

    Attributes:
        machine: Processor or GPU.
        torch: Version of PyTorch.
        threads: Threads of the CPU.
        clock: "processor" (one thread of a CPU) or "wall": what seconds are.
        rounds: Pairs of times of every ratio.
        peak: Multiply-adds per second of the product of matrices, the fastest of all rounds.
        measured: The forms, by streams, batch, size and mode.
    """

    machine: str
    torch: str
    threads: int
    clock: str
    rounds: int
    peak: float
    measured: tuple[Measured, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def bench_model(
    config: Config,
    *,
    streams: Sequence[int] = (),
    batches: Sequence[int] = (),
    sizes: Sequence[tuple[int, int]] = (),
    rate: float | None = None,
    rounds: int = 15,
    modes: Sequence[Mode] = MODES,
    compiled: bool = False,
    memory: bool = True,
    device: str = "cpu",
    progress: Progress = None,
) -> ModelSpeeds:
    """Times a configured network in several forms on random data, for every case asked for.

    The forms take turns in one process, so that a busy machine slows them alike.

    Args:
        config: How the network is built and trained. Data and pretrained weights are not read.
        streams: Numbers of modalities; empty: that of the configuration.
        batches: Samples per step; empty: ``train.batch_size``.
        sizes: (H, W); empty: what the configuration crops or resizes to, else 96 × 128.
        rate: Share of the own channels that is exchanged, set by the scales; None: a half, where
            scales say what is exchanged.
        rounds: Pairs to measure.
        modes: What to time.
        compiled: Also the packed and the folded form under ``torch.compile``.
        memory: Also the peak of memory; takes some seconds for every form.
        device: "cpu" or a CUDA device.
        progress: Called with a line of text now and then.

    Raises:
        ConfigError: Fewer than 6 rounds, a device that is not there, or a network that cannot be.
        ShapeError: A size is too small for the network.
    """
    check_rounds(rounds)
    target = check_device(device)
    transforms = config.data.transforms
    height, width = transforms.crop or transforms.resize or (96, 128)
    streams, batches = streams or [len(config.model.inputs)], batches or [config.train.batch_size]
    every = product(streams, batches, sizes or [(height, width)])
    cases = [Case(config, s, b, size, rate, device) for s, b, size in every]
    measurements: list[Measured] = []
    peaks = []
    for case, mode in product(cases, modes):
        report_progress = prefixed(
            progress, [f"{case.streams} streams", case.batch, case.size, mode]
        )
        measured, fastest = _measure(case, mode, rounds, compiled, memory, report_progress)
        measurements += measured
        peaks.append(MATMUL**3 / fastest)
    return ModelSpeeds(
        machine_name(target),
        torch.__version__,
        torch.get_num_threads(),
        clock_of(target),
        rounds,
        max(peaks),
        tuple(measurements),
    )


def forms_of(mode: Mode, compiled: bool) -> list[Form]:
    """The forms that a mode has; a folded network cannot be trained."""
    forms: list[Form] = ["list", "packed"]
    if mode == "evaluation":
        forms.append("folded")
    if compiled:
        forms.append("packed, compiled")
    if compiled and mode == "evaluation":
        forms.append("folded, compiled")
    return forms


def _measure(
    case: Case, mode: Mode, rounds: int, compiled: bool, memory: bool, progress: Progress
) -> tuple[list[Measured], float]:
    """The forms of a case in a mode, and the fastest product of matrices."""
    device = torch.device(case.device)
    forms = forms_of(mode, compiled)
    steps: dict[str, Step] = {form: make_step(case, mode, form) for form in forms}
    names = exchange_layers(case.network())
    counted = {f: multiply_adds(step, names) for f, step in steps.items() if not _compiles(f)}
    first = {form: timed(steps[form]) for form in forms if _compiles(form)}
    steps[_PEAK] = matmul_step(case.device)
    times = take_turns(steps, rounds, stopwatch(device), progress, warm_up=1)
    rate = float(exchange_rate(case.network()))
    measurements = []
    for form in forms:
        seconds = float(np.median(times[form]))
        macs = counted[form.partition(",")[0]]
        share = paired_ratio(times[_PEAK], times[form])
        peak = None
        if memory:
            if progress is not None:
                progress(f"memory, {form}")
            peak = peak_memory(partial(make_step, case, mode, form), device)
        measurements.append(
            Measured(
                case.streams,
                case.batch,
                case.size,
                rate,
                mode,
                form,
                seconds,
                case.batch / seconds,
                macs,
                paired_ratio(times["list"], times[form]),
                Interval(*(value * macs / MATMUL**3 for value in share)),
                peak,
                max(0.0, first[form] - seconds) if form in first else None,
            )
        )
    return measurements, min(times[_PEAK])


def _compiles(form: str) -> bool:
    return form.endswith("compiled")


def machine_name(device: torch.device) -> str:
    """The name of the processor or the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
