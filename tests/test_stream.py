"""Names of streams that know their output and their input."""

import copy
import json
import pickle

import pytest
import torch

import cen
from cen.stream import Stream, input_of


def test_it_is_its_text_and_knows_its_parts() -> None:
    stream = Stream("depth", "rgb")
    assert stream == "depth/rgb"
    assert json.dumps({stream: stream}) == '{"depth/rgb": "depth/rgb"}'
    assert (stream.output, stream.input, input_of(stream), input_of("rgb")) == (
        "depth",
        "rgb",
        "rgb",
        "rgb",
    )


@pytest.mark.parametrize("again", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_know_them_too(again) -> None:
    copied = again(Stream("depth", "rgb"))
    assert (copied.output, copied.input) == ("depth", "rgb")


def test_the_streams_of_a_decoder_are_named_by_them_and_compile_whole() -> None:
    net = cen.build(
        "unet",
        encoder="unet3",
        width=4,
        inputs={"rgb": 3, "depth": 1},
        outputs={"parts": 2, "normals": cen.Task("normal", 3)},
    ).eval()
    assert net.outputs_apart
    assert [(s.output, s.input) for s in net.decoder_streams.names] == [
        ("parts", "rgb"),
        ("parts", "depth"),
        ("normals", "rgb"),
        ("normals", "depth"),
    ]
    streams = {layer.stream for layer in cen.inspect(net).layers}
    assert {type(name) for name in streams} == {str}
    inputs = {"rgb": torch.randn(1, 3, 32, 32)}
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    with torch.no_grad():
        assert torch.equal(compiled(inputs)["parts"].ensemble, net(inputs)["parts"].ensemble)
