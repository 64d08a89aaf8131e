"""What is installed: metadata, package data, and a wheel that works outside the checkout."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata, resources
from pathlib import Path

import cen

ROOT = Path(__file__).parents[1]


def test_version_is_written_once() -> None:
    assert metadata.version("cen") == cen.__version__
    assert cen.__version__ in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_package_carries_types_and_configurations() -> None:
    package = resources.files("cen")
    assert (package / "py.typed").is_file()
    assert (package / "configs" / "rooms-demo.yaml").is_file()


def test_every_lower_bound_has_its_reason_above() -> None:
    lines = (ROOT / "pyproject.toml").read_text("utf-8").splitlines()
    bounds = [i for i, line in enumerate(lines) if re.match(r'\s+"[\w\[\]-]+[<>=]', line)]
    assert len(bounds) > 10
    unexplained = [lines[i].strip() for i in bounds if not lines[i - 1].strip().startswith("#")]
    assert unexplained == []


def test_pins_lie_within_the_declared_ranges() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))
    extras = project["optional-dependencies"].values()
    for text in [*project["dependencies"], *(need for extra in extras for need in extra)]:
        need = Requirement(text)
        if need.name == "cen":  # one extra takes in another
            continue
        assert need.name in pins, f"{need.name} has no pin in constraints.txt"
        assert pins[need.name] in need.specifier, text


def test_import_is_light_and_silent(tmp_path: Path) -> None:
    code = (
        "import cen, sys; print([m for m in ('torch', 'numpy', 'lightning') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert list(tmp_path.iterdir()) == []


def test_wheel_works_outside_the_checkout(tmp_path: Path) -> None:
    source, target, away = tmp_path / "source", tmp_path / "target", tmp_path / "away"
    away.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", source / "src", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "-w", str(tmp_path), str(source)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("cen-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    files = (p for p in (ROOT / "src" / "cen").rglob("*.*") if p.suffix != ".pyc")
    assert {str(file.relative_to(ROOT / "src")) for file in files} <= set(names)
    assert "cen/configs/nyudv2-refinenet101.yaml" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith("tests")]

    subprocess.run([*pip, "install", *offline, "--target", str(target), str(wheel)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(target)}

    def run(*words: str) -> str:
        return subprocess.run(
            words, capture_output=True, text=True, check=True, cwd=away, env=environment
        ).stdout

    assert str(target) in run(sys.executable, "-c", "import cen; print(cen.__file__)")
    script = str(target / "bin" / "cen")
    assert "usage: cen" in run(script, "--help")
    assert "rooms-small" in run(script, "configs", "ls")
