"""Study files: read, checked, and the shipped ones."""

from pathlib import Path

import pytest
from tests.studies.small_studies import GOOD, load

from cen import parsing
from cen.cli import sources
from cen.errors import ConfigError
from cen.studies.datasets import roots_of
from cen.studies.grid import Choice, expand, rows_of
from cen.studies.spec import Study, find_study, shipped

CLASH = "  s=2: {}\nsweeps: {s: {key: train.sparsity, values: [1, 2]}}\n"


def test_defaults(tmp_path: Path) -> None:
    study = load(tmp_path, GOOD)
    assert (study.seeds, study.budgets, study.columns) == (3, [1.0], ["ensemble"])
    assert [row.label for row in rows_of(study)] == ["cen", "plain"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("config: rooms-small", "config: ''"), "config: is missing"),
        (("rows:", "row:"), "line 4: row: is no key of a study; did you mean rows"),
        (("model.exchange: false", "exchange: false"), "'exchange' is no dotted key"),
        (("title: T", "seeds: 0"), "line 2: seeds: 0 is out of range"),
        (("title: T", "budgets: []"), "budgets: is empty"),
        (("title: T", "columns: ['a b']"), "columns.0: column 'a b'"),
        (("title: T", "compare: [{reference: cem}]"), "there is no 'cem'; did you mean cen"),
        (("plain: {", "plain: {like: plan, "), "there is no 'plan'"),
        (("plain: {", "plain: {data: [x], "), "there is no 'x'"),
        (("plain:", "a/b:"), "no '/'"),
        (("title: T", "sweeps: {s: {key: model.threshold}}"), "sweeps.s.values: is empty"),
        (("title: T", "sweeps: {cen: {key: a.b, values: [1]}}"), "a row has the same name"),
        (("title: T", "sweeps: {s: {key: a.b, values: [0.1, 2, 0.1]}}"), "a row s=0.1 already"),
        (("title: T", "sweeps: {s: {key: a.b, values: [0.1, 0.10000001]}}"), "a row s=0.1 alr"),
        ((GOOD[GOOD.index("  cen") :], CLASH), "sweeps.s.values: there is a row s=2 already"),
        (
            ("model.exchange: false", "data.root: other"),
            "line 6: rows.plain.set: data.root is of a",
        ),
        (("title: T", "sweeps: {s: {key: data.root, values: [1]}}"), "data.root is of a data set"),
        (
            ("title: T", "data: {d: {make: {labels: parts}, set: {data.root: x}}}"),
            "line 2: data.d.set: data.root, but make renders",
        ),
        (("title: T", "published: [{label: X, values: {a: 1}}]"), "needs data, values and the s"),
        (("title: T", "title: ["), "is not valid YAML"),
        ((GOOD, "- a"), "holds no keys"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(*change))
    assert message in str(caught.value)
    assert "mine.yaml" in str(caught.value)


def test_a_row_must_stand_above_the_one_that_is_like_it(tmp_path: Path) -> None:
    text = GOOD.replace("cen: {}", "cen: {like: plain}")
    with pytest.raises(ConfigError, match="there is no 'plain'"):
        load(tmp_path, text)


