"""The ground that every bound stands on: intervals, units, argument checks, certificates as call records."""

import contextlib
import json
import math
from collections import deque
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.bounds.lipschitz import unit_norm_upper
from redundancy.bounds.tail import sandwich_upper
from redundancy.certificates.certificate import BoundCertificate, as_interval, bound, registered
from redundancy.certificates.registry import RECORDS, REGISTRY
from redundancy.checks import check_count, check_joint, check_real, check_rows
from redundancy.concentration.betting import betting_upper
from redundancy.concentration.clopper_pearson import clopper_pearson_upper
from redundancy.concentration.empirical_bernstein import empirical_bernstein_upper
from redundancy.concentration.hoeffding import hoeffding_upper
from redundancy.concentration.multiplicity import bonferroni, holm
from redundancy.distances import cosine_distance, pairwise_cosine_distance, squared_distance
from redundancy.errors import InvalidInputError, SkipItError, StoreError
from redundancy.files.digested import seal, unseal
from redundancy.info import entropy, kl_divergence, total_variation
from redundancy.interval import Interval, outward, round_down, round_up
from redundancy.pid import broja, broja_from_pairs
from redundancy.statistics.from_states import statistics_from_states
from redundancy.units import from_nats, to_nats, unit_name

VALUES = np.array([0.1, 0.02, 0.0, 0.3, 0.05] * 20)
finite = st.floats(-1e12, 1e12)


@given(finite, finite)
def test_outward_rounding_encloses_the_exact_sum(x, y):
    exact, computed = Fraction(x) + Fraction(y), x + y
    enclosure = outward(computed, computed)
    assert Fraction(enclosure.lower) <= exact <= Fraction(enclosure.upper)
    assert round_down(computed) <= computed <= round_up(computed)


@given(st.floats(1e-300, 1e300))
def test_rounding_moves_by_a_few_ulps_only(x):
    assert x < round_up(x) <= x * (1 + 1e-14)
    assert x > round_down(x) >= x * (1 - 1e-14)


def test_rounding_leaves_zero_and_infinity():
    assert round_up(0.0) == round_down(0.0) == 0.0
    assert round_up(math.inf) == math.inf
    assert round_up(1.0, slack=0.5) > 1.5


@pytest.mark.parametrize("ends", [(1.0, 0.0), (math.nan, 1.0), (0.0, math.nan)])
def test_interval_refuses_disorder_and_nan(ends):
    with pytest.raises(InvalidInputError, match="need lower <= upper"):
        Interval(*ends)


def test_interval_algebra():
    a, b = Interval(0, 2), Interval(1, 3)
    assert a.intersect(b) == Interval(1, 2)
    assert a.includes(Interval(0.5, 2))
    assert not a.includes(b)
    assert 2.0 in a
    assert 2.1 not in a
    assert Interval.point(1).width == 0
    with pytest.raises(InvalidInputError, match="overlap"):
        a.intersect(Interval(5, 6))


@given(st.floats(0, 1e6), st.floats(1.01, 100))
def test_units_round_trip_and_scale(nats, base):
    assert to_nats(from_nats(nats, base), base) == pytest.approx(nats, rel=1e-12)
    assert from_nats(math.log(base), base) == pytest.approx(1.0)


def test_units_are_named_and_checked():
    assert [unit_name(b) for b in (2, math.e, 10, None, 3)] == ["bits", "nats", "bans", "", "base-3 units"]
    for base in (1, 0, -2, math.inf, math.nan, True, "2"):
        with pytest.raises(InvalidInputError, match="need a finite base > 1"):
            from_nats(1.0, base)


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        ([0.5, 0.6], "sum to 1, got a sum of 1.1"),
        ([1.5, -0.5], "masses >= 0"),
        ([math.nan, 1.0], "1 NaN or infinite"),
        ([], "non-empty"),
    ],
)
def test_joint_tables_are_checked(joint, message):
    with pytest.raises(InvalidInputError, match=message):
        check_joint(joint)
    with pytest.raises(InvalidInputError, match="2 axes"):
        check_joint([1.0], ndim=2)


