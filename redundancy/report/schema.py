"""The schema ``skip-it/report/1``: what a report may hold, checked by hand, and ways to read it.

docs/report_schema.md describes every field in words; a test keeps it and the tables below in step.
"""
# Over 400 lines: the tables of fields are most of it.

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redundancy.errors import InvalidInputError
from redundancy.figures.sources import PLAN_SECTIONS
from redundancy.files.reading import read_json

__all__ = [
    "RULES",
    "SCHEMA",
    "Rule",
    "load_report",
    "report_problems",
    "validate_report",
]

SCHEMA = "skip-it/report/1"
_SLACK = 1e-9  # an interval computed in another order of summation may miss its point by rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one field must be: `need` completes the sentence "need <field> as ..."."""

    need: str
    accepts: Callable[[Any], bool]
    required: bool = False
    nullable: bool = True


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _within(lower: float, upper: float) -> Callable[[Any], bool]:
    return lambda value: _is_number(value) and lower <= value <= upper


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_interval(value: Any) -> bool:
    pair = isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value))
    return pair and value[0] <= value[1]


def _is_matrix(value: Any) -> bool:
    if not isinstance(value, (list, tuple)) or not value:
        return False
    rows = all(isinstance(row, (list, tuple)) and len(row) == len(value) for row in value)
    return rows and all(cell is None or _is_number(cell) for row in value for cell in row)


def _is_assumption(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, Mapping) and isinstance(value.get("text"), str))


def _list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (list, tuple)) and all(map(check, value))


def _map_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Mapping) and all(v is None or check(v) for v in value.values())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _anything(value: Any) -> bool:
    return True


def _rule(need: str, accepts: Callable[[Any], bool], mark: str = "") -> Rule:
    """`mark`: "!" required and not null, "?" required but may be null, "" may be absent or null."""
    return Rule(need=need, accepts=accepts, required=bool(mark), nullable=mark != "!")


def _text(mark: str = "") -> Rule:
    return _rule("a string", _is_text, mark)


def _count(mark: str = "") -> Rule:
    return _rule("an integer >= 0", _is_count, mark)


def _number(mark: str = "") -> Rule:
    return _rule("a finite number", _is_number, mark)


def _positive(mark: str = "") -> Rule:
    return _rule("a number > 0", lambda v: _is_number(v) and v > 0, mark)


def _share(mark: str = "") -> Rule:
    return _rule("a number in [0, 1]", _within(0.0, 1.0), mark)


def _change(mark: str = "") -> Rule:
    return _rule("a number in [-1, 1]", _within(-1.0, 1.0), mark)


def _distance(mark: str = "") -> Rule:
    # Rounded outward, a certified bound may sit an ulp above the largest cosine distance.
    return _rule("a cosine distance in [0, 2]", _within(0.0, 2.0 + _SLACK), mark)


def _mass(mark: str = "") -> Rule:
    return _rule("a number >= 0", lambda v: _is_number(v) and v >= 0, mark)


def _interval(mark: str = "") -> Rule:
    return _rule("[lower, upper] with lower <= upper", _is_interval, mark)


def _flag(mark: str = "") -> Rule:
    return _rule("true or false", lambda v: isinstance(v, bool), mark)


def _rows(mark: str = "") -> Rule:
    return _rule("a list of objects", _list_of(_is_mapping), mark)


def _object(mark: str = "") -> Rule:
    return _rule("an object", _is_mapping, mark)


_PLAN_ROW: dict[str, Rule] = {
    "plan": _text(),
    "layer": _count(),
    "accuracy": _share("?"),
    "accuracy_interval": _interval(),
    "accuracy_change": _change(),
    "accuracy_change_interval": _interval(),
    "agreement": _share(),
    "agreement_interval": _interval(),
    "mean_kl": _mass(),
    "prefill_speedup": _positive(),
    "prefill_speedup_interval": _interval(),
    "decoder_speedup": _positive(),
    "prefill_ms": _positive(),
    "flop_speedup": _positive(),
    "kv_share": _share(),
    "loss_share": _share(),
    "loss_upper": _share(),
    "risk_upper": _share(),
    "p_value": _share(),
    "is_tested": _flag(),
    "is_certified": _flag(),
    "family_accuracy": _rule("an object of numbers in [0, 1]", _map_of(_within(0.0, 1.0))),
    "joint_over": _count(),
}

