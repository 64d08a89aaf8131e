"""A headless Chromium, driven by its own protocol."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One page of it.

    Attributes:
        requests: the address of everything that the page asked for.
        problems: what its console calls errors.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: Any) -> None:
        self._loop, self._socket, self._number = loop, socket, 0
        self.requests: list[str] = []
        self.problems: list[str] = []

    def __call__(self, method: str, **params: Any) -> Any:
        """Sends a command and waits for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._loop.run_until_complete(self._socket.send_json(message))
        while True:
            answer = self._loop.run_until_complete(self._socket.receive_json(timeout=300))
            self._note(answer)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _note(self, answer: dict[str, Any]) -> None:
        params = answer.get("params", {})
        if answer.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif answer.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"])[:500])
        elif answer.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(json.dumps(params["entry"])[:500])

    def value(self, script: str) -> Any:
        """What a line of JavaScript gives."""
        found = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 300) -> Any:
        """Waits until a line of JavaScript gives something that is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.value(script):
                return found
            time.sleep(0.2)
        raise AssertionError(f"{script} stayed false; the page says {self.text()!r}")

    def text(self) -> str:
        """The words of the page."""
        return str(self.value("document.body.innerText"))

    def open(self, url: str, width: int, height: int = 900) -> None:
        """Opens an address in a window of this size."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height,
             deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        self("Page.navigate", url=url)

    def send_file(self, index: int, file: Path) -> None:
        """Gives a file to one of the file inputs of the page."""
        root = self("DOM.getDocument")["root"]["nodeId"]
        nodes = self("DOM.querySelectorAll", nodeId=root, selector="input[type=file]")["nodeIds"]
        self("DOM.setFileInputFiles", files=[str(file)], nodeId=nodes[index])

    def shoot(self, file: Path) -> Path:
        """A picture of the whole page."""
        size = self("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))
        return file


@contextmanager
def browser() -> Iterator[Browser]:
    """Starts one, and ends it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        flags = ["--headless=new", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run"]
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []
        process = subprocess.Popen(
            [str(CHROMIUM), *flags, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        loop = asyncio.new_event_loop()
        try:
            yield from _page(loop, Path(folder) / "DevToolsActivePort")
        finally:
            loop.close()
            process.terminate()
            process.wait(30)


def _page(loop: asyncio.AbstractEventLoop, told: Path) -> Iterator[Browser]:
    end = time.monotonic() + 300
    while not (told.is_file() and told.read_text().count("\n")):
        assert time.monotonic() < end, "Chromium does not start"
        time.sleep(0.1)
    port = told.read_text().split()[0]
    session = loop.run_until_complete(_session())
    try:
        address = loop.run_until_complete(_address(session, port))
        socket = loop.run_until_complete(session.ws_connect(address, max_msg_size=0))
        page = Browser(loop, socket)
        for domain in ("Page", "DOM", "Runtime", "Network", "Log"):
            page(f"{domain}.enable")
        yield page
    finally:
        loop.run_until_complete(session.close())


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()


async def _address(session: aiohttp.ClientSession, port: str) -> str:
    async with session.get(f"http://127.0.0.1:{port}/json") as answer:
        pages = await answer.json(content_type=None)
    return next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page")
