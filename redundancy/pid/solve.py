"""`broja`: check, presolve, choose the solver by size, certify on the full problem, report."""
# Over 400 lines: checks, choice of the solver and the result share the options of one call.

from __future__ import annotations

import math
import time
from functools import partial

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats, check_count, check_real
from redundancy.errors import InvalidInputError, NotConvergedError
from redundancy.pid.augmented import AugmentedKernel
from redundancy.pid.binary import binary_bounds
from redundancy.pid.dense import DenseKernel
from redundancy.pid.dual import certify, dual_bound, primal_bound
from redundancy.pid.first_order import first_order
from redundancy.pid.interior_point import SolverState, interior_point
from redundancy.pid.problem import (
    PairMarginals,
    ReducedProblem,
    lift,
    marginals_of_joint,
    marginals_of_pairs,
    memory_estimate,
    presolve,
)
from redundancy.pid.result import BrojaResult, Measured, atoms_from_union, measured_entropy
from redundancy.pid.schur import SchurKernel
from redundancy.units import check_base, unit_name

__all__ = ["METHODS", "broja", "broja_from_pairs", "choose_method", "union_lower_bound", "union_upper_bound"]

Array = npt.NDArray[np.float64]
METHODS = ("auto", "closed_form", "dense", "schur", "first_order")
DENSE_CELLS = 1_200  # crossover measured in docs/broja.md
SCHUR_SIDE = 8_000  # largest T * min(X, Y) that is factored
_ATTEMPT = 120  # iterations after which the next kernel or starting point is tried
_RESCUE_SIZE = 1_600  # largest augmented matrix, T(X + Y) + XY, that is tried when a run stalls: 10x30x30 fits
_DEFAULT_ITERATIONS = {"dense": 240, "schur": 480, "first_order": 20_000, "closed_form": 0}


def broja(
    joint: npt.ArrayLike,
    *,
    tolerance: float = 1e-9,
    base: float = 2.0,
    method: str = "auto",
    max_iterations: int | None = None,
    time_limit: float = math.inf,
    memory_limit: float = 8e9,
    throw: bool = True,
) -> BrojaResult:
    r"""Decompose I(T; XY) into unique, redundant and synergistic information, each as a certified interval.

    .. math:: \mathrm{Uni}(T: X \setminus Y) = \min_{Q \in \Delta_P} I_Q(T; X \mid Y)

    with :math:`\Delta_P` the joint laws that share P(t, x) and P(t, y) with the table.

    Parameters
    ----------
    joint : array_like of shape (T, X, Y)
        Joint law with axes (t, x, y): **the target is the first axis**. Sums to 1 within 1e-9, then normalised.
    tolerance : float, default=1e-9
        Wanted certified gap, in units of `base`.
    base : float, default=2
        Base of the logarithm: 2 for bits, ``math.e`` for nats.
    method : {"auto", "closed_form", "dense", "schur", "first_order"}
        "auto" chooses by size, see docs/broja.md. "closed_form" needs two targets.
    max_iterations : int, optional
        Default 240 (dense) or 480 (schur), restarts included, and 20,000 for the first-order method.
    time_limit : float, default=inf
        Seconds, checked between iterations.
    memory_limit : float, default=8e9
        Bytes; a larger estimate raises before anything is allocated.
    throw : bool, default=True
        Raise `NotConvergedError` (its ``.result`` holds the valid, wider intervals) or return that result.

    Returns
    -------
    BrojaResult

    Raises
    ------
    InvalidInputError
        If the table is not a law, has not three axes, or needs more memory than allowed.
    NotConvergedError
        If the certified gap is above `tolerance` at the end and `throw` is true.

    Notes
    -----
    [lower, upper] contains the exact value of the table as given, rounding included: the lower bound comes from
    dual-feasible multipliers, the upper from a coupling whose marginals are restored.

    References
    ----------
    .. [1] Bertschinger, Rauh, Olbrich, Jost and Ay (2014), Entropy 16(4), doi:10.3390/e16042161.
    .. [2] Makkeh, Theis and Vicente (2018), Entropy 20(4), doi:10.3390/e20040271.

    Examples
    --------
    >>> import numpy as np
    >>> xor = np.zeros((2, 2, 2))
    >>> for x in (0, 1):
    ...     for y in (0, 1):
    ...         xor[x ^ y, x, y] = 0.25
    >>> result = broja(xor)
    >>> round(result.synergistic.lower, 9), round(result.redundant.upper, 9)
    (1.0, 0.0)
    """
    start = time.perf_counter()
    base = check_base(base)
    problem, table = marginals_of_joint(joint)
    eta = problem.relative_error
    sources = np.add.reduce(table, axis=0, dtype=np.longdouble).astype(np.float64)
    entropies = (measured_entropy(table, eta), measured_entropy(sources, eta))
    return _run(problem, entropies, tolerance, base, method, max_iterations, time_limit, memory_limit, throw, start)


