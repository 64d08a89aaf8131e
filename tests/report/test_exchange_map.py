"""The exchange map: what is drawn, not how it looks."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cen.report.exchange_map import exchange_map
from cen.report.style import INK

BLUE = "#2563eb"


def layer(mask, own, start=0, name="layer1.0.bn1"):
    return {
        "name": name, "stream": "rgb", "channels": len(mask), "own": own, "own_start": start,
        "rate": sum(mask[start : start + own]) / own, "mask": mask,
    }  # fmt: skip


def drawn(layers):
    axes = exchange_map(layers, "rgb", BLUE).axes[0]
    return axes.images[0].get_array(), axes


def test_the_map_marks_own_parts_and_replaced_channels():
    picture, _ = drawn([layer([True, False, False, True], own=2)])
    quarter = picture.shape[1] // 4
    colours = [tuple(picture[0, int((i + 0.5) * quarter)]) for i in range(4)]
    assert colours[0] == pytest.approx(to_rgb(BLUE))  # own, replaced
    assert colours[3] == pytest.approx(to_rgb(INK))  # elsewhere, replaced (scope "any")
    assert len({tuple(np.round(c, 3)) for c in colours}) == 4


def test_the_map_marks_an_own_part_in_two_pieces():
    """Of model.parts keeper: nothing is replaced elsewhere."""
    mask = [True, False, False, False, False, True]
    own = {"own_parts": [[0, 2], [4, 6]]}
    picture, axes = drawn([{**layer(mask, 4), **own}])
    colours = [tuple(picture[0, int((i + 0.5) * picture.shape[1] / 6)]) for i in range(6)]
    assert colours[0] == colours[5] == pytest.approx(to_rgb(BLUE))
    assert colours[1] == colours[4] != colours[2] == colours[3]
    legend = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert legend == ["own part, kept", "own part, replaced"]


def test_layers_of_any_width_fill_the_same_row():
    picture, axes = drawn([layer([True] * 3, 3), layer([True] * 5000, 5000, name="layer1.1.bn1")])
    assert np.allclose(picture, to_rgb(BLUE))
    assert [t.get_text() for t in axes.get_yticklabels()] == ["0", "1"]
    assert [t.get_text() for t in axes.texts] == ["100%", "100%"]


def test_layers_wider_than_the_picture_are_averaged():
    mask = [i % 2 == 0 for i in range(4096)]
    picture, _ = drawn([layer(mask, 4096)])
    assert np.allclose(picture, picture[0, 0])
    assert not np.allclose(picture[0, 0], to_rgb(BLUE))
