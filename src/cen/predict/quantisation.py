"""int8: the static quantisation of ONNX Runtime, calibrated on samples."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from cen.predict.export_programs import told

_QUANTISED = ["Conv", "Gemm", "MatMul"]
"""What costs time and stands between roundings well; what decides stays in float32."""


def quantised(content: bytes, samples: Sequence[Mapping[str, Tensor]]) -> bytes:
    """A file of ONNX with convolutions and products in 8 bits, each channel with its own scale.

    Weights take 7 of them: processors without VNNI (AVX2, AVX-512 alone) add two products in 16
    bits, which weights of 8 bits overflow, so that the file's values would depend on the machine.
    On the samples the ranges of values are measured.

    Raises:
        CenError: ONNX Runtime cannot quantise it.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left: Iterator[Mapping[str, Tensor]] = iter(samples)

        def get_next(self) -> dict[str, Any] | None:
            sample = next(self.left, None)
            return None if sample is None else {name: v.numpy() for name, v in sample.items()}

    before = onnx.load_model_from_string(content)
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, output = (Path(folder, f"{n}.onnx") for n in ("plain", "prepared", "made"))
        plain.write_bytes(content)
        with told("ONNX Runtime cannot quantise this network"):
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                output,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                op_types_to_quantize=_QUANTISED,
                extra_options={"MatMulConstBOnly": True},
            )
        model = onnx.load_model(output)
    onnx.helper.set_model_props(model, {p.key: p.value for p in before.metadata_props})
    serialised: bytes = model.SerializeToString()
    return serialised
