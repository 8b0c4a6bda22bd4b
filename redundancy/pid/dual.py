r"""The certificate: a lower bound from any multipliers, an upper bound from any coupling, both rounded outward.

With f(Q) = -H_Q(T | XY) the union information is U = H(T) + min f. For any (lam, mu) put
c_xy = log sum_t exp(lam_tx + mu_ty); then for any alpha_x + beta_y >= c_xy

.. math:: \min f \ge \sum a\,\lambda + \sum b\,\mu - \sum p_x \alpha_x - \sum p_y \beta_y .

All functions take leading batch axes and work in nats.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from redundancy.pid.problem import EXTENDED_EPS, UNIT_ROUNDOFF, PairMarginals

__all__ = ["coupling", "dual_bound", "entropy_continuity", "primal_bound", "round_to_marginals"]

Array = npt.NDArray[np.float64]
_SPREAD = 600.0  # multipliers this far below the largest act as zero weight; clipping keeps the exponentials normal
_TINY = 1e-300
_BLOCK = 4_000_000  # cells of the coupling held at once


def dual_bound(a: Array, b: Array, lam: Array, mu: Array, *, relative_error: float) -> tuple[Array, Array]:
    """Lower bound on min f for the exact marginals, whatever the multipliers are.

    Parameters
    ----------
    a, b : ndarray of shape (..., T, X) and (..., T, Y)
    lam, mu : ndarray of the same shapes
        Any real numbers; read only where the marginal is positive.
    relative_error : float
        Bound on the relative error of every entry of `a` and `b`.

    Returns
    -------
    bound, slack : ndarray of shape (...)
        The bound already lowered by `slack`, which covers every rounding error. Nats.

    Notes
    -----
    alpha_x = max_y c_xy, then beta_y = max_x (c_xy - alpha_x), and the transposed choice, which starts from a charge
    on the light symbols of broken cells; the better one is kept. Cost: one T x X x Y matrix product; the three-way
    table is never formed.
    """
    on_a, on_b = a > 0.0, b > 0.0
    full = bool(on_a.all() and on_b.all())
    if not full:
        lam, mu = np.where(on_a, lam, -np.inf), np.where(on_b, mu, -np.inf)
    top_a, top_b = _top(lam, full), _top(mu, full)
    # Gauge: per target both sides get the same largest entry, so that no product over- or underflows.
    half = 0.5 * (top_a - top_b)
    shift = 0.5 * np.maximum.reduce(top_a + top_b, -2, keepdims=True)
    lam = np.maximum(lam - (half + shift), -0.5 * _SPREAD)
    mu = np.maximum(mu + (half - shift), -0.5 * _SPREAD)
    left, right = np.exp(lam), np.exp(mu)
    if full:
        c = np.log(np.swapaxes(left, -1, -2) @ right)
    else:
        left, right = np.where(on_a, left, 0.0), np.where(on_b, right, 0.0)
        with np.errstate(divide="ignore"):
            c = np.log(np.swapaxes(left, -1, -2) @ right)
    # c is that of the shifted multipliers: both sides of the bound move by the same 2 * shift.
    rise_a, rise_b = a * lam, b * mu
    rises = _sum2(rise_a) + _sum2(rise_b)
    scale = np.add.reduce(np.abs(rise_a), (-2, -1)) + np.add.reduce(np.abs(rise_b), (-2, -1))
    p_x, p_y = np.add.reduce(a, -2), np.add.reduce(b, -2)
    alpha = np.empty((2, *p_x.shape))
    beta = np.empty((2, *p_y.shape))
    alpha[0] = _clean(np.maximum.reduce(c, -1), full)
    beta[0] = _clean(np.maximum.reduce(c - alpha[0][..., :, None], -2), full)
    # The other way round, after the cells that break their constraint have charged the lighter of their two symbols.
    above = c + 2.0 * shift
    if bool((above > 0.0).any()):
        above = np.where(p_x[..., :, None] < p_y[..., None, :], np.maximum(above, 0.0), 0.0)
        beta[1] = _clean(np.maximum.reduce(c - np.maximum.reduce(above, -1)[..., :, None], -2), full)
    else:
        beta[1] = _clean(np.maximum.reduce(c, -2), full)
    alpha[1] = _clean(np.maximum.reduce(c - beta[1][..., None, :], -1), full)
    cost_a, cost_b = alpha * p_x, beta * p_y
    cost = np.add.reduce(cost_a, -1) + np.add.reduce(cost_b, -1)
    value = rises - np.minimum(cost[0], cost[1])
    sizes = np.maximum.reduce(np.abs(alpha), -1) + np.maximum.reduce(np.abs(beta), -1)
    prices = np.add.reduce(np.abs(cost_a), -1) + np.add.reduce(np.abs(cost_b), -1)
    t, x, y = a.shape[-2], a.shape[-1], b.shape[-1]
    u = UNIT_ROUNDOFF
    slack = (
        (2.0 * relative_error + 6.0 * u + t * (x + y) * EXTENDED_EPS) * (1.0 + 1e-9) * scale  # a.lam + b.mu
        + (2.0 * relative_error + (x + y + t + 4) * u) * np.maximum(prices[0], prices[1])  # p.alpha + p.beta in double
        + (t + 16) * u  # the matrix product and the logarithm
        + 4.0 * u * (np.maximum(sizes[0], sizes[1]) + np.abs(value))
    )
    return value - slack, slack


def _top(values: Array, full: bool) -> Array:
    top = np.maximum.reduce(values, -1, keepdims=True)
    return top if full else np.where(np.isfinite(top), top, 0.0)


def _clean(values: Array, full: bool) -> Array:
    """Symbols without any cell need no price: -inf becomes 0."""
    return values if full else np.where(np.isneginf(values), 0.0, values)


def _sum2(values: Array) -> Array:
    return np.asarray(np.add.reduce(values, axis=(-2, -1), dtype=np.longdouble), dtype=np.float64)


def coupling(s: Array, lam: Array, mu: Array) -> Array:
    """Q = s L M / S with S = L'M: from the solver's state to a joint table (..., T, X, Y), zero where s is."""
    weights = lam[..., :, :, None] + mu[..., :, None, :]
    top = np.maximum.reduce(weights, -3, keepdims=True)
    weights -= top if np.isfinite(top).all() else np.where(np.isfinite(top), top, 0.0)
    np.exp(weights, out=weights)
    total = np.add.reduce(weights, -3)
    weights *= (s / np.where(total > 0.0, total, 1.0))[..., None, :, :]
    return weights


def round_to_marginals(q: Array, a: Array, b: Array) -> Array:
    """Nearest-in-kind table with the marginals `a` and `b`: scale rows down, columns down, add what is missing.

    Parameters
    ----------
    q : ndarray of shape (..., X, Y), entries >= 0
    a, b : ndarray of shape (..., X) and (..., Y)

    References
    ----------
    Altschuler, Weed and Rigollet (2017), arXiv:1705.09634, algorithm 2, applied for every target.
    """
    q = q * _at_most_one(a, np.add.reduce(q, -1))[..., :, None]
    q *= _at_most_one(b, np.add.reduce(q, -2))[..., None, :]
    missing_a = np.maximum(a - np.add.reduce(q, -1), 0.0)
    missing_b = np.maximum(b - np.add.reduce(q, -2), 0.0)
    mass = np.maximum(np.add.reduce(missing_a, -1), np.add.reduce(missing_b, -1))[..., None]
    # Two quotients, not a product first: the product of two tiny masses would underflow.
    q += missing_a[..., :, None] * (missing_b / np.maximum(mass, _TINY))[..., None, :]
    return np.asarray(q)


def _at_most_one(wanted: Array, have: Array) -> Array:
    return np.minimum(wanted / np.maximum(have, _TINY), 1.0)


def primal_bound(
    a: Array,
    b: Array,
    s: Array,
    lam: Array | None,
    mu: Array | None,
    *,
    relative_error: float,
    guess: Array | None = None,
) -> tuple[Array, Array]:
    """Upper bound on min f for the exact marginals, from the coupling of a solver's state.

    Parameters
    ----------
    a, b : ndarray of shape (..., T, X) and (..., T, Y)
    s : ndarray of shape (..., X, Y)
        Weight of every cell, >= 0.
    lam, mu : ndarray as `a` and `b`
        Posterior of t in a cell is proportional to exp(lam + mu).
    guess : ndarray of shape (..., T, X, Y), optional
        A coupling to round instead of the one that `s`, `lam` and `mu` describe.

    Returns
    -------
    bound, slack : ndarray of shape (...)
        f of the rounded coupling plus `slack` (rounding of the evaluation, and what the remaining mismatch
        of the marginals can change by `entropy_continuity`). Nats.

    Notes
    -----
    Works through blocks of targets, so that memory stays near the size of one (X, Y) grid when the table is large.
    """
    t = a.shape[-2]
    cells = s.size
    step = t if t * cells <= _BLOCK else max(1, _BLOCK // cells)
    if lam is not None and mu is not None:
        on_a, on_b = a > 0.0, b > 0.0
        if not (on_a.all() and on_b.all()):
            lam, mu = np.where(on_a, lam, -np.inf), np.where(on_b, mu, -np.inf)
        density = _log_weights(lam, mu) if step < t else None
    total_s = np.zeros_like(s)
    entropy_q: Array = np.zeros(a.shape[:-2])
    mismatch: Array = np.zeros(a.shape[:-2])
    for start in range(0, t, step):
        block = slice(start, start + step)
        if lam is None or mu is None:
            if guess is None:
                raise TypeError("primal_bound takes multipliers or a guess")
            q = guess[..., block, :, :]
        elif density is None:
            q = coupling(s, lam, mu)
        else:
            total, norm = density
            logits = lam[..., block, :, None] + mu[..., block, None, :] - norm[..., None, :, :]
            q = np.exp(logits) * (s / total)[..., None, :, :]
        q = round_to_marginals(q, a[..., block, :], b[..., block, :])
        total_s += np.add.reduce(q, -3)
        entropy_q = entropy_q + np.add.reduce(_sum2(entr(q)), -1)
        mismatch = mismatch + _mismatch(q, -1, a[..., block, :]) + _mismatch(q, -2, b[..., block, :])
    entropy_s = _sum2(entr(total_s))
    u = UNIT_ROUNDOFF
    x, y = s.shape[-2:]
    far = 2.0 * (mismatch + 2.0 * relative_error + 4.0 * u)
    slack = (
        entropy_continuity(far, t)
        + far * math.log(max(t, 2))
        + 4.0 * u * (entropy_q + entropy_s)
        + 2.0 * (t + 8) * u
        + 8.0 * t * x * y * EXTENDED_EPS
    )
    return entropy_s - entropy_q + slack, slack


def _mismatch(q: Array, axis: int, target: Array) -> Array:
    gap = np.add.reduce(q, axis=axis, dtype=np.longdouble) - target
    return np.asarray(np.add.reduce(np.abs(gap), (-2, -1)), dtype=np.float64)


def _log_weights(lam: Array, mu: Array) -> tuple[Array, Array]:
    """sum_t exp(lam + mu - top) and top, per cell, without the three-way table."""
    norm = np.full((*lam.shape[:-2], lam.shape[-1], mu.shape[-1]), -np.inf)
    for k in range(lam.shape[-2]):
        np.maximum(norm, lam[..., k, :, None] + mu[..., k, None, :], out=norm)
    norm = np.where(np.isfinite(norm), norm, 0.0)
    total = np.zeros_like(norm)
    for k in range(lam.shape[-2]):
        total += np.exp(lam[..., k, :, None] + mu[..., k, None, :] - norm)
    return np.where(total > 0.0, total, 1.0), norm


def entropy_continuity(distance: Array | float, n_targets: int) -> Array:
    """Largest change of H(T | XY) between laws within total variation `distance` (nats).

    ``d log T + (1 + d) h(d / (1 + d))``: Winter (2016), arXiv:1507.07775, Lemma 2, half the quantum constant.
    """
    d = np.asarray(distance, dtype=np.float64)
    tail = np.where(d > 0.0, d * np.log1p(1.0 / np.maximum(d, 1e-300)), 0.0)
    return np.asarray(d * math.log(max(n_targets, 2)) + np.log1p(d) + tail)


def certify(problem: PairMarginals, s: Array, lam: Array, mu: Array) -> tuple[float, float]:
    """[lower, upper] on min f from one solver state."""
    lower, _ = dual_bound(problem.a, problem.b, lam, mu, relative_error=problem.relative_error)
    upper, _ = primal_bound(problem.a, problem.b, s, lam, mu, relative_error=problem.relative_error)
    return float(lower), float(upper)
