"""Guards: whatever a hostile file says, nothing is fetched, executed or written elsewhere."""

import socket
import time

import pytest


@pytest.fixture(autouse=True)
def guards(monkeypatch, tmp_path_factory):
    def refuse(*_, **__):
        raise AssertionError("a hostile file had something fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    marker = tmp_path_factory.mktemp("outside") / "marker"
    monkeypatch.setenv("CEN_TEST_MARKER", str(marker))
    started = time.monotonic()
    yield marker
    assert not marker.exists(), "a hostile file was executed"
    assert not list(marker.parent.iterdir())
    assert time.monotonic() - started < 30  # a hang, however busy the machine is
