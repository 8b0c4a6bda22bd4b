"""Entropies on codes: formulas against independent computations, certified bounds against known laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.special import betaln, polygamma
from scipy.stats import binomtest, entropy

from estimators.codes.pairs import CodedPair
from estimators.entropy import (
    METHODS,
    EntropyEstimate,
    conditional_entropy_estimate,
    conditional_entropy_upper,
    mutual_information_estimate,
    mutual_information_lower,
    point,
)
from estimators.entropy.predictor import fit_predictor
from redundancy.certificates.certificate import BoundCertificate
from redundancy.errors import InvalidInputError

counts_lists = st.lists(st.integers(0, 12), min_size=1, max_size=8).filter(any)

# ---------------------------------------------------------------- point estimates


@given(n=counts_lists)
def test_plug_in_is_the_entropy_of_the_empirical_law(n):
    assert point.plug_in(n) == pytest.approx(entropy(n), abs=1e-12)


@given(n=counts_lists.filter(lambda n: sum(n) >= 2))
def test_jackknife_by_leaving_out_each_draw(n):
    draws = np.repeat(np.arange(len(n)), n)
    without = [entropy(np.bincount(np.delete(draws, i))) for i in range(len(draws))]
    expected = len(draws) * entropy(n) - (len(draws) - 1) * np.mean(without)
    assert point.jackknife(n) == pytest.approx(expected, abs=1e-10)


def test_grassberger_numbers_by_recursion():
    """G(1) = -gamma - ln 2, G(2) = 2 - gamma - ln 2, G(2m + 1) = G(2m), G(2m + 2) = G(2m) + 2 / (2m + 1)."""
    g = {1: -np.euler_gamma - math.log(2), 2: 2 - np.euler_gamma - math.log(2)}
    for m in range(1, 20):
        g[2 * m + 1] = g[2 * m]
        g[2 * m + 2] = g[2 * m] + 2 / (2 * m + 1)
    for n in ([1], [2, 1], [3, 5, 8], [40, 1, 1, 17], [33, 34]):
        total = sum(n)
        expected = math.log(total) - sum(k * g[k] for k in n) / total
        assert point.grassberger(n) == pytest.approx(expected, abs=1e-12)


def test_miller_madow_counts_the_symbols_seen():
    assert point.miller_madow([3, 0, 1, 4]) == pytest.approx(entropy([3, 1, 4]) + 2 / 16, abs=1e-12)


def test_chao_shen_by_hand():
    """[3, 1]: coverage 3/4, masses 9/16 and 3/16."""
    expected = -sum(p * math.log(p) / (1 - (1 - p) ** 4) for p in (9 / 16, 3 / 16))
    assert point.chao_shen([3, 1]) == pytest.approx(expected, abs=1e-12)
    assert math.isfinite(point.chao_shen([1, 1, 1]))


def test_james_stein_by_hand():
    """[4, 0]: p = (1, 0), shares: (1 - 1) / ... = 0, so no shrinkage; [1, 1, 0]: full shrinkage to the uniform law."""
    assert point.james_stein([4, 0], 2) == pytest.approx(0.0, abs=1e-12)
    assert point.james_stein([1, 1, 0], 3) == pytest.approx(math.log(3), abs=1e-12)
    # [3, 1] of K = 2: (1 - 10/16) / (3 (10/16 - 1/2)) = 1: uniform again; [6, 2] of K = 2: 0.375 / (7 * 0.125) = 3/7.
    p = 3 / 7 * 0.5 + 4 / 7 * np.array([0.75, 0.25])
    assert point.james_stein([6, 2], 2) == pytest.approx(entropy(p), abs=1e-12)


@pytest.mark.parametrize("n", [(3, 1)])
def test_nsb_by_double_integration(n):
    """Two symbols: the posterior mean of the entropy by quadrature over beta and the mass itself."""

    def density(p, logs):
        b = math.exp(logs)
        prior = 2 * polygamma(1, 2 * b + 1) - polygamma(1, b + 1)
        return b * prior * math.exp((n[0] + b - 1) * math.log(p) + (n[1] + b - 1) * math.log1p(-p) - betaln(b, b))

    ends = (-9, 9, 1e-12, 1 - 1e-12)
    options = {"epsabs": 1e-9, "epsrel": 1e-4}
    mass = dblquad(density, *ends, **options)[0]
    mean = dblquad(lambda p, s: density(p, s) * entropy([p, 1 - p]), *ends, **options)[0]
    assert point.nsb(n, 2) == pytest.approx(mean / mass, abs=2e-3)


def test_nsb_finds_a_narrow_peak():
    """Many draws: the posterior of beta is narrow, and all estimates agree with the truth."""
    rng = np.random.default_rng(0)
    law = rng.dirichlet(np.full(200, 0.7))
    n = rng.multinomial(2_000_000, law)
    assert point.nsb(n, 200) == pytest.approx(entropy(law), abs=2e-3)


def test_against_another_library():
    im = pytest.importorskip("infomeasure", reason="infomeasure is an optional oracle")
    rng = np.random.default_rng(1)
    draws = rng.choice(30, 200, p=rng.dirichlet(np.full(30, 0.5)))
    n = np.bincount(draws)
    for name in ("miller_madow", "chao_shen"):  # its grassberger is the formula of 1988, ours that of 2003
        assert METHODS[name](n, 30) == pytest.approx(im.entropy(draws, approach=name, base="e"), abs=1e-9), name
    # Theirs takes the symbols seen for the alphabet. Its NSB is 0.01 to 0.04 nats off the double integral above.
    seen = int((n > 0).sum())
    assert METHODS["james_stein"](n, seen) == pytest.approx(im.entropy(draws, approach="shrink", base="e"), abs=1e-9)


def test_biases_come_in_the_known_order():
    """Few draws: the plug-in is far below, the corrected ones nearer, NSB nearest."""
    rng = np.random.default_rng(2)
    law = rng.dirichlet(np.ones(2000))
    values = {name: [] for name in METHODS}
    for _ in range(10):
        n = rng.multinomial(1000, law)
        for name, function in METHODS.items():
            values[name].append(function(n, 2000))
    bias = {name: abs(np.mean(v) - entropy(law)) for name, v in values.items()}
    assert bias["plug_in"] > bias["miller_madow"] > bias["grassberger"] > bias["nsb"]
    assert bias["plug_in"] > bias["jackknife"]
    assert bias["plug_in"] > bias["chao_shen"]


@pytest.mark.parametrize("bad", [[], [0, 0], [1.5], [-1, 2], [[1, 2]]])
def test_counts_are_checked(bad):
    for function in METHODS.values():
        with pytest.raises(InvalidInputError, match="whole counts"):
            function(np.array(bad), 10)


def test_alphabets_are_checked():
    with pytest.raises(InvalidInputError, match="need n_symbols"):
        point.nsb([1, 2])
    with pytest.raises(InvalidInputError, match="at most n_symbols=2"):
        point.nsb([1, 2, 3], 2)
    with pytest.raises(InvalidInputError, match="2 draws"):
        point.jackknife([1])


# ---------------------------------------------------------------- laws with known entropy


def circle(k):
    """Distances of k codes on a circle, in [0, 2]."""
    angle = 2 * np.pi * np.arange(k) / k
    return np.round(1 - np.cos(angle[:, None] - angle), 12)


def noisy_pair(rng, *, k=16, images=200, tokens=12, stay=0.7, step=2, clustered=True):
    """Codes that stay, or move up to `step` places; truth of H(next | prev) and I in nats.

    Half of the tokens of an image share one code: tokens of an image depend on each other.
    """
    own = rng.integers(k, size=(images, tokens))
    shared = rng.integers(k, size=(images, 1))
    prev = np.where(rng.random((images, tokens)) < 0.5, shared, own) if clustered else own
    moved = (prev + rng.integers(-step, step + 1, size=prev.shape)) % k
    after = np.where(rng.random(prev.shape) < stay, prev, moved)
    law = np.full(2 * step + 1, (1 - stay) / (2 * step + 1))
    law[step] += stay
    ids = np.repeat(np.arange(images), tokens)
    pair = CodedPair.of(prev.ravel(), after.ravel(), ids, n_codes=k, distances=circle(k))
    return pair, entropy(law), math.log(k) - entropy(law)


def test_the_upper_bound_covers_and_is_not_idle():
    rng = np.random.default_rng(3)
    uppers = []
    for seed in range(40):
        pair, truth, _ = noisy_pair(rng)
        uppers.append(conditional_entropy_upper(pair, base=math.e, confidence_level=0.9, random_state=seed))
    misses = sum(u.interval.upper < truth for u in uppers)
    assert binomtest(misses, 40, 0.1, alternative="greater").pvalue > 0.01
    assert np.mean([u.interval.upper for u in uppers]) < truth + 0.45
    assert all(u.label == "C(0.1)" for u in uppers)


def test_the_lower_bound_covers_and_is_not_idle():
    rng = np.random.default_rng(4)
    lowers = []
    for seed in range(40):
        pair, _, truth = noisy_pair(rng)
        lowers.append(mutual_information_lower(pair, base=math.e, confidence_level=0.9, random_state=seed))
    misses = sum(b.interval.lower > truth for b in lowers)
    assert binomtest(misses, 40, 0.1, alternative="greater").pvalue > 0.01
    assert np.mean([b.interval.lower for b in lowers]) > 0.3 * truth
    assert all(b.label == "C(0.1)" for b in lowers)


@pytest.mark.slow
def test_certified_bounds_cover_over_many_draws():
    """Also where nothing is to be had: independent layers, few images, whole images with one code."""
    rng = np.random.default_rng(5)
    for options in ({}, {"stay": 0.0, "step": 7}, {"images": 24}, {"tokens": 1, "images": 100}):
        high = low = 0
        for seed in range(200):
            pair, upper, lower = noisy_pair(rng, **options)
            high += conditional_entropy_upper(pair, base=math.e, random_state=seed).interval.upper < upper - 1e-9
            low += mutual_information_lower(pair, base=math.e, random_state=seed).interval.lower > lower + 1e-9
        for misses in (high, low):
            assert binomtest(misses, 200, 0.05, alternative="greater").pvalue > 1e-3, options


def test_a_bound_of_independent_layers_is_trivial_and_says_so():
    rng = np.random.default_rng(6)
    ids = np.repeat(np.arange(200), 10)
    pair = CodedPair.of(rng.integers(8, size=2000), rng.integers(8, size=2000), ids, n_codes=8)
    low = mutual_information_lower(pair)
    assert low.interval.lower == 0.0
    assert low.label == "V"
    assert conditional_entropy_upper(pair).interval.upper > 2.8  # of 3 bits


def test_bounds_recheck_and_are_in_the_unit_asked_for():
    pair, _, _ = noisy_pair(np.random.default_rng(7))
    for function in (conditional_entropy_upper, mutual_information_lower):
        nats, bits = function(pair, base=math.e), function(pair, base=2.0)
        assert nats.recheck().ok
        assert bits.recheck().ok
        ends = [(c.interval.upper if c.quantity == "conditional_entropy" else c.interval.lower) for c in (nats, bits)]
        assert ends[0] == pytest.approx(ends[1] * math.log(2), rel=1e-6)
        assert nats.confidence_level == pytest.approx(0.95)
        assert BoundCertificate.from_json(nats.to_json()) == nats


def test_the_order_of_rows_inside_an_image_does_not_matter():
    rng = np.random.default_rng(8)
    pair, _, _ = noisy_pair(rng)
    rows = np.concatenate([rng.permutation(12) + 12 * i for i in range(200)])
    again = CodedPair.of(
        pair.prev[rows], pair.next[rows], np.repeat(np.arange(200), 12), n_codes=16, distances=pair.distances
    )
    first, second = conditional_entropy_upper(pair), conditional_entropy_upper(again)
    assert first.interval.upper == pytest.approx(second.interval.upper, rel=1e-9)


# ---------------------------------------------------------------- predictor


def test_the_predictor_is_a_law_for_every_code():
    pair, _, _ = noisy_pair(np.random.default_rng(9), images=40)
    train, tune, judge = pair.split((3, 1, 4), random_state=0)
    predictor = fit_predictor(train, tune)
    k = 16
    grid = CodedPair.of(np.tile(np.arange(k), k), np.repeat(np.arange(k), k), np.arange(k * k), n_codes=k)
    table = np.exp(-predictor.losses(grid)).reshape(k, k)
    assert table.sum(axis=0) == pytest.approx(np.ones(k), abs=1e-12)
    assert predictor.losses(judge).max() <= predictor.loss_max
    names = [set(part.index.names) for part in (train, tune, judge)]
    assert sum(map(len, names)) == len(set.union(*names)) == pair.n_images


def test_geometry_helps_when_counts_are_few():
    rng = np.random.default_rng(10)
    pair, _, _ = noisy_pair(rng, k=256, images=120, stay=0.2, step=3)
    blind = CodedPair.of(pair.prev, pair.next, pair.index.rows, n_codes=256)
    with_distances, without = (conditional_entropy_upper(p).interval.upper for p in (pair, blind))
    assert with_distances < without - 0.2


# ---------------------------------------------------------------- estimates on pairs


def test_estimates_cover_in_the_dense_regime():
    rng = np.random.default_rng(11)
    hits = information = 0
    for _ in range(60):
        pair, truth, shared = noisy_pair(rng, k=8, images=120)
        estimate = conditional_entropy_estimate(pair, base=math.e)
        hits += truth in estimate.interval
        information += shared in mutual_information_estimate(pair, base=math.e).interval
    assert estimate.regime == "dense"
    assert hits >= 52
    assert information >= 52


def test_every_result_says_its_regime():
    rng = np.random.default_rng(12)
    regimes = {}
    for k in (8, 64, 256):
        pair, _, _ = noisy_pair(rng, k=k, images=60)
        regimes[k] = conditional_entropy_estimate(pair)
    assert [regimes[k].regime for k in (8, 64, 256)] == ["sparse", "starved", "starved"]
    assert [regimes[k].method for k in (8, 64, 256)] == ["grassberger", "grassberger", "nsb"]
    assert regimes[256].is_flagged
    assert "use fewer codes" in regimes[256].bias_note
    assert "images / K^2 = 0.938" in str(regimes[8])
    assert regimes[8].to_record()["evidence"] == "E"
    assert isinstance(regimes[8], EntropyEstimate)
    pair, _, _ = noisy_pair(rng, k=64, images=60)
    assert "biased up" in mutual_information_estimate(pair).bias_note


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prev": [0, 9, 1]}, "codes in 0..3 in prev"),
        ({"prev": [0.0, 1.0, 1.0]}, "integer codes"),
        ({"prev": [0, 1]}, "same tokens at both layers"),
        ({"ids": ["a"]}, "ids, one per row"),
        ({"n_codes": 1}, "n_codes"),
        ({"distances": np.zeros((3, 3))}, r"shape \(4, 4\)"),
        ({"distances": np.arange(16.0).reshape(4, 4)}, "symmetric"),
    ],
)
def test_bad_codes_are_refused(change, words):
    arguments = {"prev": [0, 1, 1], "next": [0, 1, 0], "ids": ["a", "a", "b"], "n_codes": 4}
    with pytest.raises(InvalidInputError, match=words):
        CodedPair.of(**{**arguments, **change})


def test_too_few_images_are_refused():
    pair = CodedPair.of([0, 1], [0, 1], ["a", "b"], n_codes=2)
    with pytest.raises(InvalidInputError, match="number of images"):
        conditional_entropy_estimate(pair)
    with pytest.raises(InvalidInputError, match="number of images"):
        conditional_entropy_upper(pair)
    with pytest.raises(InvalidInputError, match="number of images"):
        mutual_information_lower(pair)
    with pytest.raises(InvalidInputError, match="'hope'"):
        conditional_entropy_estimate(CodedPair.of([0, 1, 0], [0, 1, 1], [1, 2, 3], n_codes=2), method="hope")


def test_tokens_that_repeat_their_image_are_no_draws_of_their_own():
    """Forty images of a hundred equal tokens: H is 6 bits, and no number of tokens makes forty draws of it enough."""
    rng = np.random.default_rng(0)
    after, before = (rng.integers(64, size=40).repeat(100) for _ in range(2))
    estimate = conditional_entropy_estimate(CodedPair.of(before, after, np.arange(40).repeat(100), n_codes=64))
    assert estimate.regime == "starved"
    assert estimate.single_share > 0.9
    assert estimate.is_flagged
    assert "occur in one image only: the interval may miss the truth" in str(estimate)


@pytest.mark.parametrize(
    ("counts", "size", "reference"),
    [([1] * 50, 2**32, 15.1565), ([1] * 300 + [2] * 20 + [5] * 5, 2**40, 7.8438), ([1] * 50, 5000, 7.82947625)],
)
def test_nsb_on_large_alphabets_against_forty_digits(counts, size, reference):
    assert point.nsb(counts, size) == pytest.approx(reference, abs=5e-5)


def test_nsb_by_quadrature_in_many_digits():
    from collections import Counter

    import mpmath as mp

    counts, size = [1] * 30 + [2] * 10 + [7], 65536
    total, seen = sum(counts), Counter(counts)
    with mp.workdps(40):
        weights, means = [], []
        for b in [mp.e**x for x in np.linspace(math.log(1e-4 / size), math.log(1e4), 1200)]:
            k = size * b
            log = (
                mp.loggamma(k) - mp.loggamma(total + k) + mp.log(size * mp.psi(1, k + 1) - mp.psi(1, b + 1)) + mp.log(b)
            )
            log += sum(t * (mp.loggamma(v + b) - mp.loggamma(b)) for v, t in seen.items())
            weights.append(mp.e ** (log + 500))
            cells = sum(t * (v + b) * mp.psi(0, v + b + 1) for v, t in seen.items())
            cells += (size - len(counts)) * b * mp.psi(0, b + 1)
            means.append(mp.psi(0, total + k + 1) - cells / (total + k))
        exact = sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)
    assert point.nsb(counts, size) == pytest.approx(float(exact), abs=1e-6)


@pytest.mark.parametrize("size", [5000, 50257, 524288])
def test_no_estimate_exceeds_the_alphabet_and_none_is_negative_information(size):
    rng = np.random.default_rng(0)
    codes = rng.permutation(size)[:200]
    for after, before in ((codes, codes), (codes, codes[::-1]), (codes, codes // 2)):
        pair = CodedPair.of(before, after, np.arange(200), n_codes=size)
        entropy, information = conditional_entropy_estimate(pair), mutual_information_estimate(pair)
        assert 0.0 <= entropy.value <= math.log2(size) + 1e-9
        assert entropy.interval.upper <= math.log2(size) + 1e-9
        assert 0.0 <= information.value <= math.log2(size) + 1e-9


def test_estimates_of_few_codes_out_of_very_many_need_no_table_of_the_alphabet():
    import tracemalloc

    size = 10**8
    codes = np.random.default_rng(1).integers(size - 50, size, size=(2, 60))
    pair = CodedPair.of(codes[0], codes[1], np.arange(60), n_codes=size)
    tracemalloc.start()
    found = conditional_entropy_estimate(pair, method="grassberger"), mutual_information_estimate(pair)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e8  # a table has 8e8 bytes
    assert all(0.0 <= f.value <= math.log2(size) for f in found)
