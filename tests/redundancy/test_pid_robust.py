"""BROJA where it is hard: near copies, collinear curves, spread masses, limits; values against 50-digit solutions."""

import math
import subprocess
import sys
import tracemalloc

import mpmath
import numpy as np
import pytest

from redundancy.errors import InvalidInputError
from redundancy.pid import broja, broja_batch, broja_from_pairs, choose_method, union_lower_bound, union_upper_bound
from redundancy.pid.problem import memory_estimate

GAP = 1e-9  # bits, the default tolerance


def normalised(table):
    return table / table.sum()


def near_copy(seed, shape, noise):
    """Y is X but for `noise`: the Newton matrix holds weights that differ by a factor noise^2."""
    rng = np.random.default_rng(seed)
    t, x = shape
    table = np.zeros((t, x, x))
    table[:, np.arange(x), np.arange(x)] = rng.gamma(0.5, size=shape)
    return normalised(table + noise * rng.random(table.shape))


def noisy_function(seed, shape, noise):
    rng = np.random.default_rng(seed)
    t, x, y = shape
    table = np.zeros(shape)
    i, j = np.indices((x, y))
    table[rng.integers(0, t, (x, y)), i, j] = rng.dirichlet(np.full(x * y, 0.1)).reshape(x, y)
    return normalised(table + noise * rng.random(shape))


def spread(seed, shape, decades):
    return normalised(10.0 ** np.random.default_rng(seed).uniform(-decades, 0, size=shape))


HARD = (
    [near_copy(s, (6, 7), noise) for s in range(3) for noise in (1e-6, 1e-9, 1e-12)]
    + [near_copy(0, (10, 19), 1e-9), near_copy(1, (5, 19), 1e-9)]
    + [noisy_function(s, (8, 3, 8), noise) for s in range(3) for noise in (1e-6, 1e-9, 1e-14)]
    + [spread(s, (7, 7, 8), decades) for s in range(3) for decades in (13, 30, 100, 300)]
    + [spread(4, (4, 2, 2), 5), spread(5, (10, 9, 7), 30)]
)


@pytest.mark.parametrize("number", range(len(HARD)))
def test_hard_tables_are_certified(number):
    result = broja(HARD[number])
    assert result.gap <= GAP
    assert result.recheck().ok
    assert union_lower_bound(HARD[number], *result.multipliers) == pytest.approx(
        union_upper_bound(HARD[number], result.coupling()), abs=2 * GAP
    )


@pytest.mark.slow
def test_the_largest_near_copy_is_rescued():
    table = near_copy(2, (10, 30), 1e-9)
    result = broja(table)
    assert result.method == "schur"
    assert result.gap <= GAP


