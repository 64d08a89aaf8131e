"""report.html: one self-contained page about one run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cen.errors import DataError
from cen.files import write_text
from cen.report import facts
from cen.report import html as h
from cen.report.colours import Image, as_palette, to_picture
from cen.report.curves import exchange_curves, training_curves
from cen.report.exchange_map import exchange_map
from cen.report.painting import depth_bar, depth_limits, error_text, paint
from cen.report.panels import Panel
from cen.report.runfolder import RunFolder, read_run
from cen.report.samples import (
    class_colours,
    class_names,
    classes_shown,
    kind_of,
    predictions,
)
from cen.report.style import picture, stream_colours, svg
from cen.report.summary import (
    by_columns,
    evaluation_dict,
    inspection_dict,
    is_alone,
    score_columns,
    score_head,
    single_text,
    stream_names,
)
from cen.scores import SCORES, format_score, main_score

_WHAT = (
    "A Channel Exchanging Network looks at a scene through several sensors at once. Each sensor "
    "has its own stream; all streams use the same convolutions, and each keeps its own "
    "normalisation. Where a normalisation scale γ falls below the threshold θ, that channel says "
    "little to its stream, and it is replaced by the same channel of the other streams. The "
    "ensemble is the weighted sum of the streams' answers."
)

_KEYS = {
    "depth": "Depth: bright is near, dark is far; one scale for all pictures of a row.",
    "normal": "Normals: red is x (right), green is y (down), blue is towards us.",
    "edge": "Edges: black is certain.",
}
"""How the pictures of a kind of output are read."""


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
    title = run.path.resolve().name
    parts = [
        _results(run, colours),
        _pictures(run),
        _per_class(run, colours),
        _training(run, colours),
        _exchange(run, colours),
        _details(run),
    ]
    footer = "Made by <code>cen report</code> from the files of this run alone."
    return h.document(f"{title}: CEN run", _header(run, title), parts, footer)


def _header(run: RunFolder, title: str) -> str:
    parts = [
        h.paragraph("Channel Exchanging Network, run report", "kicker"),
        f"<h1>{h.esc(title)}</h1>",
        h.paragraph(facts.headline(run), "lead"),
        h.paragraph(_WHAT),
        *(h.note(problem) for problem in run.problems),
    ]
    remark = facts.unfinished(run)
    parts += [h.note(remark)] if remark else []
    return "\n".join([*parts, h.facts(facts.run_facts(run))])


def _results(run: RunFolder, colours: Mapping[str, str]) -> str:
    summary = evaluation_dict(run.evaluation)
    rows = summary["rows"]
    if not rows:
        text = f"Not evaluated yet; “cen evaluate {run.path}” reads the test split."
        return h.section("Results", "How good it is.", h.note(text))
    groups = by_columns(rows)
    mixed = len(groups) > 1 or "mean_iou" not in score_columns(rows)
    if mixed:
        intro = (
            f"Scores on the {summary['split']} split, each counted over all its pixels with ground "
            f"truth; shares are in percent. {_glossary(rows)} α is a stream's weight in the "
            "ensemble."
        )
    else:
        intro = (
            f"Scores on the {summary['split']} split, in percent. mIoU is the mean over classes of "
            "the overlap between prediction and truth, from one confusion matrix over the whole "
            "split; α is a stream's weight in the ensemble."
        )
    if len({tuple(row["inputs"]) for row in rows}) > 1:
        intro += " The last rows show what is left when a sensor is missing."
    tables = [_score_table(group, colours, mixed) for group in groups]
    parts = [_cards(rows, run, colours), *tables]
    compared = single_text(summary)
    parts += [h.paragraph(h.esc(compared))] if compared else []
    parts.append(h.paragraph(facts.evaluation_facts(run), "quiet"))
    return h.section("Results", intro, *parts)


def _glossary(rows: list[dict[str, Any]]) -> str:
    """What the scores in the tables are, in sentences."""
    known = [SCORES[name] for name in score_columns(rows) if name in SCORES]
    return " ".join(f"{score.head}: {score.text}." for score in known if score.text)


def _score_table(rows: list[dict[str, Any]], colours: Mapping[str, str], units: bool) -> str:
    """One table of scores: a line per subset of the modalities, output and prediction."""
    columns, several = score_columns(rows), len({row["output"] for row in rows}) > 1 or units
    head = ["inputs at hand", *(["output"] if several else []), "prediction"]
    heads = [h.cell(name, head=True) for name in head]
    heads += [h.cell(h.esc(score_head(c, units)), True, True) for c in ["α", *columns]]
    lines, before = [], None
    for row in rows:
        if is_alone(row, rows):
            continue
        group = (row["inputs"], row["output"])
        name = h.dot(colours.get(row["prediction"], "#999")) + h.esc(row["prediction"])
        cells = [h.cell(h.esc(" + ".join(row["inputs"])) if group != before else "")]
        cells += [h.cell(h.esc(row["output"]))] if several else []
        alpha = "" if row["alpha"] is None else f"{row['alpha']:.2f}"
        cells += [h.cell(name), h.cell(alpha, number=True)]
        cells += [h.cell(format_score(c, row.get(c)), number=True) for c in columns]
        style = "strong" if row["prediction"] == "ensemble" else ""
        lines.append(h.row(cells, f"{style} first" if group != before else style))
        before = group
    return h.table(heads, lines)


def _cards(rows: list[dict[str, Any]], run: RunFolder, colours: Mapping[str, str]) -> str:
    """The main score of every output with the full set of modalities, large."""
    full = [
        r
        for r in rows
        if r["inputs"] == rows[0]["inputs"] and r.get(main_score(r) or "") is not None
    ]
    full.sort(key=lambda r: r["prediction"] != "ensemble")
    shown = [r for r in full if len(r["inputs"]) > 1 or r["prediction"] == "ensemble"]
    several = len({r["output"] for r in shown}) > 1
    cards = []
    for r in shown:
        name = f"{r['output']}, {r['prediction']}" if several else r["prediction"]
        main = str(main_score(r))
        head, unit = SCORES[main].head.removesuffix(" °"), SCORES[main].unit
        text = f"{h.dot(colours[r['prediction']])}{h.esc(name)} {h.esc(head)}"
        cards.append((format_score(main, r[main]), f" {unit}" if unit else "", text))
    if run.exchange and "rate" in run.exchange[-1] and not facts.no_exchange(run):
        cards.append((f"{100 * run.exchange[-1]['rate']:.1f}", " %", "of own channels replaced"))
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><b>{value}<small>{unit}</small></b><span>{name}</span></div>'
            for value, unit, name in cards
        )
        + "</div>"
    )


def _pictures(run: RunFolder) -> str:
    title, outputs = "Pictures", list(dict.fromkeys(o for p in run.panels for o in p.outputs))
    if not run.panels:
        return h.section(title, "What the network sees and says.", h.note("No samples stored yet."))
    intro = (
        "Samples the network was not trained on: what each sensor delivers, the true classes, what "
        "each stream answers, and the ensemble. Grey marks pixels without a value: holes in depth, "
        "and pixels that are not scored."
    )
    parts = []
    for output in outputs or [""]:
        colours = class_colours(run, output)
        names, ids = (
            class_names(run, output, len(colours)),
            classes_shown(run, output, len(colours)),
        )
        kinds = {kind_of(panel, output) for panel in run.panels if output in panel.outputs}
        parts += [f"<h3>{h.esc(output)}</h3>"] if len(outputs) > 1 else []
        parts += [h.legend([names[i] for i in ids], colours[ids])] if ids else []
        parts += [h.paragraph(_KEYS[kind], "quiet") for kind in sorted(kinds) if kind in _KEYS]
        parts += [_panel(panel, output, colours) for panel in run.panels]
    return h.section(title, intro, *parts)


def _panel(panel: Panel, output: str, colours: Image) -> str:
    cells = [
        h.figure(
            picture(to_picture(value), photo=True), f"input <b>{h.esc(name)}</b>", name, "photo"
        )
        for name, value in panel.inputs.items()
    ]
    shown, kind = predictions(panel, output), kind_of(panel, output)
    limits = depth_limits(shown.values()) if kind == "depth" else None
    for name, value in shown.items():
        caption = f"<b>{h.esc(name)}</b>"
        if name != "truth" and "truth" in shown:
            told = error_text(kind, value, shown["truth"], len(colours))
            caption += f"<br>{told}" if told or kind == "segmentation" else ""
        painted = paint(kind, value, colours, limits)
        cells.append(h.figure(picture(painted), caption, f"{name} of {panel.name}"))
    if limits is not None:
        bar = f"{limits[0]:.1f} m to {limits[1]:.1f} m"
        cells.append(h.figure(picture(depth_bar(limits)), bar, f"colours of depth, {bar}"))
    return f'<div class="panel" title="{h.esc(panel.name)}">{"".join(cells)}</div>'


def _per_class(run: RunFolder, colours: Mapping[str, str]) -> str:
    tables = []
    classes = evaluation_dict({**run.evaluation, "classes": None})["classes"]
    for output, entries in classes.items():
        names = class_names(run, output, len(entries))
        palette = as_palette(run.colours(output), len(entries))
        predictions = [p for p in entries[0]["iou"] if p != "ensemble"]
        predictions += ["ensemble"] if len(predictions) != 1 else []
        heads = [h.cell("class", head=True), h.cell("pixels", True, True)]
        heads += [h.cell(h.dot(colours[p]) + h.esc(p), head=True) for p in predictions]
        lines = []
        for entry, name, colour in zip(entries, names, palette, strict=True):
            share = "–" if entry["pixels"] is None else f"{100 * entry['pixels']:.1f}"
            cells = [h.cell(h.swatch(colour) + h.esc(name)), h.cell(share, number=True)]
            cells += [h.cell(h.bar(entry["iou"][p], colours[p])) for p in predictions]
            lines.append(h.row(cells))
        tables += [f"<h3>{h.esc(output)}</h3>"] if len(classes) > 1 else []
        tables.append(h.table(heads, lines, "bars"))
    if not tables:
        return ""
    intro = (
        "IoU of each class in percent, with all sensors at hand: 100 means that prediction and "
        "truth cover the same pixels. “Pixels” is the share of the scored pixels that belong to "
        "the class. A dash marks a class that occurs nowhere."
    )
    return h.section("Class by class", intro, *tables)


def _training(run: RunFolder, colours: Mapping[str, str]) -> str:
    figures = [_figure(figure, text) for figure, text in training_curves(run, colours)]
    intro = "How the run got there. One step is one batch."
    if not figures:
        return h.section("Training", intro, h.note("Nothing was logged yet (metrics.csv)."))
    return h.section("Training", intro, h.figures(figures))


def _exchange(run: RunFolder, colours: Mapping[str, str]) -> str:
    intro = (
        "Which channels give way. Each stream owns one part of the channels of every exchanging "
        "layer; by default the penalty pushes its scales towards 0 only there, so for each channel "
        "at least one stream keeps its own view. Rates near 0 mean that the streams hardly talk; "
        "above three quarters little of their own is left."
    )
    if reason := facts.no_exchange(run):
        return h.section("Exchange", intro, h.note(reason))
    figures, maps = [_figure(figure, text) for figure, text in exchange_curves(run)], []
    last: Mapping[str, Any] = next((e for e in reversed(run.exchange) if _masked(e)), {})
    for stream in dict.fromkeys(x["stream"] for x in _masked(last)):
        drawn = exchange_map(last["layers"], stream, colours.get(stream, "#2563eb"))
        text = (
            f"The exchange map of {stream} at step {last.get('step', 0):,}: a row per layer, input "
            "side on top, all channels from left to right. Strong colour: replaced. At the right, "
            "the share of the own part."
        )
        maps.append(_figure(drawn, text))
    if not figures + maps:
        return h.section("Exchange", intro, h.note("No inspection stored yet (exchange.json)."))
    advice = facts.exchange_advice(run)
    parts = [h.note(advice)] if advice else []
    parts += [h.figures(figures), h.figures(maps), _scales(run)]
    return h.section("Exchange", intro, *parts)


def _masked(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The layers of an inspection that say which channels are replaced."""
    return [layer for layer in entry.get("layers", []) if layer.get("mask")]


