"""A page that is served for tests, and where it listens."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.predict.conftest import net, scene
from tests.predict.scene import MODALITIES

from cen.predict.predictor import Predictor
from cen.serving.answers import Example
from cen.serving.uploads import Limits

__all__ = ["net", "scene"]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def predictor(net) -> Predictor:
    return Predictor(net)


@pytest.fixture
def values(scene):
    """The scene as arrays."""
    return {name: MODALITIES[name].read(file) for name, file in scene.items()}


@pytest.fixture(scope="module")
def page(predictor, tmp_path_factory) -> Iterator[str]:
    """The address of a page with one example."""
    pytest.importorskip("gradio", reason="cen[serve]; make serve-test")
    import numpy as np

    from cen.serving.server import served

    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    values = {"rgb": picture, "depth": rng.uniform(1, 4, (48, 64)).astype(np.float32)}
    examples = [Example("room 1", values, picture)]
    limits = Limits(megabytes=1, megapixels=0.1, seconds=3600, waiting=100)
    with served(predictor, "CEN: rooms", examples=examples, limits=limits, port=free_port()) as url:
        yield url


@pytest.fixture
def big(tmp_path) -> Path:
    """A file above the limit."""
    (tmp_path / "big.png").write_bytes(bytes(2_000_000))
    return tmp_path / "big.png"
