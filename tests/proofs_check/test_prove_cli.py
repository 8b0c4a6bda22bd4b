"""`skip-it prove`: every row has a result, faults make it fail, wrong use is one sentence."""

import json
import subprocess
import sys
from fractions import Fraction

import pytest
from typer.testing import CliRunner

from proofs_check import table
from proofs_check.commands import show
from proofs_check.mutations import Mutation
from proofs_check.statements import statements_of
from proofs_check.table import METHODS, RESULTS, Settings, examine
from redundancy.bounds.ledger import find, theorems
from redundancy.commands.cli import build_app
from redundancy.errors import InvalidInputError, SkipItError

run = CliRunner()
QUICK = Settings(n_laws=20, evaluations=20)


@pytest.fixture(scope="module")
def rows():
    return examine(theorems(), QUICK)


def test_every_row_has_a_machine_result_or_an_honest_word(rows):
    assert [row.record.id for row in rows] == [r.id for r in theorems()]
    for row in rows:
        assert row.ok, (row.record.id, row.result)
        assert row.result in RESULTS
        if row.result == "proved":
            assert any(cell.ok and cell.whole for cell in row.cells.values())
        if row.result == "definition":
            assert not any(cell.ok for cell in row.cells.values())
        else:
            assert row.cells["exact"].ok
            assert row.cells["mutants"].ok, row.record.id


def test_printed_statements_that_are_false_are_refuted(rows):
    refuted = {row.record.id for row in rows if row.result == "refuted"}
    assert refuted == {r.id for r in theorems() if r.status == "refuted"}
    broken = {
        entry["statement"]: entry["counterexample"]
        for row in rows
        for entry in row.cells["exact"].details or []
        if not entry["true"]
    }
    assert all(broken.values())
    assert {
        "lipschitz.printed_upper [printed, strict]",
        "plug_in.printed_upper [printed, strict]",
        "tail.printed_upper [printed, on cosine distance]",
        "pinsker.printed_upper [printed, natural chain]",
        "claim.proximal_informational",
        "claim.unique_information_gap",
    } <= set(broken)


def test_json_has_theorems_and_mutations(rows):
    document = json.loads(json.dumps(show.document(rows, QUICK, 1.5)))
    assert document["schema"] == "skip-it/proofs/1"
    assert [r["id"] for r in document["theorems"]] == [r.id for r in theorems()]
    assert all(set(METHODS) < set(r) for r in document["theorems"])
    assert all(m["killed"] and m["counterexample"]["law"] for m in document["mutations"])
    assert {"id", "claim", "killed", "counterexample"} <= set(document["mutations"][0])


def test_table_and_markdown_have_a_line_per_statement(rows):
    text = show.text_table(rows, QUICK, 1.0)
    assert all(any(line.startswith(row.record.id) for line in text.splitlines()) for row in rows)
    statements, false, mutants = (part.splitlines() for part in show.markdown_table(rows).split("\n\n"))
    assert len(statements) == len(rows) + 2
    assert {line.count("|") for line in statements} == {9}
    assert all(line.replace("\\|", "").count("|") == 4 for line in false)
    assert all(line.replace("\\|", "").count("|") == 5 for line in mutants)
    assert len(false) >= 12
    assert [line.split(" | ")[0] for line in mutants[2:4]] == ["| M1", "| M2a"]


def test_one_theorem_is_shown_whole():
    result = run.invoke(build_app(), ["prove", "--theorem", "lemmas.self_unique_information"])
    assert result.exit_code == 0
    assert "checked: the coefficients of all joint entropies agree, in exact fractions" in result.stdout
    assert "mutants killed: 3/3" in result.stdout
    assert "M25: Uni(X : X \\ Y) = H(X)" in result.stdout


def test_symbolic_steps_are_shown():
    result = run.invoke(build_app(), ["prove", "--theorem", "lemmas.squared_triangle_upper"])
    assert result.exit_code == 0
    assert "steps checked" in result.stdout
    assert "4 > 19/5 at P(x=0, y=2, z=1) = 1" in result.stdout


