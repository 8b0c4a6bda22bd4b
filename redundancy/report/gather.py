"""Reports from files that commands wrote: a harvest, certificates, a validation, a choice, or a finished report."""

from __future__ import annotations

import math
import platform
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redundancy import __version__
from redundancy.certificates.profile import ProfileCertificate
from redundancy.errors import InvalidInputError, StoreError
from redundancy.figures.sources import PLAN_SECTIONS, certificate_rows, matrices, profile_records
from redundancy.files.reading import read_json, reading
from redundancy.report.parts import choice_part, load_certificate, validation_part
from redundancy.report.schema import SCHEMA, load_report, validate_report
from redundancy.risk.choices import OLD_SCHEMA as OLD_CHOICE
from redundancy.risk.choices import SCHEMA as CHOICE
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["NOT_CLAIMED", "gather_report"]

NOT_CLAIMED = (
    "That a layer is safe to skip because its distances are small: distances describe the states, not what the rest "
    "of the model does with them.",
    "Anything about other data: every interval is over the draw of samples from the population these came from.",
    "Anything about the conditional entropy of raw hidden states, which is 0 or infinite for a deterministic layer.",
    "That the speed-up carries over to other hardware, batch sizes or prompt lengths.",
)
_PREDICTED = ("flop_speedup", "kv_share")
_OF_CHOICE = (
    "accuracy",
    "accuracy_change",
    "accuracy_change_interval",
    "agreement",
    "prefill_speedup",
    "prefill_speedup_interval",
    "decoder_speedup",
)
RUN_SCHEMA = "skip-it/run/1"
_FILES = ("run.json", "statistics.safetensors", "certificates.json", "validation.json", "choice.json")
_WANTED = "a report.json, statistics.safetensors, certificate, validation.json or choice.json that skip-it wrote"
Part = dict[str, Any]


def gather_report(
    sources: Sequence[str | Path],
    *,
    model: str | None = None,
    n_layers: int | None = None,
    command: str | None = None,
    recheck: bool = True,
) -> dict[str, Any]:
    """One report of schema ``skip-it/report/1`` from what commands of Skip-It wrote; no model is needed.

    Parameters
    ----------
    sources : sequence of path
        Files, or folders that hold them: report.json (of demo or profile; a folder with one is read through it
        alone), statistics.safetensors, certificates, validation.json, choice.json. Each part may come once.
    model : str, optional
        Name to show; the one in the files by default.
    n_layers : int, optional
        Decoder layers, needed if no file tells them: plans alone do, only where whole families were run.
    command : str, optional
        Recorded as the command of the report.
    recheck : bool, default=True
        Recompute certificates and repeat the tests of choices, and refuse those that do not come out the same.

    Returns
    -------
    dict
        A valid report: what no source tells is left out.

    Raises
    ------
    InvalidInputError
        For no source, a part that comes twice or contradicts another, or an unknown number of layers.
    StoreError
        If a file cannot be read, is of another kind, or was altered.
    """
    parts = [part for source in sources for part in _parts(Path(source), recheck=recheck)]
    if not parts:
        raise InvalidInputError(f"need {_WANTED}, got no source; name a file or folder")
    if model is not None:
        for part in parts:
            part["model"] = {**part.get("model", {}), "name": model}
    layers = {part["model"]["n_layers"] for part in parts if part.get("model", {}).get("n_layers")}
    layers |= set() if n_layers is None else {n_layers}
    if len(layers) > 1:
        raise InvalidInputError(f"need results of one model, got {sorted(layers)} decoder layers; report them apart")
    if not layers:
        raise InvalidInputError(
            "need the number of decoder layers, the plans in these files do not tell it; add --layers N or the harvest"
        )
    _check_digests(parts)
    report = _merge(parts, layers.pop())
    report["command"] = report.get("command") or command
    validate_report(report)
    return report


