"""BROJA: known values, identities, and intervals that hold in exact and 50-digit arithmetic."""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redundancy.errors import InvalidInputError, NotConvergedError
from redundancy.pid import broja, broja_from_pairs, union_lower_bound, union_upper_bound

ATOMS = ("unique_x", "unique_y", "redundant", "synergistic")
METHODS = ("auto", "dense", "schur")
GAP = 1e-9  # bits, the default tolerance


def gate(function, t=4):
    table = np.zeros((t, 2, 2))
    for x in (0, 1):
        for y in (0, 1):
            table[function(x, y), x, y] += 0.25
    return table


def random_table(shape, seed, concentration=1.0):
    table = np.random.default_rng(seed).gamma(concentration, size=shape)
    return table / table.sum()


def entropy_bits(table):
    mass = table[table > 0]
    return float(-(mass * np.log2(mass)).sum())


def holds(interval, value, slack=1e-12):
    return interval.lower - slack <= value <= interval.upper + slack


GATES = {
    "xor": (gate(lambda x, y: x ^ y), (0, 0, 0, 1)),
    "and": (gate(lambda x, y: x & y), (0, 0, 1.5 - 0.75 * math.log2(3), 0.5)),
    "copy of both": (gate(lambda x, y: 2 * x + y), (1, 1, 0, 0)),
    "x only": (gate(lambda x, y: x), (1, 0, 0, 0)),
}
DUPLICATE = np.zeros((2, 2, 2))
DUPLICATE[0, 0, 0] = DUPLICATE[1, 1, 1] = 0.5
GATES["duplicate"] = (DUPLICATE, (0, 0, 1, 0))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", GATES)
def test_known_values(name, method):
    # AND: 1.5 - (3/4) log2 3 = 0.311278 bits redundant, see Bertschinger et al. (2014), table 1.
    table, values = GATES[name]
    result = broja(table, method=method)
    for atom, value in zip(ATOMS, values, strict=True):
        assert holds(getattr(result, atom), value, 1e-13)
        assert getattr(result, atom).width <= GAP
    assert result.recheck().ok


tables = st.tuples(st.integers(2, 4), st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda s: st.lists(st.integers(0, 5), min_size=math.prod(s), max_size=math.prod(s)).map(
        lambda v: np.array(v, dtype=float).reshape(s)
    )
)


@settings(deadline=None, max_examples=80)
@given(tables)
def test_identities_hold_on_every_small_table(counts):
    """Atoms add up to the informations of P; none is negative; Uni <= I(T;X|Y); every method agrees."""
    if counts.sum() == 0:
        return
    table = counts / counts.sum()
    result = broja(table)
    assert result.gap <= GAP
    h = entropy_bits
    h_t, h_x, h_y = h(table.sum((1, 2))), h(table.sum((0, 2))), h(table.sum((0, 1)))
    i_x, i_y = h_t + h_x - h(table.sum(2)), h_t + h_y - h(table.sum(1))
    whole = h_t + h(table.sum(0)) - h(table)
    ux, uy, red, syn = (getattr(result, atom) for atom in ATOMS)
    assert abs(0.5 * (ux.lower + ux.upper + red.lower + red.upper) - i_x) <= 2 * GAP
    assert abs(0.5 * (uy.lower + uy.upper + red.lower + red.upper) - i_y) <= 2 * GAP
    assert ux.lower + uy.lower + red.lower + syn.lower - 4 * GAP <= whole
    assert ux.upper + uy.upper + red.upper + syn.upper + 4 * GAP >= whole
    assert min(ux.lower, uy.lower, red.lower, syn.lower) >= 0.0
    assert ux.lower <= whole - i_y + 1e-12
    for method in ("dense", "schur"):
        other = broja(table, method=method)
        for atom in ATOMS:  # two certified intervals of one number overlap
            one, two = getattr(result, atom), getattr(other, atom)
            assert max(one.lower, two.lower) <= min(one.upper, two.upper)


def _exact_pairs(table):
    exact = [[[Fraction(float(v)) for v in row] for row in plane] for plane in table]
    total = sum(v for plane in exact for row in plane for v in row)
    a = [[sum(row) / total for row in plane] for plane in exact]
    b = [[sum(row[y] for row in plane) / total for y in range(table.shape[2])] for plane in exact]
    return a, b


def _mp(x):
    return mpmath.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mpmath.mpf(float(x))


