"""Theorem 1: every form on exact laws with its own Lipschitz constants, and the families that bring equality near."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from redundancy.bounds import lemmas, lipschitz
from redundancy.bounds.task_range import task_range
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval
from support import theory_laws as L


@st.composite
def settings_of_theorem_1(draw, unit):
    """Law, task values, states (unit or plain integer vectors) for which h is Lipschitz on the support."""
    law = draw(L.tables(3, 3))
    values = draw(L.task_values(law.shape[2]))
    pool = L.UNIT if unit else [(Fraction(a), Fraction(b)) for a in range(-2, 3) for b in (0, 1)]
    xs = [draw(st.sampled_from(pool)) for _ in range(law.shape[0])]
    ys = [draw(st.sampled_from(pool)) for _ in range(law.shape[1])]
    constants = L.lipschitz_squares(law, values, xs, ys)
    assume(constants is not None)
    return law, values, xs, ys, *constants


def forms(law, values, xs, ys, a2, b2, unit):
    """All upper bounds on F that apply."""
    pair = law.sum(axis=2)
    a, b = L.root_up(a2), L.root_up(b2)
    d = L.squared_distance(pair, xs, ys)
    v_next, v_prev = L.residual(pair, xs), L.residual(pair.T, ys)
    delta2 = max((L.square(L.minus(u, v)) for u in values for v in values), default=Fraction(0))
    delta = L.root_up(delta2)
    truncated = [
        sum(
            (
                pair[x, y] * min(c * L.square(L.minus(xs[x], ys[y])), delta2)
                for x in range(len(xs))
                for y in range(len(ys))
            ),
            Fraction(0),
        )
        for c in (a2, b2)
    ]
    found = {
        "minkowski": lipschitz.minkowski_upper(squared_distance=float(d), alpha=a, beta=b),
        "residual": lipschitz.residual_upper(residual_next=float(v_next), residual_prev=float(v_prev), alpha=a, beta=b),
        "truncated": lipschitz.truncated_upper(
            truncated_next=float(truncated[0]) * (1 + 1e-15),
            truncated_prev=float(truncated[1]) * (1 + 1e-15),
            diameter=delta,
        ),
        "variance": lipschitz.variance_cap(task_variance=float(L.variance(law, values))),
        "radius": lipschitz.variance_cap(radius=task_range(L.floats(values)).radius),
        "errors": lipschitz.probe_errors_cap(
            error_next=float(L.mmse(law, values, 0)), error_prev=float(L.mmse(law, values, 1))
        ),
    }
    if unit:
        e = float(d / 2)
        found["printed"] = lipschitz.printed_upper(mean_distance=e, alpha=a, beta=b)
        found["unit_norm"] = lipschitz.unit_norm_upper(mean_distance=e, alpha=a, beta=b)
        for t in (Fraction(0), Fraction(1, 25), Fraction(1, 5), Fraction(1), Fraction(2)):
            far = sum(
                (pair[x, y] for x in range(len(xs)) for y in range(len(ys)) if L.square(L.minus(xs[x], ys[y])) > 2 * t),
                Fraction(0),
            )
            found[f"proximal {t}"] = lipschitz.proximal_upper(
                tail_prob=float(far), t=float(t) * (1 + 1e-15) if t < 2 else 2.0, alpha=a, beta=b, diameter=delta
            )
    return found


@given(case=settings_of_theorem_1(unit=True))
@L.QUICK
def test_all_forms_hold_for_unit_states(case):
    law, values, *_ = case
    gap = L.functional_gap(law, values)
    found = forms(*case, unit=True)
    for name, certificate in found.items():
        assert L.at_least(certificate.interval.upper, gap), name
    assert found["unit_norm"].interval.upper <= found["minkowski"].interval.upper * (1 + 1e-12)
    assert found["residual"].interval.upper <= found["unit_norm"].interval.upper * (1 + 1e-12) + 1e-15
    assert found["minkowski"].interval.upper <= found["printed"].interval.upper * (1 + 1e-12)


@given(case=settings_of_theorem_1(unit=False))
@L.QUICK
def test_forms_without_unit_norm_hold(case):
    law, values, *_ = case
    gap = L.functional_gap(law, values)
    for name, certificate in forms(*case, unit=False).items():
        assert L.at_least(certificate.interval.upper, gap), name


@given(data=st.data(), kind=st.sampled_from(["O", "N"]))
@L.QUICK
def test_one_chain_suffices(data, kind):
    law = data.draw(L.chains(kind, 3))
    values = data.draw(L.task_values(law.shape[2]))
    points = [(Fraction(data.draw(st.integers(-3, 3))),) for _ in range(max(law.shape[:2]))]
    xs, ys = points[: law.shape[0]], points[: law.shape[1]]
    constants = L.lipschitz_squares(law, values, xs, ys)
    assume(constants is not None)
    pair = law.sum(axis=2)
    # Along the chain h depends on one state only; its constant must hold across the whole alphabet of that state.
    axis, residual = (0, L.residual(pair, xs)) if kind == "O" else (1, L.residual(pair.T, ys))
    states = xs if kind == "O" else ys
    means = [L.mean(row, values) for row in law.sum(axis=1 - axis)]
    worst = Fraction(0)
    for i, u in enumerate(means):
        for j, v in enumerate(means):
            if u is not None and v is not None and i != j:
                distance = L.square(L.minus(states[i], states[j]))
                assume(distance > 0 or u == v)
                worst = max(worst, L.square(L.minus(u, v)) / distance if distance else Fraction(0))
    chain = "prev-next-task" if kind == "O" else "next-prev-task"
    upper = lipschitz.chain_upper(chain=chain, residual=float(residual), lipschitz=L.root_up(worst)).interval.upper
    assert L.at_least(upper, L.functional_gap(law, values))


@pytest.mark.parametrize(("alpha", "beta"), [(1, 1), (1, 0), (0, 1), (2, 1), (1, 3)])
def test_constant_alpha_plus_beta_squared_is_approached(alpha, beta):
    """M8, M9: flip 1/100. F = (1-r^2)(a^2+b^2+2abr) leaves no room for a smaller constant."""
    q = Fraction(1, 10000)
    law, values, states = L.flipped_sign(q, lambda x, y: alpha * x + beta * y)
    gap = L.functional_gap(law, values)
    r = 1 - 2 * q
    assert gap == (1 - r**2) * (alpha**2 + beta**2 + 2 * alpha * beta * r)
    d = L.squared_distance(law.sum(axis=2), states, states)
    upper = lipschitz.minkowski_upper(squared_distance=float(d), alpha=alpha, beta=beta).interval.upper
    assert L.at_least(upper, gap)
    assert float(gap) > 0.9995 * upper
    unit = lipschitz.unit_norm_upper(mean_distance=float(d / 2), alpha=alpha, beta=beta).interval.upper
    assert L.at_least(unit, gap)
    assert float(gap) > 0.9995 * unit


def test_numbers_of_the_flip_at_one_percent():
    law, values, _states = L.flipped_sign(Fraction(1, 100), lambda x, y: x + y)
    assert L.functional_gap(law, values) == Fraction(156816, 10**6)
    e = 0.02
    assert lipschitz.unit_norm_upper(mean_distance=e, alpha=1, beta=1).interval.upper == pytest.approx(
        0.1584, abs=1e-12
    )
    assert lipschitz.printed_upper(mean_distance=e, alpha=1, beta=1).interval.upper == pytest.approx(0.16, abs=1e-12)
    # M8: each of these tempting constants would be below the truth.
    for wrong in (2 * 0.04, 4 * 0.02):
        assert wrong < 0.156816


def test_residual_form_is_attained_and_keeps_its_directions():
    """M12: X constant, Y a fair sign, Z = Y: F = 1 = beta^2 V(prev|next); swapped residuals would give 0."""
    law, values = L.lost_sign()
    gap = L.functional_gap(law, values)
    assert gap == 1
    right = lipschitz.residual_upper(residual_next=0.0, residual_prev=1.0, alpha=0.0, beta=1.0).interval.upper
    assert right == pytest.approx(1.0, abs=1e-12)
    assert L.at_least(right, gap)
    swapped = lipschitz.residual_upper(residual_next=1.0, residual_prev=0.0, alpha=0.0, beta=1.0).interval.upper
    assert swapped == 0.0


def test_chain_form_is_attained():
    law, values = L.made_sign()
    assert L.functional_gap(law, values) == 1
    upper = lipschitz.chain_upper(chain="prev-next-task", residual=1.0, lipschitz=1.0).interval.upper
    assert upper == pytest.approx(1.0, abs=1e-12)


def test_truncated_and_proximal_forms_are_attained_by_a_rare_jump():
    """Y a sign, X constant at one end: with probability p the states are 2 apart and the task jumps by Delta."""
    p, delta = 0.5, 2.0
    truncated = lipschitz.truncated_upper(truncated_next=0.0, truncated_prev=delta**2 * p * (1 - p), diameter=delta)
    assert truncated.interval.upper == pytest.approx(1.0, abs=1e-12)
    # single chain, t = 0: Delta^2 P; with the constant 1 and distance 2 the far term is min(4, Delta^2) = 4
    proximal = lipschitz.proximal_upper(tail_prob=0.1, t=0.0, alpha=0.0, beta=1.0, diameter=2.0)
    assert proximal.interval.upper == pytest.approx(0.4, abs=1e-12)
    near = lipschitz.proximal_upper(tail_prob=0.0, t=0.1, alpha=0.0, beta=1.0, diameter=9.0)
    assert near.interval.upper == pytest.approx(0.2, abs=1e-12)
    # Delta truncates the far term
    assert lipschitz.proximal_upper(tail_prob=0.1, t=0.0, alpha=5, beta=0, diameter=1).interval.upper == pytest.approx(
        0.1
    )


def test_unit_norm_is_necessary():
    """M2, M10: X = 1, Y in {1, 2} uniform, Z = Y: rho = 0, F = 1/4 > 0."""
    law = np.array([[[Fraction(1, 2), 0], [0, Fraction(1, 2)]]], dtype=object)
    gap = L.functional_gap(law, np.array([[1], [2]], dtype=object))
    assert gap == Fraction(1, 4)
    certificate = lipschitz.printed_upper(mean_distance=0.0, alpha=0, beta=1)
    assert certificate.interval.upper == 0.0 < gap
    assert any(a.name == "unit_norm" for a in certificate.assumptions)
    assert any(a.name == "unit_norm" for a in lipschitz.unit_norm_upper(mean_distance=0.0, alpha=0, beta=1).assumptions)
    free = lipschitz.minkowski_upper(squared_distance=0.5, alpha=0, beta=1)
    assert free.interval.upper >= gap
    assert not any(a.name == "unit_norm" for a in free.assumptions)


def test_strict_inequality_is_false_for_a_constant_task():
    """M11: h constant: F = 0, bound 0."""
    assert lipschitz.printed_upper(mean_distance=0.3, alpha=0, beta=0).interval == Interval(0.0, 0.0)


def test_tempting_correlation_form_is_false():
    """M32's neighbour: at e > 1 the factor e(2 - e) falls; the monotone envelope must not follow it."""
    law, values, states = L.flipped_sign(Fraction(3, 4), lambda x, y: x - y)
    d = L.squared_distance(law.sum(axis=2), states, states)
    e = float(d / 2)
    assert e == 1.5
    gap = L.functional_gap(law, values)
    upper = lipschitz.unit_norm_upper(mean_distance=e, alpha=1, beta=1).interval.upper
    assert L.at_least(upper, gap)
    assert upper == pytest.approx(4.0)
    wide = lipschitz.unit_norm_upper(mean_distance=Interval(0.2, 1.9), alpha=1, beta=1).interval.upper
    assert wide >= lipschitz.unit_norm_upper(mean_distance=1.0, alpha=1, beta=1).interval.upper