def _parts(path: Path, *, recheck: bool) -> Iterator[Part]:
    if path.is_dir():
        if (path / "report.json").is_file():
            yield _report_part(path / "report.json", recheck=recheck)
            return
        found = [path / name for name in _FILES if (path / name).is_file()]
        if not found:
            raise StoreError(f"need {_WANTED}, the folder {path} holds none; give the folder of a finished run")
        for file in found:
            yield _file_part(file, recheck=recheck)
    else:
        yield _file_part(path, recheck=recheck)


def _file_part(path: Path, *, recheck: bool) -> Part:
    if path.suffix == ".safetensors":
        return _harvest_part(path)
    tree = read_json(path, _WANTED)
    schema = tree.get("schema") if isinstance(tree, Mapping) else None
    settings = _settings(path.parent)
    if schema == SCHEMA:
        return _report_part(path, recheck=recheck)
    if schema == RUN_SCHEMA:
        return _run_part(path, tree)
    if schema in (CHOICE, OLD_CHOICE):
        return choice_part(path, settings, recheck=recheck)
    if isinstance(schema, str) and schema.endswith("-certificate/1"):
        return _certificate_part(path, schema, recheck=recheck)
    if isinstance(tree, list) and tree and all(isinstance(row, Mapping) and "plan" in row for row in tree):
        with reading("validation rows"):
            return validation_part(path, tree, settings)
    raise StoreError(f"need {_WANTED}, {path} is {f'of schema {schema!r}' if schema else 'none of them'}")


def _schema(tree: Any) -> str:
    return str(tree.get("schema", "")) if isinstance(tree, Mapping) else ""


def _report_part(path: Path, *, recheck: bool) -> Part:
    """A finished report: its certificates and its choice are checked against the files that lie beside it."""
    report = load_report(path)
    certificates, choice = path.parent / str(report.get("certificate_file") or ""), path.parent / "choice.json"
    how = []
    if recheck and certificates.is_file():
        schema = _schema(read_json(certificates, "certificates"))
        shown = _certificate_part(certificates, schema, recheck=True)["certificates"]
        if shown != report.get("certificates"):
            raise StoreError(f"need a report that shows what {certificates} holds, {path} shows other bounds")
        how.append(f"the certificates in {certificates.name} recomputed")
    if recheck and choice.is_file() and report.get("chosen_plan"):
        made = choice_part(choice, {}, recheck=True)["chosen_plan"]
        if any(made[name] != report["chosen_plan"].get(name) for name in ("plan", "guarantee")):
            raise StoreError(f"need a report of the choice in {choice}, {path} states another plan or guarantee")
        how.append(f"the choice checked against {choice.name}")
    how.append("everything else shown as it stands" if how else "shown as it stands")
    return {**report, "kind": "report", "file": path, "sources": [f"{path.name}: a finished report, {', '.join(how)}"]}


def _run_part(path: Path, tree: Mapping[str, Any]) -> Part:
    """What a run says of its model, its data and the machine."""
    parts = {name: tree.get(name) for name in ("model", "data", "baselines", "environment")}
    if not isinstance(parts["model"], Mapping):
        raise StoreError(f"need the model of a run in {path}, it is missing; run it anew")
    return {"kind": "run", "file": path, **{k: v for k, v in parts.items() if v}, "sources": []}


def _harvest_part(path: Path) -> Part:
    statistics = HarvestStatistics.load(path)
    spec = statistics.spec
    tokens = statistics.token_counts("vision").mean() if "vision" in spec.groups else None
    return {
        "kind": "harvest",
        "file": path,
        "model": {
            "name": spec.model,
            "model_type": spec.model_type,
            "n_layers": spec.n_layers,
            "dtype": spec.dtype,
            "n_vision_tokens": None if tokens is None else float(tokens),
        },
        "n_samples": statistics.n_samples,
        "profile": profile_records(statistics),
        "distance_matrix": matrices(statistics),
        "digest": statistics.digest(),
        "sources": [f"{path.name}: a harvest, samples: {statistics.n_samples}, digest {statistics.digest()[:16]}"],
    }


