"""Two hundred files that lie: each is refused by a typed error in one line."""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cen import Predictor, Task, load, load_released
from cen.config import Config
from cen.data import Modality
from cen.data.formats.headers import read_header as read_picture_header
from cen.data.readers.folder_yaml import read_description
from cen.documents import parse_json, parse_yaml
from cen.errors import CenError
from cen.models import build, save
from cen.models.foreign_weights import read_tensors
from cen.report import write_report
from cen.report.panels import load_panel
from cen.runfiles import TYPES, read_run_file
from cen.studies.spec import Study

URL = "http://127.0.0.1:9/weights.pth"


def refused(call, *arguments):
    with pytest.raises(CenError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1000
    assert "weights_only" not in text
    return text


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.safetensors"
    options = {"encoder": "resnet18", "width": 4, "decoder_channels": 2}
    save(build("fpn", inputs={"rgb": 3, "depth": 1}, outputs={"parts": 3}, **options), path)
    return path


@pytest.fixture(scope="module")
def small_network(tmp_path_factory):
    """Of fewest layers, for what is said beside the weights."""
    path = tmp_path_factory.mktemp("net") / "net.safetensors"
    inputs, outputs = {"rgb": 3, "depth": 1}, {"picture": Task("image", 3)}
    save(build("unet", encoder="unet3", inputs=inputs, outputs=outputs, width=4), path)
    return path


def changed(network, tmp_path, change, state=None):
    from safetensors import safe_open

    with safe_open(network, "pt") as file:
        header = json.loads(file.metadata()["cen"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    change(header)
    (state or (lambda _: None))(tensors)
    path = tmp_path / "net.safetensors"
    save_file(tensors, path, {"cen": json.dumps(header)})
    return path


DEEP: list = []
for _ in range(500):
    DEEP = [DEEP]

WRONG = [None, -1, 0, 10**7, 2**62, 2**70, 1e300, "x", [], {}, True, [1], {"a": 1}, URL]
KEYS = ["width", "decoder_channels", "inputs", "outputs", "encoder", "exchange", "name", "fusion"]
RIGHT = {(k, json.dumps(v)) for k in ("width", "decoder_channels", "exchange") for v in (None,)} | {
    ("exchange", "{}")
}
CONFIGS = [(k, v) for k in KEYS for v in WRONG if (k, json.dumps(v)) not in RIGHT]


@pytest.mark.parametrize(("key", "value"), CONFIGS)
def test_headers_with_wrong_arguments(network, tmp_path, key, value):
    path = changed(network, tmp_path, lambda header: header["config"].__setitem__(key, value))
    refused(load, path)


@pytest.mark.parametrize("value", [URL, "imagenet", "/etc/passwd", 1, {}])
def test_headers_never_name_other_weights(network, tmp_path, value):
    path = changed(network, tmp_path, lambda header: header["config"].__setitem__("weights", value))
    assert "unknown key weights" in refused(load, path)


@pytest.mark.parametrize(
    "metadata",
    [
        1, [], None, {"preprocessing": 3}, {"preprocessing": {"rgb": 3}}, {"classes": 3},
        {"palette": {"parts": [[300, 0, 0]]}}, {"resize": [10**9, 10**9]}, {"resize": "x"},
        {"seen": 2.5}, {"seen": {"rgb": []}}, {"seen": {"depth": {"low": "x"}}},
        {"seen": {"depth": {"low": 0.5, "high": 3.0, "medians": [1.0]}}},
        {"step": 2**70}, {"metrics": []}, {"deep": DEEP},
    ],
)  # fmt: skip
def test_headers_with_wrong_metadata(network, tmp_path, metadata):
    refused(load, changed(network, tmp_path, lambda header: header.update(metadata=metadata)))


def spoil(value):
    def change(state):
        key = "encoder.layer1.0.conv1.weight"
        state[key] = value(state[key])

    return change


@pytest.mark.parametrize(
    "value",
    [
        lambda t: torch.full_like(t, torch.nan),
        lambda t: torch.full_like(t, torch.inf),
        lambda t: t.to(torch.int64),
        lambda t: t.to(torch.complex64),
        lambda t: t > 0,
        lambda t: t[..., :1].contiguous(),
    ],
)
def test_weights_that_cannot_be_right(network, tmp_path, value):
    path = changed(network, tmp_path, lambda _: None, spoil(value))
    assert "encoder.layer1.0.conv1.weight" in refused(load, path)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x", b"\xff" * 64, struct.pack("<Q", 2**63), struct.pack("<Q", 2**24 + 1) + b"{}",
        struct.pack("<Q", 2) + b"{}", struct.pack("<Q", 8) + b"[[[[[[[[", b"\x80\x04.", b"PK\3\4",
    ],
)  # fmt: skip
@pytest.mark.parametrize("loader", [load, read_tensors])
def test_no_safetensors_files(tmp_path, content, loader):
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    if loader is load or content != struct.pack("<Q", 2) + b"{}":
        refused(loader, path)


class Payload:
    def __reduce__(self):
        return os.system, ('touch "$CEN_TEST_MARKER"',)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("loader", [load_released, read_tensors])
def test_pickles_are_not_executed(tmp_path, protocol, loader):
    path = tmp_path / "net.pth"
    path.write_bytes(pickle.dumps({"a": Payload()}, protocol))
    refused(loader, path)
    torch.save({"a": Payload()}, path)
    refused(loader, path)


@pytest.mark.parametrize(
    "text",
    [
        "", "# nothing", "[", "a: [1, 2", "a: &a [*a]", "a: &a {b: *a}", "[" * 100_000,
        "{a: " * 5000, "- " * 5000, "a: 1\na: 2", "a: !!python/object/apply:os.system [ls]",
        "a: !!set {x}", "a: 99999999999999999999", "a: " + "9" * 9000, "a: 1\n---\nb: 2", "*x",
        "a: \x00", "just words", "? {a: 1}\n: 2",
        "a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [*a{i-1}, *a{i-1}]\n" for i in range(1, 60)),
        "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i-1}]\n" for i in range(1, 5000)),
        "[" + "1," * 300_000 + "]",
        f"model: {{weights: '{URL}'}}", f"data: {{root: '{URL}'}}",
        "data: {root: 's3://bucket/x'}", "model: {width: 10000000000}", "model: 3",
        "model: {inputs: {rgb: 10000000}}", "data: {classes: 1000000000}", "train: {steps: 1e400}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("reader", [Config.load, Study.load, read_description])
def test_yaml(tmp_path, text, reader):
    path = tmp_path / "dataset.yaml"
    path.write_text(text)
    refused(reader, path)


def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"seed: 1\ndata: \xff\n")
    assert "line 2: byte 0xff is not UTF-8" in refused(Config.load, path)
    assert parse_yaml(b"\xef\xbb\xbfclasses: [no, yes]", "a").value == {"classes": ["no", "yes"]}


