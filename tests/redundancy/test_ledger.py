"""The ledger covers every registered bound, names real functions, and the command prints it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from redundancy.bounds import ledger, lipschitz
from redundancy.certificates.certificate import registered
from redundancy.certificates.former_ids import FORMER_IDS
from redundancy.certificates.registry import bound_function
from redundancy.commands.theorems import theorems as command
from redundancy.errors import InvalidInputError


def run(*arguments):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def test_every_registered_bound_is_in_the_ledger():
    assert set(registered()) <= {r.id for r in ledger.theorems()}


def test_a_former_id_finds_the_record_and_the_function():
    assert ledger.find("thm1.minkowski") is ledger.find("lipschitz.minkowski_upper")
    assert bound_function("thm1.minkowski") is lipschitz.minkowski_upper
    assert set(FORMER_IDS.values()) <= set(registered())
    assert not set(FORMER_IDS) & set(registered())


def test_id_function_file_and_page_agree():
    for record in ledger.theorems():
        if record.function:
            topic, name = record.id.split(".")
            assert record.function.endswith(f".{name}"), record.id
            assert f".{topic}." in record.function, record.id
            assert record.anchor.startswith(f"{topic}.md#"), record.id


def test_records_are_whole():
    records = ledger.theorems()
    ids = [r.id for r in records]
    assert len(ids) == len(set(ids))
    for record in records:
        assert record.status in ledger.STATUSES
        assert record.evidence in ("P", "A", "C")
        assert record.title
        assert record.statement
        assert set(record.uses) <= set(ids), record.id
        assert record.id not in record.uses
        if record.id.startswith("claim.") or record.id in {f"def{k}" for k in range(1, 7)}:
            assert record.function == ""
            assert record.proof_check == ("" if record.id.startswith("def") else record.id)
        else:
            module, name = record.function.rsplit(".", 1)
            assert getattr(importlib.import_module(module), name) is registered()[record.id]
        for dotted in record.functions:
            module, name = dotted.rsplit(".", 1)
            assert callable(getattr(importlib.import_module(module), name))
        assert record.deviation or record.status == "true", record.id
        if record.status == "refuted":
            assert record.counterexample
        if record.status == "repaired":
            assert record.deviation


def test_uses_do_not_go_in_circles():
    uses = {r.id: r.uses for r in ledger.theorems()}

    def depth(theorem, seen=()):
        assert theorem not in seen
        return 1 + max((depth(u, (*seen, theorem)) for u in uses[theorem]), default=0)

    assert max(depth(t) for t in uses) < 10


def test_evidence_agrees_with_what_the_functions_return():
    from redundancy.bounds import lipschitz, mismatch, pinsker, plug_in, tail

    for certificate in (
        tail.printed_upper(tail_prob=0.1, t=0.1),
        tail.sandwich_upper(tail_prob=0.1, t=0.1),
        lipschitz.printed_upper(mean_distance=0.1, alpha=1, beta=1),
        lipschitz.residual_upper(residual_next=0.1, residual_prev=0.1, alpha=1, beta=1),
        plug_in.inverse_bounds(probe_gap=0.1, error_next=0.1, error_prev=0.1),
        pinsker.printed_upper(conditional_entropy=0.1, norm_bound=1.0),
        pinsker.free_information_upper(information_next=0.1, information_prev=0.1, diameter=1.0),
        mismatch.mismatch_upper_of_diameter(mismatch_prob=0.1, diameter=1.0, kind="scalar"),
    ):
        assert ledger.find(certificate.theorem).evidence == certificate.evidence


def test_printed_but_false_statements_appear_as_refuted():
    refuted = {r.id for r in ledger.theorems() if r.status == "refuted"}
    assert {
        "tail.printed_upper",
        "claim.proximal_informational",
        "claim.information_redundancy",
        "claim.informational_generalises_functional",
        "claim.unique_information_gap",
        "claim.codes_bound_entropy",
        "claim.token_intervals",
    } <= refuted


def test_unknown_id_is_refused():
    with pytest.raises(InvalidInputError, match="skip-it theorems"):
        ledger.find("thm9")


def test_command_prints_all_one_and_json():
    everything = run()
    assert everything.exit_code == 0
    assert all(r.id in everything.output for r in ledger.theorems())
    one = run("lipschitz.minkowski_upper")
    assert "redundancy.bounds.lipschitz.minkowski_upper" in one.output
    refuted = run("--status", "refuted")
    assert "0.1475" in refuted.output
    assert "lipschitz.minkowski_upper" not in refuted.output
    rows = json.loads(run("--json").output)
    assert [row["id"] for row in rows] == [r.id for r in ledger.theorems()]
    assert run("--status", "wrong").exit_code == 2


def test_an_id_of_another_status_is_refused():
    refused = run("lipschitz.minkowski_upper", "--status", "refuted")
    assert isinstance(refused.exception, InvalidInputError)
    assert "need a statement that is refuted, got lipschitz.minkowski_upper, which is" in str(refused.exception)
    same = run("lipschitz.minkowski_upper", "--status", ledger.find("lipschitz.minkowski_upper").status)
    assert same.output == run("lipschitz.minkowski_upper").output


def test_an_unknown_id_is_one_sentence_and_exit_code_2():
    command_line = [sys.executable, "-m", "redundancy", "theorems"]
    refused = subprocess.run([*command_line, "thm9"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr == ("skip-it: need a theorem id of the ledger, got 'thm9'; `skip-it theorems` lists them\n")
    found = subprocess.run([*command_line, "fano.ball_upper", "--json"], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout)[0]["functions"] == ["redundancy.bounds.fano.ball_upper"]


def test_import_is_quick_and_light():
    code = (
        "import sys; import redundancy; assert 'numpy' not in sys.modules;"
        "redundancy.entropy, redundancy.derive, redundancy.theorems;"
        "heavy = {'torch', 'sklearn', 'matplotlib', 'jinja2', 'typer'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_exist():
    import redundancy

    for name in redundancy.__all__:
        assert getattr(redundancy, name) is not None
    with pytest.raises(AttributeError, match="attribute nothing"):
        redundancy.nothing  # noqa: B018
