"""Notebooks: what is stored in them is what they show, and belongs to no machine."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from docs.scripts.notebooks import execute
from tests.pages import NOTEBOOKS, text_of

of_every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def shows(cell: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The kinds of what a cell shows, without values, which differ between machines."""
    return [(o["output_type"], sorted(o.get("data", o.get("name", "")))) for o in cell["outputs"]]


@of_every_notebook
def test_every_cell_was_run_in_order_and_shows_nothing_of_a_machine(path: Path) -> None:
    notebook = json.loads(path.read_text("utf-8"))
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert {"stream"} <= kinds <= {"stream", "display_data", "execute_result"}
    assert path.stat().st_size < 600_000
    prose = re.sub(r'src="data:[^"]*"', "", text_of(path))
    assert re.findall(r"(?<![\w.)}\]'\"])/(?:home|root|tmp|work|usr|Users|private)\b", prose) == []
    assert "mean nothing" in prose


@of_every_notebook
def test_what_a_notebook_imports_is_there(path: Path) -> None:
    """Names of the package and what is asked of its modules; whole runs are slow."""
    source = "\n".join(
        line
        for cell in code_cells(json.loads(path.read_text("utf-8")))
        for line in "".join(cell["source"]).splitlines()
        if not line.startswith("!")
    )
    tree = ast.parse(source)
    wanted = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names: dict[str, Any] = {}
    for node in wanted:
        if "timm" not in ast.unparse(node):
            exec(compile(ast.Module([node], []), str(path), "exec"), names)
    assert "cen" in names


@pytest.mark.slow
@of_every_notebook
def test_a_notebook_runs_and_shows_what_is_stored(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stored = json.loads(path.read_text("utf-8"))
    done = execute(stored)
    for before, now in zip(code_cells(stored), code_cells(done), strict=True):
        assert shows(now) == shows(before), "".join(now["source"])
    assert str(tmp_path) not in json.dumps(done)
