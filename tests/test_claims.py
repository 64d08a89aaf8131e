"""What pages say of the program is so: keys, commands, options, files, figures."""

import csv
import functools
import re
import shlex
import statistics
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from tests import pages
from tests.pages import ROOT, text_of

from cen import parsing
from cen.cli import build_parser
from cen.cli.completion import parsers_of
from cen.cli.sources import load_config, shipped
from cen.config import Config
from cen.errors import ConfigError
from cen.studies.spec import Study, find_study
from cen.tasks import Task
from cen.training.module_choice import training_module
from cen.training.setup import build_network

# What changed is told with the names that there were.
PAGES = [page for page in pages.PAGES if page.name != "CHANGELOG.md"]
of_every_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


PARSER = build_parser()


def blocks(page: Path, language: str) -> str:
    text = text_of(page)
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL))


def known_keys(options: type) -> re.Pattern[str]:
    """What is a key, the beginning of one, or an entry of a mapping that takes any name."""
    whole = set()
    for key in parsing.keys(options):
        parts = key.name.split(".")
        whole |= {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
        if isinstance(key.default, dict):
            whole.add(f"{key.name}.<name>")
    entry = {"<name>": r"(<name>|NAME|[\w-]+)", "<index>": r"(<index>|N|\d+)"}
    patterns = [re.sub(r"<\w+>", lambda found: entry[found[0]], key) for key in whole]
    return re.compile("|".join(patterns).replace(".", r"\."))


@of_every_page
def test_keys_that_a_page_names_are_keys(page: Path) -> None:
    text = text_of(page).replace(blocks(page, "python"), "")
    text = re.sub(r"```python\n.*?```", "", text, flags=re.DOTALL)
    text = text.replace("model.safetensors", "")  # a file, as the Hugging Face Hub names it
    named = {
        found.rstrip(".")
        for found in re.findall(r"(?<![\w./<-])(?:--)?((?:data|model|train)\.[\w.<>]+)", text)
        if not re.search(r"\.(md|txt|py|yaml)$", found.rstrip("."))
    }
    of_studies = known_keys(Study) if page.name == "studies.md" else re.compile(r"(?!)")
    of_runs = known_keys(Config)
    assert [k for k in named if not of_runs.fullmatch(k) and not of_studies.fullmatch(k)] == []


def commands(line: str) -> Iterator[list[str]]:
    """The words of every command of a line of a shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for separates, words in groupby(lexer, lambda word: set(word) <= set(";&|<>()")):
        if not separates:
            yield [word for word in words if word not in ("do", "done")]


def in_blocks(page: Path) -> Iterator[list[str]]:
    """The commands of a page that are there to be copied."""
    for line in blocks(page, "sh").replace("\\\n", " ").splitlines():
        yield from commands(line)


def within_sentences(page: Path) -> Iterator[list[str]]:
    """The commands that are named in the text, perhaps without what they are about."""
    text = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    for line in re.findall(r"`((?:cen|python|make) [^`]+)`", text):
        if "…" not in line and "..." not in line:
            yield from commands(line)


def understood(words: list[str]) -> None:
    """Lets the program itself read a command, as far as that needs no files."""
    if words[:1] != ["cen"] or {"--help", "--help-all"} & set(words):
        return
    args = PARSER.parse(words[1:])
    if args.verb == "train" and args.config in shipped():
        load_config(args.config, args.free)
    if args.verb == "study" and args.study and args.study.islower() and "." not in args.study:
        find_study(args.study)


@of_every_page
def test_commands_to_copy_are_understood(page: Path) -> None:
    for words in in_blocks(page):
        understood(words)


@of_every_page
def test_commands_in_sentences_are_understood(page: Path) -> None:
    for words in within_sentences(page):
        try:
            understood(words)
        except ConfigError as error:
            # "cen predict" and "cen evaluate --scales" are names, not whole commands.
            if not re.search("arguments are required|expected at least one", str(error)):
                raise


@of_every_page
def test_scripts_and_targets_of_a_page_are_there(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    for words in (*in_blocks(page), *within_sentences(page)):
        if words[:1] == ["make"] and len(words) == 2:
            assert words[1] in targets
        # Scripts of this repository lie in folders of it; others are the reader's own.
        if words[:1] == ["python"] and "/" in "".join(words[1:2]) and words[1].endswith(".py"):
            script = (ROOT / words[1]).read_text("utf-8")
            options = [w.partition("=")[0] for w in words[2:] if w.startswith("--")]
            assert [o for o in options if o not in script and "." not in o] == []


@of_every_page
def test_options_that_a_page_names_are_options(page: Path) -> None:
    known = {o for verb in parsers_of(PARSER) for o in verb._option_string_actions}
    scripts = "".join(file.read_text("utf-8") for file in ROOT.glob("experiments/*.py"))
    # Of other programs, and of modalities: cen predict RUN --rgb a.png.
    others = {"--extra-index-url", "--rgb", "--depth", "--thermal", "--MODALITY", "--strict"}
    others |= {"--signal", "--kill-on-bad-exit"}
    named = set(re.findall(r"`(--[A-Za-z][\w-]*)(?![\w.-])", text_of(page)))
    assert [o for o in named - known - others if f'"{o}"' not in scripts and o != "--seed"] == []


@of_every_page
def test_files_that_a_page_names_are_there(page: Path) -> None:
    folders = r"`((?:src|tests|experiments|results|docs|\.ci)/[\w./*-]+)`"
    named = {name for name in re.findall(folders, text_of(page)) if "NAME" not in name}
    assert [name for name in named if not any(ROOT.glob(name.rstrip("/")))] == []


def figures(text: str) -> set[str]:
    """Means with deviations and signed intervals, as pages write them."""
    return set(re.findall(r"[\d.]+ ± [\d.]+\d|\[[+−][\d.]+, [+−][\d.]+\]", text))


RESULTS = list((ROOT / "docs" / "results").rglob("*.md"))


@functools.cache
def figures_of_results() -> set[str]:
    told = set[str]().union(*(figures(text_of(page)) for page in RESULTS))
    return told.union(*map(measured, (ROOT / "results" / "studies").glob("*.csv")))


@of_every_page
def test_figures_of_a_page_stand_in_the_results(page: Path) -> None:
    if page not in RESULTS:
        assert sorted(figures(text_of(page)) - figures_of_results()) == []


def measured(study: Path) -> set[str]:
    """Every mean and deviation over seeds of the scores of a study's runs, in %."""
    groups = defaultdict(list)
    with study.open(encoding="utf-8", newline="") as file:
        for run in csv.DictReader(file):
            for name, value in run.items():
                if name.endswith(("/mean_iou", "validation", "exchange_rate")) and value:
                    groups[run["data"], run["row"], run["budget"], name].append(100 * float(value))
    several = [values for values in groups.values() if len(values) > 1]
    return {f"{statistics.mean(v):.1f} ± {statistics.stdev(v):.1f}" for v in several}


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "results" / "studies").glob("*.md")), ids=lambda page: page.stem
)
def test_tables_of_a_study_are_those_of_its_runs(page: Path) -> None:
    told = {figure for figure in figures(text_of(page)) if "±" in figure}
    known = measured(ROOT / "results" / "studies" / f"{page.stem}.csv")
    assert sorted(told - known) == []


