"""Ridge coefficients for all regularisations from one tridiagonalisation, and held-out errors in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh, lapack

from estimators.probes.moments import Centred, load_torch

__all__ = ["degrees_of_freedom", "held_out_error", "intercept_of", "ridge_path"]

Array = npt.NDArray[np.float64]


def ridge_path(xx: Array, xz: Array, alphas: Sequence[float], *, device: str | None = None) -> Array:
    r"""Solve :math:`(S + \alpha I) W = C` for every alpha.

    Parameters
    ----------
    xx : ndarray of shape (d, d)
        S, symmetric and positive semi-definite up to rounding.
    xz : ndarray of shape (d, q)
        C.
    alphas : sequence of float
        Positive.
    device : str, optional
        A torch device, which takes the eigendecomposition; None for LAPACK.

    Returns
    -------
    ndarray of shape (n_alphas, d, q)

    Notes
    -----
    ``S = Q T Q'`` with T tridiagonal costs a third to a quarter of the eigendecomposition and serves as well:
    every alpha then costs O(d q) for ``T + alpha I`` and one product with Q. Where that matrix is not positive
    definite in floating point, the eigendecomposition takes over with negative eigenvalues read as 0.
    """
    if device is not None:
        return _by_eigen_on_device(xx, xz, alphas, device)
    d, q = xz.shape
    if d < 3:
        return _by_eigen(xx, xz, alphas)
    work = np.array(xx, order="F")
    size = int(lapack.dsytrd_lwork(d, lower=1)[0])
    packed, diagonal, off, tau, info = lapack.dsytrd(work, lower=1, lwork=size, overwrite_a=1)
    if info != 0:
        return _by_eigen(xx, xz, alphas)
    # Reflectors of Q sit below the first subdiagonal: Q = [[1, 0], [0, H]] with H in the form of a QR factor.
    reflectors = np.asfortranarray(packed[1:, :-1])
    rotated = np.array(xz, order="F")
    rotated[1:] = _apply(reflectors, tau, rotated[1:], transpose=True)
    solutions = np.empty((d, len(alphas) * q), order="F")
    for k, alpha in enumerate(alphas):
        _, _, solutions[:, k * q : (k + 1) * q], info = lapack.dptsv(diagonal + alpha, off, rotated)
        if info != 0:
            return _by_eigen(xx, xz, alphas)
    solutions[1:] = _apply(reflectors, tau, solutions[1:], transpose=False)
    return np.ascontiguousarray(solutions.reshape(d, len(alphas), q).transpose(1, 0, 2))


def degrees_of_freedom(xx: Array, alpha: float) -> float:
    """``trace(S (S + alpha I)^-1)``, the effective number of features of a ridge fit."""
    values = np.maximum(eigh(xx, eigvals_only=True, check_finite=False), 0.0)
    return float((values / (values + alpha)).sum())


def intercept_of(weights: Array, training: Centred) -> Array:
    """Offset that makes the mean prediction the mean of the task, shape (..., q)."""
    return np.asarray(training.mean_z - training.mean_x @ weights)


def held_out_error(weights: Array, training: Centred, held_out: Centred) -> Array:
    """Mean squared error on held-out rows, from their moments; shape of `weights` without its last two axes.

    Parameters
    ----------
    weights : ndarray of shape (..., d, q)
        Fitted on `training`, whose means give the offset.
    training, held_out : Centred
    """
    offset = held_out.mean_z - held_out.mean_x @ weights - intercept_of(weights, training)
    flat = weights.reshape(-1, *weights.shape[-2:])
    wide = np.concatenate(list(flat), axis=1)
    explained = (wide * (held_out.xx @ wide)).sum(axis=0) - 2.0 * (wide * np.tile(held_out.xz, len(flat))).sum(axis=0)
    total = explained.reshape((*weights.shape[:-2], -1)).sum(axis=-1) + held_out.zz
    return np.asarray(total / held_out.weight + (offset**2).sum(axis=-1))


def _apply(reflectors: Array, tau: Array, columns: Array, *, transpose: bool) -> Array:
    side, trans = "L", "T" if transpose else "N"
    target = np.asfortranarray(columns)
    _, work, _ = lapack.dormqr(side, trans, reflectors, tau, target, -1)
    result, _, _ = lapack.dormqr(side, trans, reflectors, tau, target, int(work[0]))
    return np.asarray(result)


def _by_eigen(xx: Array, xz: Array, alphas: Sequence[float]) -> Array:
    values, vectors = eigh(xx, check_finite=False)
    values = np.maximum(values, 0.0)
    rotated = vectors.T @ xz
    return np.stack([vectors @ (rotated / (values + alpha)[:, None]) for alpha in alphas])


def _by_eigen_on_device(xx: Array, xz: Array, alphas: Sequence[float], device: str) -> Array:
    torch = load_torch()
    values, vectors = torch.linalg.eigh(torch.as_tensor(xx, dtype=torch.float64, device=device))
    rotated = vectors.T @ torch.as_tensor(xz, dtype=torch.float64, device=device)
    penalties = torch.as_tensor(list(alphas), dtype=torch.float64, device=device)
    shrunk = rotated[None] / (values.clamp(min=0.0)[None, :, None] + penalties[:, None, None])
    return np.asarray((vectors @ shrunk).cpu().numpy(), dtype=np.float64)