def _certificate_part(path: Path, schema: str, *, recheck: bool) -> Part:
    certificate = load_certificate(path, schema)
    how = "digest sound, not recomputed"
    if recheck:
        outcome = certificate.recheck()
        if not outcome.ok:
            raise StoreError(f"need a certificate that can be reproduced, {path} has: {outcome.problems[0]}")
        how = "every bound recomputed"
    if isinstance(certificate, ProfileCertificate):
        rows, n, level = certificate_rows(certificate), certificate.n_images, certificate.confidence_level
        deepest = max((pair.layer for pair in certificate.pairs), default=0)
        digest = certificate.statistics_digest
    else:
        rows, n, level, deepest, digest = certificate.rows, certificate.n_images, certificate.confidence_level, 0, ""
    return {
        "kind": "certificates",
        "file": path,
        "model": {"n_layers": deepest},
        "n_samples": n,
        "confidence_level": level,
        "certificates": rows,
        "certificate_file": path.name,
        "of_harvest": digest,
        "uppers": _uppers(certificate),
        "sources": [f"{path.name}: {sum(len(c['statements']) for c in rows)} statements on {n} images, {how}"],
    }


def _uppers(certificate: Any) -> dict[tuple[int, str], tuple[float | None, float | None]]:
    if not isinstance(certificate, ProfileCertificate):
        return {}
    return {(pair.layer, pair.group): (pair.distance_upper, pair.tail_upper) for pair in certificate.pairs}


def _settings(folder: Path) -> Mapping[str, Any]:
    """What the run in a folder was asked for; {} if it left no settings."""
    try:
        tree = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    tables = [value for value in tree.values() if isinstance(value, Mapping)]
    return tables[0] if len(tables) == 1 else tree


def _check_digests(parts: Sequence[Part]) -> None:
    harvests = [part for part in parts if part["kind"] == "harvest"]
    for part in parts:
        if part.get("of_harvest") and any(harvest["digest"] != part["of_harvest"] for harvest in harvests):
            raise InvalidInputError(
                f"need certificates of the harvest beside them, {part['file']} was made from another one "
                "(its digest differs); certify this harvest, or leave one of the two out"
            )


def _merge(parts: Sequence[Part], n_layers: int) -> dict[str, Any]:
    seen: dict[str, Part] = {}
    for part in parts:
        if part["kind"] in seen:
            raise InvalidInputError(
                f"need each kind of result once, {part['file']} is the second {part['kind']} after "
                f"{seen[part['kind']]['file']}; merge shards first, or write two reports"
            )
        seen[part["kind"]] = part
    if "report" in seen:  # what it holds comes first
        parts = sorted(parts, key=lambda part: part["kind"] != "report")
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "model": {},
        "n_samples": 0,
        "baseline_accuracy": None,
        "chosen_plan": None,
        "not_claimed": list(NOT_CLAIMED),
        "environment": {},
        "sources": [],
        **{name: [] for name in ("profile", "certificates", *PLAN_SECTIONS)},
        "distance_matrix": {},
    }
    for part in parts:
        _add(report, part)
    report["environment"] = report["environment"] or {"python": platform.python_version()}
    _blind_baselines(report, n_layers)
    report["model"] = {"name": "unnamed model", **report["model"], "n_layers": n_layers}
    _plain_rows(report, n_layers)
    if "choice" in seen:
        _measured_choice(report)
    for part in parts:
        for row in report["profile"]:
            ends = part.get("uppers", {}).get((row["layer"], row["group"]))
            if ends is not None:
                row["distance_upper"], row["tail_upper"] = ends
    return report


