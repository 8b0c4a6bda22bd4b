"""The re-check itself: seal, arrays, every record against its rule, and the certificate as a whole."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from proofs_check.exact.enclosure import Real, decimal, enclose
from proofs_check.recheck.record import Claim, Inputs, Refused, exact, parents_of
from proofs_check.recheck.report import CONFIRMED, REFUTED, UNCOVERED, RecheckReport, Row
from proofs_check.recheck.whole import problems_of_pair, problems_of_profile
from proofs_check.rooms import gather
from redundancy.certificates.former_ids import current_id, sealed_id

__all__ = ["covered", "recheck"]

_BOUND = "skip-it/bound-certificate/1"
_PAIR = "skip-it/layer-pair-certificate/1"
_PROFILE = "skip-it/profile-certificate/1"
_STRENGTH = "PCAE"
_ROUNDING = 1e-12  # relative; redundancy moves every end outward by 16 ulps, 4e-15
_FIELDS = {
    "theorem", "quantity", "interval", "trivial", "base", "assumptions", "evidence", "failures", "inputs", "provenance",
}  # fmt: skip


def covered() -> tuple[str, ...]:
    """Theorem ids with an independent formula here."""
    return tuple(sorted(_rules()))


def _rules() -> dict[str, Callable[[Inputs], Claim]]:
    """The rules of all rooms, by theorem id."""
    return {theorem: rule for room in gather("RULES") for theorem, rule in room.items()}


def recheck(certificate: Any) -> RecheckReport:
    """Check a certificate again, without the code that made it.

    Parameters
    ----------
    certificate : BoundCertificate, LayerPairCertificate, ProfileCertificate, dict, str or Path
        An object with `to_json`, a parsed record, JSON text, or the path of a certificate file.

    Returns
    -------
    RecheckReport
        One row for the file, one for each record, those below it included.

    Notes
    -----
    A stored end is confirmed if it is on the safe side of the recomputed number and further out only by
    rounding. Free notes (`provenance`) are covered by the seal alone. Rows of a table that hold no inputs, as
    `skip-it certify --json` prints them, cannot be recomputed and are reported as not covered.
    """
    body = _load(certificate)
    return RecheckReport(rows=tuple(_Run(body).rows()))


class _Run:
    """One pass over a file; equal records are checked once."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._arrays: Mapping[str, Any] = body.get("arrays", {})
        self._rules = _rules()
        self._known: dict[str, tuple[str, str, str, str, str]] = {}

    def rows(self) -> list[Row]:
        schema = self._body.get("schema")
        try:
            if schema in (_BOUND, _PAIR, _PROFILE):
                rows = [self._file(schema), *self._array_rows()]
                if schema == _BOUND:
                    return [*rows, *self._record("", self._body["certificate"])]
                if schema == _PAIR:
                    rows += self._pair("pair", self._body["pair"])
                    return [
                        *rows,
                        *_whole("pair", problems_of_pair(self._body["pair"], self._body["sentence"], self._arrays)),
                    ]
                for k, pair in enumerate(self._body["pairs"]):
                    rows += self._pair(f"pairs[{k}]", pair)
                return [*rows, *_whole("profile", problems_of_profile(self._body))]
            if set(self._body) >= _FIELDS:
                return [*self._array_rows(), *self._record("", {k: self._body[k] for k in _FIELDS})]
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            detail = f"is missing or of the wrong kind: {error}"
            return [Row(place="", theorem="", status=REFUTED, field="structure", detail=detail)]
        statements = self._body.get("statements")
        if isinstance(statements, list):
            why = "the row holds no inputs, so nothing can be recomputed; check the certificate file instead"
            return [
                Row(place=f"statements[{k}]", theorem=str(s.get("theorem", "")), status=UNCOVERED, detail=why)
                for k, s in enumerate(statements)
            ]
        detail = f"need a certificate of schema {_BOUND}, {_PAIR} or {_PROFILE}, got {schema!r}"
        return [Row(place="", theorem="", status=REFUTED, field="schema", detail=detail)]

    def _file(self, schema: str) -> Row:
        body = {k: v for k, v in self._body.items() if k != "digest"}
        if self._body.get("digest") != _digest(body):
            detail = "the content is not the one that was sealed"
            return Row(place="", theorem="", status=REFUTED, field="digest", detail=detail)
        return Row(place="", theorem="", status=CONFIRMED, detail=f"seal of {schema}")

    def _array_rows(self) -> list[Row]:
        rows = []
        for key, stored in self._arrays.items():
            shape, values = tuple(stored["shape"]), stored["values"]
            data = repr(shape).encode() + struct.pack(f"<{len(values)}d", *values)
            if hashlib.sha256(data).hexdigest() != key:
                detail = "the hash of the values is another"
                rows.append(Row(place="", theorem="", status=REFUTED, field=f"arrays.{key[:12]}", detail=detail))
        return rows

    def _pair(self, place: str, pair: Mapping[str, Any]) -> list[Row]:
        return [
            row
            for k, statement in enumerate(pair["statements"])
            for row in self._record(f"{place}.statements[{k}]", statement)
        ]

    def _record(self, place: str, record: Mapping[str, Any]) -> list[Row]:
        rows = []
        for path, parent in parents_of(record["inputs"]):
            rows += self._record(f"{place}.{path}" if place else path, parent)
        key = json.dumps(record, sort_keys=True)
        if key not in self._known:
            self._known[key] = self._verdict(record)
        status, field, detail, stored, recomputed = self._known[key]
        theorem = str(record["theorem"])
        return [
            *rows,
            Row(place=place, theorem=theorem, status=status, field=field, detail=detail, stored=stored,
                recomputed=recomputed),
        ]  # fmt: skip

    def _verdict(self, record: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
        """(status, field, detail, stored, recomputed) of one record, its parents taken as they stand."""
        stored = str(record["interval"])
        if set(record) != _FIELDS:
            odd = ", ".join(sorted(set(record) ^ _FIELDS))
            return REFUTED, "structure", f"missing or unknown fields: {odd}", stored, ""
        rule = self._rules.get(current_id(record["theorem"]))
        if rule is None:
            return UNCOVERED, "", "this theorem id has no rule here", stored, ""
        try:
            inputs = Inputs(record, self._arrays)
            claim = rule(inputs)
        except Refused as error:
            return REFUTED, error.field, error.why, stored, ""
        recomputed = f"[{decimal(claim.lower, 17)}, {decimal(claim.upper, 17)}]"
        if inputs.unread:
            return REFUTED, f"inputs.{min(inputs.unread)}", "is no input of this theorem", stored, recomputed
        for field, problem in _comparison(record, claim):
            return REFUTED, field, problem, stored, recomputed
        return CONFIRMED, "", "", stored, recomputed


def _comparison(record: Mapping[str, Any], claim: Claim) -> list[tuple[str, str]]:
    """What differs, field by field."""
    found: list[tuple[str, str]] = []
    if record["quantity"] != claim.quantity:
        found.append(("quantity", f"is {record['quantity']!r}, the theorem is about {claim.quantity!r}"))
    if record["base"] != claim.base:
        found.append(("base", f"is {record['base']!r}, recomputed {claim.base!r}"))
    for name, ends, slack in (
        ("interval", (claim.lower, claim.upper), claim.slack),
        ("trivial", claim.trivial, claim.slack),
    ):
        for side, expected in zip(("lower", "upper"), ends, strict=True):
            problem = _end(record[name][side == "upper"], expected, slack, upper=side == "upper")
            if problem:
                found.append((f"{name}.{side}", problem))
    parents = [parent for _, parent in parents_of(record["inputs"])]
    assumptions = {a[0]: list(a) for parent in parents for a in parent["assumptions"]}
    assumptions |= {a[0]: list(a) for a in claim.assumptions}
    if record["assumptions"] != list(assumptions.values()):
        wrong = [a for a in record["assumptions"] if a not in assumptions.values()]
        lost = [a for a in assumptions.values() if a not in record["assumptions"]]
        found.append(("assumptions", f"has {wrong or 'another order'}, need {lost or 'the order of the inputs'}"))
    evidence = max([claim.evidence, *(str(p["evidence"]) for p in parents)], key=_STRENGTH.find)
    if record["evidence"] != evidence:
        found.append(("evidence", f"is {record['evidence']!r}, the inputs and the theorem give {evidence!r}"))
    failures = {key: delta for parent in parents for key, delta in parent["failures"]}
    if claim.level is not None:
        failures[_digest({"theorem": sealed_id(record["theorem"]), "inputs": record["inputs"]})] = 1.0 - claim.level
    if record["failures"] != [list(item) for item in sorted(failures.items())]:
        found.append(("failures", f"are {record['failures']}, recomputed {sorted(failures.items())}"))
    return found


def _end(stored: Any, expected: Real, slack: Real, *, upper: bool) -> str:
    """What is wrong with a stored end: it must lie on the safe side of the expected number, and close to it."""
    try:
        value = exact(stored)
    except Refused as error:
        return error.why
    number = enclose(expected)
    edge = number.upper if upper else number.lower
    if isinstance(edge, float) or isinstance(value, float):
        return "" if value == edge else f"is {stored}, recomputed {decimal(number, 17)}"
    outside = value - edge if upper else edge - value
    room = abs(edge) * _exact_rounding() + slack
    if outside < 0:
        return f"is {stored}, inside the recomputed {decimal(number, 17)}: claims too much"
    if isinstance(slack, float) or outside <= room:
        return ""
    return f"is {stored}, further out than the recomputed {decimal(number, 17)}"


def _exact_rounding() -> Any:
    return exact(_ROUNDING)


def _whole(place: str, problems: list[tuple[str, str]]) -> list[Row]:
    if not problems:
        return [Row(place=place, theorem="", status=CONFIRMED, detail="sample sizes, levels and wording agree")]
    return [Row(place=place, theorem="", status=REFUTED, field=field, detail=detail) for field, detail in problems]


def _digest(body: Mapping[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _load(certificate: Any) -> dict[str, Any]:
    if hasattr(certificate, "to_json"):
        certificate = certificate.to_json()
    elif isinstance(certificate, Path) or (isinstance(certificate, str) and not certificate.lstrip().startswith("{")):
        certificate = Path(certificate).read_text(encoding="utf-8")
    if isinstance(certificate, str):
        try:
            certificate = json.loads(certificate)
        except json.JSONDecodeError as error:
            return {"schema": f"text that does not parse: {error}"}
    if not isinstance(certificate, dict):
        return {"schema": type(certificate).__name__}
    return certificate
