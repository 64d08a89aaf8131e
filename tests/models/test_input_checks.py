"""What a network cannot take is named."""

import pytest
import torch

from cen.errors import ShapeError, StreamError


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dpeth": (2, 1, 33, 47)}, StreamError, "unknown input 'dpeth'.*did you mean 'depth'"),
        ({"depth": (2, 3, 33, 47)}, ShapeError, r"'depth' has shape \(2, 3, 33, 47\).*\(B, 1, H"),
        ({"depth": (1, 33, 47)}, ShapeError, r"'depth' has shape \(1, 33, 47\)"),
        ({"depth": (1, 1, 33, 47)}, ShapeError, r"'depth' has shape .* but 'rgb' has"),
        ({"depth": (2, 1, 33, 48)}, ShapeError, r"'depth' has shape .* but 'rgb' has"),
        ({"rgb": (2, 3, 31, 47)}, ShapeError, "'rgb' .* at least 32"),
    ],
)
def test_wrong_inputs_are_named(make_net, make_inputs, change, error, message):
    net = make_net().eval()
    inputs = make_inputs(net) | {name: torch.zeros(shape) for name, shape in change.items()}
    with pytest.raises(error, match=message):
        net(inputs)
    assert net.encoder_streams.all_active


def test_no_input_at_all(make_net):
    with pytest.raises(StreamError, match="at least one of rgb, depth"):
        make_net()({})
