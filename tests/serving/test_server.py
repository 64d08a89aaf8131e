"""The page as programs and people call it."""

import os
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.serving.browser import CHROMIUM, browser
from tests.serving.test_uploads import damaged
from tests.test_docs import code_of

from cen.errors import ConfigError
from cen.serving.server import _Janitor, served

gradio_client = pytest.importorskip("gradio_client", reason="cen[serve]; make serve-test")
httpx = pytest.importorskip("httpx")
SENSORS = ["rgb", "depth"]
PATIENT = 300
"""Seconds: how fast a page answers says more of the machine than of the page."""


def client_of(page):
    return gradio_client.Client(
        page, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": PATIENT}
    )


@pytest.fixture
def client(page):
    return client_of(page)


def sent(file: Path):
    return gradio_client.handle_file(str(file))


def labels_of(archive: str) -> np.ndarray:
    with zipfile.ZipFile(archive) as files:
        content = np.frombuffer(files.read("segmentation-labels.png"), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_UNCHANGED)


def test_a_program_gets_what_the_predictor_gives(client, scene, predictor):
    files = {name: sent(file) for name, file in scene.items()}
    pictures, changes, legend, figures, archive = client.predict(**files, api_name="/predict")
    whole = predictor(scene)
    np.testing.assert_array_equal(labels_of(archive), whole.labels)
    assert (len(pictures), len(changes)) == (5, 4)
    assert cv2.imread(pictures[2]["image"]).shape == (45, 61, 3)
    assert figures["segmentation"]["alpha"] == pytest.approx(whole.alpha)
    assert all(entry["class"] in legend for entry in figures["segmentation"]["classes"])
    *_, archive = client.predict(rgb=files["rgb"], api_name="/predict")
    np.testing.assert_array_equal(labels_of(archive), predictor({"rgb": scene["rgb"]}).labels)
    *_, archive = client.predict(**files, sensors=["depth"], unit=0.002, api_name="/predict")
    depth = 2 * predictor.modalities["depth"].read(scene["depth"])
    np.testing.assert_array_equal(labels_of(archive), predictor({"depth": depth}).labels)


def test_the_call_of_the_page_of_documentation(page, scene, monkeypatch):
    (block,) = code_of("docs/serving.md")
    monkeypatch.chdir(scene["rgb"].parent)  # a.png and b.png
    names: dict = {}
    exec(block.replace("http://127.0.0.1:7860/", page), names)
    assert names["figures"]["segmentation"]["without"].keys() == {"rgb", "depth"}


def test_an_example_is_predicted(client):
    pictures, *_ = client.predict(example=0, api_name="/predict")
    assert cv2.imread(pictures[0]["image"]).shape == (48, 64, 3)


def refused(client, **given) -> str:
    with pytest.raises(Exception) as told:  # noqa: PT011 (of several types, by what refuses)
        client.predict(**given, api_name="/predict")
    return str(told.value)


def test_what_is_wrong_is_told_without_folders_of_the_server(client, scene, big, tmp_path):
    (tmp_path / "cut.png").write_bytes(scene["rgb"].read_bytes()[:300])
    assert "rgb (cut.png)" in refused(client, rgb=sent(tmp_path / "cut.png"))
    assert str(tempfile.gettempdir()) not in refused(client, rgb=sent(tmp_path / "cut.png"))
    assert "no sensor to predict from" in refused(client)
    assert "no sensor to predict from" in refused(client, example=0, sensors=[])
    assert "there is no example 7" in refused(client, example=7)
    assert "unit: -1" in refused(client, depth=sent(scene["depth"]), unit=-1)
    refused(client, rgb=sent(big))


def call(page: str, data: list) -> str:
    """What the plain address answers, without a client that means well."""
    with httpx.Client(timeout=PATIENT) as web:
        answer = web.post(f"{page}gradio_api/call/predict", json={"data": data})
        event = answer.json()["event_id"]
        with web.stream("GET", f"{page}gradio_api/call/predict/{event}") as stream:
            return stream.read().decode()


def test_no_file_of_the_server_is_read(page, tmp_path):
    import cen

    (tmp_path / "secret.png").write_bytes(b"secret")
    places = [
        "/etc/passwd", cen.__file__, str(tmp_path / "secret.png"), "pyproject.toml",
        "../pyproject.toml", f"{tempfile.gettempdir()}/../etc/passwd",
    ]  # fmt: skip
    with httpx.Client(timeout=PATIENT) as web:
        for place in places:
            for route in ("gradio_api/file=", "file=", "static/", "assets/", "gradio_api/stream/"):
                for text in (place, place.replace("/", "%2f")):
                    status = web.get(page + route + text).status_code
                    assert status in (403, 404, 405), (route, text)
        for address in ("http://127.0.0.1:9/", "https://huggingface.co/"):
            assert web.get(f"{page}gradio_api/proxy={address}").status_code in (400, 403, 404)
            assert web.get(f"{page}gradio_api/file={address}").status_code in (403, 404)
    meant = {"meta": {"_type": "gradio.FileData"}}
    for place in places:
        for file in ({"path": place, **meant}, {"path": "x.png", "url": place, **meant}):
            found = call(page, [file, None, SENSORS, 0, -1])
            assert found.startswith("event: error")
            assert "root:" not in found


