"""What a run is, in the words of its page: from config.yaml and run.json."""

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cen.options.network_options import unset
from cen.report.runfolder import RunFolder


def headline(run: RunFolder) -> str:
    """One line: network, inputs, outputs."""
    model = _part(run, "model")
    inputs = " + ".join(model.get("inputs") or {}) or "inputs"
    names = ", ".join(_outputs(run)) or "segmentation"
    network = " ".join(part for part in (_text(model.get("name")), _encoder(model)) if part)
    return f"{network + ': ' if network else ''}{inputs} → {names}"


def run_facts(run: RunFolder) -> dict[str, str]:
    """Term -> value, for what is known."""
    info, machine = run.info, run.info.get("machine")
    return {
        "Data": _data(run),
        "Network": _network(_part(run, "model")),
        "Training": _training(_part(run, "train")),
        "Exchange": _exchange(_part(run, "model"), _part(run, "train")),
        "Seed": _text(info.get("seed", run.config.get("seed"))),
        "Time": _duration(run),
        "Machine": joined(machine),
        "Versions": joined(info.get("versions")),
        "Code": _code(info.get("git")),
    }


def command(run: RunFolder) -> list[str]:
    """The words of the command that made the run, quoted for a shell; [] if not recorded."""
    value = run.info.get("command")
    if not isinstance(value, list) or not value:
        return _text(value or None).split()
    program = Path(str(value[0])).name
    words = ["cen" if program == "__main__.py" else program, *map(str, value[1:])]
    return [shlex.quote(word) for word in words]


def evaluation_facts(run: RunFolder) -> str:
    """Single values of evaluation.json in a sentence: step, samples, scales, ...; "" if none."""
    known = {"scores", "classes", "palette", "split"}
    parts = []
    for key, value in run.evaluation.items():
        if key not in known and isinstance(value, str | int | float | list):
            parts.append(f"{key.replace('_', ' ')} {_plain(value)}")
    return f"How it was evaluated: {', '.join(parts)}." if parts else ""


def no_exchange(run: RunFolder) -> str:
    """Why no channel could be exchanged in a run, in a sentence; "" where they could be."""
    model = _part(run, "model")
    if (fusion := model.get("fusion")) not in (None, "exchange"):
        return f"This is the baseline {fusion} (docs/baselines.md), which exchanges no channels."
    return "Exchange was switched off in this run." if model.get("exchange") is False else ""


def exchange_advice(run: RunFolder) -> str:
    """What to turn where too little or too much is exchanged in the end; "" if all is well."""
    if _part(run, "model").get("guide") == "random":
        return ""  # the rate is what was asked for
    rate = run.exchange[-1].get("rate") if run.exchange else None
    if rate == 0:
        return (
            "No channel is exchanged: every scale is above θ, and the streams meet in the shared "
            "convolutions and in the ensemble only. A larger λ (train.sparsity), a longer run, or "
            "train.exchange_rate changes that."
        )
    if rate is not None and rate > 0.75:
        return (
            f"{rate:.0%} of the own channels are exchanged: the streams have become nearly one. "
            "A smaller λ (train.sparsity) or train.exchange_rate leaves them more of their own."
        )
    return ""


def unfinished(run: RunFolder) -> str:
    """Why the run has no proper end, in a sentence; "" if it has one or nothing is known."""
    if not run.info or (run.info.get("finished") and run.info.get("status") != "interrupted"):
        failed = run.info.get("status") == "failed"
        return "This run stopped with an error; see its output." if failed else ""
    step = f" The last logged step is {run.last_step:,}." if run.last_step is not None else ""
    way = "it was stopped" if run.info.get("finished") else "it is still going on, or was stopped"
    return f"This run is not finished: {way}.{step} “cen train --resume {run.path}” continues it."


def _data(run: RunFolder) -> str:
    data = _part(run, "data")
    counts = {len(run.classes(output)) for output in _outputs(run) or ["segmentation"]} - {0}
    parts = [_text(data.get("root")), f"layout {data['layout']}" if data.get("layout") else ""]
    parts += [f"{count} classes" for count in counts]
    return ", ".join(part for part in parts if part)