def _reference_interval(table, result):
    """[lower, upper] on f in 50 digits from the solver's own multipliers and coupling, and exact marginals."""
    a, b = _exact_pairs(table)
    t, x, y = table.shape
    lam, mu = result.multipliers
    q = result.coupling()
    with mpmath.workdps(50):
        c = [
            [
                mpmath.log(
                    mpmath.fsum(mpmath.exp(_mp(lam[k, i]) + _mp(mu[k, j])) for k in range(t) if a[k][i] and b[k][j])
                )
                if any(a[k][i] and b[k][j] for k in range(t))
                else mpmath.mpf("-inf")
                for j in range(y)
            ]
            for i in range(x)
        ]
        p_x = [sum(a[k][i] for k in range(t)) for i in range(x)]
        p_y = [sum(b[k][j] for k in range(t)) for j in range(y)]
        # Any prices alpha_x + beta_y >= c_xy prove a bound: rows first, columns first, light symbols first.
        light = [
            max([c[i][j] if p_x[i] < p_y[j] else mpmath.mpf(0) for j in range(y)] + [mpmath.mpf(0)]) for i in range(x)
        ]
        lower = mpmath.mpf("-inf")
        for first in ([max(row) for row in c], [mpmath.mpf(0)] * x, light):
            alpha = [v if mpmath.isfinite(v) else mpmath.mpf(0) for v in first]
            beta = [max(c[i][j] - alpha[i] for i in range(x)) for j in range(y)]
            beta = [v if mpmath.isfinite(v) else mpmath.mpf(0) for v in beta]
            alpha = [max(c[i][j] - beta[j] for j in range(y)) for i in range(x)]
            alpha = [v if mpmath.isfinite(v) else mpmath.mpf(0) for v in alpha]
            value = mpmath.fsum(_mp(a[k][i]) * _mp(lam[k, i]) for k in range(t) for i in range(x) if a[k][i])
            value += mpmath.fsum(_mp(b[k][j]) * _mp(mu[k, j]) for k in range(t) for j in range(y) if b[k][j])
            value -= mpmath.fsum(_mp(p_x[i]) * alpha[i] for i in range(x))
            value -= mpmath.fsum(_mp(p_y[j]) * beta[j] for j in range(y))
            lower = max(lower, value)
        upper = mpmath.mpf(0)
        for i in range(x):
            for j in range(y):
                s = mpmath.fsum(_mp(q[k, i, j]) for k in range(t))
                upper += mpmath.fsum(_mp(v) * mpmath.log(_mp(v) / s) for v in q[:, i, j] if v > 0)
    return lower, upper, q, a, b


@pytest.mark.parametrize("method", ["dense", "schur", "first_order"])
@pytest.mark.parametrize("seed", range(4))
def test_the_reported_gap_is_what_multipliers_and_coupling_have(method, seed):
    """Recomputed with exact marginals and 50 digits: the bounds are met, and the width is not understated."""
    table = random_table((3, 4, 3), seed, 0.3)
    result = broja(table, method=method, throw=False, max_iterations=200)
    lower, upper, q, a, b = _reference_interval(table, result)
    f_lower, f_upper = result.bounds
    assert f_lower <= lower
    assert upper <= f_upper
    assert result.gap * math.log(2) >= float(upper - lower) - 1e-15
    worst = max(abs(sum(Fraction(float(v)) for v in q[k, i]) - a[k][i]) for k in range(3) for i in range(4))
    assert worst < Fraction(1, 10**15)
    worst = max(abs(sum(Fraction(float(v)) for v in q[k, :, j]) - b[k][j]) for k in range(3) for j in range(3))
    assert worst < Fraction(1, 10**15)


@pytest.mark.parametrize("seed", range(3))
def test_binary_interval_contains_a_50_digit_reference(seed):
    """The hull of both Lorenz curves, in exact rationals and 50 digits, by another algorithm (all chords)."""
    table = random_table((2, 4, 5), seed, 0.5)
    a, b = _exact_pairs(table)

    def curve(law):
        columns = sorted(zip(law[0], law[1], strict=True), key=lambda p: -p[1] / (p[0] + p[1]))
        points = [(Fraction(0), Fraction(0))]
        for p, q in columns:
            points.append((points[-1][0] + p, points[-1][1] + q))
        return points

    points = sorted(set(curve(a) + curve(b)))
    hull = [
        p
        for p in points
        if not any(
            u < p < v and (v[0] - u[0]) * (p[1] - u[1]) - (v[1] - u[1]) * (p[0] - u[0]) <= 0
            for u in points
            for v in points
        )
    ]
    with mpmath.workdps(50):
        value = mpmath.mpf(0)
        for u, v in itertools.pairwise(hull):
            d = (v[0] - u[0], v[1] - u[1])
            value += sum(_mp(m) * mpmath.log(_mp(m / (d[0] + d[1]))) for m in d if m)
        for method in ("closed_form", "dense", "schur"):
            result = broja(table, method=method)
            assert result.bounds[0] <= value <= result.bounds[1]
    assert broja(table).bounds[1] - broja(table).bounds[0] < 2e-12


