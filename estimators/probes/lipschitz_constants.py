"""Lipschitz constants of fitted probes: exact for linear maps, safe upper bounds for compositions and kernels.

They are properties of the probe. Nothing here bounds the Lipschitz constant of the ideal predictor, which no
sample can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import svdvals

from redundancy.checks import check_real, check_rows
from redundancy.errors import InvalidInputError
from redundancy.interval import round_up

__all__ = ["gaussian_kernel_upper", "product_upper", "random_features_upper", "softmax_upper", "spectral_norm"]

_EPSILON = float(np.finfo(float).eps)


def spectral_norm(weights: npt.ArrayLike) -> float:
    """Largest singular value: the exact Lipschitz constant of ``x -> x W``, up to rounding (rounded up).

    Parameters
    ----------
    weights : array_like of shape (n_in, n_out)
        The map.

    Returns
    -------
    float
        Rounded up.

    Examples
    --------
    >>> round(spectral_norm([[3.0, 0.0], [0.0, 4.0]]), 9)
    4.0
    """
    matrix = check_rows(weights, "weights")
    # Backward error of the singular values: a small multiple of the unit roundoff times the largest.
    return round_up(float(svdvals(matrix)[0]) * (1.0 + 4.0 * max(matrix.shape) * _EPSILON))


def product_upper(layers: Sequence[npt.ArrayLike]) -> float:
    """Upper bound for linear maps with 1-Lipschitz activations between them: the product of spectral norms.

    Parameters
    ----------
    layers : sequence of array_like of shape (n_in, n_out)
        From the first map to the last.

    Returns
    -------
    float
        Rounded up.

    Raises
    ------
    InvalidInputError
        If the shapes do not chain.
    """
    if not layers:
        raise InvalidInputError("need one weight matrix at least, got none")
    return round_up(math.prod(spectral_norm(w) for w in layers))


def softmax_upper(weights: npt.ArrayLike, *, temperature: float = 1.0) -> float:
    """Upper bound for ``softmax(x W / temperature)``: half the spectral norm of W centred over the classes.

    Parameters
    ----------
    weights : array_like of shape (n_features, n_classes)
    temperature : float, default=1.0
        Positive.

    Returns
    -------
    float
        Rounded up.

    Notes
    -----
    Softmax does not see a shift common to all classes, and its Jacobian ``diag(p) - p p'`` has norm at most 1/2.
    """
    matrix = check_rows(weights, "weights")
    scale = check_real(temperature, "temperature", lower=0.0, open_ends=True)
    return round_up(spectral_norm(matrix - matrix.mean(axis=1, keepdims=True)) / (2.0 * scale))


def gaussian_kernel_upper(coefficients: npt.ArrayLike, kernel: npt.ArrayLike, *, bandwidth: float) -> float:
    r"""Upper bound for ``f(x) = sum_i A_i exp(-|x - c_i|^2 / (2 s^2))``: ``sqrt(lambda_max(A' K A)) / s``.

    Parameters
    ----------
    coefficients : array_like of shape (n_centres, n_outputs)
    kernel : array_like of shape (n_centres, n_centres)
        K, the Gaussian kernel between the centres.
    bandwidth : float
        s; the feature map of the kernel is 1/s-Lipschitz.

    Returns
    -------
    float
        Rounded up.
    """
    a, k = check_rows(coefficients, "coefficients"), check_rows(kernel, "kernel")
    s = check_real(bandwidth, "bandwidth", lower=0.0, open_ends=True)
    gram = a.T @ k @ a
    slack = 8.0 * _EPSILON * len(k) * float(np.abs(a).sum(axis=0).max()) ** 2
    top = float(np.linalg.eigvalsh(0.5 * (gram + gram.T))[-1]) + slack
    return round_up(math.sqrt(max(top, 0.0)) / s)


def random_features_upper(frequencies: npt.ArrayLike, coefficients: npt.ArrayLike) -> float:
    """Upper bound for ``cos(x F + b) A``: product of spectral norms, the cosine being 1-Lipschitz."""
    return product_upper([frequencies, coefficients])
