"""What ``cen export`` compares its files on."""

from pathlib import Path

import cen
from cen.training.export_samples import samples_of


def test_exports_are_compared_on_samples_of_the_run(run: Path) -> None:
    samples, training, real = samples_of(cen.load(run), run)
    assert real
    assert not training
    shapes = [tuple(sample.inputs["rgb"].shape) for sample in samples]
    assert shapes[:3] == [(1, 3, 64, 96), (1, 3, 64, 64), (4, 3, 64, 64)]
    assert shapes[3:] == [(b, 3, *size) for size in ((69, 133), (128, 64)) for b in (1, 4)]
    assert all(sample.raw["depth"].ndim == 3 for sample in samples)
    scored, training, _ = samples_of(cen.load(run), run, calibrated=3)
    assert len(training) == 3
    assert scored[0].truth["segmentation"].shape == (1, 64, 96)
