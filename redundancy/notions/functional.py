"""Definition 3, functional redundancy: ideal predictors of the task from either layer agree.

The definition compares *ideal* predictors. On full states of a deterministic injective layer they agree
whatever the layer does, and it says nothing about running the unchanged rest of the network on the
earlier state. What decides skipping is `probe_gap` with the actual remaining network.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import Evidence
from redundancy.checks import check_joint, check_rows
from redundancy.errors import InvalidInputError
from redundancy.info.joint import check_values, conditional_means
from redundancy.notions.verdict import RedundancyVerdict, decide

__all__ = [
    "functional_gap_of_law",
    "functional_verdict",
    "minimum_errors_of_law",
    "probe_gap",
    "task_variance_of_law",
]


def functional_gap_of_law(joint: npt.ArrayLike, task_values: npt.ArrayLike) -> float:
    r"""Exact :math:`F = E|E[Z|X_\ell] - E[Z|X_{\ell-1}]|^2` of a finite law.

    Parameters
    ----------
    joint : array_like of shape (n_next, n_prev, n_z)
        Joint law of (x_next, x_prev, z).
    task_values : array_like of shape (n_z,) or (n_z, n_dims)
        The value of each task symbol; one-hot rows for labels.

    Returns
    -------
    float
        In squared units of the task.

    Examples
    --------
    Z is the previous layer, a fair sign; the next layer is constant:

    >>> functional_gap_of_law([[[0.5, 0.0], [0.0, 0.5]]], [-1.0, 1.0])
    1.0
    """
    table = check_joint(joint, ndim=3)
    f_next, f_prev, _ = conditional_means(table, task_values)
    pair = table.sum(axis=2)
    # A row without mass has no conditional mean; its weight is zero.
    gaps = np.where(pair > 0.0, ((f_next[:, None, :] - f_prev[None, :, :]) ** 2).sum(axis=2), 0.0)
    return float((pair * gaps).sum())


def minimum_errors_of_law(joint: npt.ArrayLike, task_values: npt.ArrayLike) -> tuple[float, float]:
    """Mean squared errors of the ideal predictors from the next and from the previous layer.

    Parameters
    ----------
    joint : array_like of shape (n_next, n_prev, n_task)
        Law of both layers and the task.
    task_values : array_like of shape (n_task,) or (n_task, n_dims)
        Value of each task symbol.

    Returns
    -------
    tuple of two floats
        From the next and from the previous layer, in squared task units.
    """
    table = check_joint(joint, ndim=3)
    values = check_values(task_values, table.shape[2])
    f_next, f_prev, _ = conditional_means(table, values)
    result = []
    for law, means in ((table.sum(axis=1), f_next), (table.sum(axis=0), f_prev)):
        errors = ((values[None, :, :] - means[:, None, :]) ** 2).sum(axis=2)
        result.append(float((law * np.where(law > 0.0, errors, 0.0)).sum()))
    return result[0], result[1]


def task_variance_of_law(joint: npt.ArrayLike, task_values: npt.ArrayLike) -> float:
    """Var Z = E|Z - EZ|^2: the trivial cap of the functional gap.

    Parameters
    ----------
    joint : array_like of shape (n_next, n_prev, n_task)
        Law of both layers and the task.
    task_values : array_like of shape (n_task,) or (n_task, n_dims)
        Value of each task symbol.

    Returns
    -------
    float
        In squared task units.
    """
    table = check_joint(joint, ndim=3)
    values = check_values(task_values, table.shape[2])
    law = table.sum(axis=(0, 1))
    return float(law @ ((values - law @ values) ** 2).sum(axis=1))


def probe_gap(predictions_next: npt.ArrayLike, predictions_prev: npt.ArrayLike) -> float:
    """G: mean squared difference of two predictors' outputs on the rows of a sample.

    The predictors must have been fitted on other data than these rows, else G describes the fit.

    Parameters
    ----------
    predictions_next : array_like of shape (n_rows,) or (n_rows, n_dims)
        Of the probe on the next layer.
    predictions_prev : array_like of the same shape
        Of the probe on the previous layer.

    Returns
    -------
    float
        In squared task units.

    Raises
    ------
    InvalidInputError
        If the shapes differ.
    """
    first, second = check_rows(predictions_next, "predictions_next"), check_rows(predictions_prev, "predictions_prev")
    if first.shape != second.shape:
        raise InvalidInputError(f"need predictions of one shape, got {first.shape} and {second.shape}")
    return float(np.mean(((first - second) ** 2).sum(axis=1)))


def functional_verdict(*, functional_gap: Evidence, epsilon: float) -> RedundancyVerdict:
    """Is ``F < epsilon``? `functional_gap` is a number, an Interval or a certificate.

    Parameters
    ----------
    functional_gap : float, Interval or certificate
        F, the mean squared difference of the ideal predictors.
    epsilon : float
        What the quantity is compared with, positive.

    Returns
    -------
    RedundancyVerdict
        Holds, refuted or undecided.
    """
    return decide("functional", "functional_gap", functional_gap, epsilon)
