"""Figures of a run over time: losses, mIoU, ensemble weights, penalty and exchange rates."""

import itertools
from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from cen.report.runfolder import RunFolder, Series
from cen.report.style import ENSEMBLE, INK, MUTED, house_style, new_axes, stream_colours
from cen.scores import SCORES, main_score

Captioned = tuple[Figure, str]
"""A figure and what it shows, in a sentence or two."""


_NOISY = 40  # from so many points on a running mean is drawn


def training_curves(run: RunFolder, colours: Mapping[str, str]) -> list[Captioned]:
    """The figures that metrics.csv gives something for.

    Args:
        run: the run.
        colours: colour of each stream, and of ``"ensemble"``.
    """
    with house_style():
        figures = [
            *_losses(run, colours),
            *_scores(run, colours),
            *_alphas(run, colours),
            *_weights(run),
            *_penalty(run),
        ]
        for figure, _ in figures:
            for axes in figure.axes:
                label_steps(axes)
    return figures


def exchange_curves(run: RunFolder) -> list[Captioned]:
    """The exchange rate of each layer over the steps, one figure per stream."""
    series = exchange_series(run)
    streams = list(dict.fromkeys(stream for _, stream in series))
    with house_style():
        return [_rates(stream, series) for stream in streams]


def exchange_series(run: RunFolder) -> dict[tuple[str, str], Series]:
    """Exchange rate by (layer, stream): from exchange.json, else from metrics.csv."""
    series: dict[tuple[str, str], Series] = {}
    for entry in run.exchange:
        for layer in entry.get("layers", []):
            key = (str(layer["name"]), str(layer["stream"]))
            series.setdefault(key, {})[int(entry.get("step", 0))] = float(layer["rate"])
    if any(len(points) > 1 for points in series.values()):
        return series
    logged: dict[tuple[str, str], Series] = {}
    for column, points in run.metrics.items():
        head, _, rest = column.partition("/")
        if head == "exchange" and "/" in rest:
            layer_name, _, stream = rest.partition("/")
            logged[layer_name, stream] = points
    return logged or series


def short_names(layers: list[str]) -> list[str]:
    """Layer names without what all of them share at the front and at the end."""
    pieces = [name.split(".") for name in layers]
    if len(set(layers)) < 2:
        return layers
    front = sum(1 for _ in itertools.takewhile(_same, zip(*pieces, strict=False)))
    back = sum(1 for _ in itertools.takewhile(_same, zip(*(p[::-1] for p in pieces), strict=False)))
    return [".".join(p[front : len(p) - back]) or ".".join(p) for p in pieces]


def score_series(run: RunFolder) -> dict[str, dict[str, Series]]:
    """The main score on the validation split: output -> stream or "ensemble" -> series.

    The main score of a segmentation is its mIoU, see :func:`cen.scores.main_score`.
    """
    found: dict[str, dict[str, Series]] = {}
    for column, points in run.metrics.items():
        parts = column.split("/")
        if parts[0] == "val" and len(parts) >= 4 and parts[-1] == main_of(run, parts[1]):
            name = "ensemble" if parts[2] == "ensemble" else "/".join(parts[3:-1])
            found.setdefault(parts[1], {})[name] = points
    return found


def main_of(run: RunFolder, output: str) -> str:
    """The score by which an output is judged, from what was logged of it."""
    columns = (column.split("/") for column in run.metrics)
    logged = {parts[-1] for parts in columns if parts[:2] == ["val", output]}
    return main_score(logged) or "mean_iou"


def score_title(run: RunFolder, output: str) -> str:
    """The title of the curve of an output: its score, and whether less of it is better."""
    score = SCORES[main_of(run, output)]
    head = {"mean °": "mean angle, °"}.get(score.head, score.head)
    return f"Validation {head}{'' if score.higher else ' (less is better)'}, {output}"


def plot_scores(
    axes: Axes,
    scores: Mapping[str, Series],
    colours: Mapping[str, str],
    score: str = "mean_iou",
) -> None:
    """Draw a score per stream and ensemble into a plot, shares in percent."""
    for name, points in sorted(scores.items(), key=lambda item: item[0] == "ensemble"):
        _line(axes, points, name, colours.get(name, MUTED), 2.4 if name == "ensemble" else 1.6)
    if SCORES[score].unit == "%":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right" if SCORES[score].higher else "upper right")


def plot_rate(axes: Axes, run: RunFolder) -> bool:
    """Draw the exchange rate of the whole network; False if nothing is known of it."""
    points = run.metrics.get("exchange/rate") or {
        int(entry.get("step", 0)): float(entry["rate"]) for entry in run.exchange if "rate" in entry
    }
    if not points:
        return False
    _line(axes, points, "", ENSEMBLE, 2.2)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, max(0.05, 1.1 * max(points.values())))
    return True


def label_steps(axes: Axes) -> None:
    """Make the x axis the axis of training steps, from 0."""
    axes.set_xlabel("step")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{int(value):,}")


def _losses(run: RunFolder, colours: Mapping[str, str]) -> list[Captioned]:
    figures = []
    total = run.metrics.get("train/loss")
    if total:
        figure, axes = new_axes("Training loss")
        _noisy_line(axes, total, "", ENSEMBLE)
        caption = "What training makes small: the error of every stream and of the ensemble, plus "
        smooth = " Thick: running mean." if len(total) >= _NOISY else ""
        figures.append((figure, f"{caption}the penalty on the scales.{smooth}"))
    for output, terms in _by_output(run, "train").items():
        figure, axes = new_axes(f"Loss by prediction, {output}")
        for name, points in terms.items():
            _noisy_line(axes, points, name, colours.get(name, MUTED))
        axes.legend(loc="best")
        caption = "The error alone: of each stream, and of the ensemble, from which only α learns."
        figures.append((figure, caption))
    return figures


