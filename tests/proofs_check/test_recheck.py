"""The re-check confirms what redundancy computes, by formulas of its own, and sees every field that was altered."""

import ast
import copy
import hashlib
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import iv, mp
from scipy import stats

import proofs_check.recheck
from proofs_check.concentration.capital import Bet
from proofs_check.mismatch.task_values import mismatch_constant, squared_radius
from proofs_check.recheck import covered, recheck
from proofs_check.recheck.report import CONFIRMED, REFUTED, UNCOVERED
from redundancy.bounds.task_range import task_range
from redundancy.certificates.certificate import BoundCertificate, registered
from redundancy.certificates.pair import LayerPairCertificate
from redundancy.certificates.profile import ProfileCertificate
from redundancy.errors import SkipItError
from redundancy.statistics.from_states import statistics_from_states
from support.recheck_cases import CASES, make, trees

NAMES = [f"{theorem}-{k}" for k, (theorem, _) in enumerate(CASES)]


def leaves(tree, path=()):
    """Every number, text, truth value and null of a JSON tree but the seal."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if (*path, key) != ("digest",):
                yield from leaves(value, (*path, key))
    elif isinstance(tree, list):
        for key, value in enumerate(tree):
            yield from leaves(value, (*path, key))
    else:
        yield path, tree


def altered(value):
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case float():
            return [value * 1.001 + 2e-3, value * 0.999 - 2e-3]
        case str():
            return [value + "x"]
        case _:
            return [1.0]


def with_change(body, path, value):
    changed = copy.deepcopy(body)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def sealed(body):
    plain = {k: v for k, v in body.items() if k != "digest"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return {**plain, "digest": hashlib.sha256(text.encode()).hexdigest()}


def own_recheck(kind, body):
    """Whether redundancy, too, takes the altered file for a true certificate, up to rounding."""
    try:
        certificate = kind.from_json(json.dumps(body))
        if kind is not BoundCertificate or certificate.recheck().ok:
            return certificate.recheck().ok
        again = registered()[certificate.theorem](**certificate.inputs)
    except (SkipItError, ValueError, TypeError, AttributeError, KeyError):
        return False
    ends = [(c.interval.lower, c.interval.upper) for c in (certificate, again)]
    return ends[0] == pytest.approx(ends[1], rel=1e-9, abs=1e-12)


def few(path, value):
    """Skip most numbers of long arrays, to stay quick: all of them go into one hash."""
    return "values" not in path or "arrays" not in path or path[-1] < 1


def survivors(kind, body):
    """Alterations that the re-check does not object to once the file is sealed again."""
    for path, value in leaves(body):
        if few(path, value):
            for new in altered(value):
                changed = with_change(body, path, new)
                assert not recheck(changed).ok, ("seal", path)
                if recheck(sealed(changed)).ok:
                    yield path, sealed(changed)


# ---- the honest certificates


def test_every_registered_theorem_has_an_independent_formula_and_a_case():
    assert set(registered()) == set(covered())
    assert set(covered()) == {t for t, _ in CASES} | {"implications.intersection", "concentration.dkw_tail"}


@pytest.mark.parametrize(("theorem", "inputs"), CASES, ids=NAMES)
def test_honest_certificates_are_confirmed(theorem, inputs):
    report = recheck(make(theorem, inputs))
    assert report.ok, str(report)
    assert {row.theorem for row in report.rows} == {"", theorem}


@pytest.mark.parametrize(("name", "certificate"), trees())
def test_certificates_on_certificates_are_confirmed_down_to_the_leaves(name, certificate):
    report = recheck(certificate)
    assert report.ok, str(report)
    assert len(report.rows) > 2
    assert any("." in row.place or "[" in row.place for row in report.rows) or name == "base of a parent"


def test_the_formulas_are_independent_of_those_they_check():
    here = Path(proofs_check.recheck.__file__).parent
    files = [*here.glob("*.py"), *here.parent.glob("*/recheck.py")]
    assert len(files) > 15
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            ours = [m for m in modules if m.split(".")[0] == "redundancy"]
            assert set(ours) <= {"redundancy.certificates.former_ids"}, path  # a table of names, no formula


# ---- the altered ones


@pytest.mark.parametrize(("theorem", "inputs"), CASES, ids=NAMES)
def test_a_field_altered_is_a_field_found(theorem, inputs):
    """Without a new seal always; with one, unless the altered record is itself a true certificate."""
    body = json.loads(make(theorem, inputs).to_json())
    for path, changed in survivors(BoundCertificate, body):
        assert "inputs" in path, path
        assert own_recheck(BoundCertificate, changed), path


@pytest.mark.parametrize(("name", "certificate"), trees())
def test_a_field_altered_below_is_a_field_found(name, certificate):
    for path, changed in survivors(BoundCertificate, json.loads(certificate.to_json())):
        assert path[-1] != "theorem"
        assert own_recheck(BoundCertificate, changed), (name, path)


def test_the_row_names_the_field_and_the_recomputed_interval():
    body = json.loads(make("fano.list_upper", {"miss_prob": 0.05, "list_size": 2, "support_size": 64}).to_json())
    body["certificate"]["interval"][1] *= 0.99
    (row,) = recheck(sealed(body)).refuted
    assert (row.theorem, row.field, row.status) == ("fano.list_upper", "interval.upper", REFUTED)
    truth = (-0.05 * math.log2(0.05) - 0.95 * math.log2(0.95)) + 0.95 + 0.05 * math.log2(62)
    assert f"{truth:.11g}"[:-1] in row.detail
    assert "claims too much" in str(recheck(sealed(body)))
    wide = with_change(body, ("certificate", "interval", 1), 5.0)
    assert "further out" in recheck(sealed(wide)).refuted[0].detail


@pytest.mark.parametrize(
    ("record", "field"),
    [("{", "schema"), ({}, "schema"), ({"schema": "skip-it/bound-certificate/1"}, "structure"), (7, "schema")],
)
def test_what_is_no_certificate_is_refused_in_words(record, field, tmp_path):
    if record == "{":
        (tmp_path / "c.json").write_text("{")
        record = tmp_path / "c.json"
    report = recheck(record)
    assert not report.ok
    assert any(row.field == field for row in report.rows)


def test_rows_without_inputs_are_not_taken_for_checked():
    record = make("lemmas.squared_distance_of_cosine", {"mean_distance": 0.3}).to_record()
    report = recheck({"statements": [record]})
    assert [row.status for row in report.rows] == [UNCOVERED]
    assert not report.ok


def test_bare_trees_and_files_are_read(tmp_path):
    certificate = make("lemmas.squared_distance_of_cosine", {"mean_distance": 0.3})
    (tmp_path / "c.json").write_text(certificate.to_json())
    assert recheck(tmp_path / "c.json").ok
    assert recheck(str(tmp_path / "c.json")).ok
    assert recheck(certificate.to_json()).ok
    arrays = {}
    assert recheck({**certificate.to_dict(arrays), "arrays": arrays}).rows[-1].status == CONFIRMED


# ---- whole files, as skip-it certify writes them


def arrays_pair(**options):
    rng = np.random.default_rng(0)
    states = rng.normal(size=(160, 4))
    ids = np.repeat(np.arange(40), 4)
    target = (states[:, 0] > 0).astype(int)
    return LayerPairCertificate.from_arrays(
        states, states + 0.1 * rng.normal(size=states.shape), ids, **{"target": target, "layer": 3, **options}
    )


def codes_pair():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, 120)
    return LayerPairCertificate.from_codes(
        codes, np.where(rng.random(120) < 0.1, 0, codes), np.repeat(np.arange(40), 3), n_codes=4, task_values=np.eye(3)
    )


def law_pair():
    joint = np.arange(1.0, 19.0).reshape(3, 3, 2)
    rho = [[0, 0.25, 1.5], [0.25, 0, 1], [1.5, 1, 0]]
    return LayerPairCertificate.from_law(joint / joint.sum(), distances=rho, task_values=[0.0, 1.0], t=0.25)


def profile(n=40):
    rng = np.random.default_rng(2)
    states = []
    for _ in range(n):
        first = rng.normal(size=(4, 3))
        second = first + 0.1 * rng.normal(size=(4, 3))
        states.append(np.stack([first, second, second + rng.normal(size=(4, 3))]))
    groups = [["vision", "vision", "words", "special"]] * n
    masses = rng.random((n, 2, 2)).astype(np.float32)
    ids = [f"image {i}" for i in range(n)]
    statistics = statistics_from_states(states, groups, sample_ids=ids, answer_var=masses)
    return ProfileCertificate.from_statistics(statistics)


def profile_of_laws():
    joint = np.arange(1.0, 10.0).reshape(3, 3)
    rho = [[0, 0.25, 1.5], [0.25, 0, 1], [1.5, 1, 0]]
    return ProfileCertificate.from_laws([joint / joint.sum(), joint.T / joint.sum()], distances=rho)


FILES = {
    "laws": (ProfileCertificate, profile_of_laws),
    "arrays": (LayerPairCertificate, arrays_pair),
    "pooled": (LayerPairCertificate, lambda: arrays_pair(target=None, estimand="token_pooled", count_max=4)),
    "codes": (LayerPairCertificate, codes_pair),
    "law": (LayerPairCertificate, law_pair),
    "profile": (ProfileCertificate, profile),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_certify_are_confirmed(name, tmp_path):
    path = tmp_path / "certificate.json"
    path.write_text(FILES[name][1]().to_json())
    report = recheck(path)
    assert report.ok, str(report)
    assert len(report.rows) > 10


HEADER = {"layer", "group", "n_images", "n_tokens", "population", "notes", "confidence_level", "estimand", "sentence"}


@pytest.mark.parametrize("name", FILES)
def test_what_surrounds_the_statements_is_checked_too(name):
    """Sample sizes, levels, layers, groups, wording; only the digest of statistics that are not at hand is free."""
    body = json.loads(FILES[name][1]().to_json())
    seen = set()
    for path, value in leaves(body):
        if "statements" in path or "arrays" in path:
            continue
        seen |= HEADER & set(path)
        for new in altered(value):
            changed = sealed(with_change(body, path, new))
            assert not recheck(changed).ok, (path, new)
    assert {"n_images", "n_tokens", "population", "sentence"} <= seen
    if name == "laws":
        return  # two laws or one: nothing ties them together
    dropped = copy.deepcopy(body)
    (dropped["pair"]["statements"] if "pair" in body else dropped["pairs"]).pop()
    assert not recheck(sealed(dropped)).ok


def test_an_altered_statement_of_a_file_is_found():
    body = json.loads(profile(12).to_json())
    place = ("pairs", 1, "statements", 5)
    for path, value in leaves(body["pairs"][1]["statements"][5]):
        for new in altered(value):
            changed = sealed(with_change(body, (*place, *path), new))
            assert not recheck(changed).ok or own_recheck(ProfileCertificate, changed), path


# ---- the hard parts, against code that neither package wrote


@settings(deadline=None, max_examples=25, derandomize=True, database=None)
@given(
    values=st.lists(st.integers(0, 8).map(lambda k: Fraction(k, 8)), min_size=3, max_size=12),
    m=st.integers(1, 15).map(lambda k: Fraction(k, 16)),
    mode=st.sampled_from(["fixed", "sequence"]),
)
def test_capital_agrees_with_intervals_of_mpmath(values, m, mode):
    bet = Bet(u=values, w=None, delta=Fraction(1, 20), side="upper", mode=mode)
    with mp.workdps(60):
        iv.dps = 60
        capital, most, total, squares, before = iv.mpf(1), iv.mpf(1), iv.mpf(0.5), iv.mpf(0.25), iv.mpf(0.25)
        odds = iv.mpf(round(math.log(20), 12))
        for j, u in enumerate(values, 1):
            horizon = iv.mpf(len(values) if mode == "fixed" else round(j * math.log1p(j), 9))
            stake = iv.sqrt(2 * odds / (before * horizon))
            stake = stake if stake < iv.mpf(19) / 20 else iv.mpf(19) / 20
            x = iv.mpf(u.numerator) / u.denominator
            capital *= 1 - stake * (x - iv.mpf(m.numerator) / m.denominator)
            most = capital if capital > most else most
            total += x
            squares += (x - total / (1 + j)) ** 2
            before = squares / (1 + j)
        sure, possible = bet.refutes(m, bet.stakes())
        # The odds are floats here and rationals there: leave out the hair's breadth between.
        if most > 20 * (1 + iv.mpf(10) ** -9):
            assert sure
        if most < 20 * (1 - iv.mpf(10) ** -9):
            assert not possible


@pytest.mark.parametrize(("n", "hits"), [(1, 0), (34, 4), (200, 0), (200, 17), (60, 60)])
def test_clopper_pearson_agrees_with_scipy(n, hits):
    certificate = make("concentration.clopper_pearson_upper", {"values": [1.0] * hits + [0.0] * (n - hits)})
    truth = stats.beta.ppf(0.95, hits + 1, n - hits) if hits < n else 1.0
    assert recheck(certificate).ok
    body = json.loads(certificate.to_json())
    for factor in (1 - 1e-4, 1 + 1e-4):
        body["certificate"]["interval"][1] = min(float(truth) * factor, 0.999999)
        assert not recheck(sealed(body)).ok


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(
    points=st.lists(
        st.tuples(*[st.integers(-4, 4).map(lambda k: Fraction(k, 4))] * 3), min_size=2, max_size=6, unique=True
    )
)
def test_constants_of_task_values_agree_with_redundancy(points):
    """The exact values lie inside redundancy's roundings, and never above what it reports."""
    limits = task_range([[float(v) for v in p] for p in points])
    kappa, square = mismatch_constant(points), squared_radius(points)
    upper = square if isinstance(square, Fraction) else square.upper
    assert float(kappa) <= limits.kappa <= float(kappa) * (1 + 1e-9) + 1e-12
    assert float(upper) <= limits.radius**2 * (1 + 1e-12) + 1e-15
    assert limits.radius**2 <= float(upper) * (1 + 1e-6) + 1e-12


def test_the_plane_that_refutes_kappa_equal_to_the_squared_diameter():
    values = [[Fraction(v) for v in p] for p in ((0, 0), ("3/4", "1/2"), ("3/4", "-1/2"), (1, 0))]
    assert mismatch_constant(values) > 1