def test_base_configuration_beside_the_study_is_found(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("train: {steps: 7}\n")
    study = load(tmp_path, GOOD.replace("rooms-small", "base.yaml"))
    assert study.config == str(tmp_path / "base.yaml")


def test_unknown_study_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean fusion"):
        find_study("fusoin")
    with pytest.raises(ConfigError, match="cannot be read"):
        Study.load("nowhere.yaml")


@pytest.mark.parametrize("name", shipped())
def test_shipped_studies_say_what_they_ask_and_cost(name: str) -> None:
    text = shipped()[name].read_text("utf-8")
    assert "# Question:" in text
    assert "core-hour" in text or "Not run here" in text
    assert f"cen study {name}" in text
    assert all("memory" not in entry.source for entry in Study.load(shipped()[name]).published)


@pytest.mark.parametrize("name", shipped())
def test_shipped_studies_can_be_run(name: str, tmp_path: Path) -> None:
    """Every key of every row fits, its network is built, no two rows are by mistake the same."""
    from cen.models import Task
    from cen.training.setup import build_network

    study = Study.load(shipped()[name])
    roots = roots_of(study, tmp_path, "nowhere")
    small = {"model.weights": "null"}
    image = sources.load_config(study.config, {}).model.name == "unet"
    tokens = any("tokenfusion" in row.set.values() for row in study.rows.values())
    # The encoders themselves are built for the configurations that name them.
    small |= {"model.encoder": "unet5" if image else "mit_b0" if tokens else "resnet18"}
    small |= {} if tokens else {"model.width": "4"}
    small |= {} if image else {"model.decoder_channels": "4"}
    tasks = {"rgb": Task("image", 3)} if image else {"segmentation": Task("segmentation", 3)}
    whole = Choice({"model.weights": "null"}, seeds=1)
    runs = expand(study, whole, roots, sources.load_config, may_miss=roots)
    assert len({run.hash for run in runs}) == len(runs)
    runs = expand(study, Choice(small, seeds=1), roots, sources.load_config, may_miss=roots)
    assert all(run.config.train.max_steps >= 200 for run in runs)
    for config in {str(run.config.model): run.config for run in runs}.values():
        net = build_network(config, tasks)
        assert list(net.inputs) == list(config.model.inputs)


def test_published_figures_of_shipped_studies_are_those_of_the_numbers(tmp_path: Path) -> None:
    """The values are copied from the project's list of published figures; a few are pinned here."""
    fusion = {(e.label, e.data): e.values for e in Study.load(shipped()["fusion"]).published}
    assert fusion["CEN RefineNet-101", "NYUDv2, 40 classes"]["mIoU"] == 51.1
    assert fusion["CEN PSPNet-152", "SUN RGB-D, 37 classes"]["mIoU"] == 51.1
    assert Study.load(shipped()["ablation"]).published == []
    for name in ("fusion-nyudv2", "fusion-sunrgbd"):
        own = {(e.label, e.data): e.values for e in Study.load(shipped()[name]).published}
        (data,) = {data for _, data in own}
        shared = {key: values for key, values in fusion.items() if key[1] == data}
        assert shared == {key: own[key] for key in shared}
    translation = Study.load(shipped()["translation-taskonomy"])
    translated = {entry.label: entry.values for entry in translation.published}
    assert translated["CEN"] == {"FID": 84.33, "KID×100": 2.70}


def test_the_page_of_studies_lists_every_key_as_it_is() -> None:
    page = Path(__file__).parents[2] / "docs" / "studies.md"
    assert parsing.markdown(Study, "###") in page.read_text("utf-8")


URL = "http://127.0.0.1:9/weights.pth"


@pytest.mark.parametrize(
    "text",
    [
        f"set: {{model.weights: '{URL}'}}",
        f"set: {{data.root: '{URL}'}}",
        "set: {data.options: {storage: {client_kwargs: {endpoint_url: elsewhere}}}}",
        "set: {data.options.storage.endpoint_url: elsewhere}",
        f"set: {{data.options.lists: '{URL}'}}",
        f"data: {{a: {{set: {{model.weights: '{URL}'}}}}}}",
        f"rows: {{cen: {{set: {{model.weights: '{URL}'}}}}}}",
        "sweeps: {s: {key: data.options.storage.port, values: [1]}}",
    ],
)
def test_a_study_has_nothing_fetched(tmp_path: Path, text: str) -> None:
    rows = "" if text.startswith("rows") else "rows: {cen: {}}\n"
    with pytest.raises(ConfigError, match=r"no file decides|because a file says so"):
        load(tmp_path, f"title: T\nconfig: rooms-small\n{rows}{text}\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.weights", URL),
        ("data.options", "{storage: {endpoint_url: elsewhere}}"),
    ],
)
def test_words_that_come_to_a_place_are_refused_too(tmp_path: Path, key: str, value: str) -> None:
    study = load(tmp_path, GOOD)
    study.set[key] = value
    with pytest.raises(ConfigError, match=r"no file decides|because a file says so"):
        expand(study, Choice(), {"a": tmp_path}, sources.load_config, may_miss=["a"])
    asked = Choice({key: "imagenet" if key == "model.weights" else "{}"})
    assert expand(study, asked, {"a": tmp_path}, sources.load_config, may_miss=["a"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows: {" + ", ".join(f"r{i}: {{}}" for i in range(1001)) + "}", "at most 1000"),
        ("rows: {a: {}}\nsweeps: {s: {key: train.l1, values: [" + "1, " * 1000 + "1]}}", "1002"),
        ("rows: {a: {}, " + ", ".join(
            f"r{i}: {{like: {f'r{i - 1}' if i else 'a'}}}" for i in range(40)) + "}", "than 32"),
        ("rows: {a: {like: a}}", "there is no 'a'"),
        ("rows: {a: {like: b}, b: {like: a}}", "there is no 'b'"),
        ("rows: {a: {}}\nseeds: 4611686018427387904", "out of range"),
        ("rows: {a: {}}\nbudgets: [" + "1, " * 200 + "1]", "201 entries"),
        ("rows: {a: {budgets: [" + "1, " * 200 + "1]}}", "201 entries"),
    ],
)  # fmt: skip
def test_studies_have_bounds(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, f"title: T\nconfig: rooms-small\n{text}\n")


def test_more_runs_than_anybody_makes_are_refused_at_once(tmp_path: Path) -> None:
    study = load(tmp_path, GOOD + "seeds: 10000\nbudgets: [1, 2]\n")
    with pytest.raises(ConfigError, match="asks for 40,000 runs"):
        expand(study, Choice(), {"a": tmp_path}, sources.load_config, may_miss=["a"])