def broja_from_pairs(
    p_tx: npt.ArrayLike,
    p_ty: npt.ArrayLike,
    *,
    tolerance: float = 1e-9,
    base: float = 2.0,
    method: str = "auto",
    max_iterations: int | None = None,
    time_limit: float = math.inf,
    memory_limit: float = 8e9,
    throw: bool = True,
) -> BrojaResult:
    """`broja` from the pair laws P(t, x) and P(t, y) alone; the synergy is then undefined and None.

    For sources with so many symbols that the three-way table cannot be held; two targets are exact at any size.
    Parameters as for `broja`. More than eight parameters: the two laws and the options of `broja`.

    Parameters
    ----------
    p_tx : array_like of shape (n_t, n_x)
        Law of target and first source.
    p_ty : array_like of shape (n_t, n_y)
        Law of target and second source, with the same target marginal.
    tolerance : float, default=1e-09
        Wanted certified gap, in units of `base`.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.
    method : str, default="auto"
        As for `broja`.
    max_iterations : int, optional
        Limit of steps.
    time_limit : float, default=inf
        Seconds.
    memory_limit : float, default=8000000000.0
        Bytes; a method that needs more is refused.
    throw : bool, default=True
        Raise if the gap stays above the tolerance, or return what was reached.

    Returns
    -------
    BrojaResult
        With `synergistic` None: it is not a function of the pair laws.

    Examples
    --------
    >>> copy = [[0.5, 0.0], [0.0, 0.5]]
    >>> round(broja_from_pairs(copy, copy).redundant.lower, 9)
    1.0
    """
    start = time.perf_counter()
    problem = marginals_of_pairs(p_tx, p_ty)
    base = check_base(base)
    return _run(problem, None, tolerance, base, method, max_iterations, time_limit, memory_limit, throw, start)


def union_lower_bound(joint: npt.ArrayLike, lam: npt.ArrayLike, mu: npt.ArrayLike, *, base: float = 2.0) -> float:
    """Lower bound on the union information from any multipliers (T, X) and (T, Y); one matrix product.

    The union information is Uni_x + Uni_y + Red = I(T; XY) - Syn.

    Parameters
    ----------
    joint : array_like of shape (n_t, n_x, n_y)
        Law of target and sources, target first.
    lam : array_like of shape (n_t, n_x)
        Multipliers of the first pair law.
    mu : array_like of shape (n_t, n_y)
        Multipliers of the second.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.

    Returns
    -------
    float
        In units of `base`, rounded down.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.full((2, 2, 2), 0.125)
    >>> -1e-12 < union_lower_bound(p, np.full((2, 2), np.log(0.5)), np.zeros((2, 2))) <= 0.0
    True
    """
    problem, lam, mu = _with_multipliers(joint, lam, mu)
    value, _ = dual_bound(problem.a, problem.b, lam, mu, relative_error=problem.relative_error)
    h_t = measured_entropy(problem.p_t, problem.relative_error)
    return (float(value) + h_t.value - h_t.error) / math.log(check_base(base))


def union_upper_bound(joint: npt.ArrayLike, q: npt.ArrayLike, *, base: float = 2.0) -> float:
    """Upper bound on the union information from any table Q >= 0 near the problem's couplings.

    Q is first restored to the pair marginals of `joint`, so any guess is allowed; P itself gives I(T; XY).

    Parameters
    ----------
    joint : array_like of shape (n_t, n_x, n_y)
        Law of target and sources, target first.
    q : array_like of shape (n_t, n_x, n_y)
        A guess of the optimal coupling.
    base : float, default=2.0
        Unit of information: 2 for bits, ``math.e`` for nats.

    Returns
    -------
    float
        In units of `base`, rounded up.

    Raises
    ------
    InvalidInputError
        If the table does not fit the problem.
    """
    problem, _ = marginals_of_joint(joint)
    guess = as_floats(q, "q")
    if guess.shape != problem.shape or not np.isfinite(guess).all() or (guess < 0.0).any():
        raise InvalidInputError(f"need q >= 0 of shape {problem.shape}, got shape {guess.shape} or a bad entry")
    value, _ = primal_bound(
        problem.a, problem.b, guess.sum(0), None, None, relative_error=problem.relative_error, guess=guess
    )
    h_t = measured_entropy(problem.p_t, problem.relative_error)
    return (float(value) + h_t.value + h_t.error) / math.log(check_base(base))


