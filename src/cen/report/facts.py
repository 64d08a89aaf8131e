"""What a run is, in the words of its page: from config.yaml and run.json."""

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cen.options.network_options import unset
from cen.report.runfolder import RunFolder
from cen.runfiles import outdated, way_on


def headline(run: RunFolder) -> str:
    """One line: network, inputs, outputs."""
    model = _part(run, "model")
    inputs = " + ".join(model.get("inputs") or {}) or "inputs"
    names = ", ".join(_outputs(run)) or "segmentation"
    network = _joined(" ", model.get("name"), _encoder(model))
    return f"{network + ': ' if network else ''}{inputs} → {names}"


def run_facts(run: RunFolder) -> dict[str, str]:
    """Term -> value; "" for what no file tells."""
    info, model, train = run.info, _part(run, "model"), _part(run, "train")
    revision, _, rest = str(info.get("git") or "").partition(" ")
    seed = info.get("seed", run.config.get("seed"))
    return {
        "Data": _data(run),
        "Network": _network(model) if model else "",
        "Training": _training(train, info) if train else "",
        "Exchange": _exchange(model, train) if model else "",
        "Seed": "" if seed is None else str(seed),
        "Time": _duration(run),
        "Machine": joined(info.get("machine")),
        "Versions": joined(info.get("versions")),
        "Code": _joined(" ", revision[:12], rest),
    }


def command(run: RunFolder) -> list[str]:
    """The words of the command that made the run, quoted for a shell; [] if not recorded."""
    value = run.info.get("command")
    if not isinstance(value, list) or not value:
        return (value or "").split()
    program = Path(value[0]).name
    return [shlex.quote(w) for w in ("cen" if program == "__main__.py" else program, *value[1:])]


def evaluation_facts(run: RunFolder) -> str:
    """Single values of evaluation.json in a sentence: step, samples, scales, ...; "" if none."""
    shown_elsewhere = {"scores", "classes", "palette", "split", "data", "exchange_rate"}
    parts = [
        f"{key.replace('_', ' ')} {_plain(value)}"
        for key, value in run.evaluation.items()
        if key not in shown_elsewhere and isinstance(value, str | int | float | list)
    ]
    return f"How it was evaluated: {', '.join(parts)}." if parts else ""


def no_exchange(run: RunFolder) -> str:
    """Why no channel could be exchanged in a run, in a sentence; "" where they could be."""
    model = _part(run, "model")
    if (fusion := model.get("fusion")) not in (None, "exchange"):
        return f"This is the baseline {fusion} (docs/baselines.md), which exchanges no channels."
    return "Exchange was switched off in this run." if model.get("exchange") is False else ""


def exchange_advice(run: RunFolder) -> str:
    """What to turn where too little or too much is exchanged in the end; "" if all is well."""
    rate = run.exchange[-1].get("rate") if run.exchange else None
    if rate is None or _part(run, "model").get("guide") == "random":
        return ""  # drawn at random, the rate is what was asked for
    if rate == 0:
        return (
            "No channel is exchanged: every scale is above θ, and the streams meet in the shared "
            "convolutions and in the ensemble only. A larger λ (train.sparsity), a longer run, or "
            "train.exchange_rate changes that."
        )
    if rate > 0.75:
        nearly = f"{rate:.0%} of the own channels are exchanged: the streams have become nearly one"
        train = _part(run, "train")
        if not (train.get("modality_dropout") or train.get("robust")):
            return f"{nearly}. Where all inputs are always there that is what folds to least cost."
        return (
            f"{nearly}, which leaves little to a stream whose partners are missing. A smaller λ "
            "(train.sparsity) or train.exchange_rate leaves them more of their own."
        )
    return ""


def outdated_scores(run: RunFolder) -> str:
    """That the scores are not those of the network of the run, in a sentence; "" where they are."""
    text = outdated(run.evaluation, run.metadata)
    again = f"“cen evaluate {run.path}” makes scores and pictures anew."
    return f"The scores are older than the network: {text}. {again}" if text else ""


def unfinished(run: RunFolder) -> str:
    """Why the run has no proper end, in a sentence; "" if it has one or nothing is known."""
    if not run.info or (run.info.get("finished") and run.info.get("status") != "interrupted"):
        failed = run.info.get("status") == "failed"
        return "This run stopped with an error; see its output." if failed else ""
    step = f" The last logged step is {run.last_step:,}." if run.last_step is not None else ""
    way = "it was stopped" if run.info.get("finished") else "it is still going on, or was stopped"
    return f"This run is not finished: {way}.{step} “{way_on(run.path)}” continues it."