@given(
    e=st.floats(0, 2),
    more=st.floats(0, 2),
    a=st.floats(0, 3),
    b=st.floats(0, 3),
    da=st.floats(0, 1),
    db=st.floats(0, 1),
)
@L.QUICK
def test_wider_evidence_never_gives_a_smaller_bound(e, more, a, b, da, db):
    high = max(e, more)
    for function, name in (
        (lipschitz.printed_upper, "mean_distance"),
        (lipschitz.unit_norm_upper, "mean_distance"),
        (lipschitz.minkowski_upper, "squared_distance"),
    ):
        narrow = function(**{name: e}, alpha=a, beta=b).interval
        wide = function(**{name: Interval(e, high)}, alpha=Interval(a, a + da), beta=b + db).interval
        assert wide.includes(narrow)
    narrow = lipschitz.residual_upper(residual_next=e, residual_prev=e, alpha=a, beta=b).interval
    assert lipschitz.residual_upper(residual_next=high, residual_prev=e, alpha=a + da, beta=b).interval.includes(narrow)


@given(p=st.floats(0, 1), q=st.floats(0, 1), t=st.floats(0, 2), a=st.floats(0, 3), delta=st.floats(0, 4))
@L.QUICK
def test_proximal_form_is_monotone_in_the_tail(p, q, t, a, delta):
    low, high = sorted((p, q))
    uppers = [
        lipschitz.proximal_upper(tail_prob=v, t=t, alpha=a, beta=0, diameter=delta).interval.upper for v in (low, high)
    ]
    assert uppers[0] <= uppers[1] * (1 + 1e-12) + 1e-300


