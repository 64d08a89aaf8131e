"""The documentation agrees with the program: keys, links, commands."""

import pkgutil
import re
import shlex
import tomllib
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from docs.scripts import backbones
from tests.pages import PAGES, ROOT, text_of
from torch import nn
from torch.nn import functional

import cen
from cen import parsing
from cen.cli import main
from cen.cli.sources import load_config
from cen.config import Config
from cen.errors import CenWarning
from cen.exchange import exchange_layers
from cen.models.builders import DECODERS, encoders
from cen.tasks import KINDS, Task


def test_configuration_page_lists_every_key_as_it_is() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert parsing.markdown(Config) in text


def test_texts_of_options_name_every_part_there_is() -> None:
    texts = {key.name: set(re.findall(r"\w+", key.text)) for key in parsing.keys(Config)}
    assert {*DECODERS} <= texts["model.name"]
    assert {*DECODERS} <= texts["model.decoder_channels"]
    # Numbered ones are named as a range.
    families = {name.rstrip("0123456789") for name in encoders}
    told = {word.rstrip("0123456789") for word in texts["model.encoder"]}
    assert families <= told
    assert {*KINDS} <= texts["model.outputs.<name>.kind"]
    assert {*KINDS} <= set(re.findall(r"\w+", Task.__doc__ or ""))
    kinds = (ROOT / "docs" / "multitask.md").read_text("utf-8")
    assert [kind for kind in KINDS if f"\n| `{kind}` |" not in kinds] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(page))
    broken = [
        link for link in links if "://" not in link and not (page.parent / link).resolve().exists()
    ]
    assert broken == []
    inside = ROOT / "docs" if page.is_relative_to(ROOT / "docs") else ROOT
    targets = {link: (page.parent / link).resolve() for link in links if "://" not in link}
    # The pages are built from docs alone: what lies outside is not there.
    assert [link for link, to in targets.items() if not to.is_relative_to(inside)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    """A line of one word in capitals is the place of a text that was never written."""
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"^(?:[A-Z]{4,}|.*\b(?:TODO|FIXME|TBD)\b.*)$", prose, re.MULTILINE) == []


def test_readme_names_every_extra() -> None:
    """All but those that a developer of this project installs through the makefile."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    of_developers = {"test", "docs", "peers"}
    readme = (ROOT / "README.md").read_text("utf-8").split("## Install")[1].split("## Cite")[0]
    named = re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE)
    assert sorted(named) == sorted(project["optional-dependencies"].keys() - of_developers)


def named_in_python() -> list[str]:
    """Every name that a page imports from the package or calls by its full name."""
    text = "\n".join(text_of(page) for page in PAGES if page.name != "CHANGELOG.md")
    imports = re.findall(r"from (cen[\w.]*) import ([\w, ]+)", text)
    names = {f"{room}.{name.strip()}" for room, every in imports for name in every.split(",")}
    return sorted(names | set(re.findall(r"(?<![\w/.-])cen(?:\.[A-Za-z_]\w*)+", text)))


@pytest.mark.parametrize("name", named_in_python())
def test_names_of_the_package_that_a_page_says_are_there(name: str) -> None:
    assert pkgutil.resolve_name(name) is not None


def code_of(page: str, language: str = "python|diff") -> list[str]:
    """The code blocks of a page; a diff as the code that it leads to."""
    text = (ROOT / page).read_text("utf-8")
    blocks = []
    for kind, block in re.findall(rf"```({language})\n(.*?)```", text, re.DOTALL):
        lines = block.splitlines()
        if kind == "diff":
            lines = [line[1:] for line in lines if not line.startswith("-")]
        blocks.append("\n".join(lines))
    return blocks


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the shown code takes for granted: two small images and their labels."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    rgb, depth = torch.randn(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
    labels = torch.randint(0, 40, (2, 64, 64))
    return {
        "rgb": rgb,
        "depth": depth,
        "thermal": torch.randn(2, 3, 64, 64),
        "labels": labels,
        "loader": [(rgb, depth, labels)],
        "names": [f"class {i}" for i in range(40)],
        "cross_entropy": functional.cross_entropy,
        "MyNetwork": Small,
    }


class Small(nn.Module):
    """Somebody's own network."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.ModuleDict({"conv": nn.Conv2d(8, 8, 1), "bn2": nn.BatchNorm2d(8)})
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.block["bn2"](self.block["conv"](self.stem(x))))
        return y


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_files_of_the_package_that_a_page_names_are_there(page: str) -> None:
    named = set(re.findall(r"`((?:src/cen/|tests/)?[\w/]+(?:\.py|/))`", (ROOT / page).read_text()))
    places = (ROOT, ROOT / "src/cen", *(ROOT / "src/cen").rglob("*/"))
    missing = [n for n in named if "NAME" not in n and not any((p / n).exists() for p in places)]
    assert len(named) > 10
    assert not missing


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_names_in_the_code_that_a_page_says_are_there(page: str) -> None:
    """Names by themselves, such as of a function; a word that no source has was renamed."""
    prose = re.sub(r"^```.*?^```", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL | re.M)
    named = {name for name in re.findall(r"`([A-Za-z_]\w+)`", prose) if name != "NAME"}
    files = (path for room in ("src", "tests") for path in (ROOT / room).rglob("*.py"))
    code = "\n".join(path.read_text("utf-8") for path in files)
    folders = {path.name for path in (ROOT, *ROOT.glob("*/"), *(ROOT / "src").rglob("*/"))}
    assert named - set(re.findall(r"\w+", code)) - folders == set()