def _outputs(run: RunFolder) -> list[str]:
    scores = list((run.evaluation.get("scores") or {}).values())
    return list(scores[0]) if scores else []


def _network(model: Mapping[str, Any]) -> str:
    if not model:
        return ""
    channels = ", ".join(f"{name} ({n})" for name, n in (model.get("inputs") or {}).items())
    parts = [_encoder(model), f"{_text(model.get('name'))} decoder", channels]
    parts += [
        f"{key.replace('_', ' ')} {model[key]}"
        for key in ("width", "decoder_channels")
        if model.get(key)
    ]
    if model.get("decoder_norm") not in (None, "none"):
        parts.append(f"decoder norms: {model['decoder_norm']}")
    if model.get("weights"):
        parts.append(f"starts from {model['weights']}")
    return ", ".join(part for part in parts if part)


def _encoder(model: Mapping[str, Any]) -> str:
    return _text(model.get("encoder") or unset(_text(model.get("name")), "encoder"))


def _training(train: Mapping[str, Any]) -> str:
    if not train:
        return ""
    steps = train.get("steps") or sum(s.get("steps", 0) for s in train.get("stages") or [])
    rates = f"learning rate {train.get('encoder_lr')} / {train.get('decoder_lr')}"
    parts = [
        f"{steps:,} steps of batch {train.get('batch_size')}",
        f"{_text(train.get('optimizer'))}, {rates} (encoder / decoder)",
        f"{_text(train.get('schedule'))} schedule",
    ]
    if train.get("modality_dropout"):
        parts.append(f"modality dropout {train['modality_dropout']}")
    return ", ".join(parts)


def _exchange(model: Mapping[str, Any], train: Mapping[str, Any]) -> str:
    if not model:
        return ""
    if (fusion := model.get("fusion")) not in (None, "exchange"):
        place = model.get("fusion_at")
        return f"none: baseline {fusion}" + (f", {place}" if place else "")
    if model.get("exchange") is False:
        return "off: the streams share convolutions only"
    if model.get("guide") == "random":
        share, seed = model.get("random_rate"), model.get("random_seed")
        return f"{share} of each own part, drawn at random (seed {seed}) and fixed"
    if train.get("exchange_rate") is not None:
        pull = f"penalty steered to an exchange rate of {train['exchange_rate']}"
    else:
        pull = f"penalty λ = {train.get('sparsity')}"
    everywhere = model.get("decoder_exchange")
    if everywhere is None:  # the default of `cen.build`
        everywhere = len(model.get("outputs") or ()) > 1 and model.get("name") != "cycle"
    where = "encoder and decoder" if everywhere else "encoder"
    threshold = model.get("threshold")
    if threshold is None:
        threshold = unset(str(model.get("name")), "threshold")
    return f"θ = {threshold}, scope {model.get('scope')}, {pull}, in the {where}"


def _duration(run: RunFolder) -> str:
    hours, started = run.hours, ""
    if run.started is not None:
        started = datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if hours is None:
        return f"started {started}" if started else ""
    length = f"{hours:.1f} hours" if hours >= 1.5 else f"{hours * 60:.1f} minutes"
    sessions = len(run.info.get("sessions") or [])
    pauses = f" in {sessions} sessions, with the pauses between them" if sessions > 1 else ""
    return f"{length}{pauses}, started {started}" if started else f"{length}{pauses}"


def _code(git: Any) -> str:
    """A revision, shortened."""
    revision, _, rest = _text(git).partition(" ")
    return f"{revision[:12]} {rest}".strip()


def _part(run: RunFolder, name: str) -> Mapping[str, Any]:
    value = run.config.get(name)
    return value if isinstance(value, Mapping) else {}


def joined(value: Any) -> str:
    """Facts by name as one text; other values as they are, "" for None."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
    return _text(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(_plain(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
