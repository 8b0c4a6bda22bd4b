"""A fitted model of prefill time: what the clock will show, between what FLOPs promise and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from scipy.optimize import nnls

from extraction.skip.cost.prediction import tokens_per_layer
from extraction.skip.cost.timing import PrefillTiming
from extraction.skip.plan import Plan
from extraction.skip.terms import random_keep, skip_layers, vision_exit
from extraction.skip.terms.base import LAYER
from redundancy.errors import InvalidInputError

__all__ = ["TimeModel", "calibration_plans", "fit_time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeModel:
    r"""Decoder milliseconds of a prefill, additive over layers.

    .. math:: t(plan) = c + \sum_{i: m_i > 0} (a + b m_i + e m_i^2), \qquad m_i = |P_i|

    Every coefficient is at least 0. An estimate: fitted to medians, of this machine, batch and prompt length.

    Parameters
    ----------
    n_layers, n_vision, n_text : int
        Decoder layers and prompt that the times were of.
    constant, per_layer, per_token, per_square : float
        c, a, b and e.
    residual : float
        Largest relative error over the plans it was fitted to.
    """

    n_layers: int
    n_vision: int
    n_text: int
    constant: float
    per_layer: float
    per_token: float
    per_square: float
    residual: float

    def predict(self, plan: Plan) -> float:
        """Decoder milliseconds of `plan`.

        Raises
        ------
        InvalidInputError
            If the plan skips single sublayers, which the model does not tell apart.
        """
        coefficients = (self.constant, self.per_layer, self.per_token, self.per_square)
        return float(np.dot(coefficients, _features(plan, self.n_layers, self.n_vision, self.n_text)))

    def speedup(self, plan: Plan) -> float:
        """Predicted time of the unmodified model over that of `plan`, decoder alone."""
        return self.predict(Plan()) / self.predict(plan)


def calibration_plans(n_layers: int) -> tuple[Plan, ...]:
    """A few plans that tell the coefficients apart: no vision, half the layers with it, fewer tokens, fewer layers.

    Together with the unmodified model they cover short, mixed and long prompts, so that other plans interpolate.

    Parameters
    ----------
    n_layers : int
        Decoder layers of the model.

    Returns
    -------
    tuple of Plan
        The unmodified model is not among them.
    """
    half = max(1, n_layers // 2)
    return (
        vision_exit(0),
        vision_exit(half),
        random_keep(0.5),
        random_keep(0.25),
        skip_layers(*range(0, n_layers, 2)),
        vision_exit(0) + skip_layers(*range(0, n_layers, 2)),
    )


def fit_time(timings: Sequence[PrefillTiming], *, n_layers: int, n_vision: int, n_text: int) -> TimeModel:
    """Fit `TimeModel` to measured medians by non-negative least squares of relative errors.

    Parameters
    ----------
    timings : sequence of PrefillTiming
        Measured in one run on one batch, at least 4, as of `calibration_plans`; the unmodified model comes with them.
    n_layers, n_vision, n_text : int
        Decoder layers; vision and text tokens of the prompt.

    Returns
    -------
    TimeModel
        Predicts any plan of the same model, prompt and machine.

    Raises
    ------
    InvalidInputError
        If the timings cannot tell the coefficients apart.
    """
    if len(timings) < 4:
        raise InvalidInputError(
            f"need at least 4 timed plans to fit 4 coefficients, got {len(timings)}; time calibration_plans too"
        )
    plans = [Plan(), *(timing.plan for timing in timings)]
    times = np.array([median(timings[0].plain_decoder), *(median(timing.decoder) for timing in timings)])
    features = np.array([_features(plan, n_layers, n_vision, n_text) for plan in plans])
    scale = features.max(axis=0)
    scale[scale == 0] = 1.0
    solution, _ = nnls(features / scale / times[:, None], np.ones(len(times)))
    c, a, b, e = solution / scale
    residual = np.abs(features @ (solution / scale) / times - 1.0).max()
    return TimeModel(
        n_layers=n_layers,
        n_vision=n_vision,
        n_text=n_text,
        constant=float(c),
        per_layer=float(a),
        per_token=float(b),
        per_square=float(e),
        residual=float(residual),
    )


def _features(plan: Plan, n_layers: int, n_vision: int, n_text: int) -> tuple[float, float, float, float]:
    if any(left_out and LAYER not in left_out for left_out in map(plan.left_out, range(n_layers))):
        raise InvalidInputError(f"the fitted time model knows whole layers only, got {plan}; measure it instead")
    present = np.array(tokens_per_layer(plan, n_layers, n_vision, n_text), dtype=float)
    return 1.0, float((present > 0).sum()), float(present.sum()), float((present**2).sum())