def _with_multipliers(
    joint: npt.ArrayLike, lam: npt.ArrayLike, mu: npt.ArrayLike
) -> tuple[PairMarginals, Array, Array]:
    problem, _ = marginals_of_joint(joint)
    left, right = as_floats(lam, "lam"), as_floats(mu, "mu")
    if left.shape != problem.a.shape or right.shape != problem.b.shape:
        raise InvalidInputError(
            f"need multipliers of shapes {problem.a.shape} and {problem.b.shape}, got {left.shape} and {right.shape}"
        )
    if not (np.isfinite(left[problem.a > 0.0]).all() and np.isfinite(right[problem.b > 0.0]).all()):
        raise InvalidInputError("need finite multipliers wherever the pair marginal is positive, got NaN or infinity")
    return problem, left, right


def choose_method(shape: tuple[int, int, int]) -> str:
    """The solver that "auto" takes for a problem of `shape` after presolve.

    Parameters
    ----------
    shape : tuple of three ints
        (T, X, Y).

    Returns
    -------
    str
        One of "closed_form", "dense", "schur", "first_order".
    """
    t, x, y = shape
    if t <= 2:
        return "closed_form"
    if t * x * y <= DENSE_CELLS:
        return "dense"
    return "schur" if t * min(x, y) <= SCHUR_SIDE else "first_order"


def _run(
    problem: PairMarginals,
    entropies: tuple[Measured, Measured] | None,
    tolerance: float,
    base: float,
    method: str,
    max_iterations: int | None,
    time_limit: float,
    memory_limit: float,
    throw: bool,
    start: float,
) -> BrojaResult:
    """Check the options and solve; more than eight parameters, as `broja_from_pairs`."""
    check_real(tolerance, "tolerance", lower=0.0, open_ends=True)
    if method not in METHODS:
        raise InvalidInputError(f"need a method among {METHODS}, got {method!r}")
    if max_iterations is not None:
        check_count(max_iterations, "max_iterations", lower=0)
    if math.isnan(time_limit) or time_limit <= 0.0:
        raise InvalidInputError(f"need time_limit > 0 seconds, got {time_limit!r}")
    nats = tolerance * math.log(base)
    targets = int(np.count_nonzero(problem.p_t))
    closed = method == "closed_form" or (method == "auto" and targets <= 2)
    if closed and targets > 2:
        raise InvalidInputError(f"need two targets for method='closed_form', got {targets}; use method='auto'")
    if closed:
        _check_memory(problem.shape, "closed_form", memory_limit)
        bounds = binary_bounds(problem)
        status = "converged" if bounds[1] - bounds[0] <= nats else "stalled"
        state = SolverState(*bounds, status=status)
        lazy = partial(_state_for_coupling, problem, nats, memory_limit)
        # Near copies with masses at the end of what floats resolve have no clear order of posteriors; iteration has.
        found = _report(
            problem, entropies, state, base, "closed_form", start, throw and method != "auto", tolerance, lazy
        )
        if found.converged or method != "auto":
            return found

    reduced = presolve(problem, tolerance=nats)
    chosen = choose_method(reduced.shape) if method == "auto" else method
    if chosen == "closed_form":  # rows or masses beyond notice left at most two targets: the sources still need solving
        chosen = "dense" if math.prod(reduced.shape) <= DENSE_CELLS else "schur"
    _check_memory(reduced.shape, chosen, memory_limit)
    iterations = _DEFAULT_ITERATIONS[chosen] if max_iterations is None else max_iterations
    state = _solve(problem, reduced, chosen, nats, iterations, start + time_limit)
    return _report(problem, entropies, state, base, chosen, start, throw, tolerance, None)


def _check_memory(shape: tuple[int, int, int], method: str, limit: float) -> None:
    needed = memory_estimate(shape, method)
    if needed > limit:
        raise InvalidInputError(
            f"need a problem within memory_limit={limit / 1e9:.3g} GB, method {method!r} on {shape} is estimated to "
            f"take {needed / 1e9:.3g} GB; raise memory_limit, use method='first_order', or merge symbols"
        )


