"""Starting Gradio's server on a machine that is busy, however long that takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.http_server import Server

from cen.serving.page import CSS, MIDDLEWARE, theme


def launched(page: gr.Blocks, host: str, port: int, megabytes: float) -> str:
    """Serves a page, which takes files of so many megabytes, until it is closed; its URL.

    Raises:
        OSError: somebody else listens there.
    """
    with _patient_start():
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            max_file_size=int(megabytes * 1e6),
            allowed_paths=[],
            enable_monitoring=False,
            share=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            run_history=False,
            footer_links=["api"],
            theme=theme(),
            css=CSS,
            app_kwargs={"middleware": MIDDLEWARE},
            _frontend=False,  # else it asks itself for the page, and fails after 3 seconds
        )
    return str(url)


@contextmanager
def _patient_start() -> Iterator[None]:
    """Lets Gradio wait for its server while that is starting.

    Of its own it gives up after 5 seconds and says that the port is taken, while the server goes
    on starting.
    """
    former = Server.run_in_thread
    Server.run_in_thread = _run_in_thread
    try:
        yield
    finally:
        Server.run_in_thread = former


def _run_in_thread(server: Any) -> None:
    """Returns when the server listens.

    Raises:
        OSError: it ended before: somebody else listens at its port.
    """
    server.thread = threading.Thread(target=server.run, daemon=True)
    server.thread.start()
    while not server.started:
        if not server.thread.is_alive():
            raise OSError("the server ended before it listened")
        time.sleep(0.01)
