"""Requests that are none: the sender is told, and the log of the server gets one line each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import gradio as gr
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cen.errors import message_of, printable

_MOST_BYTES = 1_000_000
"""Of a request that sends no file: the names of files that were sent, and numbers."""


class Page(gr.Blocks):
    """A page that refuses values of the wrong number or kind, as programs may send them."""

    async def preprocess_data(self, block_fn: Any, inputs: Any, *others: Any, **more: Any) -> Any:
        """What a function is given; anything that stops it here was sent so.

        Raises:
            gr.Error: for the sender.
        """
        try:
            return await super().preprocess_data(block_fn, inputs, *others, **more)
        except Exception as error:  # of many types, according to the component
            _log(error)
            problem = error if isinstance(error, gr.Error) else _wrong(block_fn.inputs, inputs)
            text = printable(message_of(str(problem).strip("'\"")))
            raise gr.Error(text, print_exception=False) from None


class Bounded:
    """Answers what the server stumbles over, and refuses requests without an end; ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bounded = not scope["path"].endswith("/upload")  # files have a limit of their own
        arrived, begun = 0, False

        async def received() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if bounded and arrived > _MOST_BYTES:
                raise _TooLongError
            return message

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            length = dict(scope["headers"]).get(b"content-length", b"0")
            if bounded and length.isdigit() and int(length) > _MOST_BYTES:
                raise _TooLongError
            await self._app(scope, received, sent)
        except _TooLongError:
            if not begun:
                detail = f"more than {_MOST_BYTES:,} bytes; send files to /upload"
                await JSONResponse({"detail": detail}, 413)(scope, receive, send)
        except Exception as error:  # of many types, according to the address
            _log(error)
            if begun:  # an end is all that is left to be sent
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                detail = "there is no such thing here, or it was asked for in another way"
                await JSONResponse({"detail": detail}, 400)(scope, receive, send)


class _TooLongError(Exception):
    """A request has too many bytes."""


def _wrong(inputs: Sequence[Any], values: Any) -> str:
    names = [getattr(component, "label", None) or "a value" for component in inputs]
    count = len(values) if isinstance(values, list | tuple) else 0
    if count < len(names):
        return f"{count} values were sent, {len(names)} are needed: {'; '.join(map(str, names))}"
    return f"a value is of the wrong kind; they are: {'; '.join(map(str, names))}"


def _log(error: Exception) -> None:
    line = f"cen: refused a request: {type(error).__name__}: {message_of(error)}"
    sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()
