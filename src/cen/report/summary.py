"""Evaluation and inspection as plain rows: what tables, pages and --json all show."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cen.report.runfolder import RunFolder
from cen.scores import SCORES, format_score, main_score

_DISTANCES = ("fid", "kid", "frechet_", "kernel_")
_IMAGES = ("generator_mode", "features", "protocol", "units")


def evaluation_dict(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten an evaluation into rows.

    Args:
        evaluation: what evaluation.json holds: ``scores[subset][output]`` with ``ensemble``,
            ``streams`` and ``alpha``; subsets are modality names joined by "+".

    Returns:
        ``split``; ``rows``: one per subset, output and prediction with ``inputs``, ``output``,
        ``prediction`` (a stream or "ensemble"), ``alpha`` (None for the ensemble) and the scores
        (shares in 0..1, None where undefined), larger subsets first; ``classes``: per output one
        entry per class with its name, ``pixels`` (share of the true pixels) and ``iou`` by
        prediction, with all modalities present; ``single``, the comparison with single-task
        networks, where there is one; for generated images ``generator_mode``, ``features`` and
        ``protocol``.
    """
    scores = evaluation.get("scores") or {}
    subsets = sorted(scores, key=lambda subset: -len(subset.split("+")))
    rows, classes = [], {}
    for subset in subsets:
        for output, entry in scores[subset].items():
            place = {"inputs": subset.split("+"), "output": output}
            rows += [{**place, **row} for row in _predictions(entry)]
    for output, entry in (scores[subsets[0]] if subsets else {}).items():
        names = evaluation.get("classes") or []
        names = names.get(output) or [] if isinstance(names, Mapping) else names
        if entries := _classes(entry, names):
            classes[output] = entries
    single = {"single": evaluation["single"]} if evaluation.get("single") else {}
    images = {key: evaluation[key] for key in _IMAGES if key in evaluation}
    return {"split": evaluation.get("split"), "rows": rows, "classes": classes, **single, **images}