def changes_of_a_configuration() -> list[list[str]]:
    """What pages add to a configuration of one's own: the options of ``cen train mine.yaml``."""
    found = []
    for name in ("which-fusion.md", "missing-sensors.md", "exchange-rate.md", "training.md"):
        page = ROOT / "docs" / name
        every = (*in_blocks(page), *within_sentences(page))
        found += [words[1:] for words in every if words[:3] == ["cen", "train", "mine.yaml"]]
    return found


@pytest.mark.parametrize("words", changes_of_a_configuration(), ids=" ".join)
def test_changes_of_a_configuration_fit_the_one_of_the_page_of_own_data(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exchange rate has to go where a fusion exchanges nothing."""
    monkeypatch.chdir(tmp_path)
    shown = re.findall(r"```yaml\n(.*?)```", text_of(ROOT / "docs" / "your-own-data.md"), re.DOTALL)
    Path("mine.yaml").write_text(next(block for block in shown if "train:" in block))
    config = load_config("mine.yaml", PARSER.parse(words).free)
    net = build_network(config, {"segmentation": Task("segmentation", 3)})
    module = training_module(config, net)
    assert (module.controller is None) == (config.train.exchange_rate is None)


def test_some_changes_of_a_configuration_were_found() -> None:
    assert len(changes_of_a_configuration()) >= 4


def test_what_is_stale_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`cen trian x`, `train.stepz`\n```sh\ncen train rooms-demo --train.steps many\n```\n"
    )
    with pytest.raises(ConfigError, match="trian"):
        understood(*within_sentences(page))
    with pytest.raises(ConfigError, match="many"):
        understood(*in_blocks(page))
    assert known_keys(Config).fullmatch("train.stepz") is None
    assert known_keys(Config).fullmatch("data.modalities.thermal.unit")
    assert figures("84.5 ± 0.8, [+1.2, +3.4]") == {"84.5 ± 0.8", "[+1.2, +3.4]"}