# One table of rules per kind of object; the first holds the report's own fields.
RULES: dict[str, dict[str, Rule]] = {
    "report": {
        "schema": _text("!"),
        "created": _text(),
        "version": _text(),
        "command": _text(),
        "seconds": _mass(),
        "model": _object("!"),
        "data": _object(),
        "n_samples": _count("!"),
        "baseline_accuracy": _share("?"),
        "baseline_interval": _interval(),
        "baseline_family_accuracy": _rule("an object of numbers in [0, 1]", _map_of(_within(0.0, 1.0))),
        "baselines": _object(),
        "confidence_level": _rule("a number in (0, 1)", lambda v: _is_number(v) and 0 < v < 1),
        "profile": _rows("!"),
        "distance_matrix": _rule("an object of square matrices", _map_of(_is_matrix), "!"),
        "late_entry": _rows("!"),
        "vision_exit": _rows("!"),
        "other_plans": _rows(),
        "chosen_plan": _object("?"),
        "certificates": _rows("!"),
        "certificate_file": _text(),
        "not_claimed": _rule("a list of sentences", _list_of(_is_text)),
        "sources": _rule("a list of sentences", _list_of(_is_text)),
        "environment": _rule("an object of strings or numbers", _map_of(lambda v: _is_text(v) or _is_number(v))),
    },
    "model": {
        "name": _text("!"),
        "model_type": _text(),
        "n_layers": _rule("an integer >= 1", lambda v: _is_count(v) and v >= 1, "!"),
        "n_parameters": _count(),
        "dtype": _text(),
        "n_vision_tokens": _mass(),
        "sha256": _text(),
    },
    "data": {
        "name": _text(),
        "n_questions": _count(),
        "families": _rule("an object of integers >= 0", _map_of(_is_count)),
    },
    "baselines": {"image_shuffled": _share(), "image_removed": _share(), "majority": _share()},
    "profile": {
        "layer": _rule("an integer >= 1", lambda v: _is_count(v) and v >= 1, "!"),
        "group": _text("!"),
        "mean_distance": _distance("?"),
        "image_mean_distance": _distance(),
        "fraction_below_0.05": _share("?"),
        "centred_distance": _distance(),
        "max_distance": _distance(),
        "q99_distance": _distance(),
        "mean_norm": _mass(),
        "var": _mass("?"),
        "var_mean": _mass(),
        "var_text_mean": _mass(),
        "var_text_max": _mass(),
        "distance_upper": _distance(),
        "tail_upper": _share(),
    },
    "late_entry": {**_PLAN_ROW, "layer": _count("!"), "agreement": _share("?"), "prefill_speedup": _positive("?")},
    "vision_exit": {**_PLAN_ROW, "layer": _count("!"), "agreement": _share("?"), "prefill_speedup": _positive("?")},
    "other_plans": {**_PLAN_ROW, "plan": _text("!")},
    "chosen_plan": {
        "plan": _text("!"),
        "text": _text(),
        "late_entry": _count(),
        "vision_exit": _count(),
        "risk": _share(),
        "confidence_level": _share(),
        "accuracy": _share(),
        "accuracy_change": _change(),
        "accuracy_change_interval": _interval(),
        "loss_upper": _share(),
        "prefill_speedup": _positive(),
        "prefill_speedup_interval": _interval(),
        "decoder_speedup": _positive(),
        "flop_speedup": _positive(),
        "agreement": _share(),
        "n_losses": _count(),
        "guarantee": _text(),
        "baseline": _text(),
        "scope": _text(),
        "is_vacuous": _flag(),
        "n_calibration": _count(),
        "n_units": _count(),
        "n_tested_plans": _count(),
    },
    "certificates": {"layer": _count(), "group": _text(), "statements": _rows("!")},
    "statements": {
        "theorem": _text("!"),
        "quantity": _text("!"),
        "lower": _rule("a number, or null for no bound", _is_number),
        "upper": _rule("a number, or null for no bound", _is_number),
        "base": _number(),
        "evidence": _text("!"),
        "confidence_level": _share(),
        "assumptions": _rule("a list of strings or of objects with a text", _list_of(_is_assumption)),
        "vacuous": _flag(),
    },
}


def report_problems(report: Any) -> tuple[str, ...]:
    """Every departure of `report` from the schema, one sentence each; empty if it is sound.

    Parameters
    ----------
    report : object
        What was parsed.

    Returns
    -------
    tuple of str
        In the order in which they occur.
    """
    if not isinstance(report, Mapping):
        return (f"need a report as an object, got {type(report).__name__}; pass the parsed report.json",)
    if report.get("schema") != SCHEMA:
        got = report.get("schema")
        return (f"need a report of schema {SCHEMA!r}, got {got!r}; write it anew with this version",)
    return tuple(_problems(report))