def _data(run: RunFolder) -> str:
    data = _part(run, "data")
    counts = {len(run.classes(output)) for output in _outputs(run) or ["segmentation"]} - {0}
    layout = f"layout {data['layout']}" if data.get("layout") else ""
    return _joined(", ", data.get("root"), layout, *(f"{count} classes" for count in counts))


def _outputs(run: RunFolder) -> list[str]:
    scores = list((run.evaluation.get("scores") or {}).values())
    return list(scores[0]) if scores else []


def _network(model: Mapping[str, Any]) -> str:
    channels = ", ".join(f"{name} ({n})" for name, n in (model.get("inputs") or {}).items())
    parts = [_encoder(model), f"{model.get('name', '')} decoder", channels]
    for key in ("width", "decoder_channels"):
        parts.append(f"{key.replace('_', ' ')} {model[key]}" if model.get(key) else "")
    if model.get("decoder_norm") not in (None, "none"):
        parts.append(f"decoder norms: {model['decoder_norm']}")
    if model.get("weights"):
        parts.append(f"starts from {model['weights']}")
    return _joined(", ", *parts)


def _encoder(model: Mapping[str, Any]) -> str:
    return str(model.get("encoder") or unset(str(model.get("name")), "encoder") or "")


def _training(train: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    steps = train.get("steps") or sum(s.get("steps", 0) for s in train.get("stages") or [])
    made, pieces = info.get("step"), train.get("accumulate") or 1
    early = info.get("status") == "finished" and made is not None and made < steps
    batch = f"{pieces} × {train.get('batch_size')}" if pieces > 1 else train.get("batch_size")
    rates = f"learning rate {train.get('encoder_lr')} / {train.get('decoder_lr')}"
    dropout = train.get("modality_dropout")
    return _joined(
        ", ",
        f"{steps:,} steps of batch {batch}",
        f"of which {made:,} were made: patience {train.get('patience')}" if early else "",
        f"{train.get('optimizer') or ''}, {rates} (encoder / decoder)",
        f"{train.get('schedule') or ''} schedule",
        f"modality dropout {dropout}" if dropout else "",
        "every step also without some of the modalities" if train.get("robust") else "",
    )


def _exchange(model: Mapping[str, Any], train: Mapping[str, Any]) -> str:
    if (fusion := model.get("fusion")) not in (None, "exchange"):
        return _joined(", ", f"none: baseline {fusion}", model.get("fusion_at"))
    if model.get("exchange") is False:
        return "off: the streams share convolutions only"
    if model.get("guide") == "random":
        share, seed = model.get("random_rate"), model.get("random_seed")
        return f"{share} of each own part, drawn at random (seed {seed}) and fixed"
    pull = f"penalty λ = {train.get('sparsity')}"
    if train.get("exchange_rate") is not None:
        pull = f"penalty steered to an exchange rate of {train['exchange_rate']}"
    everywhere = model.get("decoder_exchange")
    if everywhere is None:  # the default of `cen.build`
        everywhere = len(model.get("outputs") or ()) > 1 and model.get("name") != "cycle"
    where = "encoder and decoder" if everywhere else "encoder"
    threshold = model.get("threshold")
    if threshold is None:
        threshold = unset(str(model.get("name")), "threshold")
    parts = ", keeper parts" if model.get("parts") == "keeper" else ""
    return f"θ = {threshold}, scope {model.get('scope')}{parts}, {pull}, in the {where}"


def _duration(run: RunFolder) -> str:
    started, length = "", ""
    if run.started is not None:
        time = datetime.fromtimestamp(run.started, UTC)
        started = f"started {time.strftime('%Y-%m-%d %H:%M UTC')}"
    if (hours := run.hours) is not None:
        length = f"{hours:.1f} hours" if hours >= 1.5 else f"{hours * 60:.1f} minutes"
        if (sessions := len(run.info.get("sessions") or [])) > 1:
            length += f" in {sessions} sessions, with the pauses between them"
    return _joined(", ", length, started)


def _part(run: RunFolder, name: str) -> Mapping[str, Any]:
    return run.config.get(name) or {}


def joined(value: Mapping[str, Any] | str | None) -> str:
    """Facts by name as one text; text as it is, "" for None."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
    return value or ""


def _joined(separator: str, *parts: object) -> str:
    """Those parts that say something."""
    return separator.join(str(part) for part in parts if part)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(_plain(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
