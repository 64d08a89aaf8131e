import ast
import json
import pickle
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.models.hub_stub import Hub, hub_at, point_at

import cen
from cen.errors import CenError, CheckpointError
from cen.models import from_pretrained, read_header, save
from cen.models.hub import Address, address_of, check_repository

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def make_net(make_net):
    """Of few layers: what is sent does not depend on them."""
    return partial(make_net, name="segformer")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    # The library asks again and again, with longer and longer pauses.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with hub_at(monkeypatch, tmp_path / "cache") as running:
        yield running


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_network_that_is_pushed_is_loaded_from_there(make_net, hub):
    net = make_net().eval()
    net.metadata = {"step": 7}
    assert net.push_to_hub("someone/rooms", private=True) == f"{hub.url}/someone/rooms"
    assert set(hub.repositories["someone/rooms"]) == {"model.safetensors", "README.md"}
    assert hub.private == {"someone/rooms": True}
    loaded = cen.load("hf://someone/rooms")
    assert same(loaded, net)
    assert (loaded.metadata["step"], loaded.training) == (7, False)
    assert same(from_pretrained("someone/rooms", revision="main"), net)
    assert hub.fetched == {"someone/rooms/model.safetensors"}


def test_what_is_in_the_cache_is_loaded_without_the_hub(make_net, hub, monkeypatch):
    net = make_net()
    net.push_to_hub("someone/rooms")
    cen.load("hf://someone/rooms")
    point_at(monkeypatch, NOWHERE)
    assert same(cen.load("hf://someone/rooms"), net)


def test_a_folder_is_written_and_loaded_and_its_card_kept(make_net, tmp_path):
    net = make_net()
    net.save_pretrained(tmp_path / "mine")
    assert {f.name for f in (tmp_path / "mine").iterdir()} == {"model.safetensors", "README.md"}
    assert "# mine\n" in (tmp_path / "mine/README.md").read_text("utf-8")
    (tmp_path / "mine/README.md").write_text("edited")
    net.save_pretrained(tmp_path / "mine")
    assert (tmp_path / "mine/README.md").read_text() == "edited"
    assert same(cen.load(tmp_path / "mine"), net)
    assert same(from_pretrained(str(tmp_path / "mine")), net)


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return (Path.write_text, (self.place, "executed"))


def test_loading_from_a_hostile_repository_executes_and_fetches_nothing_else(
    make_net, hub, tmp_path
):
    bomb, marker = tmp_path / "bomb", f"open({str(tmp_path / 'bomb')!r}, 'w')"
    save(make_net(), tmp_path / "net.safetensors")
    code = {"auto_map": {"AutoModel": "modeling.Net"}, "weights": "../../outside.safetensors"}
    hub.repositories["evil/net"] = {
        "model.safetensors": (tmp_path / "net.safetensors").read_bytes(),
        "pytorch_model.bin": pickle.dumps(Bomb(bomb)),
        "config.json": json.dumps(code).encode(),
        "modeling.py": marker.encode(),
        "__init__.py": marker.encode(),
        "setup.py": marker.encode(),
        "../../outside.safetensors": b"outside",
        "sub/../../../outside.safetensors": b"outside",
    }
    cen.load("hf://evil/net")
    assert hub.fetched == {"evil/net/model.safetensors"}
    for pickled in (pickle.dumps(Bomb(bomb)), b"", b"\xff" * 64):
        hub.repositories["evil/net"]["model.safetensors"] = pickled
        with pytest.raises(CheckpointError, match="is damaged or no safetensors file"):
            cen.load("hf://evil/net")
    assert hub.fetched == {"evil/net/model.safetensors"}
    assert not bomb.exists()
    assert {f.name for f in tmp_path.iterdir()} == {"cache", "net.safetensors"}


