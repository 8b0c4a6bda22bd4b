"""Theorem 2 and its inverse on exact laws with arbitrary probes."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from redundancy.bounds import plug_in
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval
from support import theory_laws as L


@st.composite
def probes(draw, law, values):
    """Any two probes, and G, eta_next, eta_prev, mse_next, mse_prev of them (exact)."""
    dims = values.shape[1]

    def predictions(n):
        return [[Fraction(draw(st.integers(-6, 6)), 2) for _ in range(dims)] for _ in range(n)]

    f, g = predictions(law.shape[0]), predictions(law.shape[1])
    pair = law.sum(axis=2)
    gap = sum((pair[x, y] * L.square(L.minus(f[x], g[y])) for x in range(len(f)) for y in range(len(g))), Fraction(0))
    etas, errors = [], []
    for axis, fitted in ((0, f), (1, g)):
        rows = law.sum(axis=1 - axis)
        etas.append(
            sum(
                (sum(r) * L.square(L.minus(p, L.mean(r, values))) for r, p in zip(rows, fitted, strict=True) if sum(r)),
                Fraction(0),
            )
        )
        errors.append(
            sum(
                (
                    m * L.square(L.minus(p, v))
                    for r, p in zip(rows, fitted, strict=True)
                    for m, v in zip(r, values, strict=True)
                ),
                Fraction(0),
            )
        )
    return gap, *etas, *errors


@given(data=st.data(), law=L.tables(3, 3))
@L.QUICK
def test_minkowski_and_inverse_hold(data, law):
    values = data.draw(L.task_values(law.shape[2]))
    gap, eta_next, eta_prev, mse_next, mse_prev = data.draw(probes(law, values))
    ideal = L.functional_gap(law, values)
    assert eta_next <= mse_next
    forward = plug_in.minkowski_bounds(
        functional_gap=float(ideal), error_next=float(eta_next), error_prev=float(eta_prev)
    ).interval
    assert L.at_least(forward.upper, gap)
    assert L.at_most(forward.lower, gap)
    for e_next, e_prev in ((eta_next, eta_prev), (mse_next, mse_prev)):
        inverse = plug_in.inverse_bounds(
            probe_gap=float(gap), error_next=float(e_next), error_prev=float(e_prev)
        ).interval
        assert L.at_least(inverse.upper, ideal)
        assert L.at_most(inverse.lower, ideal)


@given(data=st.data())
@L.QUICK
def test_printed_form_holds_and_is_never_below_minkowski(data):
    law = data.draw(L.tables(3, 3))
    values = data.draw(L.task_values(law.shape[2]))
    xs = [data.draw(st.sampled_from(L.UNIT)) for _ in range(law.shape[0])]
    ys = [data.draw(st.sampled_from(L.UNIT)) for _ in range(law.shape[1])]
    constants = L.lipschitz_squares(law, values, xs, ys)
    assume(constants is not None)
    gap, eta_next, eta_prev, *_ = data.draw(probes(law, values))
    e = float(L.squared_distance(law.sum(axis=2), xs, ys) / 2)
    printed = plug_in.printed_upper(
        error_next=float(eta_next),
        error_prev=float(eta_prev),
        mean_distance=e,
        alpha=L.root_up(constants[0]),
        beta=L.root_up(constants[1]),
    ).interval.upper
    assert L.at_least(printed, gap)
    sharp = plug_in.minkowski_bounds(
        functional_gap=float(L.functional_gap(law, values)), error_next=float(eta_next), error_prev=float(eta_prev)
    ).interval.upper
    assert sharp <= printed * (1 + 1e-12) + 1e-300


@given(data=st.data())
@L.QUICK
def test_function_form_holds_for_a_deterministic_layer(data):
    law = data.draw(L.tables(3, 3))
    # X = g(Y): keep one x per y.
    for y in range(law.shape[1]):
        keep = data.draw(st.integers(0, law.shape[0] - 1))
        column = law[:, y].sum(axis=0)
        law[:, y] = Fraction(0)
        law[keep, y] = column
    values = data.draw(L.task_values(law.shape[2]))
    gap, eta_next, eta_prev, *_ = data.draw(probes(law, values))
    ideal = L.functional_gap(law, values)
    upper = plug_in.function_upper(
        functional_gap=float(ideal), error_next=float(eta_next), error_prev=float(eta_prev)
    ).interval.upper
    assert L.at_least(upper, gap)
    general = plug_in.minkowski_bounds(
        functional_gap=float(ideal), error_next=float(eta_next), error_prev=float(eta_prev)
    ).interval.upper
    assert upper <= general * (1 + 1e-12) + 1e-300


def test_equal_terms_attain_the_constant_three():
    """M13: F = eta = eta gives 9 = 3 (1 + 1 + 1); constants 1 and 2.9 would be below."""
    assert plug_in.minkowski_bounds(functional_gap=1.0, error_next=1.0, error_prev=1.0).interval.upper == pytest.approx(
        9.0
    )
    assert plug_in.printed_upper(
        error_next=1.0, error_prev=1.0, mean_distance=0.25, alpha=1.0, beta=0.0
    ).interval.upper == pytest.approx(3 + 3 + 3, abs=1e-12)


def test_near_extremal_law_of_the_constant_three():
    """M13: flip 1/100, h = 1 at (0,1), -1 at (1,0), else 0; probes off by (+-1/50, -+1/50): G = 0.003564."""
    q = Fraction(1, 100)
    law, values, _ = L.flipped_sign(q, lambda x, y: (y - x) // 2)
    ideal = L.functional_gap(law, values)
    pair = law.sum(axis=2)
    means = [[L.mean(r, values)[0] for r in law.sum(axis=axis)] for axis in (1, 0)]
    shift = Fraction(1, 50)
    best = Fraction(0)
    for s in (1, -1):
        for u in (1, -1):
            f = [m + s * d for m, d in zip(means[0], (shift, -shift), strict=True)]
            g = [m + u * d for m, d in zip(means[1], (shift, -shift), strict=True)]
            best = max(best, sum(pair[x, y] * (f[x] - g[y]) ** 2 for x in (0, 1) for y in (0, 1)))
    eta = shift**2
    assert best == Fraction(3564, 10**6)
    assert best > Fraction(29, 10) * (ideal + 2 * eta)
    upper = plug_in.minkowski_bounds(functional_gap=float(ideal), error_next=float(eta), error_prev=float(eta))
    assert L.at_least(upper.interval.upper, best)
    assert float(best) > 0.98 * upper.interval.upper


def test_inverse_is_attained_on_both_sides():
    found = plug_in.inverse_bounds(probe_gap=4.0, error_next=0.25, error_prev=0.25).interval
    assert found.lower == pytest.approx(1.0, abs=1e-12)
    assert found.upper == pytest.approx(9.0, abs=1e-12)
    assert found.lower <= 1.0
    assert found.upper >= 9.0


def test_perfect_probes_give_the_gap_itself():
    found = plug_in.inverse_bounds(probe_gap=0.3, error_next=0.0, error_prev=0.0).interval
    assert 0.3 in found
    assert found.width < 1e-12


def test_unbounded_errors_say_nothing():
    everything = Interval(0.0, mpmath.inf)
    found = plug_in.inverse_bounds(probe_gap=4.0, error_next=everything, error_prev=0.0)
    assert found.interval == Interval(0.0, float("inf"))
    assert found.is_vacuous


@given(g=st.floats(0, 5), h=st.floats(0, 5), a=st.floats(0, 2), da=st.floats(0, 2))
@L.QUICK
def test_wider_evidence_never_gives_a_narrower_result(g, h, a, da):
    low, high = sorted((g, h))
    narrow = plug_in.inverse_bounds(probe_gap=low, error_next=a, error_prev=a).interval
    wide = plug_in.inverse_bounds(probe_gap=Interval(low, high), error_next=a + da, error_prev=Interval(0, a)).interval
    # Outward rounding moves a zero by a few of the smallest doubles: nothing a caller could see.
    assert wide.lower - 1e-300 <= narrow.lower
    assert narrow.upper <= wide.upper + 1e-300


def test_probe_lipschitz_is_about_the_probe():
    certificate = plug_in.probe_lipschitz_upper(squared_distance=0.5, lipschitz=2.0)
    assert certificate.quantity == "probe_shift"
    assert certificate.label == "P"
    assert certificate.interval.upper == pytest.approx(2.0)


def test_contradicting_inputs_are_refused():
    with pytest.raises(InvalidInputError, match="agree"):
        plug_in.inverse_bounds(probe_gap=9.0, error_next=0.0, error_prev=0.0, task_cap=1.0)
    with pytest.raises(InvalidInputError):
        plug_in.inverse_bounds(probe_gap=-1.0, error_next=0.0, error_prev=0.0)