def _by_output(run: RunFolder, head: str) -> dict[str, dict[str, Series]]:
    """Columns "head/output/name" as output -> name -> series."""
    found: dict[str, dict[str, Series]] = {}
    for column, points in run.metrics.items():
        first, _, rest = column.partition("/")
        if first == head and "/" in rest:
            output, _, name = rest.partition("/")
            found.setdefault(output, {})[name] = points
    return found


def _scores(run: RunFolder, colours: Mapping[str, str]) -> list[Captioned]:
    figures = []
    for output, scores in score_series(run).items():
        figure, axes = new_axes(score_title(run, output))
        main = main_of(run, output)
        plot_scores(axes, scores, colours, main)
        what = "labelled" if main == "mean_iou" else "predicted"
        figures.append(
            (
                figure,
                f"How well the held-out validation images are {what}. The best checkpoint is "
                "chosen here, never on the test split.",
            )
        )
    return figures


def _alphas(run: RunFolder, colours: Mapping[str, str]) -> list[Captioned]:
    figures = []
    for output, streams in _by_output(run, "alpha").items():
        if len(streams) < 2:
            continue
        figure, axes = new_axes(f"Ensemble weights α, {output}")
        for stream, points in streams.items():
            _line(axes, points, stream, colours.get(stream, MUTED))
        axes.set_ylim(0, 1)
        axes.legend(loc="best")
        figures.append((figure, "How much each stream counts in the ensemble; they sum to 1."))
    return figures


def _weights(run: RunFolder) -> list[Captioned]:
    """The weights of the outputs' losses, where there are several or they are learned."""
    weights = {c.partition("/")[2]: p for c, p in run.metrics.items() if c.startswith("weight/")}
    if not weights:
        return []
    figure, axes = new_axes("Weights of the losses")
    for (output, points), colour in zip(
        weights.items(), stream_colours(weights).values(), strict=False
    ):
        _line(axes, points, output, colour)
    axes.set_ylim(bottom=0)
    axes.legend(loc="best")
    constant = all(len(set(points.values())) == 1 for points in weights.values())
    how = "Fixed in this run." if constant else "Set by the program in every step."
    return [(figure, f"How much each output counts in the loss. {how}")]


def _penalty(run: RunFolder) -> list[Captioned]:
    figures = []
    strength = run.metrics.get("lambda") or {}
    if strength:
        figure, axes = new_axes("Penalty strength λ")
        _line(axes, strength, "", ENSEMBLE)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
        axes.set_ylim(0, max(strength.values()) * 1.15 or 1.0)
        constant = len(set(strength.values())) == 1
        figures.append(
            (
                figure,
                "How hard the scales γ are pulled towards 0. "
                + ("Fixed in this run." if constant else "Steered by the program in this run."),
            )
        )
    scales = run.metrics.get("train/sparsity") or {}
    if scales:
        figure, axes = new_axes("Sum of penalised scales Σ|γ|")
        _line(axes, scales, "", ENSEMBLE)
        axes.set_ylim(bottom=0)
        figures.append((figure, "What the penalty acts on: it falls as channels give way."))
    return figures


def _rates(stream: str, series: Mapping[tuple[str, str], Series]) -> Captioned:
    mine = [points for (_, name), points in series.items() if name == stream]
    figure, axes = new_axes(f"Exchange rate of {stream}")
    # The bright end of the map is cut off: yellow is not seen on white.
    ramp = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 0.86, 256)))
    norm = Normalize(1, max(2, len(mine)))
    for depth, points in enumerate(mine, start=1):
        _line(axes, points, "", ramp(float(norm(depth))), 1.2)
    steps = sorted(set().union(*mine))
    mean = [np.mean([points[s] for points in mine if s in points]) for s in steps]
    axes.plot(steps, mean, color=INK, lw=2.4, marker="o" if len(steps) == 1 else None)
    highest = max(max(points.values()) for points in mine)
    axes.set_ylim(0, min(1.0, max(0.1, 1.15 * highest)))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if len(mine) > 1:
        bar = figure.colorbar(ScalarMappable(norm, ramp), ax=axes, aspect=30, pad=0.02)
        bar.set_label("layer, 1 = first", color=MUTED)
        bar.ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        bar.outline.set_visible(False)
    label_steps(axes)
    return figure, (
        f"Share of the channels in {stream}'s own part that are replaced by the other streams' "
        "values: one thin line per layer, thick the mean over layers."
    )


def _line(axes: Axes, points: Series, label: str, colour: object, width: float = 1.8) -> None:
    marker = "o" if len(points) == 1 else ""  # a line of one point would not be seen
    steps, values = list(points), list(points.values())
    axes.plot(steps, values, label=label, color=colour, lw=width, marker=marker)


def _noisy_line(axes: Axes, points: Series, label: str, colour: str) -> None:
    """A running mean over the values themselves in a pale line, once there are enough of them."""
    steps, values = np.array(list(points)), np.array(list(points.values()))
    if len(values) < _NOISY:
        _line(axes, points, label, colour)
    else:
        axes.plot(steps, values, color=colour, alpha=0.2, lw=0.8)
        axes.plot(steps, _smooth(values), color=colour, label=label)
    top = max(
        axes.get_ylim()[1] if axes.lines[:-2] else 0, float(np.quantile(values, 0.995)) * 1.05
    )
    axes.set_ylim(0, top or 1.0)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    width = max(3, len(values) // 25) | 1
    padded = np.pad(values, width // 2, mode="edge")
    smooth: NDArray[np.float64] = np.convolve(padded, np.ones(width) / width, mode="valid")
    return smooth


def _same(items: tuple[str, ...]) -> bool:
    return len(set(items)) == 1