def test_a_header_from_the_hub_names_no_files_or_code(make_net, hub, tmp_path):
    save(make_net(), tmp_path / "a.safetensors")
    header = read_header(tmp_path / "a.safetensors")
    hub.repositories["evil/net"] = {}
    for key, value in (("weights", "/etc/passwd"), ("name", "os.system"), ("encoder", "../x.py")):
        changed = {**header, "config": {**header["config"], key: value}}
        state = {name: torch.zeros(1) for name in ("a", "b")}
        save_file(state, tmp_path / "b.safetensors", metadata={"cen": json.dumps(changed)})
        content = (tmp_path / "b.safetensors").read_bytes()
        hub.repositories["evil/net"]["model.safetensors"] = content
        with pytest.raises(CheckpointError, match=f"config|cannot build|{key}"):
            cen.load("hf://evil/net")


def test_addresses():
    assert address_of("hf://a/b") == Address("a/b", None, "model.safetensors")
    assert address_of("hf://a/b@v1.0/x/y.safetensors") == Address("a/b", "v1.0", "x/y.safetensors")
    assert address_of("hf://a/b@refs/pr/3") == Address("a/b", "refs/pr/3", "model.safetensors")


@pytest.mark.parametrize(
    "text",
    [
        "hf://", "hf://a", "hf://a/b/pytorch_model.bin", "hf://a/../b.safetensors", "hf://../b",
        "hf://a/b/../../c.safetensors", "hf://a/b//etc/x.safetensors", "hf://a/b@x y", "hf://a/b\n",
        "hf://a/b@../c", "hf://a/b/./c.safetensors",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_before_anything_is_fetched(text, hub):
    with pytest.raises(CheckpointError, match="no network on the Hugging Face Hub; write hf://"):
        cen.load(text)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["rooms", "a/b/c", "a b/c", "../c", "hf://a/b", "a/.b"])
def test_what_is_no_repository_is_refused(name):
    with pytest.raises(CheckpointError, match="write owner/name"):
        check_repository(name)


def test_what_the_hub_refuses_is_told_in_a_line(make_net, hub, monkeypatch):
    with pytest.raises(CheckpointError, match=r"hf://no/body.*no such repository.*hf auth login"):
        cen.load("hf://no/body")
    hub.repositories["some/body"] = {"README.md": b""}
    with pytest.raises(CheckpointError, match=r"model.safetensors cannot be fetched.*Not Found"):
        cen.load("hf://some/body")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(CheckpointError, match=r"some/body cannot be sent.*token that may") as told:
        make_net().push_to_hub("some/body")
    assert "hf_wrong" not in str(told.value)
    assert hub.repositories["some/body"] == {"README.md": b""}


def test_without_a_network_it_is_told_at_once(make_net, monkeypatch, tmp_path):
    with hub_at(monkeypatch, tmp_path / "cache"):
        point_at(monkeypatch, NOWHERE)
        waits: list[float] = []
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", waits.append)
        away = r"127\.0\.0\.1 cannot be reached \(Connection refused\)"
        with pytest.raises(CheckpointError, match=f"cannot be fetched: {away}, and .* not fetched"):
            cen.load("hf://some/other")
        with pytest.raises(CheckpointError, match=f"some/body cannot be sent .*: {away}"):
            make_net().push_to_hub("some/body")
        assert not waits, "the library asks again and again"


def test_without_the_library_a_message_names_the_extra(make_net, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CenError, match=r"pip install 'cen\[hub\]'"):
        cen.load("hf://some/body")
    with pytest.raises(CenError, match=r"pip install 'cen\[hub\]'"):
        make_net().push_to_hub("some/body")


def test_nothing_imports_the_library_before_it_is_needed():
    # Imported by cen.serving.server, when it serves.
    made_of_it = {"page.py", "refusals.py", "starting.py"}
    for file in Path(cen.__file__).parent.rglob("*.py"):
        content = file.read_text("utf-8")
        if "huggingface_hub" not in content and "gradio" not in content:
            continue
        for node in ast.parse(content).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                named = ast.unparse(node)
                assert "huggingface_hub" not in named, file
                assert "gradio" not in named or file.name in made_of_it, file