@pytest.mark.parametrize("posterior", [0.3, 0.998])
def test_binary_with_collinear_curves(posterior):
    """Every symbol has one posterior: rounding shuffles the hull's steps, which must not widen the interval."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.gamma(0.3, size=7), rng.gamma(0.3, size=9)
        result = broja(normalised(np.einsum("t,x,y->txy", [1 - posterior, posterior], x, y)))
        assert result.method == "closed_form"
        assert result.gap < 1e-11
        assert max(i.upper for i in (result.unique_x, result.unique_y, result.redundant)) < 1e-11


def solve_in_50_digits(table):
    """min f for a (T, 2, 2) table by a barrier method in T unknowns, 50 digits, and how far off it can be."""
    with mpmath.workdps(50):
        p = [[[mpmath.mpf(float(v)) for v in row] for row in plane] for plane in table]
        total = mpmath.fsum(v for plane in p for row in plane for v in row)
        p = [[[v / total for v in row] for row in plane] for plane in p]
        sign = [[1, -1], [-1, 1]]
        cells = [(0, 0), (0, 1), (1, 0), (1, 1)]
        n = len(p)
        base = [
            [
                [(p[t][i][0] + p[t][i][1]) * (p[t][0][j] + p[t][1][j]) / sum(map(sum, p[t])) for j in (0, 1)]
                for i in (0, 1)
            ]
            for t in range(n)
        ]
        theta, mu = [mpmath.mpf(0)] * n, mpmath.mpf("0.01")

        def coupling(theta):
            return [[[base[t][i][j] + sign[i][j] * theta[t] for j in (0, 1)] for i in (0, 1)] for t in range(n)]

        while mu > mpmath.mpf("1e-40"):
            for _ in range(12):
                q = coupling(theta)
                s = [[sum(q[t][i][j] for t in range(n)) for j in (0, 1)] for i in (0, 1)]
                slope = mpmath.matrix(n, 1)
                curve = mpmath.matrix(n, n)
                for t in range(n):
                    slope[t] = sum(sign[i][j] * (mpmath.log(q[t][i][j] / s[i][j]) - mu / q[t][i][j]) for i, j in cells)
                    for u in range(n):
                        curve[t, u] = -sum(1 / s[i][j] for i, j in cells)
                    curve[t, t] += sum(1 / q[t][i][j] + mu / q[t][i][j] ** 2 for i, j in cells)
                move = mpmath.lu_solve(curve, -slope)
                length = mpmath.mpf(1)
                while (
                    min(
                        v
                        for plane in coupling([a + length * m for a, m in zip(theta, move, strict=True)])
                        for row in plane
                        for v in row
                    )
                    <= 0
                ):
                    length /= 2
                theta = [a + length * m for a, m in zip(theta, move, strict=True)]
                if max(abs(m) for m in move) < mu * mpmath.mpf("1e-12"):
                    break
            mu /= 10
        q = coupling(theta)
        s = [[sum(q[t][i][j] for t in range(n)) for j in (0, 1)] for i in (0, 1)]
        value = mpmath.fsum(q[t][i][j] * mpmath.log(q[t][i][j] / s[i][j]) for t in range(n) for i, j in cells)
        return value, mpmath.mpf("1e-36")


@pytest.mark.parametrize("seed", range(5))
def test_interval_contains_the_50_digit_value(seed):
    """An independent solver in 50 digits, by the primal instead of the dual."""
    table = normalised(np.random.default_rng(seed).gamma(0.7, size=(3, 2, 2)))
    value, off = solve_in_50_digits(table)
    for method in ("dense", "schur"):
        lower, upper = broja(table, method=method, tolerance=1e-12).bounds
        assert lower <= value
        assert value - off <= upper
        assert upper - lower <= 1e-12
    batch = broja_batch(table[None])
    assert batch.gap[0] <= GAP
    single = broja(table)
    assert max(batch.lower["unique_x"][0], single.unique_x.lower) <= min(
        batch.upper["unique_x"][0], single.unique_x.upper
    )


def test_memory_is_refused_before_anything_is_allocated():
    """What the refused call itself took, all of it traced, is a few copies of the pair laws: no grid of n x n."""
    n = 6_000
    rng = np.random.default_rng(0)
    a, b = (rng.random((3, n)) for _ in range(2))
    a /= a.sum()
    b *= (a.sum(1) / b.sum(1))[:, None]
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError, match="estimated to take"):
            broja_from_pairs(a, b, memory_limit=1e8)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * a.nbytes < 8 * n * n / 50
    assert memory_estimate((3, 10 * n, 10 * n), "first_order") > 8e9  # so the default limit refuses ten times as many


@pytest.mark.parametrize("method", ["dense", "schur", "first_order"])
def test_memory_estimate_is_not_below_what_a_run_takes(method):
    shape = (6, 20, 20) if method == "dense" else (8, 60, 50)
    table = normalised(np.random.default_rng(0).gamma(1.0, size=shape))
    broja(table, method=method, max_iterations=2, throw=False)  # caches
    tracemalloc.start()
    broja(table, method=method, max_iterations=3, throw=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= memory_estimate(shape, method) + 6 * table.nbytes + 2_000_000


class CountingClock:
    """A clock that moves one second each time it is read, so that a time limit is a number of readings."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        self.now += 1.0
        return self.now