def _solve(
    problem: PairMarginals, reduced: ReducedProblem, method: str, nats: float, iterations: int, deadline: float
) -> SolverState:
    a, b, eta = reduced.a, reduced.b, problem.relative_error
    if method == "first_order":
        state = first_order(a, b, tolerance=nats, max_iterations=iterations, deadline=deadline, relative_error=eta)
    else:
        goal = nats if reduced.untouched else 0.9 * nats
        state = SolverState(status="iteration limit")
        for number, (kernel, floor, cap) in enumerate(_attempts(method, reduced.shape)):
            left = iterations - state.iterations
            if number and (state.status not in ("stalled", "iteration limit") or left <= 0):
                break
            again = interior_point(
                kernel(a, b),
                a,
                b,
                tolerance=goal,
                max_iterations=min(left, _ATTEMPT),
                deadline=deadline,
                floor=floor,
                cap=cap,
                relative_error=eta,
            )
            state = _better(state, again, goal)
    if reduced.untouched:
        return state
    lower, upper = state.lower, state.upper
    assert state.primal is not None
    assert state.multipliers is not None
    weights, lam, mu = lift(problem, reduced, state.primal)
    if all(one is two for one, two in zip(state.primal[1:], state.multipliers, strict=True)):
        prices = (lam, mu)
    else:
        _, *pair = lift(problem, reduced, (state.primal[0], *state.multipliers))
        prices = (pair[0], pair[1])
    lower = certify(problem, weights, *prices)[0]
    upper = certify(problem, weights, lam, mu)[1]
    status = "converged" if upper - lower <= nats else state.status
    status = "stalled" if status == "converged" and upper - lower > nats else status
    return SolverState(lower, upper, prices, (weights, lam, mu), state.iterations, status)


def _attempts(
    method: str, shape: tuple[int, int, int]
) -> list[tuple[type[DenseKernel] | type[SchurKernel], float, float]]:
    """Kernels, starting floors and largest moves in the order tried.

    A heavier start is slower and sturdier on masses that spread over many orders of magnitude; the augmented matrix
    keeps the digits that a reduced one loses when the sources nearly copy each other.
    """
    first: type[DenseKernel] | type[SchurKernel] = DenseKernel if method == "dense" else SchurKernel
    t, x, y = shape
    fits = t * (x + y) + x * y <= _RESCUE_SIZE
    rescue = [(AugmentedKernel, 0.1, 3.0), (AugmentedKernel, 1.0, 8.0)] if fits else []
    return [(first, 0.1, 3.0), *rescue, (first, 1.0, 8.0)]


def _better(one: SolverState, two: SolverState, goal: float) -> SolverState:
    """Both ends are valid wherever they come from: keep the better of each."""
    if one.primal is None:
        return two
    low, up = (one if one.lower >= two.lower else two), (one if one.upper <= two.upper else two)
    status = "converged" if up.upper - low.lower < goal else two.status
    return SolverState(low.lower, up.upper, low.multipliers, up.primal, one.iterations + two.iterations, status)


def _state_for_coupling(problem: PairMarginals, nats: float, memory_limit: float) -> tuple[Array, Array, Array]:
    reduced = presolve(problem, tolerance=nats)
    method = choose_method(reduced.shape)
    method = ("dense" if math.prod(reduced.shape) <= DENSE_CELLS else "schur") if method == "closed_form" else method
    _check_memory(reduced.shape, method, memory_limit)
    state = _solve(problem, reduced, method, nats, _DEFAULT_ITERATIONS[method], math.inf)
    assert state.primal is not None
    return state.primal


def _report(
    problem: PairMarginals,
    entropies: tuple[Measured, Measured] | None,
    state: SolverState,
    base: float,
    method: str,
    start: float,
    throw: bool,
    tolerance: float,
    lazy: partial[tuple[Array, Array, Array]] | None,
) -> BrojaResult:
    """The result of a run, or its error; more than eight parameters, one for each thing that the result tells."""
    bounds = (state.lower, state.upper)
    result = BrojaResult(
        **atoms_from_union(bounds, problem, entropies, base),  # type: ignore[arg-type]
        gap=state.width / math.log(base),
        base=base,
        iterations=state.iterations,
        seconds=time.perf_counter() - start,
        method=method,
        status=state.status,
        marginals=problem,
        multipliers=state.multipliers,
        bounds=bounds,
        primal=state.primal,
        joint_entropies=entropies,
        solve=lazy,
    )
    if throw and not result.converged:
        unit = unit_name(base)
        raise NotConvergedError(
            f"need a certified gap of {tolerance:.3g} {unit}, got {result.gap:.3g} after {result.iterations} "
            f"iterations and {result.seconds:.3g} s; {result.status_text}",
            result,
        )
    return result
