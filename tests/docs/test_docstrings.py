"""Public names are described: a docstring each, and in the settled part every parameter, result and error."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
if not DOCS.is_dir():
    pytest.skip("the documentation is not part of the source distribution", allow_module_level=True)
sys.path.insert(0, str(DOCS / "_ext"))

from public_names import public_names  # noqa: E402

from redundancy.bounds.ledger import theorems  # noqa: E402
from redundancy.certificates.certificate import registered  # noqa: E402

DESCRIBED = [entry for entry in public_names() if entry.kind != "data"]
# Where every section is demanded. Elsewhere a first line may still have to do.
SETTLED = (
    "redundancy", "redundancy.bounds", "redundancy.certificates.certificate", "redundancy.certificates.certifying",
    "redundancy.concentration", "redundancy.distances", "redundancy.figures", "redundancy.files.writing",
    "redundancy.certificates.finite_builders", "redundancy.info", "redundancy.interval", "redundancy.bounds.ledger",
    "redundancy.notions", "redundancy.certificates.pair_builders", "redundancy.pid", "redundancy.certificates.probes",
    "redundancy.certificates.profile", "redundancy.certificates.profile_builders", "redundancy.report",
    "redundancy.files.digested", "redundancy.statistics.harvest_statistics",
    "redundancy.statistics.from_states", "redundancy.statistics.streaming", "redundancy.files.tabular",
    "redundancy.units", "estimators", "estimators.codes.codebook", "estimators.entropy", "estimators.folds",
    "estimators.functional", "estimators.codes.kmeans", "estimators.probes", "redundancy.risk", "estimators.store",
    "extraction.models.adapters", "extraction.data", "extraction.default_model", "extraction.run.distributed",
    "extraction.models.encoders", "extraction.harness", "extraction.models.loading", "extraction.run",
    "extraction.skip", "extraction.store", "extraction.study.sweeping", "extraction.tiny",
    "extraction.harvesting.tokens", "proofs_check.adversary", "proofs_check.mutations", "proofs_check.shannon",
    "proofs_check.strategies", "proofs_check.symbolic", "proofs_check.table", "proofs_check.testing",
)  # fmt: skip
# Returned by functions that fill them in; their fields of state are no one's to give.
NOT_MADE_BY_HAND = {"redundancy.pid.BrojaResult"}


def sections(value):
    text = inspect.getdoc(value) or ""
    found = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}$", text, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def named(text):
    heads = re.findall(r"^(\S[^:\n]*)(?: :.*)?$", text, re.MULTILINE)
    return {name.strip().lstrip("*") for head in heads for name in head.split(",")}


def shortfalls(entry):
    """What the docstring of a function or class lacks."""
    value = inspect.unwrap(entry.value) if entry.kind == "function" else entry.value
    parts, missing = sections(value), []
    try:
        signature = inspect.signature(value)
    except ValueError:
        return []
    known = named(parts.get("Parameters", "")) | named(parts.get("Attributes", ""))
    plain = [p for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing += [p.name for p in plain if p.name not in known and not p.name.startswith("_")]
    if entry.kind == "function":
        source = inspect.getsource(value)
        if signature.return_annotation not in (None, "None") and not {"Returns", "Yields"} & parts.keys():
            missing.append("Returns")
        if "raise InvalidInputError(" in source and "Raises" not in parts:
            missing.append("Raises")
    return missing


def test_every_public_name_has_a_docstring_of_its_own():
    assert len(DESCRIBED) > 400
    for entry in DESCRIBED:
        text = vars(entry.value).get("__doc__") if inspect.isclass(entry.value) else entry.value.__doc__
        assert text, entry.path
        assert text.strip(), entry.path
        assert not text.startswith(f"{entry.name}("), f"{entry.path} has only what dataclass writes"


@pytest.mark.parametrize("area", SETTLED)
def test_settled_names_say_all_of_parameters_results_and_errors(area):
    inside = [
        entry
        for entry in DESCRIBED
        if (entry.module == area or (area != "redundancy" and entry.module.startswith(area + ".")))
        and entry.kind != "exception"
        and entry.path not in NOT_MADE_BY_HAND
    ]
    assert {entry.path: lack for entry in inside if (lack := shortfalls(entry))} == {}


def test_every_bound_names_its_source():
    ledger = {record.id for record in theorems()}
    public = {id(entry.value) for entry in DESCRIBED}
    bounds = {name: function for name, function in registered().items() if name in ledger and id(function) in public}
    assert len(bounds) > 50
    for name, function in bounds.items():
        assert "References" in sections(inspect.unwrap(function)), name