@pytest.mark.parametrize("spread", [1e-300, 1e-150, 1e-30, 1e-13])
@pytest.mark.parametrize("shape", [(3, 4, 4), (4, 10, 7)])
def test_tiny_masses(shape, spread):
    table = random_table(shape, 1, 0.2) + spread * random_table(shape, 2)
    table[0, 0, 0] = spread
    table /= table.sum()
    result = broja(table)
    assert result.gap <= GAP
    assert result.recheck().ok
    if shape == (3, 4, 4) and spread <= 1e-30:
        lower, upper, *_ = _reference_interval(table, result)
        assert result.bounds[0] <= lower
        assert upper <= result.bounds[1]


@pytest.mark.parametrize("concentration", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("shape", [(3, 3, 3), (5, 10, 10), (4, 20, 30), (30, 4, 3)])
def test_certified_gap_on_random_sparse_and_degenerate_tables(shape, concentration):
    for seed in range(3):
        result = broja(random_table(shape, seed, concentration))
        assert result.gap <= GAP
        assert result.recheck().ok


def test_log_uniform_masses_and_codes():
    rng = np.random.default_rng(0)
    for _ in range(3):
        table = 10.0 ** rng.uniform(-300, 0, size=(5, 12, 9))
        assert broja(table / table.sum()).gap <= GAP
        counts = np.zeros((5, 12, 9))
        x = rng.integers(0, 12, 3000)
        np.add.at(counts, (x % 5, x, x % 9), 1.0)
        assert broja(counts / 3000).gap <= GAP


def test_relabelling_refinement_and_constant_symbols():
    rng = np.random.default_rng(4)
    table = random_table((3, 4, 5), 0, 0.5)
    result = broja(table)
    shuffled = table[rng.permutation(3)][:, rng.permutation(4)][:, :, rng.permutation(5)]
    swapped = broja(table.transpose(0, 2, 1))
    # Splitting a symbol by a coin that knows nothing changes nothing; a symbol of mass zero neither.
    split = np.concatenate([0.25 * table[:, :1], 0.75 * table[:, :1], table[:, 1:], 0 * table[:, :1]], axis=1)
    for other in (broja(shuffled), broja(split)):
        for atom in ATOMS:
            one, two = getattr(result, atom), getattr(other, atom)
            assert max(one.lower, two.lower) <= min(one.upper, two.upper)
    assert max(result.unique_x.lower, swapped.unique_y.lower) <= min(result.unique_x.upper, swapped.unique_y.upper)
    constant = broja(table.sum(2, keepdims=True))
    assert constant.redundant.upper <= 2 * GAP
    assert constant.synergistic.upper <= 2 * GAP
    # Uni(T : X \ T) = 0.
    twin = np.einsum("tx,tu->txu", table.sum(2), np.eye(3))
    assert broja(twin).unique_x.upper <= 2 * GAP


def test_product_tables_add_up():
    p, q = random_table((2, 3, 2), 0, 0.5), random_table((3, 2, 2), 1, 0.5)
    both = np.einsum("abc,def->adbecf", p, q).reshape(6, 6, 4)
    whole, one, two = broja(both), broja(p), broja(q)
    for atom in ATOMS:
        i, j, k = (getattr(r, atom) for r in (whole, one, two))
        assert i.lower <= j.upper + k.upper
        assert j.lower + k.lower <= i.upper


def test_units_and_any_bounds():
    table = random_table((3, 4, 4), 3)
    bits, nats = broja(table), broja(table, base=math.e)
    assert bits.redundant.upper * math.log(2) >= nats.redundant.lower
    assert nats.redundant.upper >= bits.redundant.lower * math.log(2)
    assert bits.base == 2.0
    union = bits.unique_x.upper + bits.unique_y.upper + bits.redundant.upper
    rng = np.random.default_rng(0)
    for _ in range(5):
        lam, mu = rng.normal(scale=3, size=(3, 4)), rng.normal(scale=30, size=(3, 4))
        assert union_lower_bound(table, lam, mu) <= union
        assert union_upper_bound(table, rng.random((3, 4, 4))) >= union - 4 * GAP
    assert union_lower_bound(table, *bits.multipliers) == pytest.approx(union, abs=4 * GAP)
    assert union_upper_bound(table, bits.coupling()) == pytest.approx(union, abs=4 * GAP)


def test_limits_return_the_honest_interval():
    table = random_table((5, 12, 12), 0)
    full = broja(table)
    for options in ({"max_iterations": 0}, {"max_iterations": 3}, {"time_limit": 1e-9}):
        for method in ("dense", "schur", "first_order"):
            if method == "first_order" and options.get("max_iterations") == 0:
                options = {"max_iterations": 1}
            early = broja(table, method=method, throw=False, **options)
            assert not early.converged
            assert early.gap > GAP
            assert "raise" in early.status_text
            for atom in ATOMS:
                assert getattr(early, atom).lower <= getattr(full, atom).upper
                assert getattr(early, atom).upper >= getattr(full, atom).lower
    with pytest.raises(NotConvergedError, match="raise max_iterations") as caught:
        broja(table, max_iterations=2)
    assert caught.value.result.gap > GAP
    assert caught.value.result.iterations == 2


def test_first_order_and_many_symbols():
    table = random_table((3, 30, 30), 0)
    rough, fine = broja(table, method="first_order", tolerance=1e-3), broja(table)
    assert rough.gap <= 1e-3
    assert rough.unique_x.lower <= fine.unique_x.upper
    assert rough.unique_x.upper >= fine.unique_x.lower
    rng = np.random.default_rng(0)
    a, b = rng.dirichlet(np.ones(20_000)).reshape(2, -1), rng.dirichlet(np.ones(30_000)).reshape(2, -1)
    b *= (a.sum(1) / b.sum(1))[:, None]
    result = broja_from_pairs(a, b)
    assert result.method == "closed_form"
    assert result.synergistic is None
    assert result.gap < 1e-10
    # Independent check: the concave hull of both curves by qhull.
    from scipy.spatial import ConvexHull

    def curve(law):
        order = np.argsort(-law[1] / law.sum(0))
        return np.vstack([[0, 0], np.cumsum(law[:, order].T, axis=0)])

    points = np.vstack([curve(a), curve(b)])
    vertices = points[np.sort(ConvexHull(points).vertices)]
    vertices = vertices[np.argsort(vertices.sum(1))]
    d = np.clip(np.diff(vertices, axis=0), 1e-300, None)
    value = float((d * np.log(d / d.sum(1, keepdims=True))).sum())
    assert result.bounds[0] - 1e-8 <= value <= result.bounds[1] + 1e-8


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (np.full((2, 2, 2), 0.25), {}, "sum to 1, got a sum of 2"),
        (np.full((2, 2), 0.25), {}, "3 axes"),
        (np.full((2, 2, 2), np.nan), {}, "8 NaN"),
        (np.array([[[1.5, -0.5]]]), {}, "masses >= 0"),
        (np.zeros((0, 2, 2)), {}, "non-empty"),
        (np.full((2, 2, 2), 0.125), {"method": "simplex"}, "need a method among"),
        (np.full((2, 2, 2), 0.125), {"tolerance": 0.0}, "tolerance"),
        (np.full((2, 2, 2), 0.125), {"base": 1.0}, "base > 1"),
        (np.full((3, 2, 2), 1 / 12), {"method": "closed_form"}, "two targets"),
    ],
)
def test_errors(table, options, message):
    with pytest.raises(InvalidInputError, match=message):
        broja(table, **options)