def _scales(run: RunFolder) -> str:
    """All layers in figures, folded away."""
    layers = inspection_dict(run.exchange[-1])["layers"] if run.exchange else []
    if not layers:
        return ""
    names = ["layer", "stream"]
    numbers = ["channels", "own", "replaced", "rate", "|γ| min", "25 %", "50 %", "75 %", "max"]
    heads = [h.cell(x, head=True) for x in names] + [h.cell(x, True, True) for x in numbers]
    rows = []
    for layer in layers:
        values = [str(layer[key]) for key in numbers[:3]] + [f"{layer['rate']:.0%}"]
        values += [f"{value:.3f}" for value in layer.get("quantiles") or []]
        cells = [h.cell(h.esc(layer[key]), False) for key in ("name", "stream")]
        rows.append(h.row(cells + [h.cell(value, number=True) for value in values]))
    table = h.table(heads, rows)
    return f"<details><summary>All layers in figures</summary>{table}</details>"


def _details(run: RunFolder) -> str:
    words = " ".join(f"<span>{h.esc(word)}</span>" for word in facts.command(run))
    parts = [f'<pre class="wrap">{words}</pre>'] if words else []
    for name, text in (
        ("Resolved configuration", _yaml(run.config)),
        ("Environment", json.dumps(run.info, indent=2, ensure_ascii=False) if run.info else ""),
    ):
        if text:
            parts.append(f"<details><summary>{name}</summary><pre>{h.esc(text)}</pre></details>")
    if not parts:
        return ""
    return h.section("Make it again", "The command, and everything it was run with.", *parts)


def _yaml(config: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True) if config else ""


def _figure(figure: Any, caption: str) -> str:
    title = figure.axes[0].get_title(loc="left")
    return h.figure(svg(figure), h.esc(caption), title)
