"""A stream of a network with several outputs: which output it makes, from which input."""

from __future__ import annotations

from typing import Self


class Stream(str):
    """One output seen from one input: the name of a stream, of a loss, of a row of scores.

    As text it is ``"output/input"``, which is what figures and files hold; nothing takes that text
    apart again, since a stream knows its parts.

    Attributes:
        output: name of the output, or of the target of a cycle.
        input: name of the input; or of what else predicts the output, such as ``"ensemble"``.
    """

    __slots__ = ("input", "output")
    output: str
    input: str

    def __new__(cls, output: str, input: str) -> Self:
        """The name of a stream from its two parts."""
        stream = super().__new__(cls, f"{output}/{input}")
        stream.output, stream.input = output, input
        return stream

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return self.output, self.input


def input_of(stream: str) -> str:
    """The input that a stream rides on: a stream of a decoder that keeps outputs apart says it."""
    return stream.input if isinstance(stream, Stream) else stream


def output_of(stream: str) -> str | None:
    """The output that a stream makes; None where all outputs have it."""
    return stream.output if isinstance(stream, Stream) else None