def test_memory_is_estimated_before_starting():
    table = random_table((10, 40, 40), 0)
    with pytest.raises(InvalidInputError, match="estimated to take"):
        broja(table, memory_limit=1e6)


def test_pairs_must_agree_and_multipliers_must_fit():
    with pytest.raises(InvalidInputError, match="same target marginal"):
        broja_from_pairs([[0.5], [0.5]], [[0.4], [0.6]])
    table = random_table((2, 2, 2), 0)
    with pytest.raises(InvalidInputError, match="multipliers of shapes"):
        union_lower_bound(table, np.zeros((2, 3)), np.zeros((2, 2)))
    with pytest.raises(InvalidInputError, match="finite multipliers"):
        union_lower_bound(table, np.full((2, 2), np.nan), np.zeros((2, 2)))


def test_result_is_readable_frozen_and_rechecks_what_it_has():
    import dataclasses

    result = broja(random_table((3, 3, 3), 0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.gap = 0.0
    assert "<table>" in result._repr_html_()
    assert set(result.to_dict()) == {*ATOMS, "gap", "base", "iterations", "seconds"}
    assert result.to_record()["unique_x_lower"] == result.unique_x.lower
    lying = dataclasses.replace(result, gap=result.gap / 10)
    assert not lying.recheck().ok
    closed = broja(random_table((2, 3, 3), 0))
    q = closed.coupling()
    np.testing.assert_allclose(q.sum(2), closed.marginals.a, atol=1e-15)