def test_code_of_the_readme_runs(scene: dict[str, Any]) -> None:
    """With a narrow network, which the page leaves at its full width."""
    for block in code_of("README.md"):
        exec(block.replace('"resnet50"', '"resnet50", width=4, decoder_channels=4'), scene)
    scene["loss"].backward()
    assert scene["out"].ensemble.shape == (2, 40, 16, 16)


def test_code_of_the_own_loop_runs(scene: dict[str, Any]) -> None:
    """With a narrow network, which the page leaves at its full width."""
    fitted, first, converted, *others = code_of("docs/your-own-loop.md")
    exec(fitted.replace('"resnet18"', '"resnet18", width=4, decoder_channels=4'), scene)
    assert scene["result"].score is not None
    exec(first.replace('"resnet50"', '"resnet18", width=4, decoder_channels=4'), scene)
    assert scene["prediction"].shape == scene["labels"].shape
    for block in others:
        with_one_channel = {"thermal": scene["thermal"][:, :1]} if '"thermal": 1' in block else {}
        exec(block, scene | with_one_channel if with_one_channel else scene)
    assert (scene["net"].metadata["classes"], Path("mine.safetensors").is_file()) == (
        {"segmentation": scene["names"]},
        True,
    )
    exec("import cen\n" + converted, scene)
    assert scene["loss"].requires_grad
    assert [layer.name for layer in cen.inspect(scene["net"]).layers] == ["module.block.bn2"] * 2


def test_code_of_several_tasks_runs(scene: dict[str, Any]) -> None:
    scene["targets"] = {"segmentation": scene["labels"], "depth": scene["depth"]}
    (block,) = code_of("docs/multitask.md")
    exec(block.replace('"resnet18"', '"resnet18", width=4, decoder_channels=4'), scene)
    assert scene["weighting"].log_variances.grad is not None
    assert scene["weighting"].log_variances.abs().min() > 0


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mit_b0"])
def test_table_of_encoders_is_what_they_have(name: str) -> None:
    """Those that need no other library; tests/models/test_backbones.py has the others."""
    page = (ROOT / "docs" / "backbones.md").read_text("utf-8")
    row = backbones.row(name)
    assert f"\n{row}\n" in page
    patterns = re.findall(r"`([\w*.]+)`", row.split("|")[6])
    options: dict[str, Any] = {"inputs": {"a": 3, "b": 3}, "outputs": {"s": 2}, "width": 8}
    usual = cen.build("segformer", encoder=name, **options)
    said = cen.build("segformer", encoder=name, exchange_norms=patterns, **options)
    layers = [list(exchange_layers(net.encoder)) for net in (usual, said)]
    assert layers[0] == layers[1] != []


def test_check_of_an_installation_ends_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of the page, on fewer and smaller pictures and in fewer steps."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "install.md").read_text("utf-8")
    block = page.split("**Does it work?**")[1].split("```sh\n")[1].split("```")[0]
    for number, fewer in (("--train 300", "12"), ("--test 60", "2"), ("--train.steps 200", "4")):
        assert number in block
        block = block.replace(number, f"{number.split()[0]} {fewer}")
    narrow = ["--train.batch_size", "2", "--model.width", "4", "--model.decoder_channels", "8"]
    smaller = {"data": ["--size", "32", "40"], "train": narrow, "evaluate": []}
    with warnings.catch_warnings():
        warnings.simplefilter("error", CenWarning)
        for line in block.splitlines():
            words = shlex.split(line)
            assert words[0] == "cen"
            assert main([*words[1:], *smaller[words[1]]]) == 0, line
    assert Path("runs/check/evaluation.json").is_file()


def test_code_of_the_page_of_samples_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a small folder of the format that the page of one's own data teaches."""
    monkeypatch.chdir(tmp_path)
    assert (
        main(["data", "rooms", "data/own", "--layout", "folder", "--train", "8", "--test", "2"])
        == 0
    )
    names: dict[str, Any] = {}
    samples, rooms = code_of("docs/data.md", "python")
    exec(samples, names)
    assert names["train"][(3, 0)]["rgb"].shape == (3, 96, 128)
    assert Path("sample.png").is_file()
    exec(rooms, names)
    assert names["rooms"][0]["depth"].shape[-2:] == (96, 128)


def test_code_of_cycle_fusion_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code_of("docs/translation.md", "python")[-1], names)
    assert set(names["out"]) == {"rgb", "depth", "normal"}
    assert names["depth"].ensemble.shape == (1, 1, 64, 96)


def test_cycle_fusion_against_discriminators_weighs_the_error_once() -> None:
    """100 of the outputs on top of train.l1 100 would be 10,000."""
    text = (ROOT / "docs" / "translation.md").read_text("utf-8")
    commands = re.findall(r"^cen train (rooms-cycle\S*) (.*--train\.adversarial .*)$", text, re.M)
    assert {name for name, _ in commands} == {"rooms-cycle", "rooms-cycle-shade"}
    for name, options in commands:
        words = shlex.split(options)
        given = {key.removeprefix("--"): word for key, word in pairwise(words) if "--" in key}
        config = load_config(name, given)
        assert config.train.adversarial == "bce"
        weighed = {
            key: config.train.l1 * output.weight for key, output in config.model.outputs.items()
        }
        alone = load_config(name, {}).model.outputs
        assert weighed == {key: output.weight for key, output in alone.items()}
        assert min(weighed.values()) == 100.0
