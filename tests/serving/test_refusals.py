"""Requests that no page sends, and what programs and the log of the server get."""

import json

import pytest

pytest.importorskip("gradio", reason="cen[serve]; make serve-test")
httpx = pytest.importorskip("httpx")

UPLOADED = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}


def answer(page: str, data: object) -> str:
    """What a program is told by the events of a call."""
    sent = httpx.post(f"{page}gradio_api/call/predict", json={"data": data}, timeout=60)
    assert sent.status_code == 200, sent.text
    place = f"{page}gradio_api/call/predict/{sent.json()['event_id']}"
    return httpx.get(place, timeout=60).text


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "0 values were sent, 5 are needed"),
        ([None, None], "2 values were sent, 5 are needed"),
        (["x"] * 5, "a value is of the wrong kind"),
        ([5, {"a": 2}, ["rgb"], 0, -1], "a value is of the wrong kind"),
        ([UPLOADED, None, ["rgb"], 0, -1], "a value is of the wrong kind"),
        ([None, None, [{"a": 1}], 0, -1], "not in the list of choices"),
        ([None, None, ["rgb"], "abc", -1], "unit: abc is no number"),
        ([None, None, ["rgb"], 0, "z"], "a value is of the wrong kind"),
        ([None, None, ["rgb"], 0, 10**30], "there is no example"),
    ],
)
def test_values_of_the_wrong_number_or_kind_are_told(page, data, told, capfd) -> None:
    found = answer(page, data)
    assert "event: error" in found
    assert told in found
    assert "/" not in found.replace("segmentation/", ""), "no folder of the server"
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 1


def test_addresses_and_sessions_that_are_none_are_told(page, capfd) -> None:
    api = f"{page}gradio_api"
    queued = {"data": [], "session_hash": "a"}
    assert httpx.post(f"{api}/call/nothing", json={"data": []}).status_code == 400
    assert httpx.post(f"{api}/queue/join", json=queued | {"fn_index": 99}).status_code == 400
    assert httpx.post(f"{api}/queue/join", json={"data": [], "fn_index": 0}).status_code == 400
    assert "404" in httpx.get(f"{api}/call/predict/none").text
    assert httpx.post(f"{api}/call/predict", content=b"{nonsense").status_code == 422
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert err.count("cen: refused a request: ") == len(err.splitlines()) == 3


@pytest.mark.parametrize("said", [True, False], ids=["of a length", "in pieces"])
def test_a_request_without_end_is_not_read(page, said, capfd) -> None:
    text = json.dumps({"data": ["x" * 3_000_000]}).encode()
    content = text if said else (text[at : at + 10_000] for at in range(0, len(text), 10_000))
    headers = {"content-type": "application/json"}
    found = httpx.post(f"{page}gradio_api/call/predict", content=content, headers=headers)
    assert found.status_code in (400, 413)
    assert len(found.text) < 200
    assert "Traceback" not in capfd.readouterr().err
