"""Who may import whom: imports go down only, and never in a circle.

The floors are those of CONTRIBUTING, read off the source: every import counts, also one inside a
function or for type checking alone.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

FLOORS = (
    "errors",
    # What needs neither torch nor any other room.
    "arguments documents durations fetching files launch notebook options.constraints runfiles "
    "schema signals stream weightfiles "
    "data.readers.registry",
    # It imports torch where something is computed alone.
    "tasks",
    "options parsing",
    "config conventions scores",
    "exchange",
    "exchange.conversion exchange.__init__",
    "folding",
    "models",
    "data metrics losses weighting adversarial optim",
    "report",
    "predict",
    "training bench",
    "training.generation",
    "training.module_choice training.fitting training.evaluation training.own_data "
    "training.__init__",
    "studies serving",
    "cli __init__ __main__",
)
"""From the ground up; rooms of one floor may use each other. A name is that of a file or folder."""

HEIGHT = {f"cen.{room}": floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}


@cache
def files() -> dict[str, Path]:
    """The file of every module, packages as ``package.__init__``."""
    found = SOURCE.glob("cen/**/*.py")
    return {".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in found}


@cache
def tree(module: str) -> ast.Module:
    """What a module says, parsed."""
    return ast.parse(files()[module].read_text("utf-8"))


@cache
def imports(module: str) -> set[str]:
    """The modules of this package that a module names in imports."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    named = {name if name in files() else f"{name}.__init__" for name in found}
    return named & set(files()) - {module, *_packages_of(module)}


def _packages_of(module: str) -> Iterator[str]:
    """A module is a part of its packages: what it imports from them is their other parts."""
    parts = module.split(".")
    for length in range(1, len(parts)):
        yield ".".join([*parts[:length], "__init__"])


def height(module: str) -> int:
    """The floor of a module: that of the longest name that it begins with."""
    parts = module.split(".")
    for length in range(len(parts), 1, -1):
        if (room := ".".join(parts[:length])) in HEIGHT:
            return HEIGHT[room]
    raise AssertionError(f"{module} is on no floor; add it to FLOORS")


def test_there_is_much_to_look_at() -> None:
    assert len(files()) > 150
    assert "cen.exchange.streams" in imports("cen.exchange.stream_norm")
    assert "cen.data.__init__" in imports("cen.predict.predictor")


def test_every_room_of_the_floors_exists() -> None:
    begun = {".".join(name.split(".")[:length]) for name in files() for length in range(1, 5)}
    assert set(HEIGHT) <= begun


def test_imports_go_down_only() -> None:
    up = {
        module: {other for other in imports(module) if height(other) > height(module)}
        for module in files()
    }
    assert {module: others for module, others in up.items() if others} == {}


def test_the_exchange_needs_torch_alone() -> None:
    own = {name for name in files() if name.startswith("cen.exchange.")}
    for module in own:
        assert imports(module) <= own | {"cen.errors", "cen.arguments", "cen.notebook"}
        others = set(re.findall(r"^ *(?:from|import) (\w+)", files()[module].read_text(), re.M))
        assert others <= {"cen", "torch", *sys.stdlib_module_names}


def test_no_imports_in_a_circle() -> None:
    graph = {module: imports(module) for module in files()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_no_two_modules_share_a_name() -> None:
    names = Counter(module.rpartition(".")[2] for module in files())
    del names["__init__"]
    assert [name for name, count in names.items() if count > 1] == []


def test_networks_are_known_by_their_class_in_models_alone() -> None:
    """What others need to know of a network is a method of it."""
    classes = {"CycleFusionNetwork", "FusedNetwork", "AlignedNetwork", "TokenFusionNetwork"}
    asked = [
        (module, call.lineno)
        for module in files()
        if not module.startswith("cen.models")
        for call in ast.walk(tree(module))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "isinstance"
        and classes & {node.id for node in ast.walk(call.args[1]) if isinstance(node, ast.Name)}
    ]
    assert not asked


def rooms_of_the_page() -> list[list[str]]:
    """The rooms of the table of docs/architecture.md, floor by floor from the ground up."""
    page = (SOURCE.parent / "docs/architecture.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `cen.")]
    return [re.findall(r"`cen\.(\w+)`", row) for row in rows]


def rooms_of_the_picture() -> list[list[str]]:
    """The same of the picture, which docs/scripts/architecture.py draws."""
    picture = ast.parse((SOURCE.parent / "docs/scripts/architecture.py").read_text("utf-8"))
    (floors,) = (
        node.value
        for node in picture.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOORS"
    )
    return [rooms.split(", ") for rooms, _ in ast.literal_eval(floors)]


@pytest.mark.parametrize("shown", [rooms_of_the_page, rooms_of_the_picture])
def test_floors_that_are_shown_are_those_that_hold(shown: Callable[[], list[list[str]]]) -> None:
    heights = [[HEIGHT[f"cen.{room}"] for room in rooms] for rooms in shown()]
    assert len(heights) >= 9
    for lower, upper in pairwise(heights):
        assert max(lower) <= min(upper)
