"""A bound of another package: from the mean cosine distance of unit vectors to their mean squared chord."""

from redundancy.certificates.certificate import Bound, bound
from redundancy.checks import check_real
from redundancy.interval import Interval, round_up


@bound(title="Squared chord from cosine distance", statement="|x - y|^2 = 2 D for unit vectors.")
def chord_upper(*, cosine_distance: float) -> Bound:
    """The mean squared chord is at most 2 D.

    Parameters
    ----------
    cosine_distance : float
        D in [0, 2].
    """
    distance = check_real(cosine_distance, "cosine_distance", lower=0.0, upper=2.0)
    upper = round_up(2.0 * distance)
    return Bound(quantity="squared_chord", interval=Interval(0.0, upper), trivial=Interval(0.0, 4.0))
