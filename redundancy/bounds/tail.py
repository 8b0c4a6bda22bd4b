"""Proposition 1 and the distance sandwich: what a tail probability says of a mean distance, and back."""

from __future__ import annotations

from redundancy._validate import check_real
from redundancy.certificate import Assumption, Bound, Evidence, as_interval, bound
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval, outward, round_down, round_up

__all__ = ["printed_upper", "sandwich_lower", "sandwich_upper", "tail_upper"]

_UNIT = Interval(0.0, 1.0)


def _threshold(t: float, rho_max: float) -> tuple[float, float]:
    rho_max = check_real(rho_max, "rho_max", lower=0.0, open_ends=True)
    return check_real(t, "t", lower=0.0, upper=rho_max), rho_max


@bound("prop1.printed")
def printed_upper(*, tail_prob: Evidence, t: float, rho_max: float = 1.0) -> Bound:
    r"""Proposition 1 as printed, :math:`E\rho \le t + (1 - t) P[\rho > t]`, for distances at most 1.

    Raises
    ------
    InvalidInputError
        If `rho_max` exceeds 1, as for the cosine distance, whose range is [0, 2]: the printed statement is then
        false (rho = 2 with probability 1/20, else 1/20, t = 1/20: the mean is 0.1475, not below 0.1).

    References
    ----------
    .. [1] Proposition 1 of arXiv:2509.25584.
    """
    t, rho_max = _threshold(t, rho_max)
    if rho_max > 1.0 or t >= 1.0:
        raise InvalidInputError(
            f"Proposition 1 as printed needs rho <= 1 and t < 1, got rho_max={rho_max:g}, t={t:g}; use sandwich_upper"
        )
    p = as_interval(tail_prob, name="tail_prob", within=_UNIT)
    return Bound(
        quantity="mean_distance",
        interval=Interval(0.0, min(1.0, round_up(t + (1.0 - t) * p.upper))),
        trivial=_UNIT,
        assumptions=(Assumption("rho_range", "the distance lies in [0, 1]", "declared"),),
    )


@bound("prop1.sandwich_upper")
def sandwich_upper(*, tail_prob: Evidence, t: float, rho_max: float = 2.0) -> Bound:
    r"""Mean distance from above: :math:`E\rho \le t + (r - t) P[\rho > t]` for :math:`0 \le \rho \le r`.

    Parameters
    ----------
    tail_prob : float, Interval or BoundCertificate
        P[rho > t], strictly above t.
    t : float
        Threshold in [0, rho_max].
    rho_max : float, default=2
        Upper end r of the range of the distance; 2 for the cosine distance.

    References
    ----------
    .. [1] Proposition 1 of arXiv:2509.25584 is the case r = 1.
    """
    t, rho_max = _threshold(t, rho_max)
    p = as_interval(tail_prob, name="tail_prob", within=_UNIT)
    return Bound(
        quantity="mean_distance",
        interval=Interval(0.0, min(rho_max, round_up(t + (rho_max - t) * p.upper))),
        trivial=Interval(0.0, rho_max),
        assumptions=(Assumption("rho_range", f"the distance lies in [0, {rho_max:g}]", "checked"),),
    )


@bound("prop1.sandwich_lower")
def sandwich_lower(*, tail_prob: Evidence, t: float, rho_max: float = 2.0) -> Bound:
    r"""Mean distance from below: :math:`E\rho \ge t P[\rho \ge t]`; the tail includes t itself."""
    t, rho_max = _threshold(t, rho_max)
    p = as_interval(tail_prob, name="tail_prob", within=_UNIT)
    return Bound(
        quantity="mean_distance",
        interval=Interval(max(0.0, round_down(t * p.lower)), rho_max),
        trivial=Interval(0.0, rho_max),
        assumptions=(Assumption("rho_range", f"the distance lies in [0, {rho_max:g}]", "checked"),),
    )


@bound("prop1.tail")
def tail_upper(*, mean_distance: Evidence, t: float, rho_max: float = 2.0) -> Bound:
    r"""The converse: :math:`(E\rho - t)/(r - t) \le P[\rho > t]` and :math:`P[\rho \ge t] \le E\rho / t`.

    The interval holds P[rho > t].
    """
    t, rho_max = _threshold(t, rho_max)
    if not 0.0 < t < rho_max:
        raise InvalidInputError(f"need 0 < t < rho_max, got t={t:g}, rho_max={rho_max:g}")
    e = as_interval(mean_distance, name="mean_distance", within=Interval(0.0, rho_max))
    ends = outward(max(0.0, (e.lower - t) / (rho_max - t)), min(1.0, e.upper / t))
    return Bound(
        quantity="tail_prob",
        interval=Interval(max(0.0, ends.lower), min(1.0, ends.upper)),
        trivial=_UNIT,
        assumptions=(Assumption("rho_range", f"the distance lies in [0, {rho_max:g}]", "checked"),),
    )