@pytest.mark.parametrize(
    "text",
    ["", "[", "[" * 100_000, '{"a":' * 300, '{"a": NaN}', '{"a": 1, "a": 2}', "9" * 5000,
     '"\\ud800"', "\x00", "nul", '{"scores": 3}', "3", '[{"layers": 3}]', '{"sessions": [{}]}'],
)  # fmt: skip
@pytest.mark.parametrize("name", ["run.json", "exchange.json", "evaluation.json", "study.json"])
def test_files_of_run_folders(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    needs = {'{"scores": 3}': "evaluation.json", '{"sessions": [{}]}': "run.json"}
    if needs.get(text, name) == name or name == "exchange.json":
        refused(read_run_file, path)
    assert name in TYPES


def test_json_has_a_limit():
    refused(parse_json, "[" + "0," * 40_000_000 + "0]", "a.json")


def test_panels_that_unpack_to_more_than_they_are(tmp_path):
    path = tmp_path / "0.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inputs/rgb.npy", b"\0" * (2**28 + 1))
    assert path.stat().st_size < 2**20
    assert "unpacks to more" in refused(load_panel, path)
    header = {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
    assert "claims" in refused(load_panel, path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 2**31 - 1, 2**31 - 1) + b"\0" * 9
        + struct.pack(">I4sI", 0, b"IEND", 0),
        b"II*\0" + b"\xff" * 20, b"MM\0*" + b"\0" * 4, b"\x93NUMPY\1\0\xff\xff",
        b"\x76\x2f\x31\x01",
        b"", b"GIF89a",
    ],
)  # fmt: skip
def test_pictures(content):
    refused(read_picture_header, content, "a.png")


