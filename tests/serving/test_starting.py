"""A page starts on a machine that is busy, and says so where a port is taken."""

import asyncio
import socket
from unittest.mock import MagicMock

import pytest
from tests.serving.conftest import free_port

from cen.errors import ConfigError
from cen.serving.server import served

gradio = pytest.importorskip("gradio", reason="cen[serve]; make serve-test")
httpx = pytest.importorskip("httpx")


def test_a_server_that_takes_long_to_start_is_waited_for(predictor, monkeypatch):
    """Gradio gives up after 5 seconds, and where its page takes 3."""
    from uvicorn import Server

    start = Server.startup

    async def late(self, *given, **more):
        await asyncio.sleep(6)
        await start(self, *given, **more)

    monkeypatch.setattr(Server, "startup", late)
    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)
    with served(predictor, "late", port=free_port()) as url:
        assert httpx.get(url, timeout=60).status_code == 200


def test_a_server_that_ends_before_it_listens_is_told(predictor, monkeypatch):
    """Somebody else has taken the port after it was found to be free."""
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        monkeypatch.setattr("gradio.http_server.socket", MagicMock())
        with pytest.raises(ConfigError, match=f"--port {port}"), served(predictor, "x", port=port):
            pass
