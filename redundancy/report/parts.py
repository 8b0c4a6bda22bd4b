"""One file of a run as a part of a report: certificates of any kind, a validation, a choice of a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redundancy.certificates.certificate import BoundCertificate, RecheckReport
from redundancy.certificates.pair import LayerPairCertificate
from redundancy.certificates.profile import ProfileCertificate
from redundancy.errors import StoreError
from redundancy.figures.sources import plan_sections
from redundancy.files.plan_texts import plan_depth
from redundancy.files.reading import read_text
from redundancy.risk.choices import ChoiceRecord

__all__ = ["SingleCertificate", "choice_part", "load_certificate", "validation_part"]

_PROFILE, _PAIR, _BOUND = (f"skip-it/{kind}-certificate/1" for kind in ("profile", "layer-pair", "bound"))
_PLAN_FIELDS = (
    "plan",
    "layer",
    "accuracy",
    "accuracy_interval",
    "accuracy_change",
    "accuracy_change_interval",
    "agreement",
    "agreement_interval",
    "mean_kl",
    "prefill_speedup",
    "prefill_speedup_interval",
    "decoder_speedup",
    "prefill_ms",
    "flop_speedup",
    "kv_share",
    "family_accuracy",
    "joint_over",
)


@dataclass(frozen=True, slots=True)
class SingleCertificate:
    """A layer pair's certificate, or a bound's, with the rows that a report shows of it."""

    certificate: LayerPairCertificate | BoundCertificate

    @property
    def n_images(self) -> int:
        """Images behind it; 0 if nothing was sampled or it does not tell."""
        return self.certificate.n_images if isinstance(self.certificate, LayerPairCertificate) else 0

    @property
    def confidence_level(self) -> float | None:
        """Joint level; None if nothing was sampled."""
        return self.certificate.confidence_level

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One entry of `certificates` of the report schema."""
        single = self.certificate
        if isinstance(single, BoundCertificate):
            return [{"layer": None, "group": None, "statements": [_finite(single.to_record())]}]
        statements = [_finite(record) for record in single.to_records()]
        return [{"layer": single.layer or None, "group": single.group, "statements": statements}]

    def recheck(self) -> RecheckReport:
        """Recompute it."""
        return self.certificate.recheck()


def load_certificate(path: Path, schema: str) -> ProfileCertificate | SingleCertificate:
    """Read a certificate whose digest is checked.

    Raises
    ------
    StoreError
        If it was altered, or is of a kind that a report does not show.
    """
    text = read_text(path, "a stored result")
    if schema == _PROFILE:
        return ProfileCertificate.from_json(text)
    if schema == _PAIR:
        return SingleCertificate(LayerPairCertificate.from_json(text))
    if schema == _BOUND:
        return SingleCertificate(BoundCertificate.from_json(text))
    raise StoreError(f"need a profile, layer-pair or bound certificate, {path} is of schema {schema!r}")


