"""Figures of a run over time: losses, mIoU, ensemble weights, penalty and exchange rates."""

from collections.abc import Iterator, Mapping
from itertools import takewhile

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from cen.report.runfolder import RunFolder, Series
from cen.report.style import ENSEMBLE, INK, MUTED, house_style, new_axes, stream_colours
from cen.scores import SCORES, main_score

Captioned = tuple[Figure, str]
"""A figure and what it shows, in a sentence or two."""

_NOISY = 40  # from so many points on a running mean is drawn


def training_curves(run: RunFolder, colours: Mapping[str, str]) -> list[Captioned]:
    """The figures that metrics.csv gives something for."""
    with house_style():
        figures = [*_losses(run, colours), *_scores(run, colours), *_weights(run, colours)]
        figures += _penalty(run)
        for figure, _ in figures:
            label_steps(figure.axes[0])
    return figures


def exchange_curves(run: RunFolder) -> list[Captioned]:
    """The exchange rate over the steps: of all own channels, and by layer of each stream."""
    series = exchange_series(run)
    own = {
        (layer["name"], layer["stream"]): int(layer["own"])
        for look in run.exchange
        for layer in look["layers"]
    }
    with house_style():
        figure, axes = new_axes("Exchange rate")
        overall_rate: list[Captioned] = []
        if plot_rate(axes, run):
            label_steps(axes)
            overall_rate = [
                (figure, "Share of all own channels that are replaced, as in the results.")
            ]
        streams = dict.fromkeys(name for _, name in series)
        return overall_rate + [_rates(stream, series, own) for stream in streams]


def constants(run: RunFolder) -> list[str]:
    """What did not change in a run, in figures instead of curves, a sentence each."""
    lines = {"λ, the strength of the penalty on the scales,": run.metrics.get("lambda")}
    lines |= {
        f"The weight of {column.partition('/')[2]} in the loss": points
        for column, points in run.metrics.items()
        if column.startswith("weight/")
    }
    return [
        f"{name} was {next(iter(points.values())):.3g} throughout."
        for name, points in lines.items()
        if points and _is_constant(points)
    ]


def _is_constant(points: Series) -> bool:
    return len(set(points.values())) == 1


def exchange_series(run: RunFolder) -> dict[tuple[str, str], Series]:
    """Exchange rate by (layer, stream): from exchange.json, else from metrics.csv."""
    series: dict[tuple[str, str], Series] = {}
    for look in run.exchange:
        for layer in look["layers"]:
            rates = series.setdefault((layer["name"], layer["stream"]), {})
            rates[int(look.get("step", 0))] = float(layer["rate"])
    if any(len(points) > 1 for points in series.values()):
        return series
    logged = {
        (layer, stream): points
        for layer, rates in _columns(run, "exchange").items()
        for stream, points in rates.items()
    }
    return logged or series


def short_names(layers: list[str]) -> list[str]:
    """Layer names without what all of them share at the front and at the end."""
    if len(set(layers)) < 2:
        return layers
    pieces = [name.split(".") for name in layers]
    front = _shared(pieces)
    back = _shared([piece[::-1] for piece in pieces])
    return [".".join(p[front : len(p) - back]) or ".".join(p) for p in pieces]


def _shared(pieces: list[list[str]]) -> int:
    """How many parts all names have in common at the front."""
    return sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, zip(*pieces, strict=False)))


def penalty_series(run: RunFolder) -> Series:
    """What the penalty adds to the loss; of older runs, which did not log it, if λ is fixed."""
    if logged := run.metrics.get("train/penalty"):
        return logged
    strength, scales = (run.metrics.get(name, {}) for name in ("lambda", "train/sparsity"))
    if not _is_constant(strength):
        return {}  # with a rate that is asked for, the weakest scales alone are penalised
    return {step: strength[step] * scales[step] for step in scales if step in strength}


def score_series(run: RunFolder) -> dict[str, dict[str, Series]]:
    """The main score on the validation split: output -> stream or "ensemble" -> series."""
    scores: dict[str, dict[str, Series]] = {}
    for output, columns in _columns(run, "val").items():
        for name, points in columns.items():
            prediction, _, score = name.rpartition("/")
            if prediction and score == main_of(run, output):
                stream = prediction.removeprefix("streams/")
                scores.setdefault(output, {})[stream] = points
    return scores


