"""Theorem 5 under both chains and none, and the constants of a task."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from redundancy.bounds import fano, mismatch, performance_gap, pinsker
from redundancy.bounds.task_range import enclosing_radius, kappa, task_range
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval
from support import theory_laws as L

CHAIN = {"O": "prev-next-task", "N": "next-prev-task"}


@given(data=st.data(), kind=st.sampled_from(["O", "N"]))
@L.QUICK
def test_chain_forms_hold(data, kind):
    law = data.draw(L.chains(kind, 4))
    values = data.draw(L.task_values(law.shape[2]))
    gap = L.functional_gap(law, values)
    pair = law.sum(axis=2)
    task = task_range(L.floats(values))
    # I(Z; X | Y) and H(X | Y) under (O), I(Z; Y | X) and H(Y | X) under (N)
    information = L.information_given(law, 2, 0, 1) if kind == "O" else L.information_given(law, 2, 1, 0)
    entropy = L.conditional_entropy(pair) if kind == "O" else L.conditional_entropy(pair.T)
    amounts = {"base": math.e, "chain": CHAIN[kind]}
    uppers = {
        "information": pinsker.chain_information_upper(
            information=float(max(information, 0)) * (1 + 1e-15) + 1e-40, diameter=task.diameter, **amounts
        ),
        "entropy": pinsker.chain_entropy_upper(entropy=float(max(entropy, 0)), radius=task.radius, **amounts),
        "guessing": pinsker.guessing_upper(chain=CHAIN[kind], joint=L.floats(pair), radius=task.radius),
    }
    source = pair if kind == "O" else pair.T
    guess = [int(np.argmax([float(v) for v in column])) for column in source.T]
    miss = 1 - sum((source[g, y] for y, g in enumerate(guess)), Fraction(0))
    uppers["coupling"] = mismatch.coupling_upper(chain=CHAIN[kind], miss_prob=float(miss), diameter=task.diameter)
    if kind == "O":
        uppers["printed"] = pinsker.printed_upper(
            conditional_entropy=float(max(entropy, 0)), norm_bound=task.norm_bound, base=math.e
        )
    for name, certificate in uppers.items():
        assert L.at_least(certificate.interval.upper, gap), name
    assert uppers["guessing"].interval.upper <= uppers["entropy"].interval.upper * (1 + 1e-12) + 1e-12 * task.cap


@given(data=st.data(), law=L.tables(3, 3))
@L.QUICK
def test_forms_without_a_chain_hold(data, law):
    values = data.draw(L.task_values(law.shape[2]))
    gap = L.functional_gap(law, values)
    pair = law.sum(axis=2)
    task = task_range(L.floats(values))
    i_next, i_prev = (max(L.information_given(law, 2, *order), 0) for order in ((0, 1), (1, 0)))
    h_next, h_prev = max(L.conditional_entropy(pair), 0), max(L.conditional_entropy(pair.T), 0)
    free = pinsker.free_information_upper(
        information_next=float(i_next) + 1e-30,
        information_prev=float(i_prev) + 1e-30,
        diameter=task.diameter,
        base=math.e,
    )
    assert L.at_least(free.interval.upper, gap)
    for diameter in (None, task.diameter):
        entropy = pinsker.free_entropy_upper(
            forward_entropy=float(h_next),
            backward_entropy=float(h_prev),
            radius=task.radius,
            diameter=diameter,
            base=math.e,
        )
        assert L.at_least(entropy.interval.upper, gap)
    increase = L.mmse(law, values, 1) - L.mmse(law, values, 0)
    loss = performance_gap.performance_gap_upper(
        unique_information=float(i_next) + 1e-30, diameter=task.diameter, base=math.e
    )
    assert L.at_least(loss.interval.upper, increase)
    assert L.at_most(loss.interval.lower, increase)


def test_entropy_form_is_attained_at_one_bit():
    """X a fair bit given Y, Z = +-R by X: F = R^2 H in bits. M21: B^2 H and 1.44 B^2 H in nats are below 1."""
    law, values = L.made_sign()
    gap = L.functional_gap(law, values)
    assert gap == 1
    found = pinsker.chain_entropy_upper(chain=CHAIN["O"], entropy=1.0, radius=1.0)
    assert L.at_least(found.interval.upper, gap)
    assert found.interval.upper == pytest.approx(1.0, abs=1e-12)
    half = pinsker.chain_entropy_upper(chain=CHAIN["O"], entropy=0.5, radius=1.0).interval.upper
    assert half == pytest.approx(0.5, abs=1e-12)
    assert math.log(2) < 1.44 * math.log(2) < 1
    assert pinsker.guessing_upper(chain=CHAIN["O"], joint=[[0.5], [0.5]], radius=1.0).interval.upper == pytest.approx(1)
    assert pinsker.guessing_upper(chain=CHAIN["N"], joint=[[0.5], [0.5]], radius=1.0).interval.upper < 1e-12


def test_entropy_form_at_small_entropies_uses_the_best_constant():
    """A mixture: with probability w a fair bit, else determined: F = w = H in bits."""
    w = Fraction(1, 8)
    law = np.full((2, 2, 2), Fraction(0), dtype=object)
    law[0, 0, 0] = law[1, 0, 1] = w / 2  # y = 0: x a fair bit
    law[0, 1, 0] = 1 - w  # y = 1: x = 0
    values = np.array([[-1], [1]], dtype=object)
    gap = L.functional_gap(law, values)
    assert gap == w
    assert float(L.conditional_entropy(law.sum(axis=2))) == pytest.approx(float(w) * math.log(2))
    found = pinsker.chain_entropy_upper(chain=CHAIN["O"], entropy=float(w), radius=1.0)
    assert L.at_least(found.interval.upper, gap)
    printed = pinsker.printed_upper(conditional_entropy=float(w), norm_bound=1.0)
    assert printed.interval.upper == pytest.approx(2 * math.log(2) * float(w))


def test_information_form_is_attained_by_a_nearly_fair_coin():
    """M23: P(Z = X) = 1/2 + delta: F = 4 delta^2 / 4 for Z in {0,1}, (1/2) I -> the same; 1/4 would be below."""
    law, values = L.nearly_fair(Fraction(1, 100))
    gap = L.functional_gap(law, values)
    information = L.information_given(law, 2, 0, 1)
    upper = pinsker.chain_information_upper(
        chain=CHAIN["O"], information=float(information), diameter=1.0, base=math.e
    ).interval.upper
    assert L.at_least(upper, gap)
    assert float(gap) > 0.999 * upper
    free = pinsker.free_information_upper(
        information_next=float(information), information_prev=0.0, diameter=1.0, base=math.e
    ).interval.upper
    assert free == pytest.approx(upper)
    loss = performance_gap.performance_gap_upper(unique_information=float(information), diameter=1.0, base=math.e)
    increase = L.mmse(law, values, 1) - L.mmse(law, values, 0)
    assert L.at_least(loss.interval.upper, increase)
    assert float(increase) > 0.999 * loss.interval.upper


def test_free_entropy_form_counts_both_directions():
    """X and Y swap roles: a constant side leaves one root, and both sides add as roots."""
    one = pinsker.free_entropy_upper(forward_entropy=0.09, backward_entropy=0.0, radius=1.0).interval.upper
    both = pinsker.free_entropy_upper(forward_entropy=0.09, backward_entropy=0.09, radius=1.0).interval.upper
    assert one == pytest.approx(0.09)
    assert both == pytest.approx(4 * 0.09)
    capped = pinsker.free_entropy_upper(forward_entropy=0.09, backward_entropy=0.0, radius=1.0, diameter=1.2)
    assert capped.interval.upper == pytest.approx(0.5 * 1.44 * 0.09 * math.log(2))


def test_printed_form_fails_under_the_natural_chain():
    """M22: X constant, Z = Y a fair sign: H(X|Y) = 0, F = 1; the backward entropy form holds with equality."""
    law, values = L.lost_sign()
    gap = L.functional_gap(law, values)
    pair = law.sum(axis=2)
    assert gap == 1
    assert L.conditional_entropy(pair) == 0
    printed = pinsker.printed_upper(conditional_entropy=0.0, norm_bound=1.0)
    assert printed.interval.upper == 0.0 < gap
    assert "chain_prev_next_task" in {a.name for a in printed.assumptions}
    assert printed.evidence == "A"
    natural = pinsker.chain_entropy_upper(chain=CHAIN["N"], entropy=1.0, radius=1.0)
    assert natural.interval.upper == pytest.approx(1.0, abs=1e-12)
    assert "chain_next_prev_task" in {a.name for a in natural.assumptions}


def test_bits_are_not_nats():
    """M21: 1 bit = ln 2 nats; base 10 units likewise; a certificate brings its own base."""
    in_nats = pinsker.printed_upper(conditional_entropy=0.1 * math.log(2), norm_bound=1.0, base=math.e)
    in_bits = pinsker.printed_upper(conditional_entropy=0.1, norm_bound=1.0)
    in_bans = pinsker.printed_upper(conditional_entropy=0.1 * math.log10(2), norm_bound=1.0, base=10.0)
    assert in_bits.interval.upper == pytest.approx(in_nats.interval.upper)
    assert in_bans.interval.upper == pytest.approx(in_nats.interval.upper)
    assert in_bits.interval.upper == pytest.approx(0.2 * math.log(2))
    entropy = fano.list_upper(miss_prob=0.01, list_size=1, support_size=4, base=10.0)
    inherited = pinsker.chain_entropy_upper(chain=CHAIN["O"], entropy=entropy, radius=1.0, base=math.e)
    direct = fano.list_upper(miss_prob=0.01, list_size=1, support_size=4, base=2.0)
    assert inherited.interval.upper == pytest.approx(direct.interval.upper)


def test_numbers_of_the_audit():
    """P_0 = 0.028, labels: 0.056 against 0.64 by the entropy route (K = 1024, N = 1, B = 1)."""
    direct = mismatch.mismatch_upper_of_diameter(mismatch_prob=0.028, diameter=math.sqrt(2), kind="one_hot")
    assert direct.interval.upper == pytest.approx(0.056)
    entropy = fano.printed_upper(tail_prob=0.028, support_size=1024, ball_min=1, ball_max=1)
    route = pinsker.printed_upper(conditional_entropy=entropy, norm_bound=1.0)
    assert route.interval.upper == pytest.approx(0.644, abs=2e-3)
    for n in (5, 50):
        far = fano.printed_upper(tail_prob=0.028, support_size=1024, ball_min=n, ball_max=n)
        assert pinsker.printed_upper(conditional_entropy=far, norm_bound=1.0).label == "V"


@pytest.mark.parametrize("shape", [(3, 2), (12, 3), (40, 5)])
def test_enclosing_radius_is_minimal(shape):
    """Never below the distances it must cover, and optimal: a lower bound by duality from a general solver."""
    values = np.random.default_rng(shape[0]).normal(size=shape)
    radius = enclosing_radius(values)
    spread = values[:, None] - values[None]
    assert radius >= math.sqrt((spread**2).sum(axis=2).max()) / 2

    def dual(weights):
        return -(weights @ (values**2).sum(axis=1) - ((weights @ values) ** 2).sum())

    n = shape[0]
    solved = minimize(
        dual,
        np.full(n, 1 / n),
        bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    weights = np.maximum(solved.x, 0) / np.maximum(solved.x, 0).sum()
    assert math.sqrt(-dual(weights)) <= radius <= math.sqrt(-dual(weights)) * (1 + 1e-5)


def test_task_range_orders_its_constants():
    for values in (np.eye(4), np.array([[0.0], [3.0]]), np.array([[1.0, 0], [-1, 0], [0, 1]])):
        task = task_range(values)
        assert task.radius <= task.norm_bound * (1 + 1e-9)
        assert task.diameter <= 2 * task.radius * (1 + 1e-9)
        assert task.radius**2 <= task.diameter**2 / 2 * (1 + 1e-9)
    assert task_range(np.eye(4)).radius ** 2 == pytest.approx(0.75, abs=1e-9)
    assert task_range(np.eye(4)).cap >= 0.75


@given(h=st.floats(0, 3), g=st.floats(0, 3), c=st.floats(0, 2), dc=st.floats(0, 2))
@L.QUICK
def test_wider_evidence_never_gives_a_smaller_bound(h, g, c, dc):
    low, high = sorted((h, g))
    for function, name, extra, constant in (
        (pinsker.printed_upper, "conditional_entropy", {}, "norm_bound"),
        (pinsker.chain_entropy_upper, "entropy", {"chain": CHAIN["N"]}, "radius"),
        (pinsker.chain_information_upper, "information", {"chain": CHAIN["O"]}, "diameter"),
        (performance_gap.performance_gap_upper, "unique_information", {}, "diameter"),
    ):
        narrow = function(**{name: low, constant: c}, **extra).interval
        wide = function(**{name: Interval(low, high), constant: c + dc}, **extra).interval
        assert wide.includes(narrow)


def test_bad_input_is_refused():
    with pytest.raises(InvalidInputError, match="need a chain among"):
        pinsker.chain_entropy_upper(chain="natural", entropy=1.0, radius=1.0)
    with pytest.raises(InvalidInputError, match="need a kind among"):
        mismatch.mismatch_upper_of_diameter(mismatch_prob=0.1, diameter=1.0, kind="label")
    with pytest.raises(InvalidInputError, match="at most 256"):
        kappa(np.arange(300.0))
    for bad in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InvalidInputError):
            pinsker.printed_upper(conditional_entropy=0.1, norm_bound=bad)
    with pytest.raises(InvalidInputError):
        mismatch.mismatch_upper(mismatch_prob=1.1, task_values=np.eye(2))
    with pytest.raises(InvalidInputError):
        mismatch.mismatch_upper(mismatch_prob=0.1, task_values=[[np.nan]])