def test_joint_tables_within_rounding_are_normalised():
    table = check_joint([0.5, 0.5 + 1e-10])
    assert math.fsum(table) == pytest.approx(1.0, abs=1e-15)


def test_rows_and_numbers_are_checked():
    with pytest.raises(InvalidInputError, match="row 1"):
        check_rows([[1.0], [math.inf]], "x")
    with pytest.raises(InvalidInputError, match="shape"):
        check_rows([1.0, 2.0], "x")
    with pytest.raises(InvalidInputError, match=r"need p inside \[0, 1\], got 2"):
        check_real(2, "p", lower=0, upper=1)
    with pytest.raises(InvalidInputError, match="finite number"):
        check_real(True, "p")
    with pytest.raises(InvalidInputError, match="integer"):
        check_count(1.5, "k")


COMPLEX = np.array([[0.5 + 1j, 0.5]])
NOT_NUMBERS = {
    "complex": (COMPLEX, "got complex numbers"),
    "complex list": ([[0.5 + 1j, 0.5]], "got complex"),
    "complex objects": (COMPLEX.astype(object), "need real numbers"),
    "times": (np.array([[1, 0]], dtype="m8[s]"), "got time differences"),
    "dates": (np.array([["2020-01-01"]], dtype="M8[D]"), "got dates"),
    "masked": (np.ma.array([[0.5, 0.5]], mask=[[False, True]]), "without a mask"),
    "masked rows": ([np.ma.array([0.5, 0.5], mask=[False, True])], "without a mask"),
    "text": ([["a", "b"]], "got text"),
    "numbers in text": ([["0.5", "0.5"]], "got text"),
    "text objects": (np.array([["0.5", 0.5]], dtype=object), "got text"),
    "ragged": ([[0.5, 0.5], [1.0]], "parts of different length"),
    "nothing": ([[0.5, {}]], "need (real )?numbers"),
}


@pytest.mark.parametrize("kind", NOT_NUMBERS)
@pytest.mark.parametrize(
    "function",
    [
        check_joint,
        lambda x: check_rows(x, "x"),
        lambda x: cosine_distance(x, [[1.0, 2.0]]),
        lambda x: squared_distance([[1.0, 2.0]], x),
        pairwise_cosine_distance,
        entropy,
        lambda x: kl_divergence(x, [[0.5, 0.5]]),
        lambda x: total_variation([[0.5, 0.5]], x),
        broja,
        lambda x: broja_from_pairs(x, x),
        lambda x: betting_upper(values=x),
        lambda x: betting_upper(values=[0.5], counts=x),
        lambda x: hoeffding_upper(values=x),
        lambda x: empirical_bernstein_upper(values=x),
        lambda x: clopper_pearson_upper(values=x),
        lambda x: bonferroni(0.95, 2, weights=x),
        holm,
        lambda x: statistics_from_states([x], [["vision"]]),
    ],
)
def test_what_is_no_array_of_real_numbers_is_refused(function, kind):
    """Nothing is read out of text, and no imaginary part, unit or mask is dropped."""
    value, message = NOT_NUMBERS[kind]
    with pytest.raises(InvalidInputError, match=message):
        function(value)


def test_numbers_of_any_kind_are_read_as_before():
    for given_as in ([True, False], np.float16([1, 0]), (1, 0), [Fraction(1), Fraction(0)], np.array([1, 0], "u1")):
        assert check_joint(given_as).tolist() == [1.0, 0.0]
    wanted = betting_upper(values=[0, 1]).interval
    assert betting_upper(values=range(2)).interval == betting_upper(values=deque([0, 1])).interval == wanted
    with pytest.raises(InvalidInputError, match=r"sequences, numpy arrays, .* got set"):
        betting_upper(values={0, 1})


def leaf(values=VALUES, level=0.95):
    return betting_upper(values=values, quantity="mean_distance", scale=2.0, confidence_level=level)


