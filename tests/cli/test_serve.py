import sys
import warnings

import pytest

import cen.serving
from cen import cli
from cen.data import Modality


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network that was saved without a run."""
    built = cen.build(
        "refinenet", encoder="resnet18", inputs={"rgb": 3, "depth": 1}, width=4,
        outputs={"segmentation": 4}, decoder_channels=4,
    )  # fmt: skip
    kinds = {"rgb": Modality.of("image"), "depth": Modality.of("depth", unit=0.001)}
    about = {"preprocessing": {name: modality.to_dict() for name, modality in kinds.items()}}
    file = tmp_path_factory.mktemp("served") / "net.safetensors"
    cen.save(built, file, metadata=about)
    return file


def test_without_gradio_a_message_names_the_extra(network, monkeypatch, capsys):
    # As if nobody had imported it yet.
    monkeypatch.delitem(sys.modules, "cen.serving.page", raising=False)
    monkeypatch.delattr(cen.serving, "page", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert cli.main(["serve", str(network), "--examples", "0"]) == 2
    assert "pip install 'cen[serve]'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--port", "0"], ["--megapixels", "100"], ["--seconds", "nan"]])
def test_limits_have_limits(network, words, capsys):
    assert cli.main(["serve", str(network), *words]) == 2
    assert f"{words[0]} {words[1]}: give a" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_is_served_with_examples_of_its_test_split(rooms, tmp_path, monkeypatch, capsys):
    """A run folder as training leaves it, but for the training."""
    gradio_client = pytest.importorskip("gradio_client", reason="cen[serve]; make serve-test")
    from tests.serving.conftest import free_port

    run = tmp_path / "run"
    words = ["--data.root", str(rooms), "--out", str(run), "--train.steps", "1"]
    tiny = ["--train.batch_size", "2", "--model.width", "4", "--data.workers", "0"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert cli.main(["train", "rooms-demo", *words, *tiny, "--train.accelerator", "cpu"]) == 0
    port, answers = free_port(), []

    def use() -> None:
        patient = {"timeout": 300}
        address = f"http://127.0.0.1:{port}/"
        client = gradio_client.Client(address, verbose=False, httpx_kwargs=patient)
        answers.append(client.predict(example=1, api_name="/predict"))
        raise KeyboardInterrupt

    monkeypatch.setattr("cen.cli.serve.wait", use)
    words = ["--port", str(port), "--examples", "2", "--seconds", "3600"]
    assert cli.main(["serve", str(run), *words]) == 130
    assert f"at http://127.0.0.1:{port}/; Ctrl-C stops it" in capsys.readouterr().out
    pictures, changes, *_ = answers[0]
    assert len(pictures) == 5
    assert len(changes) == 4
