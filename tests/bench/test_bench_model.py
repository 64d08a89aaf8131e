"""The benchmark of networks measures what it says; no test asserts a time."""

import json
from multiprocessing import get_context

import pytest
import torch
from tests.bench.tiny import FEW_LAYERS, small_matmul, tiny

from cen.bench import model_steps
from cen.bench.bench_model import bench_model, forms_of
from cen.errors import ConfigError, ShapeError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    small_matmul(monkeypatch)


def test_every_case_mode_and_form_is_measured() -> None:
    lines: list[str] = []
    speeds = bench_model(
        tiny(**FEW_LAYERS),
        streams=[1, 2],
        batches=[1],
        sizes=[(32, 64)],
        rate=1.0,
        rounds=6,
        memory=False,
        progress=lines.append,
    )
    assert [(m.streams, m.mode, m.form) for m in speeds.measured] == [
        (streams, mode, form)
        for streams in (1, 2)
        for mode in ("evaluation", "training")
        for form in forms_of(mode, compiled=False)
    ]
    for m in speeds.measured:
        assert (m.batch, m.size, m.rate) == (1, (32, 64), float(m.streams == 2))
        assert m.samples_per_second == pytest.approx(m.batch / m.seconds)
        assert m.faster.low <= m.faster.median <= m.faster.high
        assert 0 < m.peak_share.low <= m.peak_share.median <= m.peak_share.high < 1.5
        assert m.memory is None
        assert m.compile_seconds is None
        if m.form == "list":
            assert m.faster == (1, 1, 1)
    assert speeds.peak > model_steps.MATMUL**3 / 60
    assert speeds.threads == torch.get_num_threads()
    assert len(lines) == 4 * (1 + 6)
    again = json.loads(json.dumps(speeds.to_dict()))
    assert again["measured"][1]["form"] == "packed"
    assert len(again["measured"][1]["faster"]) == 3


def test_batch_and_size_are_those_of_the_configuration_unless_given() -> None:
    config = tiny(**FEW_LAYERS, train__batch_size=3, data__transforms__crop="[32, 48]")
    speeds = bench_model(config, rounds=6, modes=["evaluation"], memory=False)
    assert {(m.streams, m.batch, m.size) for m in speeds.measured} == {(2, 3, (32, 48))}


def test_memory_is_measured_for_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    # A process that is not forked: test_peak_memory.
    monkeypatch.setattr("cen.bench.peak_memory.get_context", lambda _: get_context("fork"))
    config = tiny(**FEW_LAYERS)
    speeds = bench_model(config, batches=[2], sizes=[(64, 96)], rounds=6, modes=["training"])
    assert all(m.memory is not None and m.memory > 10**6 for m in speeds.measured)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 6"):
        bench_model(tiny(), rounds=5)
    with pytest.raises(ConfigError, match="CUDA devices"):
        bench_model(tiny(), device="cuda:99")
    with pytest.raises(ShapeError, match="32"):
        bench_model(tiny(), sizes=[(16, 64)])


@pytest.mark.slow
def test_compiled_forms_tell_how_long_that_took() -> None:
    speeds = bench_model(
        tiny(),
        batches=[1],
        sizes=[(32, 32)],
        rounds=6,
        modes=["evaluation"],
        compiled=True,
        memory=False,
    )
    found = {m.form: m.compile_seconds for m in speeds.measured}
    assert list(found) == ["list", "packed", "folded", "packed, compiled", "folded, compiled"]
    for form, seconds in found.items():
        assert (seconds is not None and seconds > 0.5) == form.endswith("compiled")
