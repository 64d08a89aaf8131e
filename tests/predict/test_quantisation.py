"""What a quantised file holds, whatever processor made it."""

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from cen.predict.quantisation import quantised  # noqa: E402


def convolution(weight: np.ndarray) -> bytes:
    """One convolution without padding, as a file of ONNX."""
    count, channels, height, width = weight.shape
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, count, 9 - height, 9 - width])
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(weight, "w")])
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()


def test_weights_have_seven_bits_so_that_sums_of_products_fit_in_sixteen_on_any_processor():
    # Large inputs and weights of one sign are what overflows: 2 · 255 · 127 is beyond 32767.
    weight = np.linspace(0.5, 1, 2 * 4 * 3 * 3, dtype=np.float32).reshape(2, 4, 3, 3)
    samples = [{"x": torch.linspace(0.5, 1, 4 * 8 * 8).reshape(1, 4, 8, 8)}]
    content = quantised(convolution(weight), samples)
    stored = [
        numpy_helper.to_array(t) for t in onnx.load_model_from_string(content).graph.initializer
    ]
    (levels,) = (values for values in stored if values.dtype == np.int8 and values.ndim == 4)
    assert 60 <= np.abs(levels).max() <= 64
    feed = {name: value.numpy() for name, value in samples[0].items()}
    plain, small = (
        ort.InferenceSession(c).run(None, feed)[0] for c in (convolution(weight), content)
    )
    assert np.abs(small - plain).max() < 0.01 * np.abs(plain).max()