def test_no_address_is_fetched_for_a_user(page):
    """Of a listener of our own, which would hear it."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    heard: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 (the name of the base class)

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/a.png"
        file = {"path": address, "meta": {"_type": "gradio.FileData"}}
        for at in range(5):
            data: list = [None, None, SENSORS, 0, -1]
            data[at] = file
            assert "addresses are not fetched" in call(page, data)
        assert (
            call(page, [{**file, "is_stream": True}, None, SENSORS, 0, -1])[:12] == "event: error"
        )
        server.shutdown()
    assert heard == []


def test_nothing_is_loaded_from_elsewhere_or_reported(page):
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    with httpx.Client(timeout=PATIENT) as web:
        start, config = web.get(page).text, web.get(f"{page}config").json()
        theme = web.get(f"{page}theme.css").text
    assert config["analytics_enabled"] is False
    assert not config.get("run_history", True)
    for text in (start, theme):
        assert "fonts.googleapis" not in text
        assert "cdn" not in text.lower()


def test_a_port_that_is_taken_is_told_and_what_listens_there_goes_on(page, predictor, scene):
    port = int(page.rstrip("/").rpartition(":")[2])
    with pytest.raises(ConfigError, match=rf"--port {port}"), served(predictor, "x", port=port):
        pass
    pictures, *_ = client_of(page).predict(rgb=sent(scene["rgb"]), api_name="/predict")
    assert len(pictures) > 1


def test_of_too_many_files_the_oldest_go(tmp_path):
    for index in range(5):
        (tmp_path / f"{index}").write_bytes(bytes(100))
        os.utime(tmp_path / f"{index}", (index, index))
    _Janitor(tmp_path, 250).tidy()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["3", "4"]


@pytest.mark.slow
def test_two_hundred_damaged_files_and_fifty_users_at_once(page, scene, tmp_path, predictor):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    client, begun, ends = client_of(page), time.monotonic(), []
    for number in range(200):
        name = SENSORS[number % 2]
        file = tmp_path / f"{number}.png"
        file.write_bytes(damaged(scene[name].read_bytes(), number))
        try:
            client.predict(**{name: sent(file)}, api_name="/predict")
            ends.append("predicted")
        except Exception as error:
            ends.append(str(error))
    spoilt = time.monotonic() - begun
    told = [end for end in ends if end != "predicted"]
    assert len(told) > 100
    assert all(f"{name} (" in end for end, name in zip(ends, SENSORS * 100, strict=True)
               if end != "predicted")  # fmt: skip

    expected, begun = predictor(scene).labels, time.monotonic()

    def use(number: int) -> tuple[float, bool]:
        start, mine = time.monotonic(), client_of(page)
        files = {name: sent(file) for name, file in scene.items()}
        *_, archive = mine.predict(**files, api_name="/predict")
        same = bool((labels_of(archive) == expected).all())
        return time.monotonic() - start, same

    with ThreadPoolExecutor(50) as users:
        answers = list(users.map(use, range(50)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(  # noqa: T201 (figures, shown with -s)
        f"200 damaged files: {spoilt:.1f} s, {len(told)} refused; 50 users at once: "
        f"{time.monotonic() - begun:.1f} s, slowest {max(a[0] for a in answers):.1f} s, "
        f"median {sorted(a[0] for a in answers)[25]:.1f} s; memory grew by {grown / 1000:.0f} MB"
    )
    assert all(same for _, same in answers)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_files_are_sent_and_a_sensor_is_switched_off(page, scene, tmp_path, width):
    files = "document.querySelectorAll('input[type=file]').length"
    arrived = "document.querySelectorAll('.file-preview').length"
    buttons = "[...document.querySelectorAll('button')]"
    shown = "[...document.querySelectorAll('.caption-label')].map(c => c.innerText.trim())"
    items = "[...document.querySelectorAll('.grid-wrap .gallery-item')]"

    def edge(of: str) -> str:
        return f"i.querySelector('{of}').getBoundingClientRect()"

    with browser() as b:
        b.open(page, width)
        b.wait(f"{files} == 2")
        b.send_file(0, scene["rgb"])
        b.wait(f"{files} == 1 && {arrived} == 1")
        b.send_file(0, scene["depth"])
        b.wait(f"{files} == 0 && {arrived} == 2")
        b.value(f"{buttons}.find(b => b.innerText == 'Predict').click()")
        b.wait(f"{shown}.includes('ensemble') && {shown}.includes('without depth')")
        assert {"input rgb", "input depth", "without rgb"} <= set(b.value(shown))
        b.wait("[...document.querySelectorAll('.grid-wrap img')].every(i => i.naturalWidth > 30)")
        b.wait("document.querySelector('.cen-legend').innerText.includes('%')")
        assert b.value(f"{items}.length") == 10
        assert b.value(
            f"{items}.every(i => {edge('.caption-label')}.top >= {edge('img')}.bottom - 1)"
        )
        b.shoot(tmp_path / f"page-{width}.png")
        b.value("document.querySelectorAll('input[type=checkbox]')[0].click()")
        b.wait(f"{shown}.includes('depth, α 1.00') && !{shown}.includes('input rgb')")
        b.value("document.querySelector('#examples .grid-container button').click()")
        b.wait(f"{files} == 2")
        assert b.value("document.documentElement.scrollWidth") <= width
        assert b.problems == []
        elsewhere = [r for r in b.requests if not r.startswith((page, "data:", "blob:", "about:"))]
        assert elsewhere == []
