"""A miniature study: real commands, a few steps on tiny pictures."""

from pathlib import Path

import pytest
from tests.studies.made_runs import filled, known_study

from cen.studies.results import Record, collect
from cen.studies.spec import Study

STUDY = """
# A miniature
title: Miniature <of> a study
question: Do the parts of the harness work together?
config: rooms-small
set:
  model.name: fpn
  model.width: 4
  model.decoder_channels: 8
  train.steps: 4
  train.batch_size: 2
  train.validate_every: 2
  train.checkpoint_every: 2
  train.log_every: 1
  train.sparsity: 0.01
  train.accelerator: cpu
data:
  parts:
    label: Parts
    make: {labels: parts, size: [32, 48], train: 10, test: 3}
rows:
  cen: {label: CEN}
  rgb:
    label: RGB alone
    set: {model.inputs: {rgb: 3}}
  bad:
    label: other classes
    set: {data.classes: 3}
    seeds: 1
seeds: 2
columns: [ensemble, rgb, "rgb:ensemble", exchange_rate, macs, folded_macs, seconds]
compare:
  - {reference: cen, column: rgb}
published:
  - {label: Someone, data: elsewhere, values: {mIoU: 12.5}, source: A paper}
"""


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study file."""
    file = tmp_path_factory.mktemp("study") / "mini.yaml"
    file.write_text(STUDY)
    return file


@pytest.fixture
def study() -> Study:
    return known_study()


@pytest.fixture
def records(study: Study, tmp_path: Path) -> list[Record]:
    store, runs = filled(study, tmp_path)
    return collect(store, runs)