def test_caps_make_a_large_bound_vacuous():
    capped = lipschitz.minkowski_upper(squared_distance=3.0, alpha=1, beta=1, task_cap=1.0)
    assert capped.interval.upper == 1.0
    assert capped.is_vacuous
    assert capped.label == "V"
    assert not lipschitz.minkowski_upper(squared_distance=0.01, alpha=1, beta=1, task_cap=1.0).is_vacuous
    assert lipschitz.minkowski_upper(squared_distance=0.01, alpha=1, beta=1).label == "A"


def test_infinite_evidence_with_a_zero_constant_is_zero_not_nan():
    assert lipschitz.minkowski_upper(squared_distance=Interval(0, mpmath.inf), alpha=0, beta=0).interval.upper == 0.0
    assert lipschitz.minkowski_upper(squared_distance=Interval(0, mpmath.inf), alpha=1, beta=0).interval.upper == float(
        "inf"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"mean_distance": 2.1, "alpha": 1, "beta": 1},
        {"mean_distance": -0.1, "alpha": 1, "beta": 1},
        {"mean_distance": 0.1, "alpha": -1, "beta": 1},
        {"mean_distance": 0.1, "alpha": float("nan"), "beta": 1},
    ],
)
def test_bad_input_is_refused(arguments):
    for function in (lipschitz.printed_upper, lipschitz.unit_norm_upper):
        with pytest.raises(InvalidInputError):
            function(**arguments)


def test_unknown_chain_is_refused():
    with pytest.raises(InvalidInputError, match="need a chain among"):
        lipschitz.chain_upper(chain="O", residual=1.0, lipschitz=1.0)


def test_lemma2_feeds_theorem_1():
    d = lemmas.squared_distance_of_cosine(mean_distance=Interval(0.0, 0.02))
    certificate = lipschitz.minkowski_upper(squared_distance=d, alpha=1, beta=1)
    assert certificate.interval.upper == pytest.approx(0.16)
    assert any(a.name == "unit_norm" for a in certificate.assumptions)
    assert certificate.recheck()