def test_a_certificate_is_its_call():
    certificate = unit_norm_upper(mean_distance=leaf(), alpha=0.5, beta=0.5)
    assert registered()["lipschitz.unit_norm_upper"](**certificate.inputs) == certificate
    assert certificate.recheck().ok
    assert BoundCertificate.from_json(certificate.to_json()) == certificate


def test_one_sampling_argument_is_counted_once_and_two_add_up():
    @bound("test.pair")
    def pair(*, a, b):
        return sandwich_upper.__wrapped__(tail_prob=as_interval(b, name="b").upper / 2, t=0.0)

    try:
        e, other = leaf(), leaf(VALUES[::-1].copy(), level=0.9)
        assert pair(a=e, b=e).confidence_level == 0.95
        assert pair(a=e, b=other).confidence_level == pytest.approx(0.85)
        assert pair(a=e, b=other).evidence == "C"
    finally:
        del REGISTRY["test.pair"], RECORDS["test.pair"]


def test_assumptions_and_weakest_evidence_are_inherited():
    certificate = unit_norm_upper(mean_distance=leaf(), alpha=0.1, beta=0.1)
    names = {a.name for a in certificate.assumptions}
    assert {a.name for a in leaf().assumptions} < names
    assert certificate.evidence == "A"
    assert certificate.label == "A"


def test_bound_functions_take_keywords_and_register_once():
    with pytest.raises(TypeError, match="keyword-only"):
        bound("test.positional")(lambda x: x)
    with pytest.raises(TypeError, match="two bound functions"):
        bound("lipschitz.unit_norm_upper")(lambda *, x: x)


def numbers(tree, path=()):
    """Paths of all numbers of a JSON tree."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from numbers(value, (*path, key))
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            yield from numbers(value, (*path, i))
    elif isinstance(tree, (int, float)) and not isinstance(tree, bool):
        yield path


def change(tree, path):
    *parents, last = path
    for key in parents:
        tree = tree[key]
    tree[last] = tree[last] * 0.75 + 0.01


def test_every_altered_number_is_found_even_under_a_new_digest():
    text = unit_norm_upper(mean_distance=leaf(VALUES[:8]), alpha=0.2, beta=0.3).to_json()
    paths = list(numbers(json.loads(text)))
    assert len(paths) > 15
    for path in paths:
        body = json.loads(text)
        change(body, path)
        with pytest.raises(StoreError, match="altered"):
            BoundCertificate.from_json(json.dumps(body))
        del body["digest"]
        try:
            found = not BoundCertificate.from_json(seal(body)).recheck().ok
        except SkipItError:
            found = True
        assert found, path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"schema": "skip-it/bound-certificate/1", "x": NaN}',
        '{"schema": "skip-it/other/1"}',
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(StoreError, match=r"need (JSON|a record) of schema skip-it/bound-certificate/1"):
        unseal(text, "skip-it/bound-certificate/1")


@pytest.mark.parametrize("value", ["x", None, -1, 21, [], {}, [1, "a"], {"float": "q"}, {"interval": [1]}])
def test_misshapen_content_under_a_new_digest_is_a_sentence(value):
    """Each part of the JSON in turn is something else: a StoreError or a finding, and nothing raw."""
    sealed = json.loads(unit_norm_upper(mean_distance=leaf(VALUES[:8]), alpha=0.2, beta=0.3).to_json())
    del sealed["digest"], sealed["schema"]
    for path in parts(sealed):
        body = json.loads(json.dumps(sealed)) | {"schema": "skip-it/bound-certificate/1"}
        place = body
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        with contextlib.suppress(StoreError):
            BoundCertificate.from_json(seal(body)).recheck()


def parts(tree, path=()):
    """Paths of everything inside a JSON tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from parts(value, (*path, key))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_json_keeps_every_float(values):
    certificate = betting_upper(values=np.array(values))
    assert BoundCertificate.from_json(certificate.to_json()) == certificate
