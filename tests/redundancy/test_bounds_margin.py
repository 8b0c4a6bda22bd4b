"""The margin theorem: holds, is attained, needs its factor and its ties, adds up over steps, covers with a sample."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from proofs_check.recheck import recheck
from proofs_check.statements import statements_of
from proofs_check.symbolic import prove
from proofs_check.testing import covers, five_tests
from redundancy.bounds import margin
from redundancy.concentration.betting import betting_upper
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval

IDS = [f"margin.{name}" for name in margin.__all__]


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def parts(p, q):
    """Change, total variation and margin of each row."""
    ordered = np.sort(p, axis=-1)
    return p.argmax(-1) != q.argmax(-1), 0.5 * np.abs(p - q).sum(-1), ordered[..., -1] - ordered[..., -2]


@pytest.mark.parametrize("noise", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("size", [2, 6, 40])
def test_no_softmax_breaks_it(noise, size):
    rng = np.random.default_rng(size)
    logits = 2 * rng.normal(size=(20_000, size))
    changed, variation, gap = parts(softmax(logits), softmax(logits + noise * rng.normal(size=logits.shape)))
    assert changed.any()
    assert not changed[2 * variation < gap - 1e-12].any()
    share = margin.change_upper(reach_prob=float((2 * variation >= gap - 1e-12).mean()))
    assert changed.mean() <= share.interval.upper


def test_one_sweep_prices_a_path_of_plans():
    rng = np.random.default_rng(3)
    logits = 2 * rng.normal(size=(5000, 5))
    plans = [softmax(logits)]
    for _ in range(4):
        logits = logits + 0.05 * rng.normal(size=logits.shape)
        plans.append(softmax(logits))
    changed, _, gap = parts(plans[0], plans[-1])
    costs = [np.minimum(1.0, 2 * parts(a, b)[1] / gap).mean() for a, b in itertools.pairwise(plans)]
    bound = margin.telescoped_upper(costs=[float(c) for c in costs])
    assert 0 < changed.mean() <= bound.interval.upper < 1
    assert not bound.is_vacuous


@pytest.mark.parametrize("theorem", IDS)
def test_the_five_tests_and_the_proof(theorem):
    (statement,) = statements_of(theorem)
    shown = five_tests(statement, max_examples=60)
    assert "attained: P(" in shown
    assert prove(theorem).ok


def test_a_tie_is_reached_and_nothing_is_said():
    assert margin.pointwise_upper(total_variation=0.125, margin=0.25).is_vacuous
    assert margin.pointwise_upper(total_variation=math.nextafter(0.125, 0), margin=0.25).interval.upper == 0.0
    wider = margin.pointwise_upper(total_variation=Interval(0.0, 0.2), margin=Interval(0.3, 0.9))
    assert wider.is_vacuous, "the worst ends count"


def test_with_a_sample_it_covers():
    truth = 0.03  # of the changes, all of them where the margin is reached

    def bound(sample):
        certified = betting_upper(values=sample, quantity="reach_prob", confidence_level=0.9)
        return 0.0, margin.change_upper(reach_prob=certified).interval.upper

    covers(bound, lambda rng: (rng.random(150) < truth).astype(float), truth, confidence_level=0.9, repeats=300)


def test_certificates_are_rechecked_and_altered_ones_refuted():
    for certificate in (
        margin.pointwise_upper(total_variation=0.1, margin=0.3),
        margin.change_upper(reach_prob=Interval(0.01, 0.02)),
        margin.telescoped_upper(costs=[0.01, 0.02, margin.change_upper(reach_prob=0.1)]),
        margin.telescoped_upper(costs=[0.7, 0.6]),
    ):
        assert recheck(certificate).ok, str(recheck(certificate))
        assert certificate.recheck().ok
        text = certificate.to_json().replace('"margin.change_upper"', '"margin.pointwise_upper"')
        assert text == certificate.to_json() or not recheck(text).ok


@pytest.mark.parametrize(
    ("call", "inputs", "message"),
    [
        (margin.pointwise_upper, {"total_variation": 1.2, "margin": 0.5}, "total_variation"),
        (margin.pointwise_upper, {"total_variation": 0.2, "margin": math.nan}, "margin"),
        (margin.change_upper, {"reach_prob": -0.1}, "reach_prob"),
        (margin.telescoped_upper, {"costs": []}, "need the cost of one step"),
        (margin.telescoped_upper, {"costs": [0.1, 1.1]}, r"costs\[1\]"),
    ],
)
def test_wrong_inputs_are_named(call, inputs, message):
    with pytest.raises(InvalidInputError, match=message):
        call(**inputs)