LABELS = np.zeros((4, 4), np.uint8)
PANELS = [
    {"inputs/a": np.zeros(shape, np.uint8)}
    for shape in [(), (3,), (0, 4), (4, 0, 3), (2, 2, 2, 2), (1, 2**15 + 1), (2**12 + 1, 2**12)]
] + [
    {"inputs/a": np.array([["x"]])},
    {"outputs/a/kind": np.array("x" * 9000), "outputs/a/truth": LABELS},
    {"outputs/a/truth": LABELS.astype(np.float32)},
    {"outputs/a/truth": np.zeros((4, 4, 3), np.uint8)},
    {"outputs/a/truth": np.full((4, 4), 2**62)},
    {"outputs/a/truth": np.full((4, 4), 2**63, np.uint64)},
    {"outputs/a/ensemble": np.full((4, 4), 65536)},
    {"outputs/a/streams/b": np.zeros((2, 2), bool)},
    {"outputs/a/kind": np.array("normal"), "outputs/a/truth": np.zeros((4, 4), np.float32)},
    {"outputs/a/kind": np.array("normal"), "outputs/a/truth": np.zeros((4, 4, 2), np.float32)},
    {"outputs/a/kind": np.array("depth"), "outputs/a/truth": np.zeros((4, 4, 3), np.float32)},
    {"outputs/a/kind": np.array("edge"), "outputs/a/truth": np.zeros((4, 4, 3), np.float32)},
    {"inputs/a": LABELS.astype(np.complex64)},
]


@pytest.mark.parametrize("arrays", PANELS)
def test_panels_that_are_no_pictures(tmp_path, arrays):
    (tmp_path / "panels").mkdir()
    np.savez_compressed(tmp_path / "panels" / "0.npz", **arrays)
    refused(load_panel, tmp_path / "panels" / "0.npz")
    page = write_report(tmp_path).read_text("utf-8")
    assert "panels/0.npz cannot be read" in page


LAYER = {"name": "a", "stream": "rgb", "channels": 4, "own": 2, "replaced": 1, "rate": 0.5}


