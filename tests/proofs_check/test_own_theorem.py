"""A bound from a user's own file works with certificates, both re-checks, the five tests, the ledger and `prove`."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from proofs_check import rooms
from proofs_check.recheck import recheck
from proofs_check.recheck.report import UNCOVERED
from proofs_check.statements import statements_of
from proofs_check.symbolic import prove
from proofs_check.table import Settings, examine
from proofs_check.testing import five_tests
from redundancy import LayerPairCertificate
from redundancy.bounds.ledger import find
from redundancy.certificates.certificate import BoundCertificate
from redundancy.certificates.registry import RECORDS, REGISTRY, load_source, register_all
from redundancy.errors import InvalidInputError

FILE = Path(__file__).with_name("own_theorem.py")
ID = "own_theorem.second_moment_upper"


@pytest.fixture(scope="module")
def own():
    module = load_source(str(FILE))
    assert load_source(str(FILE)) is module
    yield module
    for known in (REGISTRY, RECORDS):
        del known[ID]
    del sys.modules[module.__name__]


@pytest.fixture
def brought(own, monkeypatch):
    monkeypatch.setattr(rooms, "_BROUGHT", {})
    rooms.add(own)


def skip_it(*arguments):
    command = [sys.executable, "-m", "redundancy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_ledger_knows_it_and_its_docstring_is_whole(own):
    record = find(ID)
    assert record.status == "added"
    assert record.function == ID
    assert "By ``own_theorem.second_moment_upper``, evidence P." in own.second_moment_upper.__doc__


def test_it_certifies_what_was_certified_and_is_rechecked(own):
    rng = np.random.default_rng(0)
    before = rng.normal(size=(80, 4))
    pair = LayerPairCertificate.from_arrays(before, before + 0.01 * rng.normal(size=(80, 4)), np.arange(80), layer=1)
    certificate = own.second_moment_upper(mean_distance=pair.find("concentration.betting_upper", "mean_distance"))
    assert certificate.evidence == "C"
    assert certificate.interval.upper == pytest.approx(2 * certificate.inputs["mean_distance"].interval.upper)
    again = BoundCertificate.from_json(certificate.to_json())
    assert again == certificate
    assert again.recheck().ok


def test_without_a_rule_the_independent_recheck_says_so(own, monkeypatch):
    monkeypatch.setattr(rooms, "_BROUGHT", {})
    report = recheck(own.second_moment_upper(mean_distance=0.1))
    assert not report.ok
    assert report.rows[-1].status == UNCOVERED
    assert not report.refuted


def test_with_a_rule_it_is_confirmed_and_an_altered_one_refuted(own, brought):
    certificate = own.second_moment_upper(mean_distance=0.1)
    assert recheck(certificate).ok
    altered = json.loads(certificate.to_json())["certificate"]
    altered["interval"] = [0.0, 0.1]
    assert recheck(altered).refuted


def test_the_five_tests_the_proof_and_the_table(brought):
    (statement,) = statements_of(ID)
    assert "attained: P(" in five_tests(statement, max_examples=40)
    assert prove(ID).ok
    assert not prove(ID, factor="19/10").ok
    (row,) = examine([find(ID)], Settings(n_laws=30, evaluations=20))
    assert row.result == "proved"
    assert [m.killed for m in row.mutants] == [True, True]


def test_commands_load_the_file(own, tmp_path):
    done = skip_it("prove", "--with", str(FILE), "--theorem", ID)
    assert done.returncode == 0, done.stderr
    assert "proved" in done.stdout
    assert ID in skip_it("theorems", "--with", str(FILE)).stdout
    stored = tmp_path / "own.json"
    stored.write_text(own.second_moment_upper(mean_distance=0.1).to_json(), encoding="utf-8")
    assert skip_it("recheck", str(stored), "--with", str(FILE)).returncode == 0
    without = skip_it("recheck", str(stored))
    assert without.returncode == 1
    assert "no bound is registered" in without.stdout


def test_an_entry_point_loads_it(own, monkeypatch):
    loaded = []

    class Point(importlib.metadata.EntryPoint):
        def load(self):
            loaded.append(self.group)
            return own

    points = [Point("own", "own_theorem", "skip_it.bounds")]
    for home in ("redundancy.certificates.registry", "proofs_check.rooms"):
        monkeypatch.setattr(f"{home}.entry_points", lambda group: [p for p in points if p.group == group])
    monkeypatch.setattr(rooms, "_BROUGHT", {})
    register_all.cache_clear()
    register_all()
    assert statements_of(ID)
    assert loaded[0] == "skip_it.bounds"
    assert len(loaded) > 1


@pytest.mark.parametrize(
    ("source", "message"),
    [("no_such_module_here", "need a module"), ("nowhere.py", "does not exist")]
    + [(source, "need a module or the path") for source in ("", ".", "..x", "a b", "x.")],
)
def test_a_source_that_is_not_there_is_one_sentence(source, message):
    with pytest.raises(InvalidInputError, match=message):
        load_source(source)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (b"x = 1\n1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        (b"def (", "line 1: SyntaxError"),
        (b"\xff\xfe\0", "SyntaxError"),
        (b"\nimport sys\nsys.exit(3)\n", "line 3: SystemExit"),
        (b"import no_such_module_here\n", "line 1: ModuleNotFoundError"),
    ],
)
def test_code_that_fails_is_one_sentence_with_its_line(tmp_path, code, words):
    path = tmp_path / "failing_bounds.py"
    path.write_bytes(code)
    for _ in range(2):  # a half-imported module is not kept
        with pytest.raises(InvalidInputError, match=words) as caught:
            load_source(str(path))
        assert "\n" not in str(caught.value)


def test_a_file_named_as_a_module_is_refused(tmp_path):
    path = tmp_path / "json.py"
    path.write_text("", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="rename it"):
        load_source(str(path))
