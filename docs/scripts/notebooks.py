"""Runs the notebooks of docs/notebooks and stores in them what their cells show.

``python docs/scripts/notebooks.py [NAME...]``; all of them take about three minutes on one core.

A cell shows what it shows in Jupyter: what it prints, warnings, the figures that it leaves open in
pyplot and the value of its last line. Lines that begin with ``!`` are commands of the shell, and
one that fails stops the run. Nothing of Jupyter is needed for that.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
Entry = dict[str, Any]


def execute(notebook: Entry) -> Entry:
    """A notebook with the outputs that its cells have now, run in the working folder."""
    names: dict[str, Any] = {"__name__": "__main__", "_shell": _shell}
    done = json.loads(json.dumps(notebook))
    code = [cell for cell in done["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        cell["outputs"] = outputs_of("".join(cell["source"]), names, number)
        cell["execution_count"] = number
    return done


def outputs_of(source: str, names: dict[str, Any], number: int) -> list[Entry]:
    """What a cell shows; it is run with these names, and leaves its own in them."""
    tree = ast.parse(re.sub(r"(?m)^!(.*)$", lambda line: f"_shell({line[1]!r})", source))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    written: list[Entry] = []
    value = None
    with _as_streams(written):
        exec(compile(tree, f"cell {number}", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
    figures = [_display(pyplot.figure(open_one)) for open_one in pyplot.get_fignums()]
    pyplot.close("all")
    shown = [] if value is None else [{**_display(value), "output_type": "execute_result"}]
    for result in shown:
        result["execution_count"] = number
    return [*written, *shown, *figures]


@contextlib.contextmanager
def _as_streams(written: list[Entry]) -> Iterator[None]:
    """Puts what is printed into outputs, and warnings without the places of files."""
    streams = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    with (
        contextlib.redirect_stdout(streams["stdout"]),
        contextlib.redirect_stderr(streams["stderr"]),
        warnings.catch_warnings(),
    ):
        warnings.showwarning = lambda message, category, *_: print(
            f"{category.__name__}: {message}", file=streams["stderr"]
        )
        yield
    for name, stream in streams.items():
        if text := stream.getvalue():
            written.append({"output_type": "stream", "name": name, "text": _lines(text)})


def _shell(command: str) -> None:
    """What follows ``!``, with the programs that were installed beside this Python."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        command,
        shell=True,
        env={**os.environ, "PATH": paths, "COLUMNS": "96"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stdout}")
    print(done.stdout, end="")


def _display(value: Any) -> Entry:
    """A value as the richest form that it has."""
    data: dict[str, Any] = {}
    if isinstance(value, Figure):
        data["image/png"] = base64.b64encode(png_bytes(value)).decode("ascii")
    elif (png := getattr(value, "_repr_png_", lambda: None)()) is not None:
        data["image/png"] = base64.b64encode(png).decode("ascii")
    elif (html := getattr(value, "_repr_html_", lambda: None)()) is not None:
        data["text/html"] = _lines(html)
    data["text/plain"] = _lines(repr(value))
    return {"output_type": "display_data", "data": data, "metadata": {}}


def png_bytes(figure: Figure, dpi: int = 96) -> bytes:
    """A figure as a small PNG: of a palette, as pages are read over slow lines, too."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    colours = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    colours.save(packed, format="png", optimize=True)
    return packed.getvalue()


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main(names: list[str]) -> None:
    """Runs the notebooks of these names, or all."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        notebook = json.loads(path.read_text("utf-8"))
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            done = execute(notebook)
        path.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
