"""The data sets of a study and of its calls."""

from pathlib import Path

import pytest
from tests.studies.small_studies import GOOD, load

from cen.cli import sources
from cen.data.data_identity import data_digest
from cen.errors import ConfigError
from cen.studies.datasets import choose_data, make_words, roots_of
from cen.studies.grid import Choice, expand


def test_data_of_the_command_line(tmp_path: Path) -> None:
    text = GOOD + "data: {parts: {make: {labels: parts, size: [32, 48]}}, own: {}}\n"
    study = load(tmp_path, text)
    assert list(choose_data(study, ["own"], None).data) == ["own"]
    for name in ("x/mine", "x/data", "y/data", "x/own", "a"):
        (tmp_path / name).mkdir(parents=True)
    mine = f"folder:{tmp_path}/x/mine"
    other = choose_data(study, [mine], None)
    assert other.data["mine"].set == {"data.layout": "folder", "data.root": mine[7:]}
    assert list(choose_data(study, [], "/y/z").data) == ["z"]
    # Names that are taken are told apart by the folders above.
    given = [f"folder:{tmp_path}/{name}" for name in ("x/data", "y/data", "x/own")]
    both = choose_data(study, given, None).data
    assert list(both) == ["data", "y-data", "x-own"]
    assert both["y-data"].set["data.root"] == f"{tmp_path}/y/data"
    with pytest.raises(ConfigError, match="is named twice"):
        choose_data(study, [f"folder:{tmp_path}/a"] * 2, None)
    with pytest.raises(ConfigError, match="did you mean parts"):
        choose_data(study, ["part"], None)
    with pytest.raises(ConfigError, match="give one of them"):
        choose_data(study, ["own"], "/y/z")
    roots = roots_of(study, tmp_path / "out", "default")
    assert roots["parts"].parent == tmp_path / "out" / "data"
    assert roots["own"] == Path("default").resolve()
    words = make_words(study.data["parts"], roots["parts"])
    assert words[-5:] == ["--labels", "parts", "--size", "32", "48"]


def test_the_study_may_say_where_the_data_lie(tmp_path: Path) -> None:
    study = load(tmp_path, GOOD + "set: {data.root: /x/mine}\n")
    assert roots_of(study, tmp_path, "default") == {"mine": Path("/x/mine")}
    assert roots_of(choose_data(study, [], "/y/z"), tmp_path, "d") == {"z": Path("/y/z")}


def test_data_of_a_url_are_read_from_there(tmp_path: Path) -> None:
    """And are the same wherever the study is called; nothing is fetched to plan it."""
    url = "https://example.org/data/shards"
    for study in (
        choose_data(load(tmp_path, GOOD), [f"shards:{url}"], None),
        choose_data(load(tmp_path, GOOD), [], url),
    ):
        roots = roots_of(study, tmp_path, "default")
        assert roots == {"shards": url}
        run, *_ = expand(study, Choice(seeds=1), roots, sources.load_config, may_miss=roots)
        assert run.config.data.root == run.overrides["data.root"] == url
        assert run.data_digest == data_digest({"url": url})
