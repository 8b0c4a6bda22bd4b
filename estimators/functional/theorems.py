"""Theorems 1 and 2 evaluated beside an estimate, with stated or estimated constants, to show how loose each is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.functional.linear import LinearEngine
from estimators.probes.lipschitz_constants import spectral_norm
from redundancy.bounds import lipschitz, plug_in
from redundancy.bounds.implications import given
from redundancy.certificates.certificate import BoundCertificate
from redundancy.interval import Interval

__all__ = ["Constants", "estimated_constants", "theorem_values"]

Array = npt.NDArray[np.float64]
Constants = tuple[float, float]  # alpha (in the next state), beta (in the previous state)

_BLOCK = 4096


def estimated_constants(engine: LinearEngine) -> Constants:
    """Spectral norms of the two blocks of the joint ridge probe: its exact constants, only a guess at those of h.

    The split between the two layers is not identified when they are nearly collinear; the ridge picks the one of
    small norm.
    """
    _, _, joint = engine.certifying()
    return spectral_norm(joint.weights[engine.d :]), spectral_norm(joint.weights[: engine.d])


def theorem_values(
    x_prev: Any,
    x_next: Any,
    *,
    constants: Constants,
    stated: bool,
    unit_norm: bool,
    mean_distance: BoundCertificate | None,
    residuals: tuple[float, float] | None,
    errors: tuple[float, float],
    cap: float | None,
) -> tuple[BoundCertificate, ...]:
    """Upper bounds on the functional gap by Theorem 1, and on the probes' gap by Theorem 2.

    More than eight parameters, one for each quantity that the theorems name.

    Parameters
    ----------
    constants : (float, float)
        alpha and beta.
    stated : bool
        Whether the user stated them (label A); else everything here is an estimate (label E).
    unit_norm : bool
        Whether all states have unit norm, which the printed forms need.
    mean_distance : BoundCertificate or None
        Certified upper bound on the mean cosine distance.
    residuals : (float, float) or None
        Held-out E|X_next - g(X_prev)|^2 and E|X_prev - g(X_next)|^2.
    errors : (float, float)
        Held-out mean squared errors of the probes on previous and next.
    cap : float or None
    """
    alpha, beta = constants
    note = "stated by the user" if stated else "estimated: those of the joint linear probe, not of the ideal predictor"
    shared: dict[str, Any] = {"alpha": alpha, "beta": beta, "task_cap": cap}
    result: list[BoundCertificate] = []
    squared = None
    if x_prev.shape[1] == x_next.shape[1]:
        squared = given(quantity="mean_squared_distance", value=_squared_distance(x_prev, x_next), estimated=True)
        result.append(lipschitz.minkowski_upper(squared_distance=squared, **shared))
    if unit_norm and mean_distance is not None and squared is not None:
        # With estimated constants a certified distance would lend them its label; the estimate tells the truth.
        distance = mean_distance if stated else _estimate("mean_distance", squared.interval.upper / 2.0, 2.0)
        result.append(lipschitz.printed_upper(mean_distance=distance, **shared))
        result.append(lipschitz.unit_norm_upper(mean_distance=distance, **shared))
        result.append(
            plug_in.printed_upper(
                error_prev=_estimate("error_prev", errors[0]),
                error_next=_estimate("error_next", errors[1]),
                mean_distance=distance,
                alpha=alpha,
                beta=beta,
            )
        )
    if residuals is not None:
        onward, back = (given(quantity="mean_squared_distance", value=value, estimated=True) for value in residuals)
        result.append(lipschitz.residual_upper(residual_next=onward, residual_prev=back, **shared))
    return tuple(certificate.with_provenance(lipschitz_constants=note) for certificate in result)


def _estimate(quantity: str, value: float, most: float = np.inf) -> BoundCertificate:
    return given(quantity=quantity, value=Interval.point(min(max(value, 0.0), most)), estimated=True)


def _squared_distance(x_prev: Any, x_next: Any) -> float:
    total = 0.0
    for start in range(0, len(x_prev), _BLOCK):
        part = slice(start, start + _BLOCK)
        difference = np.asarray(x_next[part], dtype=np.float64) - np.asarray(x_prev[part], dtype=np.float64)
        total += float(np.einsum("ij,ij->", difference, difference))
    return total / len(x_prev)
