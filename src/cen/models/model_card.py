"""The card of a network on the Hugging Face Hub, written from the network and its run folder.

Text and figures only: of places on the machine that trained it, nothing but the last part of the
data folder's name is told.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from cen import notebook
from cen.errors import CenWarning
from cen.exchange import exchange_layers, exchange_rate, inspect
from cen.runfiles import outdated, read_run_file
from cen.scores import SCORES, format_score, main_score
from cen.tasks import Task
from cen.weightfiles import read_header

_TASKS = {"segmentation": "image-segmentation", "depth": "depth-estimation"}
"""What the Hub calls outputs by their kind; others turn images into images."""


class DescribedNetwork(nn.Module):
    """What a network says of itself, see `ChannelExchangeNetwork`."""

    inputs: dict[str, int]
    outputs: dict[str, Task]
    config: dict[str, Any]
    metadata: dict[str, Any]

    def _repr_html_(self) -> str:
        """For notebooks: what goes in and out, and how much is exchanged."""
        rows = [(f"input {name}", f"{count} channels") for name, count in self.inputs.items()]
        rows += [
            (f"output {name}", f"{task.kind}, {task.channels} channels")
            for name, task in self.outputs.items()
        ]
        count = sum(parameter.numel() for parameter in self.parameters())
        rows += [("parameters", f"{count / 1e6:.2f} million")]
        if exchange_layers(self):
            rows += [("own channels exchanged", f"{float(exchange_rate(self)):.1%}")]
        parts = (self.config.get("name"), self.config.get("encoder") or self.config.get("network"))
        return notebook.table(", ".join(str(part) for part in parts if part), rows)


def model_card(
    net: DescribedNetwork, name: str, run: str | Path | None = None, license: str | None = None
) -> str:
    """The card as Markdown with the head that the Hub reads.

    Args:
        net: the network.
        name: what it is called: ``owner/name`` of the Hub, or anything else.
        run: the run folder that it comes from.
        license: identifier of the licence of the weights.

    Raises:
        CenError: a file of the run cannot be read.
    """
    files = _Run(net, run)
    first = next(iter(net.outputs.values())).kind
    head = {
        "library_name": "cen",
        "pipeline_tag": _TASKS.get(first, "image-to-image"),
        "tags": ["channel-exchanging-network", "multimodal", *net.inputs, *net.outputs],
        **({"license": license} if license else {}),
        **files.results(name, _TASKS.get(first, "image-to-image")),
    }
    sections = {
        "Use": _use(name, net.inputs),
        "Intended use and limits": _intended(net),
        "Inputs": _inputs(net),
        "Outputs": _outputs(net),
        "Data": files.data(),
        "Scores": files.scores(),
        "How it was chosen": files.choice(),
        "Training": files.training(),
    }
    body = [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    what = f"{' + '.join(net.inputs)} → {', '.join(net.outputs)}"
    intro = (
        f"A Channel Exchanging Network: {what}. All inputs run through the same convolutions; "
        f"{inspect(net).rate:.1%} of the streams' own channels are exchanged."
    )
    lines = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return "\n\n".join([f"---\n{lines}---\n\n# {name}", intro, *body]) + "\n"


def _use(name: str, inputs: Iterable[str]) -> str:
    name = name if "/" in name else f"owner/{name}"
    files = {key: f"{key}.png" for key in inputs}
    options = " ".join(f"--{key} {file}" for key, file in files.items())
    return (
        f"```python\nimport cen  # cen[hub]\n\n"
        f'predictor = cen.Predictor("hf://{name}")\n'
        f'predictor({files}).save("out")  # or any subset of the inputs\n```\n\n'
        f"```sh\ncen predict hf://{name} {options} -o out/\n```\n\n"
        "The one file `model.safetensors` holds weights, architecture, classes and preprocessing; "
        "loading it executes nothing."
    )


def _intended(net: DescribedNetwork) -> str:
    dropout = net.metadata.get("modality_dropout")
    if len(net.inputs) == 1 or dropout is None:
        missing = ""
    elif dropout:
        missing = (
            f"- Inputs may be missing: {dropout:.0%} of the training steps were, also or only, "
            "without some of them.\n"
        )
    else:
        missing = (
            "- Every input should be there: none was ever left out in training, so that "
            "predictions without one are poor.\n"
        )
    return (
        "- For scenes, sensors and classes like those of the data below; nothing is known of "
        f"others.\n{missing}"
        "- Inputs are aligned pixel by pixel and have one size.\n"
        "- Not for decisions that put people at risk without a test of its own on the data and "
        "sensors of that use."
    )


def _inputs(net: DescribedNetwork) -> str:
    stored = net.metadata.get("preprocessing") or {}
    rows = []
    for name, channels in net.inputs.items():
        about = stored.get(name) or {}
        unit = f"{about.get('unit'):g} m per stored value" if about.get("kind") == "depth" else ""
        rows.append(
            (name, str(channels), about.get("kind", ""), unit, str(about.get("encoding", "")))
        )
    return _table(("input", "channels", "kind", "unit of files", "encoding"), rows)


def _outputs(net: DescribedNetwork) -> str:
    classes_by_output = net.metadata.get("classes") or {}
    rows = []
    for name, task in net.outputs.items():
        classes = task.classes or classes_by_output.get(name) or ()
        rows.append((name, task.kind, str(task.channels), ", ".join(map(str, classes))))
    return _table(("output", "kind", "channels", "classes"), rows)


class _Run:
    """What the files of a run tell; without them, what the network itself does."""

    def __init__(self, net: DescribedNetwork, run: str | Path | None) -> None:
        self.net, self._run = net, run
        self._config = self._read(run, "config.yaml")
        self._info = self._read(run, "run.json")
        self._evaluation = self._read(run, "evaluation.json")
        if text := outdated(self._evaluation, net.metadata):
            warnings.warn(
                f"{run}: {text}; the card goes without scores. cen evaluate {run} makes them anew",
                CenWarning,
                stacklevel=4,
            )
            self._evaluation = {}

    @staticmethod
    def _read(run: str | Path | None, name: str) -> Mapping[str, Any]:
        file = None if run is None else Path(run) / name
        return read_run_file(file) if file is not None and file.is_file() else {}

    @property
    def _data_name(self) -> str:
        data = self._config.get("data") or {}
        return Path(str(data.get("root") or "")).name or str(data.get("layout") or "")

    def results(self, name: str, task: str) -> dict[str, Any]:
        """The scores of the ensemble with every input, as the Hub reads them."""
        every = (self._evaluation.get("scores") or {}).get("+".join(self.net.inputs)) or {}
        metrics = []
        for output, entry in every.items():
            scores = entry.get("ensemble") or {}
            main = main_score(scores)
            if main is not None and scores.get(main) is not None:
                head = f"{output} {SCORES[main].head}"
                metrics.append({"type": main, "name": head, "value": float(scores[main])})
        if not metrics:
            return {}
        layout = str((self._config.get("data") or {}).get("layout") or "unknown")
        dataset = {"name": self._data_name or layout, "type": layout}
        if self._evaluation.get("split"):
            dataset["split"] = str(self._evaluation["split"])
        result = {"task": {"type": task}, "dataset": dataset, "metrics": metrics}
        return {"model-index": [{"name": name.rpartition("/")[2], "results": [result]}]}

    def data(self) -> str:
        """What it was trained on."""
        data = self._config.get("data") or {}
        if not data:
            return ""
        return f"Trained on `{self._data_name}` (layout `{data.get('layout')}` of cen)."

    def scores(self) -> str:
        """A table of every subset for each output."""
        scores = self._evaluation.get("scores") or {}
        if not scores:
            return "Not evaluated."
        samples, split = self._evaluation.get("samples"), self._evaluation.get("split")
        intro = f"On {samples} samples of the split `{split}`, for every subset of the inputs:\n\n"
        return intro + "\n\n".join(
            text for output in self.net.outputs if (text := self._scores_of(output, scores))
        )

    def _scores_of(self, output: str, scores: Mapping[str, Any]) -> str:
        entries = {subset: of[output] for subset, of in scores.items() if output in of}
        ensembles = [entry.get("ensemble") or {} for entry in entries.values()]
        main = main_score(ensembles[0]) if ensembles else None
        if main is None:
            return ""
        rows = []
        for subset, entry in entries.items():
            streams = entry.get("streams") or {}
            values = [entry.get("ensemble") or {}, *(streams.get(s) or {} for s in self.net.inputs)]
            rows.append((subset, *(format_score(main, value.get(main)) for value in values)))
        score = SCORES[main]
        head = f"{output}: {score.head} {score.unit}".strip()
        return _table(
            (f"{head}, given", "ensemble", *(f"{s} stream" for s in self.net.inputs)), rows
        )

    def choice(self) -> str:
        """Which of the networks that the run passed through it is."""
        step = self.net.metadata.get("step")
        if step is None:
            return ""
        entries = self.net.metadata.get("metrics") or {}
        parts = []
        for output, entry in entries.items():
            scores = (entry or {}).get("ensemble") or {}
            main = main_score(scores)
            if main is not None:
                value = f"{format_score(main, scores[main])} {SCORES[main].unit}".strip()
                parts.append(f"{output} {SCORES[main].head} {value}")
        if not parts:
            return f"The network after step {step:,}; no validation split chose it."
        sentence = (
            f"The network after step {step:,}, with {', '.join(parts)} on the validation split"
        )
        if not self._is_best():
            return f"{sentence}; it is the last one of its run and was not chosen by its score."
        same = self._evaluation.get("split") == "validation"
        optimistic = ", which the scores above are of, too: they are optimistic" if same else ""
        return f"{sentence}: the best of its run on this split{optimistic}."

    def _is_best(self) -> bool:
        best = None if self._run is None else Path(self._run) / "best.safetensors"
        header = read_header(best) if best is not None and best.is_file() else None
        return header is not None and header["metadata"].get("step") == self.net.metadata["step"]

    def training(self) -> str:
        """The options of the run, as it resolved them."""
        kept = {key: self._config[key] for key in ("model", "train", "seed") if key in self._config}
        if not kept:
            return ""
        if isinstance(kept.get("model"), Mapping) and kept["model"].get("weights"):
            kept["model"] = {**kept["model"], "weights": Path(kept["model"]["weights"]).name}
        finished = f" on {str(self._info['finished'])[:10]}" if self._info.get("finished") else ""
        options = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
        return (
            f"By `cen train`{finished}, with these options:\n\n<details>\n\n```yaml\n{options}```"
            "\n\n</details>"
        )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