def main_of(run: RunFolder, output: str) -> str:
    """The score by which an output is judged, from what was logged of it."""
    logged = {name.rpartition("/")[2] for name in _columns(run, "val").get(output, {})}
    return main_score(logged) or "mean_iou"


def score_title(run: RunFolder, output: str) -> str:
    """The title of the curve of an output: its score, and whether less of it is better."""
    score = SCORES[main_of(run, output)]
    head = {"mean °": "mean angle, °"}.get(score.head, score.head)
    return f"Validation {head}{'' if score.higher else ' (less is better)'}, {output}"


def plot_scores(
    axes: Axes, scores: Mapping[str, Series], colours: Mapping[str, str], score: str
) -> None:
    """Draws a score per stream and ensemble into a plot, shares in percent."""
    for name, points in sorted(scores.items(), key=lambda item: item[0] == "ensemble"):
        _line(axes, points, name, colours.get(name, MUTED), 2.4 if name == "ensemble" else 1.6)
    if SCORES[score].unit == "%":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right" if SCORES[score].higher else "upper right")


def plot_rate(axes: Axes, run: RunFolder) -> bool:
    """Draws the exchange rate of the whole network; False where nothing tells it."""
    points: Series = {
        int(look.get("step", 0)): float(look["rate"]) for look in run.exchange if "rate" in look
    }
    if len(points) < 2:
        points = run.metrics.get("exchange/rate") or points
    if not points:
        return False
    _line(axes, points, "", ENSEMBLE, 2.2)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, max(0.05, 1.1 * max(points.values())))
    return True


def label_steps(axes: Axes) -> None:
    """Makes the x axis the axis of training steps, from 0."""
    axes.set_xlabel("step")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{int(value):,}")


def _columns(run: RunFolder, head: str) -> dict[str, dict[str, Series]]:
    """Columns "head/group/name" as group -> name -> series."""
    groups: dict[str, dict[str, Series]] = {}
    for column, points in run.metrics.items():
        first, _, rest = column.partition("/")
        group, _, name = rest.partition("/")
        if first == head and name:
            groups.setdefault(group, {})[name] = points
    return groups


def _losses(run: RunFolder, colours: Mapping[str, str]) -> Iterator[Captioned]:
    if total := run.metrics.get("train/loss"):
        penalty = penalty_series(run)
        figure, axes = new_axes("Training loss")
        # The penalty would flatten the curve: where a rate is asked for, it is many times as large.
        errors = {step: value - penalty.get(step, 0.0) for step, value in total.items()}
        _noisy_line(axes, errors, "", ENSEMBLE)
        apart = ", without the penalty on the scales" if penalty else ""
        smooth = " Thick: running mean." if len(total) >= _NOISY else ""
        yield figure, f"What training makes small{apart}.{smooth}"
    for output, terms in _columns(run, "train").items():
        figure, axes = new_axes(f"Loss by prediction, {output}")
        for name, points in terms.items():
            _noisy_line(axes, points, name, colours.get(name, MUTED))
        axes.legend(loc="best")
        caption = "The error alone: of each stream, and of the ensemble, from which only α learns."
        yield figure, caption


def _scores(run: RunFolder, colours: Mapping[str, str]) -> Iterator[Captioned]:
    for output, scores in score_series(run).items():
        figure, axes = new_axes(score_title(run, output))
        main = main_of(run, output)
        plot_scores(axes, scores, colours, main)
        what = "labelled" if main == "mean_iou" else "predicted"
        yield (
            figure,
            f"How well the held-out validation images are {what}. The best checkpoint is chosen "
            "here, never on the test split.",
        )


def _weights(run: RunFolder, colours: Mapping[str, str]) -> Iterator[Captioned]:
    """The weights of streams in the ensemble, and of outputs in the loss where there are any."""
    for output, streams in _columns(run, "alpha").items():
        if len(streams) > 1:
            caption = "How much each stream counts in the ensemble; they sum to 1."
            yield _lines(f"Ensemble weights α, {output}", streams, colours, caption, 1)
    weights = {c.partition("/")[2]: p for c, p in run.metrics.items() if c.startswith("weight/")}
    if not all(map(_is_constant, weights.values())):
        caption = "How much each output counts in the loss. Set by the program in every step."
        yield _lines("Weights of the losses", weights, stream_colours(weights), caption)


