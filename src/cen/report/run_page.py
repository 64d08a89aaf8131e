"""report.html: one self-contained page about one run.

What the page says stands in ``templates/run.html``; here is what it shows.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cen.errors import DataError
from cen.files import write_text
from cen.report import facts
from cen.report.colours import Image, to_picture
from cen.report.curves import constants, exchange_curves, training_curves
from cen.report.exchange_map import exchange_maps
from cen.report.painting import (
    depth_bar,
    error_text,
    how_to_read,
    paint,
    paint_errors,
    scale_limits,
)
from cen.report.panels import Panel
from cen.report.runfolder import RunFolder, read_run
from cen.report.samples import classes_of
from cen.report.style import picture, stream_colours
from cen.report.summary import (
    by_columns,
    evaluation_dict,
    layer_rows,
    score_columns,
    score_tables,
    single_text,
    stage_rows,
    stream_names,
    units_text,
)
from cen.report.templating import drawing, render_page
from cen.scores import SCORES, format_score, main_score


class Card(NamedTuple):
    """One large figure at the head of the results; ``stream`` is the one whose mark it has."""

    value: str
    unit: str
    text: str
    stream: str = ""


class Picture(NamedTuple):
    """One picture of a panel: its source, its caption in three pieces, and its description."""

    source: str
    alt: str
    name: str
    before: str = ""
    score: str = ""
    photo: bool = False


def write_report(run: str | Path) -> Path:
    """Make RUN/report.html from the files of the run folder.

    What a run does not have (yet) is left out with a note: a running, killed or unevaluated run
    has a page too. The file is written in one step.

    Args:
        run: the run folder.

    Returns:
        Path of the page.

    Raises:
        DataError: the folder does not exist or holds none of a run's files.
    """
    files = read_run(run)
    return write_text(files.path / "report.html", render(files), DataError)


def render(run: RunFolder) -> str:
    """The page of a run as HTML text."""
    colours = stream_colours(stream_names(run))
    doubts = [facts.unfinished(run), facts.outdated_scores(run)]
    return render_page(
        "run.html",
        "cen.report",
        name=run.path.resolve().name,
        path=run.path,
        headline=facts.headline(run),
        remarks=[*run.problems, *filter(None, doubts)],
        run_facts=facts.run_facts(run),
        colours=colours,
        results=_results(run),
        pictures=list(_pictures(run)),
        classes=list(_per_class(run)),
        constants=constants(run),
        training=[drawing(figure) for figure in training_curves(run, colours)],
        exchange=_exchange(run, colours),
        command=facts.command(run),
        configuration=yaml.safe_dump(dict(run.config), sort_keys=False, allow_unicode=True)
        if run.config
        else "",
        environment=json.dumps(run.info, indent=2, ensure_ascii=False) if run.info else "",
    )


def _results(run: RunFolder) -> dict[str, Any] | None:
    summary = evaluation_dict(run.evaluation)
    rows = summary["rows"]
    if not rows:
        return None
    mixed = len(by_columns(rows)) > 1 or "mean_iou" not in score_columns(rows)
    intro = f"Scores on the {summary['split']} split, "
    if mixed:
        scores = [SCORES[name] for name in score_columns(rows) if name in SCORES]
        glossary = " ".join(f"{score.head}: {score.text}." for score in scores if score.text)
        intro += (
            "each counted over all its pixels with ground truth; shares are in percent. "
            f"{glossary} α is a stream's weight in the ensemble."
        )
    else:
        intro += (
            "in percent. mIoU is the mean over classes of the overlap between prediction and "
            "truth, from one confusion matrix over the whole split; α is a stream's weight in the "
            "ensemble."
        )
    if len({tuple(row["inputs"]) for row in rows}) > 1:
        intro += (
            " The large figures are with every sensor there, those of streams, too; the last rows "
            "of the table show what is left when a sensor is missing."
        )
    return {
        "intro": intro,
        "cards": list(_cards(rows, run)),
        "tables": score_tables(rows, mixed),
        "compared": single_text(summary),
        "how": " ".join([facts.evaluation_facts(run), *units_text(run.evaluation)]),
    }


def _cards(rows: list[dict[str, Any]], run: RunFolder) -> Iterator[Card]:
    """The main score of every output with the full set of modalities, large."""
    full = [
        r
        for r in rows
        if r["inputs"] == rows[0]["inputs"] and r.get(main_score(r) or "") is not None
    ]
    full.sort(key=lambda r: r["prediction"] != "ensemble")
    shown = [r for r in full if len(r["inputs"]) > 1 or r["prediction"] == "ensemble"]
    several = len({r["output"] for r in shown}) > 1
    for r in shown:
        name = r["prediction"] if r["prediction"] == "ensemble" else f"{r['prediction']} stream"
        name = f"{r['output']}, {name}" if several else name
        main = str(main_score(r))
        head, unit = SCORES[main].head.removesuffix(" °"), SCORES[main].unit
        yield Card(format_score(main, r[main]), unit, f"{name} {head}", r["prediction"])
    rate = run.evaluation.get("exchange_rate")
    if rate is None and run.exchange:  # of the last step, where the evaluation does not tell it
        rate = run.exchange[-1].get("rate")
    if rate is not None and not facts.no_exchange(run):
        yield Card(f"{100 * rate:.1f}", "%", "of own channels replaced")


def _pictures(run: RunFolder) -> Iterator[dict[str, Any]]:
    outputs = list(dict.fromkeys(o for p in run.panels for o in p.outputs))
    for output in (outputs or [""]) if run.panels else []:
        classes = classes_of(run, output)
        kinds = {panel.outputs[output].kind for panel in run.panels if output in panel.outputs}
        yield {
            "name": output,
            "classes": [
                {"name": classes.names[i], "colour": classes.colours[i].tolist()}
                for i in classes.seen
            ],
            "how_to_read": [key for kind in sorted(kinds) if (key := how_to_read(kind))],
            "panels": [
                {"name": panel.name, "images": list(_panel(panel, output, classes.colours))}
                for panel in run.panels
            ],
        }


def _panel(panel: Panel, output: str, colours: Image) -> Iterator[Picture]:
    for name, value in panel.inputs.items():
        yield Picture(picture(to_picture(value), photo=True), name, name, "input ", photo=True)
    if output not in panel.outputs:
        return
    shown, kind = panel.outputs[output].predictions(), panel.outputs[output].kind
    limits = scale_limits(kind, shown.values())
    for name, value in shown.items():
        score = ""
        if name != "truth" and "truth" in shown:
            score = error_text(kind, value, shown["truth"], len(colours))
        painted = paint(kind, value, colours, limits)
        yield Picture(picture(painted), f"{name} of {panel.name}", name, score=score)
        if name == "ensemble" and "truth" in shown:
            errors = paint_errors(kind, value, shown["truth"], len(colours))
            if errors is not None:
                yield Picture(picture(errors), f"errors in {panel.name}", "errors")
    if limits is not None:
        bar = f"{limits[0]:.1f} m to {limits[1]:.1f} m"
        yield Picture(picture(depth_bar(limits)), f"colours of depth, {bar}", "", before=bar)


def _per_class(run: RunFolder) -> Iterator[dict[str, Any]]:
    for output, entries in evaluation_dict({**run.evaluation, "classes": None})["classes"].items():
        classes = classes_of(run, output, len(entries))
        streams = [name for name in entries[0]["iou"] if name != "ensemble"]
        yield {
            "name": output,
            "predictions": streams + (["ensemble"] if len(streams) != 1 else []),
            "classes": [
                {
                    "name": name,
                    "colour": colour.tolist(),
                    "pixels": "–" if entry["pixels"] is None else f"{100 * entry['pixels']:.1f}",
                    "iou": entry["iou"],
                }
                for entry, name, colour in zip(entries, classes.names, classes.colours, strict=True)
            ],
        }


def _exchange(run: RunFolder, colours: Mapping[str, str]) -> dict[str, Any]:
    if reason := facts.no_exchange(run):
        return {"reason": reason}
    curves = [drawing(figure) for figure in exchange_curves(run)]
    maps = [drawing(figure) for figure in exchange_maps(run, colours)]
    if not curves + maps:
        return {"reason": "No inspection stored yet (exchange.json)."}
    return {
        "reason": "",
        "advice": facts.exchange_advice(run),
        "curves": curves,
        "maps": maps,
        "stages": stage_rows(run.exchange[-1]["layers"]) if run.exchange else [],
        "layers": layer_rows(run.exchange[-1]["layers"]) if run.exchange else [],
    }