@pytest.mark.parametrize("limit", [1.0, 3.5, 6.5])
@pytest.mark.parametrize("method", ["dense", "schur", "first_order"])
def test_a_time_limit_is_kept_and_honest(method, limit, monkeypatch):
    """Each step reads the clock once; the first to see the limit passed is the last, and its interval is valid."""
    table = normalised(np.random.default_rng(0).gamma(1.0, size=(6, 60, 60)))
    fine = broja(table)
    assert fine.iterations > limit + 1
    clock = CountingClock()
    for module in ("first_order", "interior_point", "solve"):
        monkeypatch.setattr(f"redundancy.pid.{module}.time", clock)
    early = broja(table, method=method, time_limit=limit, throw=False)
    assert early.status == "time limit"
    assert early.iterations == int(limit) + (method == "first_order")  # whose first step is number 1, not 0
    assert early.gap > GAP
    assert early.bounds[0] <= fine.bounds[1]
    assert early.bounds[1] >= fine.bounds[0]


@pytest.mark.parametrize("tolerance", [1e-17, 1e-6])
@pytest.mark.parametrize("method", ["dense", "schur"])
def test_converged_means_within_the_tolerance(method, tolerance):
    """Also after restarts, which an unreachable tolerance forces."""
    for table in (near_copy(0, (3, 3), 1e-9), spread(0, (3, 4, 4), 30)):
        result = broja(table, method=method, tolerance=tolerance, max_iterations=90, throw=False)
        assert result.converged == (result.gap <= tolerance)
        assert result.recheck().ok


def test_the_method_follows_the_size():
    assert choose_method((2, 10**6, 10**6)) == "closed_form"
    assert choose_method((3, 4, 4)) == "dense"
    assert choose_method((10, 100, 100)) == "schur"
    assert choose_method((100, 100, 100)) == "first_order"


@pytest.mark.slow
def test_a_million_cells_within_8_gigabytes():
    code = (
        "import resource, numpy as np\n"
        "from redundancy.pid import broja\n"
        "t = np.random.default_rng(0).dirichlet(np.ones(10**6)).reshape(100, 100, 100)\n"
        "r = broja(t, tolerance=1e-3)\n"
        "print(r.gap, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    gap, gigabytes = map(float, done.stdout.split())
    assert gap <= 1e-3
    assert gigabytes < 8.0


def lines_executed(function):
    """Its value, and how many lines of Python it ran; what numpy does inside a line is not counted."""
    count, before = 0, sys.gettrace()

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        value = function()
    finally:
        sys.settrace(before)
    return value, count


def test_two_targets_with_many_symbols_need_no_python_loop_over_them():
    """Hundreds of thousands of symbols, a few thousand lines: the closed form works on whole arrays."""
    n = 100_000
    rng = np.random.default_rng(0)
    a, b = (rng.dirichlet(np.ones(2 * n)).reshape(2, -1) for _ in range(2))
    b *= (a.sum(1) / b.sum(1))[:, None]
    result, lines = lines_executed(lambda: broja_from_pairs(a, b))
    assert lines < n / 10
    assert result.gap < GAP
    assert math.isfinite(result.unique_x.upper)


def test_near_copies_of_a_binary_task_fall_back_and_no_atom_exceeds_its_information():
    """Masses of 1e-18 leave the closed form without an order of posteriors; the interior point needs none."""
    from redundancy.info.entropy import mutual_information

    table = np.zeros((2, 3, 3))
    table[0][np.diag_indices(3)] = [0.09384837050705797, 0.0024836684595879854, 0.7646925484476407]
    table[1][np.diag_indices(3)] = [0.09512990151148974, 0.02340011493544785, 0.020445396138775794]
    table[0, 0, 1], table[0, 1, 2], table[0, 2, 0] = 8.369211914569538e-18, 6.01709786136949e-18, 6.1357132440502205e-18
    table[1, 1, 0], table[1, 1, 2], table[1, 2, 0] = 1.00110235e-18, 1.815098964033311e-18, 2.688621494692413e-18
    alone, result = broja(table, method="closed_form", throw=False), broja(table)
    assert alone.gap > 1.0
    assert result.gap <= 1e-9
    assert result.method == "dense"
    assert result.recheck().ok
    for name, axis in (("unique_x", 2), ("unique_y", 1)):
        most = mutual_information(table.sum(axis=axis), base=2.0) + 1e-12
        for one in (result, alone):
            assert getattr(one, name).upper <= most
            assert one.redundant.upper <= most