def _penalty(run: RunFolder) -> Iterator[Captioned]:
    strength = run.metrics.get("lambda")
    if strength and not _is_constant(strength):
        caption = "How hard the scales γ are pulled towards 0. Steered by the program in this run."
        top = max(strength.values()) * 1.15 or 1.0
        figure, caption = _lines("Penalty strength λ", {"": strength}, {}, caption, top)
        figure.axes[0].yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
        yield figure, caption
    if any((penalty := penalty_series(run)).values()):
        caption = "What the penalty adds to the loss that is drawn above: λ times the scales."
        yield _lines("Penalty on the scales", {"": penalty}, {}, caption)
    if scales := run.metrics.get("train/sparsity"):
        caption = "The scales γ of all own channels, added up: the sum falls as channels give way."
        if (run.config.get("train") or {}).get("exchange_rate") is not None:
            caption += (
                " The penalty pulls at the weakest of them alone, as many as the rate asks for."
            )
        yield _lines("Sum of the scales of own channels Σ|γ|", {"": scales}, {}, caption)


def _lines(
    title: str,
    lines: Mapping[str, Series],
    colours: Mapping[str, str],
    caption: str,
    top: float | None = None,
) -> Captioned:
    """Lines over the steps from 0 up, with a legend where they have names."""
    figure, axes = new_axes(title)
    for name, points in lines.items():
        _line(axes, points, name, colours.get(name, MUTED) if name else ENSEMBLE)
    highest = max((max(points.values()) for points in lines.values() if points), default=0.0)
    axes.set_ylim(0, top or 1.08 * highest or None)
    if any(lines):
        axes.legend(loc="best")
    return figure, caption


def _rates(
    stream: str,
    series: Mapping[tuple[str, str], Series],
    own: Mapping[tuple[str, str], int],
) -> Captioned:
    """One line per layer; thick, where the sizes of the own parts are known, all channels."""
    names = [layer for layer in series if layer[1] == stream]
    mine = [series[layer] for layer in names]
    figure, axes = new_axes(f"Exchange rate of {stream}")
    # The bright end of the map is cut off: yellow is not seen on white.
    ramp = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 0.86, 256)))
    norm = Normalize(1, max(2, len(mine)))
    for depth, points in enumerate(mine, start=1):
        _line(axes, points, "", ramp(float(norm(depth))), 1.2)
    steps = sorted(set().union(*mine))
    thick = ""
    if all(layer in own for layer in names) and all(len(points) == len(steps) for points in mine):
        sizes = [own[layer] for layer in names]
        rates = [np.average([points[s] for points in mine], weights=sizes) for s in steps]
        axes.plot(steps, rates, color=INK, lw=2.4, marker="o" if len(steps) == 1 else None)
        thick = ", thick all of them together"
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
        f"values: one thin line per layer{thick}."
    )


def _line(axes: Axes, points: Series, label: str, colour: object, width: float = 1.8) -> None:
    marker = "o" if len(points) == 1 else ""  # a line of one point would not be seen
    steps, values = list(points), list(points.values())
    axes.plot(steps, values, label=label, color=colour, lw=width, marker=marker)


def _noisy_line(axes: Axes, points: Series, label: str, colour: str) -> None:
    """A running mean over the values themselves in a pale line, once there are enough of them."""
    steps, values = np.array(list(points)), np.array(list(points.values()))
    first = not axes.lines
    if len(values) < _NOISY:
        _line(axes, points, label, colour)
    else:
        width = max(3, len(values) // 25) | 1
        padded = np.pad(values, width // 2, mode="edge")
        axes.plot(steps, values, color=colour, alpha=0.2, lw=0.8)
        mean = np.convolve(padded, np.ones(width) / width, mode="valid")
        axes.plot(steps, mean, color=colour, label=label)
    bottom, top = (0.0, 0.0) if first else axes.get_ylim()
    low, high = 1.05 * np.quantile(values, (0.005, 0.995))  # losses of learnt weights fall below 0
    axes.set_ylim(min(bottom, low), max(top, high) or 1.0)
