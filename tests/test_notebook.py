"""What notebooks show: small, and everything escaped."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.data.own_folder import make_root

import cen
from cen import notebook
from cen.data.readers.aligned_folder import AlignedFolder
from cen.predict.predictions import DenseOutput, Prediction

BAD = "<script>alert('&')</script>"


class Reader(HTMLParser):
    """Reads what a browser would: tags, text, and where pictures come from."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text, self.sources = "", []
        self.feed(html)
        assert "script" not in self.tags
        assert len(html) < 500_000
        assert all(source.startswith("data:image/") for source in self.sources)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def test_tables_are_escaped_and_short() -> None:
    read = Reader(notebook.table(BAD, [(BAD, number) for number in range(40)], (BAD,)))
    assert read.text.count(BAD) == 18
    assert "… 24 more" in read.text
    assert BAD in Reader(notebook.table(BAD, [])).text


def test_networks_outputs_and_inspections() -> None:
    net = cen.build(
        "refinenet", encoder="resnet18", width=4, decoder_channels=4,
        inputs={"rgb": 3, "thermal": 1}, outputs={"segmentation": 5},
    )  # fmt: skip
    shown = Reader(net._repr_html_()).text
    for word in (
        "refinenet, resnet18",
        "input thermal",
        "1 channels",
        "million",
        "exchanged 0.0%",
    ):
        assert word in shown, word
    assert "Layers" in Reader(cen.inspect(net)._repr_html_()).text
    out = net.eval()({"rgb": torch.zeros(1, 3, 32, 32), "thermal": torch.zeros(1, 1, 32, 32)})
    shown = Reader(out["segmentation"]._repr_html_()).text
    assert "1 × 5 × 8 × 8" in shown
    assert "thermal α 0.50" in shown


def test_predictions_embed_their_picture() -> None:
    labels = np.zeros((900, 1200), np.uint8)
    labels[:90] = 1
    picture = np.zeros((900, 1200, 3), np.uint8)
    colours = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    found = Prediction(labels, {"a": labels}, {"a": 1.0}, ("floor", BAD), colours, picture)
    read = Reader(found._repr_html_())
    assert len(read.sources) == 1
    assert read.text.index("floor 90.0%") < read.text.index(f"{BAD} 10.0%")
    depth = np.linspace(1, 3, 64, dtype=np.float32).reshape(8, 8)
    read = Reader(DenseOutput("depth", depth, {}, {})._repr_html_())
    assert "least 1 mean 2 greatest 3" in read.text
    assert len(read.sources) == 1


def test_data_sets_show_their_first_sample(tmp_path: Path) -> None:
    make_root(tmp_path)
    dataset: Any = AlignedFolder(tmp_path, "train")
    read = Reader(dataset._repr_html_())
    assert len(read.sources) == 1
    for word in ("samples", "input thermal", "continuous, 1 channels", "road, person, car"):
        assert word in read.text, word
    for file in (tmp_path / "thermal").iterdir():
        file.write_bytes(b"damaged")
    read = Reader(dataset._repr_html_())
    assert "cannot be read" in read.text
    assert not read.sources


@pytest.mark.parametrize("value", [0.000123456, 12345.678])
def test_numbers_have_four_digits(value: float) -> None:
    assert float(notebook.number(value)) == pytest.approx(value, rel=1e-3)