def validate_report(report: Any) -> None:
    """Raise if `report` does not follow ``skip-it/report/1``.

    Parameters
    ----------
    report : object
        What was parsed.

    Raises
    ------
    InvalidInputError
        With the first problem as a sentence, and the number of further ones.
    """
    problems = report_problems(report)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InvalidInputError(problems[0] + more)


def load_report(path: str | Path) -> dict[str, Any]:
    """Read and validate a report.json.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    dict
        The report, valid by the schema.

    Raises
    ------
    StoreError
        If the file cannot be read or is not JSON (NaN and Infinity are not JSON).
    InvalidInputError
        If it is JSON of another shape than the schema.
    """
    report = read_json(path, "a report")
    validate_report(report)
    return dict(report)


def _problems(report: Mapping[str, Any]) -> Iterator[str]:
    yield from _fields(report, "report", "")
    for name in ("model", "data", "baselines", "chosen_plan"):
        if isinstance(report.get(name), Mapping):
            yield from _fields(report[name], name, f"{name}.")
    for name in ("profile", *PLAN_SECTIONS, "certificates"):
        for index, row in _objects(report.get(name)):
            yield from _fields(row, name, f"{name}[{index}].")
            for number, statement in _objects(row.get("statements") if name == "certificates" else None):
                yield from _fields(statement, "statements", f"{name}[{index}].statements[{number}].")
    yield from _coherence(report)


def _fields(value: Mapping[str, Any], kind: str, prefix: str) -> Iterator[str]:
    for name, rule in RULES[kind].items():
        if name not in value:
            if rule.required:
                yield f"need {prefix}{name} as {rule.need}, it is missing{_null_advice(rule)}"
        elif value[name] is None:
            if not rule.nullable:
                yield f"need {prefix}{name} as {rule.need}, got null"
        elif not rule.accepts(value[name]):
            yield f"need {prefix}{name} as {rule.need}, got {_show(value[name])}{_null_advice(rule)}"


def _coherence(report: Mapping[str, Any]) -> Iterator[str]:
    """What no single field can show: layers in range and once each, matrices of the right size."""
    model = report.get("model")
    n_layers: Any = model.get("n_layers", 0) if isinstance(model, Mapping) else 0
    if not _is_count(n_layers) or n_layers == 0:
        return
    for name in ("profile", "late_entry", "vision_exit"):
        seen: set[Any] = set()
        for index, row in _objects(report.get(name)):
            layer, group = row.get("layer"), row.get("group")
            if not _is_count(layer):
                continue  # already reported, or a report without layers
            if layer > n_layers:
                yield f"need {name}[{index}].layer at most {n_layers} (model.n_layers), got {layer}"
            key = (layer, str(group)) if name == "profile" else layer
            if key in seen:
                yield f"need every layer once in {name}, {key} comes again at {name}[{index}]"
            seen.add(key)
    matrices = report.get("distance_matrix")
    for group, matrix in matrices.items() if isinstance(matrices, Mapping) else ():
        if _is_matrix(matrix) and len(matrix) != n_layers + 1:
            yield f"need distance_matrix.{group} with {n_layers + 1} rows (depths 0 to {n_layers}), got {len(matrix)}"
    for name in (*PLAN_SECTIONS, "chosen_plan"):
        rows = [(name, report[name])] if isinstance(report.get(name), Mapping) else []
        rows += [(f"{name}[{i}]", row) for i, row in _objects(report.get(name))]
        for where, row in rows:
            for field in ("accuracy", "accuracy_change", "agreement"):
                value, ends = row.get(field), row.get(f"{field}_interval")
                inside = not (_is_number(value) and _is_interval(ends)) or _holds(ends, value)
                if not inside:
                    yield f"need {where}.{field}_interval to hold {field}, got {_show(ends)} and {value!r}"


def _holds(ends: Sequence[float], value: float) -> bool:
    return ends[0] - _SLACK <= value <= ends[1] + _SLACK


def _objects(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if isinstance(value, (list, tuple)):
        yield from ((i, row) for i, row in enumerate(value) if isinstance(row, Mapping))


def _null_advice(rule: Rule) -> str:
    return "; write null where it is undefined or was not measured" if rule.nullable else ""


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