def _blind_baselines(report: dict[str, Any], n_layers: int) -> None:
    """The accuracy without the image is that of late entry at the last layer."""
    blind = [row for row in report["late_entry"] if row.get("layer") == n_layers and row.get("accuracy") is not None]
    if blind and report.get("baselines") and report["baselines"].get("image_removed") is None:
        report["baselines"] = {**report["baselines"], "image_removed": blind[0]["accuracy"]}


def _measured_choice(report: dict[str, Any]) -> None:
    """What a validation measured of the chosen plan, where the choice itself holds no such number."""
    chosen = report["chosen_plan"]
    if not chosen:
        return
    for section in PLAN_SECTIONS:
        for row in report[section]:
            if row.get("plan") == chosen["plan"]:
                found = {name: row[name] for name in _OF_CHOICE if row.get(name) is not None}
                report["chosen_plan"] = {**found, **{k: v for k, v in chosen.items() if v is not None}}
                return


def _add(report: dict[str, Any], part: Part) -> None:
    for name, value in part.items():
        if name in ("kind", "file", "digest", "of_harvest", "uppers") or value is None:
            continue
        if name == "model":
            known = {k: v for k, v in value.items() if v}
            report["model"] = known if part["kind"] == "report" else {**known, **report["model"]}
        elif name in PLAN_SECTIONS:
            report[name] = _join(report[name], value, part["file"])
        elif name == "sources" and part["kind"] != "report":
            report[name] += value
        elif name in ("profile", "certificates", "distance_matrix", "chosen_plan"):
            if report[name] and value:
                raise InvalidInputError(f"need {name} from one file, {part['file']} brings it again; leave one out")
            report[name] = value or report[name]
        elif part["kind"] == "report" or not report.get(name):
            report[name] = value


def _join(rows: Sequence[Mapping[str, Any]], more: Sequence[Mapping[str, Any]], file: Path) -> list[dict[str, Any]]:
    """Rows of the same plan become one; a measured field that both have must agree.

    Predictions depend on the prompts of their run, which may be another; those that come first are kept.
    """
    joined = {_key(row): dict(row) for row in rows}
    for row in more:
        own = joined.setdefault(_key(row), {})
        for name, value in row.items():
            both = own.get(name) is not None and value is not None and name not in _PREDICTED
            if both and not _same(own[name], value):
                raise InvalidInputError(
                    f"need results that agree, {file} has {name} {value} for {_key(row)} where another file has "
                    f"{own[name]}; report them apart"
                )
            if own.get(name) is None:
                own[name] = value
    return list(joined.values())


def _same(one: Any, other: Any) -> bool:
    """Equal, or numbers that only rounding tells apart: some files hold a speed-up, others its inverse."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def _key(row: Mapping[str, Any]) -> str:
    return str(row["plan"] if row.get("layer") is None else row["layer"])


def _plain_rows(report: dict[str, Any], n_layers: int) -> None:
    """The unmodified model as the mildest plan of each family that was measured, and None where nothing was."""
    plain = report.get("baseline_accuracy")
    own = [row for row in report["other_plans"] if row["plan"] == "identity"]
    own += [row for row in report["late_entry"] if row.get("plan") == "identity"]
    families = any(row.get("accuracy") is not None for row in report["late_entry"] + report["vision_exit"])
    if families:
        report["other_plans"] = [row for row in report["other_plans"] if row["plan"] != "identity"]
    for section, layer in (("late_entry", 0), ("vision_exit", n_layers)):
        rows = report[section]
        measured = any(row.get("accuracy") is not None for row in rows)
        if measured and plain is not None and not any(row["layer"] == layer for row in rows):
            same = {"accuracy": plain, "accuracy_change": 0.0, "agreement": 1.0}
            rows.append({**same, **(own[0] if own else {}), "layer": layer, "plan": "identity"})
        for row in rows:
            for name in ("accuracy", "agreement", "prefill_speedup"):
                row.setdefault(name, None)
    for row in report["other_plans"]:
        row.setdefault("accuracy", None)