def inspection_dict(inspection: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of an inspection without the per-channel masks."""
    layers = [{k: v for k, v in layer.items() if k != "mask"} for layer in inspection["layers"]]
    alpha = inspection.get("alpha") or {}
    return {"rate": inspection.get("rate"), "alpha": alpha, "layers": layers}


def stream_names(run: RunFolder) -> list[str]:
    """All streams that any file of a run names, those of the configured inputs first."""
    names = list((run.config.get("model") or {}).get("inputs") or {})
    for entry in (run.evaluation.get("scores") or {}).values():
        names += [stream for output in entry.values() for stream in output.get("streams") or {}]
    for column in run.metrics:
        _, _, stream = column.partition("/streams/")
        names += [stream.rpartition("/")[0]] if stream else []
    names += [layer["stream"] for entry in run.exchange for layer in entry["layers"]]
    names += [s for panel in run.panels for o in panel.outputs.values() for s in o.streams]
    return [name for name in dict.fromkeys(names) if name != "ensemble"]


def score_columns(rows: list[dict[str, Any]]) -> list[str]:
    """Names of the scores that occur in the rows, in their order."""
    fixed = {"inputs", "output", "prediction", "alpha", "pixels", "images"}
    return list(dict.fromkeys(key for row in rows for key in row if key not in fixed))


def by_columns(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows in tables: one for each kind of output, whose rows have the same scores."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        columns = score_columns([row])
        tables.setdefault(main_score(columns) or " ".join(columns), []).append(row)
    return list(tables.values())


class ScoreRow(NamedTuple):
    """A row of a table of scores: its inputs, its output where there are several, its figures."""

    prediction: str
    names: list[str]
    figures: list[str]


class ScoreTable(NamedTuple):
    """A table of scores as texts: heads of the columns of words, of figures, and the rows."""

    names: list[str]
    figures: list[str]
    rows: list[ScoreRow]


def score_tables(rows: list[dict[str, Any]], units: bool) -> list[ScoreTable]:
    """The rows of an evaluation as tables, one for each kind of output."""
    return [_score_table(group, units) for group in by_columns(rows)]


def _score_table(rows: list[dict[str, Any]], units: bool) -> ScoreTable:
    columns, several = score_columns(rows), units or len({row["output"] for row in rows}) > 1
    shown = []
    for row in rows:
        if not _is_alone(row, rows):
            place = [" + ".join(row["inputs"]), *([row["output"]] if several else [])]
            alpha = "" if row["alpha"] is None else f"{row['alpha']:.2f}"
            figures = [alpha, *(format_score(name, row.get(name)) for name in columns)]
            shown.append(ScoreRow(row["prediction"], [*place, row["prediction"]], figures))
    names = ["inputs", *(["output"] if several else []), "prediction"]
    return ScoreTable(names, ["α", *(_head(name, units) for name in columns)], shown)


def _is_alone(row: Mapping[str, Any], rows: list[dict[str, Any]]) -> bool:
    """Whether a row is the ensemble of one stream, which says what the stream's own row says.

    A network that fuses its inputs has no streams; its one row is never left out.
    """
    streams = (r for r in rows if r["prediction"] != "ensemble")
    place = (row["inputs"], row["output"])
    alone = row["prediction"] == "ensemble" and len(row["inputs"]) == 1
    return alone and any((other["inputs"], other["output"]) == place for other in streams)


def _head(name: str, units: bool) -> str:
    """The column head of a score, with its unit where that is wanted."""
    if name not in SCORES:
        return name
    return SCORES[name].head + (" %" if units and SCORES[name].unit == "%" else "")


def layer_rows(layers: list[dict[str, Any]]) -> list[list[str]]:
    """Layers of an inspection as texts: name, stream, channels, replaced, rate, levels of |γ|."""
    return [
        [
            layer["name"],
            layer["stream"],
            str(layer["channels"]),
            f"{layer['replaced']}/{layer['own']}",
            f"{layer['rate']:.0%}",
            *map(level, layer.get("quantiles") or [""] * 5),
        ]
        for layer in layers
    ]


def stage_rows(layers: list[dict[str, Any]]) -> list[list[str]]:
    """Layers of an inspection put together by stage, as texts.

    Name, stream, number of layers, replaced of own channels, rate, and of |γ| the least, the middle
    one of the layers' medians and the greatest.
    """
    stages: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for layer in layers:
        # encoder.layer1.0.bn1 belongs to encoder.layer1.
        stage = ".".join(layer["name"].split(".")[:2])
        stages.setdefault(stage, {}).setdefault(layer["stream"], []).append(layer)
    rows = []
    for stage, streams in stages.items():
        for stream, members in streams.items():
            own, replaced = (sum(layer[key] for layer in members) for key in ("own", "replaced"))
            rate = f"{replaced / own if own else 0.0:.0%}"
            counts = [str(len(members)), f"{replaced}/{own}", rate]
            rows.append([stage, stream, *counts, *map(level, _levels(members))])
    return rows


def _levels(layers: list[dict[str, Any]]) -> list[Any]:
    by_layer = [quantiles for layer in layers if (quantiles := layer.get("quantiles"))]
    if not by_layer:
        return [""] * 3
    middle = sorted(quantiles[len(quantiles) // 2] for quantiles in by_layer)
    return [min(q[0] for q in by_layer), middle[len(by_layer) // 2], max(q[-1] for q in by_layer)]


def level(value: float | str) -> str:
    """A magnitude in five characters or a few more."""
    if isinstance(value, str):
        return value
    if value == 0 or 1e-3 <= value < 100:
        return f"{value:.3f}"
    return f"{value:.0f}" if 100 <= value < 1e5 else f"{value:.0e}"


def images_text(evaluation: Mapping[str, Any]) -> str:
    """How figures of generated images came about, in a sentence; "" where there are none."""
    if "generator_mode" not in evaluation:
        return ""
    text = f"Generator run in mode {evaluation['generator_mode']}"
    rows = evaluation.get("rows") or []
    scores = {name for row in rows for name, value in row.items() if value is not None}
    # Of images of other than 1 or 3 channels no distance is computed: a feature network sees none.
    if "features" in evaluation and any(name.startswith(_DISTANCES) for name in scores):
        text += f"; distances in the features of {evaluation['features']}"
        text += f", protocol {evaluation['protocol']}"
    return " ".join([f"{text}.", *units_text(evaluation)])


def units_text(evaluation: Mapping[str, Any]) -> list[str]:
    """In which unit the scores of continuous outputs are, a sentence for each."""
    return [f"{text}." for text in (evaluation.get("units") or {}).values()]


def single_text(evaluation: Mapping[str, Any]) -> str:
    """The comparison with single-task networks in a sentence; "" where there is none."""
    single = evaluation.get("single")
    if not single:
        return ""
    gains = ", ".join(f"{name} {100 * gain:+.1f} %" for name, gain in single["gains"].items())
    output_count = single.get("outputs", len(single["gains"]))
    over = (
        f" over {len(single['gains'])} of {output_count} outputs"
        if len(single["gains"]) < output_count
        else ""
    )
    return (
        f"Δ_m{over} = {100 * single['delta_m']:+.1f} %: mean relative gain over the single-task "
        f"networks ({gains}), all inputs at hand, by the ensemble."
    )


def _predictions(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row of scalar scores for each stream, and for the ensemble."""
    alpha, ensemble = entry.get("alpha") or {}, {}
    if "ensemble" in entry:
        ensemble = {"ensemble": entry["ensemble"]}
    rows = []
    for name, scores in {**(entry.get("streams") or {}), **ensemble}.items():
        scalars = {k: v for k, v in scores.items() if v is None or isinstance(v, int | float)}
        rows.append({"prediction": name, "alpha": alpha.get(name), **scalars})
    return rows


def _classes(entry: Mapping[str, Any], names: list[str]) -> list[dict[str, Any]]:
    predictions = {**(entry.get("streams") or {}), "ensemble": entry.get("ensemble") or {}}
    lists = {name: scores["iou"] for name, scores in predictions.items() if scores.get("iou")}
    if not lists:
        return []
    pixels = next((s["pixels"] for s in predictions.values() if s.get("pixels")), None)
    count = max(len(values) for values in lists.values())
    total = sum(pixels) if pixels else 0
    return [
        {
            "class": names[i] if i < len(names) else f"class {i}",
            "pixels": pixels[i] / total if pixels and total else None,
            "iou": {name: values[i] for name, values in lists.items()},
        }
        for i in range(count)
    ]