def validation_part(path: Path, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of `skip-it validate` by family; the number of layers is known where whole families were run.

    Raises
    ------
    StoreError
        If rows differ in their number of samples or in the accuracy of the unmodified model.
    """
    samples = {row.get("n_samples") for row in rows}
    plain = {row.get("plain_accuracy") for row in rows}
    if len(samples) != 1 or len(plain) != 1:
        raise StoreError(
            f"need rows of one run, {path} mixes {sorted(map(str, samples))} samples; validate them together"
        )
    levels = {row.get("confidence_level") for row in rows}
    level = levels.pop() if len(levels) == 1 else None
    n = samples.pop()
    first = rows[0]
    sections = plan_sections([{k: row[k] for k in _PLAN_FIELDS if k in row} for row in rows])
    return {
        "kind": "validation",
        "file": path,
        "model": {"name": _text(settings, "model"), "n_layers": _whole_families(sections)},
        "data": _data(settings),
        "n_samples": n,
        # Said by the rows themselves: the settings beside them may be those of another run.
        "confidence_level": level if isinstance(level, float) and 0.0 < level < 1.0 else None,
        "baseline_accuracy": plain.pop(),
        "baseline_interval": first.get("plain_accuracy_interval"),
        "baseline_family_accuracy": first.get("plain_family_accuracy"),
        **sections,
        "sources": [f"{path.name}: {len(rows)} plans run on {n} samples"],
    }


def choice_part(path: Path, settings: Mapping[str, Any], *, recheck: bool = True) -> dict[str, Any]:
    """The choice of `skip-it select`: the plan, its guarantee, and every plan's losses.

    With `recheck`, its tests are repeated; that needs no model.

    Raises
    ------
    StoreError
        If the file was altered, lacks something, or its tests do not come out the same.
    """
    record = ChoiceRecord.from_json(read_text(path, "a stored choice"))
    how = "digest sound, its tests not repeated"
    if recheck:
        outcome = record.recheck()
        if not outcome.ok:
            raise StoreError(f"need a choice that can be reproduced, {path} has: {outcome.problems[0]}")
        how = "every test repeated"
    control = record.control
    uppers = control.risk_uppers()
    rows = [
        {
            "plan": test.name,
            "flop_speedup": 1.0 / test.cost if test.cost else None,
            "loss_share": test.mean_loss,
            "risk_upper": uppers[test.name],
            "p_value": test.p_value,
            "is_tested": test.is_tested,
            "is_certified": test.is_certified,
        }
        for test in control.tests
    ]
    model = record.about.get("model")
    return {
        "kind": "choice",
        "file": path,
        "model": {"name": model if isinstance(model, str) else _text(settings, "model")},
        "data": _data(settings),
        "n_samples": control.n_samples,
        "confidence_level": control.confidence_level,
        "chosen_plan": _chosen(record),
        **plan_sections(rows),
        "sources": [f"{path.name}: {len(rows)} plans on {control.table.draw}, {how}"],
    }


def _chosen(record: ChoiceRecord) -> dict[str, Any]:
    control, kept = record.control, record.control.chosen is None
    plan = {
        "plan": record.chosen,
        "text": "No plan is certified: the unmodified model is kept." if kept else record.chosen,
        "risk": control.risk,
        "confidence_level": control.confidence_level,
        "loss_upper": 0.0 if kept else control.risk,
        "guarantee": record.guarantee,
        "baseline": record.baseline,
        "scope": record.scope,
        "is_vacuous": control.is_vacuous,
        "n_calibration": control.n_samples,
        "n_units": control.n_units,
        "n_tested_plans": control.n_tested,
    }
    if control.is_vacuous:
        plan["text"] = "No plan is recommended: none could lose more than is tolerated."
    for test, losses in zip(control.tests, control.losses.values, strict=True):
        if test.name == record.chosen:
            plan |= {"flop_speedup": 1.0 / test.cost if test.cost else None, "n_losses": int((losses > 0.0).sum())}
    depths = {name: plan_depth(record.chosen, name) for name in ("late_entry", "vision_exit")}
    known = {name: depth for name, depth in depths.items() if depth is not None}
    if record.chosen.count("(") == len(known):  # no other term: what is not named is as in the unmodified model
        plan["late_entry"] = 0
    return plan | known


def _whole_families(sections: Mapping[str, Sequence[Mapping[str, Any]]]) -> int | None:
    """L, if late entry was run at 1..L and vision exit at 0..L-1: what validate does unless told which plans."""
    late = sorted(row["layer"] for row in sections["late_entry"] if row["layer"])
    leave = sorted(row["layer"] for row in sections["vision_exit"])
    whole = len(late) > 1 and late == list(range(1, len(late) + 1)) and leave[: len(late)] == list(range(len(late)))
    return len(late) if whole else None


def _finite(record: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: an end that nothing bounds is null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}


def _text(settings: Mapping[str, Any], name: str) -> str | None:
    return settings[name] if isinstance(settings.get(name), str) else None


def _data(settings: Mapping[str, Any]) -> dict[str, str] | None:
    name = _text(settings, "data")
    return None if name is None else {"name": Path(name).name}
