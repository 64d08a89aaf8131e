"""What the page shows of a network, before anything is sent."""

import copy

import cv2
import numpy as np
import pytest
import torch
from tests.serving.conftest import free_port

from cen.exchange import exchange_layers, exchange_rate
from cen.predict.predictor import Predictor
from cen.report.style import stream_colours
from cen.serving.server import served

pytest.importorskip("gradio", reason="cen[serve]; make serve-test")
httpx = pytest.importorskip("httpx")


def share_of(picture: np.ndarray, colour: str) -> float:
    """The share of an own part that is drawn as replaced."""
    strong = np.array([int(colour[at : at + 2], 16) for at in (5, 3, 1)])
    light = 0.22 * strong + 0.78 * 255
    kept, replaced = (int((abs(picture - c).max(-1) < 3).sum()) for c in (light, strong))
    assert kept > 10_000
    return replaced / (kept + replaced)


@pytest.mark.parametrize("every", [None, 3])
def test_the_map_shows_what_is_exchanged(net, every) -> None:
    net = copy.deepcopy(net)
    with torch.no_grad():
        for layer in exchange_layers(net).values():
            if every is not None:
                layer.weight[0, ::every] = 1e-3
    rate = float(exchange_rate(net))
    assert rate == 0 if every is None else rate > 0.15
    with served(Predictor(net), "map", port=free_port()) as url:
        parts = httpx.get(f"{url}config", timeout=60).json()["components"]
        text = " ".join(str(part["props"].get("value")) for part in parts)
        assert f"{rate:.1%} of the own channels are exchanged" in text
        for stream, colour in list(stream_colours(net.inputs).items())[:2]:
            (shown,) = (part["props"] for part in parts if part["props"].get("label") == stream)
            content = httpx.get(shown["value"]["url"], timeout=60).content
            picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
            expected = 2 * rate if stream == "rgb" else 0.0
            assert share_of(picture, colour) == pytest.approx(expected, abs=0.08)