def test_json_of_one_theorem_and_seed():
    result = run.invoke(build_app(), ["prove", "--theorem", "pinsker.printed_upper", "--json", "--seed", "3"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["seed"] == 3
    assert [r["id"] for r in document["theorems"]] == ["pinsker.printed_upper"]
    assert {"M21a", "M21b", "M21c", "M22"} <= {m["id"] for m in document["mutations"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--theorem", "thm9"], "need a theorem id of the ledger"),
        (["--seed", "-1"], "need a seed >= 0, got -1"),
        (["--json", "--markdown"], "need one of --json and --markdown"),
    ],
)
def test_wrong_use_is_one_sentence(arguments, message):
    result = run.invoke(build_app(), ["prove", *arguments])
    assert isinstance(result.exception, SkipItError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_surviving_mutant_fails_the_run(monkeypatch):
    """Break the checker: a mutant that is true cannot be refuted, and the command says so with exit code 1."""
    (true,) = statements_of("lemmas.squared_triangle_upper")
    mutants = (Mutation("M0", "lemmas.squared_triangle_upper", "a true claim", true),)
    monkeypatch.setattr(table, "all_mutations", lambda: mutants)
    result = run.invoke(build_app(), ["prove", "--theorem", "lemmas.squared_triangle_upper"])
    assert result.exit_code == 1
    assert "SURVIVED" in result.stdout
    assert "lemmas.squared_triangle_upper: Lemma 1" in result.stdout


def test_a_false_theorem_fails_the_run(monkeypatch):
    (true,) = statements_of("lemmas.squared_triangle_upper")
    monkeypatch.setattr(table, "statements_of", lambda _: (true.with_constants(a=1),))
    (row,) = examine([find("lemmas.squared_triangle_upper")], QUICK)
    assert row.result == "FAILED"
    assert row.cells["exact"].ok is False
    assert row.cells["tightness"].text == "VIOLATED"
    assert "FAILED lemmas.squared_triangle_upper: see" in show.text_table([row], QUICK, 1.0)


def test_a_claim_without_any_check_fails(monkeypatch):
    monkeypatch.setattr(table, "statements_of", lambda _: ())
    monkeypatch.setattr(table, "all_mutations", lambda: ())
    (row,) = examine([find("implications.intersection")], QUICK)
    if row.cells["symbolic"].ok is None:
        assert row.result == "FAILED"


def test_module_runs_and_wrong_use_exits_2():
    command = [sys.executable, "-m", "proofs_check"]
    good = subprocess.run(
        [*command, "--theorem", "tail.strict_tail_upper"], capture_output=True, text=True, check=False
    )
    assert good.returncode == 0, good.stderr
    assert "tail.strict_tail_upper" in good.stdout
    bad = subprocess.run([*command, "--theorem", "nothing"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert len(bad.stderr.strip().splitlines()) == 1


def test_the_command_line_loads_quickly():
    heavy = "('sympy', 'scipy', 'hypothesis')"
    code = f"import sys, proofs_check.commands.prove; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_default_run_is_the_short_one_and_finds_no_fault():
    done = run.invoke(build_app(), ["prove", "--json"])
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["ok"]
    assert document["n_laws"] == Settings().n_laws < Settings.deep().n_laws / 50


@pytest.mark.parametrize(
    ("claim", "given", "code", "shown"),
    [
        ("I(Z;X|Y) \u2264 H(X|Y)", (), 0, "right - left"),
        ("I(Z;X) <= I(Z;Y)", ("X - Y - Z",), 0, "[given]"),
        ("I(Z;X) \u2264 I(Z;Y)", ("X\u2192Y\u2192Z",), 0, "[given]"),
        ("I(Z;X) <= I(Z;Y)", (), 1, "false: (X, Y, Z) with P("),
        ("E D(P(Z|X) \u2225 P(Z|Y)) = I(Z;X|Y)", ("Y -> X -> Z",), 0, "checked"),
        ("D(P(X,Y) || P(X) P(Y)) = I(X;Y)", (), 0, "identically"),
        ("D(P(Z|X,Y) || P(Z|Y)) <= H(X)", (), 0, "checked"),
        ("H(X) >= H(X|Y) + 2 I(X;Y)", (), 1, "breaks"),
    ],
)
def test_a_claim_of_ones_own(claim, given, code, shown):
    result = run.invoke(build_app(), ["prove", claim, *(part for g in given for part in ("--given", g))])
    assert result.exit_code == code, result.output
    assert shown in result.output


def test_a_claim_as_json_hands_out_the_law():
    body = json.loads(run.invoke(build_app(), ["prove", "H(X) <= H(X|Y)", "--json"]).output)
    assert body["result"] == "false"
    assert sum(Fraction(mass) for _, mass in body["law"]) == 1


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("H(X) < H(Y)", "need <= or >= for <"),
        ("H(X) ~ H(Y)", "unclear from '~ H(Y)'; allowed are H(X|Y)"),
        ("F <= I(X;Y)", "D(P(...) || P(...)) or an atom"),
        ("D(P(Z|X) || P(Z|Y)) = I(Z;X|Y)", "need Z independent of Y given X"),
        ("D(P(Z|X) || P(Y)) <= H(X)", "need two laws of the same variables"),
    ],
)
def test_an_unclear_claim_is_one_sentence(claim, message):
    result = run.invoke(build_app(), ["prove", claim])
    assert isinstance(result.exception, InvalidInputError)
    assert message in str(result.exception)


def test_a_claim_and_an_id_are_not_both_taken():
    assert "got both" in str(run.invoke(build_app(), ["prove", "H(X) >= 0", "--theorem", "def1"]).exception)
    assert "got none" in str(run.invoke(build_app(), ["prove", "--given", "X -> Y -> Z"]).exception)
