"""What an ideal reader loses by reading the previous layer, from unique information: one-sided, with no chain."""

from __future__ import annotations

from redundancy.bounds._inputs import capped, nats, product, range_assumption
from redundancy.certificates.certificate import Bound, Evidence, bound
from redundancy.checks import check_real
from redundancy.interval import Interval

__all__ = ["performance_gap_upper"]


@bound(
    title="Performance gap of ideal readers",
    status="repaired",
    printed="Section 3.4: under certain conditions, the average difference in performance between optimal MSE"
    ' estimators is bounded by "unique information about X that only X has".',
    statement="mmse_prev - mmse_next <= (Delta^2/2) Uni(Z : next \\ prev), one-sided, no chain.",
    deviation="As printed the bound is Theorem 5 with Lemma 5, 2 B^2 Uni(X:X\\Y), and needs its chain. Unique "
    "information *about the task* bounds the one-sided gap with no chain; the gain by skipping is not"
    " bounded.",
    counterexample="Absolute difference: X constant, Z = Y: 1 > 0.",
)
def performance_gap_upper(
    *, unique_information: Evidence, diameter: float, base: float = 2.0, task_cap: Evidence | None = None
) -> Bound:
    r"""mmse(prev) - mmse(next) <= (Delta^2 / 2) Uni(Z : X_next \ X_prev), with no Markov assumption.

    What an *ideal* reader loses by reading the previous layer instead of the next. It bounds neither F (two
    noisy copies of a bit: Uni = 0, F = 3/8) nor the gain by skipping, so only the upper end is informative.

    Parameters
    ----------
    unique_information : Evidence
        BROJA unique information of the next layer about the task, in units of `base`; any interval that
        holds it, or I(Z; x_next | x_prev), which is at least as large.
    diameter : float
        Delta, the largest distance between two task values.
    base : float, default=2
    task_cap : Evidence, optional

    Returns
    -------
    BoundCertificate
        On ``mmse_increase``, inside [-cap, cap].
    """
    diameter = check_real(diameter, "diameter", lower=0.0)
    upper = product(0.5, diameter, diameter, nats(unique_information, "unique_information", base).upper)
    bounded = capped(upper, diameter, None, task_cap, (range_assumption(diameter, None),), "P")
    cap = bounded.trivial.upper
    return Bound(
        quantity="mmse_increase",
        interval=Interval(-cap, bounded.interval.upper),
        trivial=Interval(-cap, cap),
        assumptions=bounded.assumptions,
    )