@pytest.mark.parametrize(
    "looks",
    [
        [{"layers": [{**LAYER, key: value}]}]
        for key in ("channels", "own", "replaced", "rate", "own_start", "mask", "name", "stream")
        for value in (-1, 2**62, 1e300, {"a": 1})
    ]
    + [[{"layers": [{**LAYER, "own_parts": v}]}] for v in (-1, [1], [[-1, 2]], [[0, 1]] * 70_000)]
    + [
        [{"step": -1, "layers": []}], [{"step": 2**62, "layers": []}], [{"rate": 7, "layers": []}],
        [{"layers": [LAYER] * 6000}], [{"layers": [{**LAYER, "mask": [0] * 70_000}]}],
    ],
)  # fmt: skip
def test_inspections_that_cannot_be_right(tmp_path, looks):
    path = tmp_path / "exchange.json"
    path.write_text(json.dumps(looks))
    refused(read_run_file, path)
    assert "exchange.json cannot be read" in write_report(tmp_path).read_text("utf-8")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"step," + b"a," * 6000 + b"b\n", True),
        (b"step,train/loss\n1,\xff\n", True),
        (b"step,train/loss\n1," + b"9" * 200_000 + b"\n", True),
        (b"step,train/loss\n1,1e308\n2,-1e308\n3,nan\n4,inf\n", False),
        (b"step,train/loss\n-1,1\n1e300,1\nnan,1\n\x00,1\n", False),
        (b"step,val/a,val//b/,alpha/,exchange/,exchange/a,weight/\n1,1,1,1,1,1,1,9,9\n", False),
        (b"", False),
        (b"\x00" * 1000, False),
    ],
)
def test_metrics_that_lie(tmp_path, content, told):
    (tmp_path / "metrics.csv").write_bytes(content)
    page = write_report(tmp_path).read_text("utf-8")
    assert ("metrics.csv cannot be read" in page) == told


def test_of_ten_thousand_panels_a_hundred_are_shown(tmp_path):
    (tmp_path / "panels").mkdir()
    np.savez_compressed(tmp_path / "panels" / "0.npz", **{"inputs/a": LABELS})
    for index in range(1, 150):
        os.link(tmp_path / "panels" / "0.npz", tmp_path / "panels" / f"{index}.npz")
    assert "Of 150 panels the first 100 are shown" in write_report(tmp_path).read_text("utf-8")


@pytest.mark.parametrize(
    "values",
    [
        {"channels": 10**7}, {"channels": 2**62}, {"channels": "3"}, {"channels": [3]},
        {"kind": 3}, {"kind": "x"}, {"kind": ["image"]}, {"mean": "x"}, {"mean": [0.0] * 100_000},
        {"mean": ["0", "0", "0"]}, {"std": {"a": 1}}, {"std": [[1.0]]}, {"scale": "1"},
        {"unit": []}, {"missing": "0"}, {"bits": "8"}, {"bands": "012"}, {"bands": [0] * 100_000},
        {"page": 1.5}, {"variable": 3}, {"exif": "run"}, {"axes": 3}, {"values": [[1]]},
        {"values": [["a", "b"]]}, {"ignore": "0"}, {"interpolation": 3}, {"encoding": []},
        {"encoding": "x"}, {"fill": None, "weights": URL}, {"clip": [1]}, {"intrinsics": "x"},
    ],
)  # fmt: skip
def test_preprocessing_that_lies(small_network, tmp_path, values):
    refused(Modality.from_dict, values)
    stored = {"rgb": values, "depth": {"kind": "depth", "channels": 1}}
    path = changed(small_network, tmp_path, lambda h: h.update(metadata={"preprocessing": stored}))
    refused(lambda: Predictor(load(path)))


def png(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(
        ">I", zlib.crc32(chunk)) + end  # fmt: skip


def npy(shape, kind="<f8"):
    file = io.BytesIO()
    header = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", png(2**31 - 1, 2**31 - 1)), ("a.png", png(2**20, 2**20)), ("a.png", png(0, 0)),
        ("a.npy", npy((2**40,))), ("a.npy", npy((2**31, 2**31, 3))), ("a.npy", npy((4, 4), "|O")),
        ("a.npz", b"PK\3\4"), ("a.mat", b"MATLAB 5.0" + b"\0" * 200),
        ("a.mat", b"\x89HDF\r\n\x1a\n"),
        ("a.tif", b"II*\0" + b"\xff" * 40), ("a.tif", b"II+\0\x08\0\0\0" + b"\xff" * 40),
        ("a.jpg", b"\xff\xd8\xff\xe0"), ("a.exr", b"\x76\x2f\x31\x01" + b"\xff" * 40),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["image", "continuous"])
def test_whole_files_that_claim_too_much(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    refused(Modality.of(kind).read, tmp_path / name)
