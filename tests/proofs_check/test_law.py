"""The quantities of a law against numpy and scipy, and against values worked out by hand."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from scipy.optimize import minimize
from scipy.stats import entropy

from proofs_check.exact.enclosure import Enclosure
from proofs_check.exact.extras import complete, with_table
from proofs_check.exact.law import Law
from proofs_check.exact.points import inner, minus
from proofs_check.extremal import FAMILIES, family, make, signs
from proofs_check.pool import random_laws
from proofs_check.printing import describe
from proofs_check.testing import laws
from redundancy.errors import InvalidInputError

QUICK = settings(deadline=None, max_examples=60, derandomize=True, database=None)
F = Fraction


def arrays(law):
    table = np.zeros((len(law.x), len(law.y), len(law.z)))
    for atom, p in law.masses.items():
        table[atom] = float(p)
    return table, *(np.array([[float(v) for v in row] for row in rows]) for rows in (law.x, law.y, law.z))


@QUICK
@given(law=laws())
def test_information_agrees_with_scipy(law):
    p = arrays(law)[0]
    h = {axes: entropy(p.sum(axis=tuple(k for k in range(3) if k not in axes)).ravel()) for axes in
         [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]}  # fmt: skip
    expected = {
        "forward_entropy": h[0, 1] - h[1,],
        "backward_entropy": h[0, 1] - h[0,],
        "mutual_information": h[0,] + h[1,] - h[0, 1],
        "information_next": h[1, 2] + h[0, 1] - h[0, 1, 2] - h[1,],
        "information_prev": h[0, 2] + h[0, 1] - h[0, 1, 2] - h[0,],
    }
    for name, value in expected.items():
        assert float(getattr(law, name)) == pytest.approx(value, abs=1e-10), name


@QUICK
@given(law=laws())
def test_second_moments_agree_with_numpy(law):
    p, x, y, z = arrays(law)
    given_x, given_y = p.sum((1, 2)), p.sum((0, 2))
    live_x, live_y = given_x > 0, given_y > 0
    f_x, f_y = np.zeros((len(x), z.shape[1])), np.zeros((len(y), z.shape[1]))
    f_x[live_x] = np.einsum("ijk,kd->id", p, z)[live_x] / given_x[live_x, None]
    f_y[live_y] = np.einsum("ijk,kd->jd", p, z)[live_y] / given_y[live_y, None]
    pair = p.sum(2)
    square = lambda a: (a**2).sum(-1)  # noqa: E731
    assert float(law.gap) == pytest.approx((pair * square(f_x[:, None] - f_y[None])).sum(), abs=1e-10)
    assert float(law.squared_distance) == pytest.approx((pair * square(x[:, None] - y[None])).sum(), abs=1e-10)
    mean = np.einsum("ijk,kd->d", p, z)
    assert float(law.variance) == pytest.approx((p.sum((0, 1)) * square(z - mean)).sum(), abs=1e-10)
    assert float(law.mmse_next) == pytest.approx((p * square(z[None, None] - f_x[:, None, None])).sum(), abs=1e-10)
    best_x = np.zeros((len(y), 2))
    best_x[live_y] = np.einsum("ij,id->jd", pair, x)[live_y] / given_y[live_y, None]
    assert float(law.residual_next) == pytest.approx((pair * square(x[:, None] - best_x[None])).sum(), abs=1e-10)


@QUICK
@given(law=laws("unit norm", "one space"))
def test_cosines_and_slopes_agree_with_numpy(law):
    p, x, y, z = arrays(law)
    pair = p.sum(2)
    assert float(law.mean_distance) == pytest.approx((pair * (1 - x @ y.T)).sum(), abs=1e-12)
    h = np.einsum("ijk,kd->ijd", p, z) / np.where(pair, pair, 1)[..., None]
    slopes = [0.0]
    for j in range(len(y)):
        for i in range(len(x)):
            for k in range(i):
                if pair[i, j] > 0 and pair[k, j] > 0:
                    slopes.append(((h[i, j] - h[k, j]) ** 2).sum() / ((x[i] - x[k]) ** 2).sum())
    assert float(law.alpha_squared) == pytest.approx(max(slopes), rel=1e-9)


@settings(QUICK, max_examples=25)
@given(law=laws())
def test_smallest_ball_agrees_with_an_optimiser(law):
    values = np.array([[float(v) for v in point] for point in law.task_values])
    assume(len(values) > 1)
    worst = lambda c: ((values - c) ** 2).sum(1).max()  # noqa: E731
    found = min(minimize(worst, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).fun
                for start in (values.mean(0), values[0]))  # fmt: skip
    assert float(law.radius_squared) <= found + 1e-9
    assert float(law.radius_squared) == pytest.approx(found, rel=2e-3)


def test_values_by_hand():
    law = signs(F(1, 100), lambda a, b: a + b)
    assert (law.gap, law.mean_distance, law.squared_distance) == (F(1568160, 10**7), F(1, 50), F(1, 25))
    assert (law.alpha_squared, law.beta_squared, law.residual_next) == (1, 1, 1 - F(98, 100) ** 2)
    (fresh,) = family("fresh bit")
    assert (fresh.gap, fresh.norm_squared, fresh.radius_squared, fresh.diameter_squared) == (1, 1, 1, 4)
    assert fresh.obeys("O")
    assert not fresh.obeys("N")
    assert isinstance(fresh.forward_entropy, Enclosure)
    assert float(fresh.forward_entropy) == pytest.approx(np.log(2), abs=1e-15)
    triangle = make({(0, 0, k): F(1, 3) for k in range(3)}, (0,), (0,), ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    for some in (triangle, *family("four values in the plane")[:1]):
        kappa = max(
            inner(minus(a, b), minus(h, d)) + inner(minus(c, d), minus(a, h))
            for a, b, c, d, h in product(some.task_values, repeat=5)
        )
        assert some.kappa == kappa
    assert (triangle.radius_squared, triangle.diameter_squared, triangle.kappa) == (F(2, 3), 2, 2)


def test_balls_and_tails_mind_their_ends():
    law = make({(0, 0, 0): 1}, (0, 1), (0, 1), rho=[[1, 2], [2, 1]], t=1)
    assert (law.tail(1), law.closed_tail(1)) == (0, 1)
    assert (law.ball(0), law.ball(0, open_ball=True)) == (1, 0)
    assert law.independent_ball_prob == 1


def test_cosine_tables_are_made_where_rational():
    unit = make({(0, 0, 0): 1}, ((F(3, 5), F(4, 5)),), ((1, 0),))
    assert with_table(unit).rho == ((F(2, 5),),)
    assert with_table(make({(0, 0, 0): 1}, ((1, 1),), ((1, 0),))) is None


@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_exact_laws(name):
    for law in family(name):
        assert sum(law.masses.values()) == 1
        assert all(isinstance(p, Fraction) and p > 0 for p in law.masses.values())
        assert describe(law).startswith("P(")


def test_pool_depends_on_its_seed_only():
    one, same, other = random_laws(3, 30), random_laws(3, 30), random_laws(4, 30)
    assert [law.masses for law in one] == [law.masses for law in same]
    assert [law.masses for law in one] != [law.masses for law in other]
    assert all(sum(law.masses.values()) == 1 for law in one)
    shapes = {(law.obeys("O"), law.obeys("N")) for law in random_laws(0, 100) if law.y[0]}
    assert len(shapes) == 4


def test_extras_of_a_law_are_its_own():
    law = complete(Law({(0, 0, 0): F(1, 4), (1, 0, 1): F(3, 4)}, ((F(0),), (F(1),)), ((F(0),),), ((F(0),), (F(2),))))
    assert law.extra["guess_next"] == (1,)
    assert law.extra["probe_prev"] == ((F(3, 2),),)
    assert law.extra["predictor"] == ({0: F(1, 4), 1: F(3, 4)},)


@pytest.mark.parametrize(
    ("masses", "message"),
    [
        ({(0, 0, 0): F(1, 2)}, "sum to 1, got 1/2"),
        ({(0, 0, 0): F(1), (1, 0, 0): F(0)}, "need positive masses, got 0"),
        ({(0, 0, 0): F(3, 2), (1, 0, 0): F(-1, 2)}, "need positive masses, got -1/2"),
        ({(0, 0, 0): 0.7, (1, 0, 0): 0.2}, "sum to 1"),
        ({(2, 0, 0): F(1)}, "need atoms"),
        ({}, "sum to 1, got 0"),
    ],
)
def test_a_law_refuses_masses_that_are_none(masses, message):
    with pytest.raises(InvalidInputError, match=message):
        Law(masses, ((F(0),), (F(1),)), ((F(0),),), ((F(0),),))
