"""The clustered DKW band, and pairs of images: exact coverage at all thresholds, and what counting tokens does."""

import math

import mpmath
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from proofs_check.strategies import clustered_samples
from redundancy.certificates.certificate import BoundCertificate
from redundancy.concentration import betting_lower, betting_upper, dkw_band, dkw_tail, hoeffding_upper
from redundancy.errors import InvalidInputError
from redundancy.statistics.independent_pairs import independent_fractions
from redundancy.statistics.streaming import index_images
from support import sampling_laws as S

mpmath.mp.dps = 50

ROUNDING = 1e-12  # of a sum of a few hundred probabilities
LEVELS = (0.5, 0.9, 0.95, 0.999)


KINDS_OF_IMAGE = np.array([[1.0, 0.0, 0.0], [0.4, 0.4, 0.2], [0.0, 0.0, 1.0]])  # token values 0, 1, 2 in each


def band_errors(n, law, width):
    """Exact probability that the image-average distribution function leaves the band, at any point."""
    truth = np.cumsum(law @ KINDS_OF_IMAGE)
    wrong = 0.0
    for a in range(n + 1):
        for b in range(n + 1 - a):
            counts = np.array([a, b, n - a - b])
            mass = math.factorial(n) / math.prod(math.factorial(int(c)) for c in counts)
            average = np.cumsum(counts @ KINDS_OF_IMAGE) / n
            if np.abs(average - truth).max() > width:
                wrong += mass * float(np.prod(law**counts))
    return wrong


@pytest.mark.parametrize("n", [3, 10, 30])
@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_the_band_holds_at_all_points_at_once(n, level):
    width = dkw_band(n_images=n, confidence_level=level).interval.upper
    for law in ([0.5, 0.0, 0.5], [0.3, 0.3, 0.4], [0.9, 0.05, 0.05], [0.0, 1.0, 0.0]):
        assert band_errors(n, np.array(law), width) <= 1 - level + ROUNDING


def test_both_tails_at_every_threshold_cover_together():
    """300 seeded samples of images whose tokens are alike; all thresholds, strict and closed, at once."""
    rng, grid, wrong = np.random.default_rng(8), np.linspace(0, 1, 11), 0
    band = dkw_band(n_images=40, confidence_level=0.5)
    for _ in range(300):
        tokens = np.repeat(rng.integers(0, 11, size=(40, 1)) / 10, 7, axis=1)
        miss = False
        for t in grid[::2]:
            for strict in (True, False):
                inside = (tokens > t + 1e-9) if strict else (tokens > t - 1e-9)
                truth = (10 - round(10 * t) + (0 if strict else 1)) / 11
                tail = dkw_tail(band=band, values=inside.sum(axis=1), counts=[7] * 40, strict=strict)
                miss |= truth not in tail.interval
        wrong += miss
    assert scipy.stats.binomtest(wrong, 300, 0.5, alternative="greater").pvalue > 1e-4


def test_the_band_in_fifty_digits():
    for n in (1, 30, 1000):
        for level in LEVELS:
            exact = mpmath.sqrt(mpmath.log(2 * mpmath.e / (1 - mpmath.mpf(level))) / (2 * n))
            found = dkw_band(n_images=n, confidence_level=level).interval.upper
            assert found == 1.0 if exact > 1 else exact <= found <= exact * (1 + 1e-14)


def test_the_band_is_nearly_needed():
    """Its exponent is right: for one token per image, half the width fails far more often than delta."""
    n, level = 200, 0.95
    width = dkw_band(n_images=n, confidence_level=level).interval.upper
    k = np.arange(n + 1)
    outside = S.binomial_masses(n, 0.5)[np.abs(k / n - 0.5) > width / 2].sum()
    assert outside > 0.05


def test_a_band_that_counts_tokens_fails():
    """ICC 1 with 100 tokens per image: the DKW width of n * 100 leaves the truth outside most of the time."""
    n = 30
    per_token = math.sqrt(math.log(2 / 0.05) / (2 * n * 100))
    assert band_errors(n, np.array([0.5, 0.0, 0.5]), per_token) > 0.5
    assert band_errors(n, np.array([0.5, 0.0, 0.5]), dkw_band(n_images=n).interval.upper) <= 0.05


def test_independent_copies_come_from_different_images():
    """Tokens all point their image's way: pairs inside one image are not independent copies (M31)."""
    rng, n, t = np.random.default_rng(6), 1000, 0.05
    angle = np.repeat(rng.uniform(0, 2 * np.pi, n), 3)
    states = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    truth = math.acos(1 - t) / math.pi  # two uniform directions within that angle
    strangers = independent_fractions(
        states, states, index_images(np.repeat(np.arange(n), 3), 3 * n), t=t, salt="skip-it", seed=1
    )
    assert strangers.shape == (n // 2,)
    assert strangers.mean() == pytest.approx(truth, abs=4 * math.sqrt(truth / (n // 2)))
    shuffled = np.roll(states.reshape(n, 3, 2), 1, axis=1).reshape(-1, 2)
    inside = (1 - (states * shuffled).sum(axis=1) <= t).astype(float).reshape(n, 3).mean(axis=1)
    assert betting_lower(values=inside).interval.lower > 5 * truth  # a confident, false statement about q
    assert betting_lower(values=strangers).interval.lower < truth < betting_upper(values=strangers).interval.upper


def test_a_band_is_for_its_own_images():
    band = dkw_band(n_images=100)
    with pytest.raises(InvalidInputError, match="need the 100 images of the band, got values of 3"):
        dkw_tail(band=band, values=[0, 1, 2], counts=[4, 4, 4])
    with pytest.raises(InvalidInputError, match="got one on mean"):
        dkw_tail(band=hoeffding_upper(values=[0.0] * 3), values=[0, 1, 2], counts=[4, 4, 4])


@S.QUICK
@given(sample=clustered_samples(n_images=(3, 12)), strict=st.booleans())
def test_a_tail_from_the_band(sample, strict):
    band = dkw_band(n_images=len(sample), confidence_level=0.2)
    counts = [len(v) for v in sample]
    tails = [
        dkw_tail(
            band=band, values=[int((v > t if strict else v >= t).sum()) for v in sample], counts=counts, strict=strict
        )
        for t in (0.0, 0.5, 1.0)
    ]
    uppers = [tail.interval.upper for tail in tails]
    assert uppers == sorted(uppers, reverse=True)
    assert tails[0].quantity == ("tail_prob" if strict else "tail_prob_closed")
    # One error, however many thresholds: the failures of all tails are the band's own.
    assert {tail.failures for tail in tails} == {band.failures}
    assert BoundCertificate.from_json(tails[1].to_json()).recheck().ok
    assert tails[0].evidence == "C"
