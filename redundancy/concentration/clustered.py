r"""A band around the whole tail function, valid for all thresholds at once, when tokens come in images.

Token-level DKW bands are wrong for clustered tokens (coverage 0.025 in simulation). The average of n i.i.d.
per-image distribution functions is a conditional mean of the ECDF of one random token per image; the sup-norm
is convex, so :math:`E(D - a)_+ \le E(D' - a)_+` for the deviations D of the average and D' of that ECDF. With
Massart's tail of D' and a = u - 1/(4nu):

.. math:: P(D > u) \le \tfrac{1}{u - a} \int_a^\infty 2 e^{-2nx^2} dx \le 2e\,e^{-2nu^2}
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import Assumption, Bound, BoundCertificate, Evidence, as_interval, bound
from redundancy.checks import check_count
from redundancy.concentration.sample import error_of, read_sample
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval, round_down, round_up

__all__ = ["dkw_band", "dkw_tail"]

_QUANTITIES = {True: "tail_prob", False: "tail_prob_closed"}


@bound(
    title="Clustered DKW band",
    statement="P[sup_t |F_n - F| > sqrt(ln(2e/delta)/(2n))] <= delta, F_n the average of n i.i.d. per-image "
    "distribution functions.",
    deviation="The classical band needs independent tokens; a convex order costs the factor e inside the logarithm.",
    counterexample="The band over all tokens covered in 2.5% of runs.",
    evidence="C",
)
def dkw_band(*, n_images: int, confidence_level: float = 0.95) -> Bound:
    r"""How far the image-average distribution function can be from the true one, at all points at once.

    .. math:: u = \sqrt{\ln(2e/\delta) / (2n)}

    Parameters
    ----------
    n_images : int
        Images, each with any number of tokens.
    confidence_level : float, default=0.95
        In (0, 1), for all thresholds and both sides together.

    Returns
    -------
    BoundCertificate
        On ``cdf_deviation``; hand it to `dkw_tail` for every threshold of interest, it is paid for once.

    References
    ----------
    .. [1] Massart (1990), The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality,
       doi:10.1214/aop/1176990746. The step from tokens to images is this project's (see the module).

    Examples
    --------
    >>> round(dkw_band(n_images=1000).interval.upper, 4)
    0.0484
    """
    n = check_count(n_images, "n_images", lower=1)
    width = math.sqrt(math.log(2.0 * math.e / error_of(confidence_level)) / (2.0 * n))
    return Bound(
        quantity="cdf_deviation",
        interval=Interval(0.0, min(1.0, round_up(width))),
        trivial=Interval(0.0, 1.0),
        assumptions=(Assumption("iid_images", "images (with their prompts) are i.i.d. draws from the population"),),
        evidence="C",
        confidence_level=confidence_level,
    )


@bound(
    title="A tail probability at any threshold",
    statement="P[rho > t] within the band around its image average, at every t at once, also one chosen after looking.",
    deviation="Paid for once by the band.",
    evidence="C",
    uses=("concentration.dkw_band",),
)
def dkw_tail(*, band: Evidence, values: npt.ArrayLike, counts: npt.ArrayLike, strict: bool = True) -> Bound:
    """Image-average P(rho > t) (strict) or P(rho >= t), for any t, also one chosen after looking.

    Parameters
    ----------
    band : Evidence
        Certificate of `dkw_band` for the same images.
    values, counts : array_like of shape (n,)
        Tokens of each image in the tail, and all its tokens.
    strict : bool, default=True
        Which tail was counted.

    Returns
    -------
    BoundCertificate
        On ``tail_prob`` or ``tail_prob_closed``; its error is that of the band, shared by all thresholds.

    Raises
    ------
    InvalidInputError
        If the band is a certificate of something else or for another number of images.

    Notes
    -----
    Betting on a few thresholds declared beforehand is much tighter near P = 0.

    References
    ----------
    A tail probability at any threshold: docs/theorems/concentration.md.

    Examples
    --------
    >>> band = dkw_band(n_images=1000)
    >>> tail = dkw_tail(band=band, values=[1] * 1000, counts=[10] * 1000)
    >>> round(tail.interval.lower, 4), round(tail.interval.upper, 4)
    (0.0516, 0.1484)
    """
    width = as_interval(band, name="band", within=Interval(0.0, 1.0)).upper
    sample = read_sample(values, counts=counts)
    if isinstance(band, BoundCertificate):
        if band.quantity != "cdf_deviation":
            raise InvalidInputError(f"need a certificate of dkw_band as band, got one on {band.quantity}")
        n_images = band.inputs.get("n_images", len(sample.u))
        if n_images != len(sample.u):
            raise InvalidInputError(f"need the {n_images} images of the band, got values of {len(sample.u)}")
    centre, slack = float(np.mean(sample.u)), sample.slack
    return Bound(
        quantity=_QUANTITIES[bool(strict)],
        interval=Interval(
            max(0.0, round_down(centre - width, slack=slack)), min(1.0, round_up(centre + width, slack=slack))
        ),
        trivial=Interval(0.0, 1.0),
    )
