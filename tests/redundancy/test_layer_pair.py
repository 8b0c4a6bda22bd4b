"""Layer-pair certificates: never against the exact truth, at the rate they claim, alike from every source."""

from __future__ import annotations

import copy
import json
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from proofs_check.strategies import joint_pmfs, markov_chains, unit_vectors
from redundancy.certificates.pair import LayerPairCertificate
from redundancy.distances import pairwise_cosine_distance
from redundancy.errors import SkipItError, StoreError
from redundancy.files.digested import seal
from redundancy.statistics.from_states import statistics_from_states
from redundancy.statistics.independent_pairs import independent_fractions
from redundancy.statistics.streaming import index_images
from support import theory_laws as L

ROUNDED_LAW = 1e-9  # masses of 1/k are rounded to floats; entropies move by less
CHAINS = {"chain_prev_next_task", "chain_next_prev_task"}


# ------------------------------------------------------------------ known laws against exact arithmetic


def truths(law, points, t, values):
    """Every quantity that a certificate of a law may speak of, over Fractions (entropies in 50 digits)."""
    pair = law.sum(axis=2)
    rho = [[1 - L.dot(u, v) for v in points] for u in points]
    cells = [(pair[x, y], rho[x][y], x != y) for x, y in product(*map(range, pair.shape))]
    return {
        "mean_distance": sum((p * r for p, r, _ in cells), Fraction(0)),
        "tail_prob": sum((p for p, r, _ in cells if r > t), Fraction(0)),
        "tail_prob_closed": sum((p for p, r, _ in cells if r >= t), Fraction(0)),
        "mismatch_prob": sum((p for p, _, differ in cells if differ), Fraction(0)),
        "conditional_entropy": L.conditional_entropy(pair) / L.mpmath.log(2),
        "backward_entropy": L.conditional_entropy(pair.T) / L.mpmath.log(2),
        "mutual_information": L.mutual_information(pair) / L.mpmath.log(2),
        "functional_gap": L.functional_gap(law, values),
        "mmse_increase": L.mmse(law, values, 1) - L.mmse(law, values, 0),
        "information_next": L.information_given(law, 2, 0, 1) / L.mpmath.log(2),
    }


def check_against(certificate, truth, *, chains):
    """Every statement whose assumptions are true holds the truth; return how many were checked."""
    checked = 0
    for statement in certificate.statements:
        named = {a.name for a in statement.assumptions} & CHAINS
        if not named <= chains:
            continue
        exact = L.mp(truth[statement.quantity])
        assert statement.interval.lower <= exact + ROUNDED_LAW, statement
        assert exact <= statement.interval.upper + ROUNDED_LAW, statement
        checked += 1
    return checked


@st.composite
def pictures(draw, laws):
    """A law (x_next, x_prev, z), rational unit states, task values in the plane, and a radius."""
    law = draw(laws)
    points = draw(unit_vectors(2, count=law.shape[0], exact=True))
    values = draw(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=law.shape[2], max_size=9))
    table = np.array([[Fraction(c) for c in v] for v in values[: law.shape[2]]], dtype=object)
    return law, points, table, Fraction(draw(st.integers(0, 15)), 8)


def certify_law(law, points, values, t):
    """The certificate with the law's own Lipschitz constants; None where no constants exist."""
    slopes = L.lipschitz_squares(law, values, points, points)
    if slopes is None:
        return None
    alpha, beta = map(L.root_up, slopes)
    rho = np.array([[float(1 - L.dot(u, v)) for v in points] for u in points])
    return LayerPairCertificate.from_law(
        L.floats(law), distances=rho, t=float(t), task_values=L.floats(values), alpha=alpha, beta=beta
    )


@L.QUICK
@given(data=st.data())
def test_certificates_of_laws_never_contradict_the_exact_truth(data):
    size = data.draw(st.integers(1, 3))
    shape = (size, size, data.draw(st.integers(1, 3)))
    law, points, values, t = data.draw(pictures(joint_pmfs(sizes=shape, exact=True)))
    certificate = certify_law(law, points, values, t)
    if certificate is not None:
        assert check_against(certificate, truths(law, points, t, values), chains=set()) >= 15
        assert certificate.recheck().ok


@L.QUICK
@given(data=st.data(), order=st.sampled_from(["prev-next-task", "next-prev-task"]))
def test_statements_about_chains_hold_for_chains(data, order):
    law, points, values, t = data.draw(
        pictures(markov_chains(order, exact=True).filter(lambda law: law.shape[0] == law.shape[1]))
    )
    certificate = certify_law(law, points, values, t)
    if certificate is not None:
        name = "chain_" + order.replace("-", "_")
        assert check_against(certificate, truths(law, points, t, values), chains={name}) >= 16


def test_a_chain_that_does_not_hold_can_break_its_statement():
    """Necessary: X constant, Z = Y breaks Theorem 5 as printed, so the label must be A and name the chain."""
    law = np.array([[[0.5, 0.0], [0.0, 0.5]], [[0.0, 0.0], [0.0, 0.0]]])
    printed = LayerPairCertificate.from_law(law, task_values=[-1.0, 1.0]).find("pinsker.printed_upper")
    assert printed.interval.upper == pytest.approx(0.0, abs=1e-12)  # the functional gap is 1
    assert printed.label == "A"
    assert "chain_prev_next_task" in {a.name for a in printed.assumptions}


# ------------------------------------------------------------------ samples: coverage, and the three sources

POOL = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 1.0, 0.0], [0.6, 0.0, 0.8]])
PAIR = np.array([[0.30, 0.02, 0.00, 0.01], [0.05, 0.20, 0.01, 0.02], [0.00, 0.02, 0.15, 0.02], [0.01, 0.0, 0.04, 0.15]])


def sample(rng, n_images, n_tokens, *, sticky=0.5):
    """Indices (next, previous) of tokens; a token repeats the image's own draw with probability `sticky`."""
    cells = rng.choice(16, p=PAIR.ravel() / PAIR.sum(), size=(n_images, n_tokens))
    own = rng.choice(16, p=PAIR.ravel() / PAIR.sum(), size=(n_images, 1))
    cells = np.where(rng.random(cells.shape) < sticky, own, cells)
    return np.divmod(cells.ravel(), 4)


def test_sampled_certificates_hold_the_population_truth_at_their_level():
    """Joint failures over repeats are compatible with 1 - level; tokens of an image are dependent."""
    joint = PAIR / PAIR.sum()
    rho = pairwise_cosine_distance(POOL)
    closeness = joint.sum(axis=1) @ (rho <= 0.25) @ joint.sum(axis=0)
    truth = {
        "mean_distance": float((joint * rho).sum()),
        "tail_prob": float(joint[rho > 0.25].sum()),
        "tail_prob_closed": float(joint[rho >= 0.25].sum()),
        "ball_prob": float(closeness),
        "mutual_information": float(
            (joint * np.log2(np.maximum(joint, 1e-300) / np.outer(joint.sum(1), joint.sum(0)))).sum()
        ),
    }
    rng, level, repeats, failures, tight = np.random.default_rng(5), 0.8, 80, 0, 0
    for _ in range(repeats):
        after, before = sample(rng, 60, 8)
        certificate = LayerPairCertificate.from_arrays(
            POOL[before], POOL[after], np.repeat(np.arange(60), 8), t=0.25, confidence_level=level
        )
        assert certificate.confidence_level >= level
        failures += any(
            not s.interval.lower <= truth[s.quantity] <= s.interval.upper
            for s in certificate.statements
            if s.quantity in truth
        )
        tight += certificate.distance_upper < 2.5 * truth["mean_distance"]
    assert binom.sf(failures - 1, repeats, 1 - level) > 1e-3, failures
    assert tight > repeats / 2  # and the bounds are no trivial ones


def test_arrays_statistics_and_the_law_agree():
    """The same sample through the two sampled sources gives the same statements; its law lies inside both."""
    rng = np.random.default_rng(1)
    after, before = sample(rng, 80, 5)
    ids = [f"{i:03d}" for i in range(80)]
    declared = {"t": 0.05, "confidence_level": 0.95}
    arrays = LayerPairCertificate.from_arrays(POOL[before], POOL[after], np.repeat(ids, 5), **declared)
    states = np.stack([POOL[before], POOL[after]]).reshape(2, 80, 5, 3).transpose(1, 0, 2, 3)
    harvest = statistics_from_states(list(states), [["vision"] * 5] * 80, sample_ids=ids)
    # One more statement shares the error of the arrays (pairs of images, for Theorem 4).
    same_share = 1.0 - 0.05 * 4 / 5
    stored = LayerPairCertificate.from_statistics(
        harvest, layer=1, group="vision", **{**declared, "confidence_level": same_share}
    )
    assert (arrays.n_images, arrays.n_tokens) == (stored.n_images, stored.n_tokens) == (80, 400)
    for one, other in zip(stored.statements, arrays.statements, strict=False):
        assert (one.theorem, one.quantity, one.evidence) == (other.theorem, other.quantity, other.evidence)
        assert one.interval.lower == pytest.approx(other.interval.lower, abs=1e-9)
        assert one.interval.upper == pytest.approx(other.interval.upper, abs=1e-9)
    law = LayerPairCertificate.from_law(PAIR / PAIR.sum(), distances=pairwise_cosine_distance(POOL))
    exact = law.find("laws.law_distance").interval.upper
    assert arrays.find("concentration.betting_lower", "mean_distance").interval.lower < exact < arrays.distance_upper


def test_the_two_estimands_differ_when_images_do():
    """Ten far images of one token, ninety close ones of nine: the image average is 0.1, the pooled mean 10/820."""
    x = np.tile([1.0, 0.0], (820, 1))
    y = np.concatenate([np.tile([0.0, 1.0], (10, 1)), np.tile([1.0, 0.0], (810, 1))])
    ids = np.concatenate([np.arange(10), np.repeat(np.arange(10, 100), 9)])
    mixed = np.random.default_rng(0).permutation(820)
    image = LayerPairCertificate.from_arrays(x[mixed], y[mixed], ids[mixed])
    pooled = LayerPairCertificate.from_arrays(x[mixed], y[mixed], ids[mixed], estimand="token_pooled", count_max=9)
    assert image.find("concentration.betting_upper", "tail_prob").interval.upper > 0.1
    assert 10 / 820 < pooled.find("concentration.betting_upper", "tail_prob").interval.upper < 0.1
    assert pooled.find("braun_pokutta.binary_lower") is None  # Theorem 4 compares with images weighed alike


def test_labels_are_honest():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 6))
    ids, target = np.repeat(np.arange(100), 4), rng.integers(0, 3, 400)
    certificate = LayerPairCertificate.from_arrays(x, x + 0.01 * rng.normal(size=x.shape), ids, target=target)
    for statement in certificate.statements:
        assert statement.label[0] in "CAV"
        assert (statement.label == "V") == statement.is_vacuous
        rests_on_lipschitz = any("lipschitz" in a.name for a in statement.assumptions)
        assert not rests_on_lipschitz or statement.label in ("A", "V")
    text = certificate.sentence()
    assert "Says nothing about: raw-state entropy, other populations, or the network with a layer removed" in text
    vacuous = {s.theorem for s in certificate.statements if s.is_vacuous}
    assert vacuous
    assert all(name in text.split("Vacuous, so without any content:")[1] for name in vacuous)
    assert not any(word in text.lower() for word in ("safe", "can be skipped", "skippable", "redundant layer"))
    assert "fitted on 50 images and certified on the other 50" in text


# ------------------------------------------------------------------ stored, re-checked, tampered with


def stored_pair():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 4))
    target = rng.integers(0, 2, 60)
    return LayerPairCertificate.from_arrays(
        x, x + 0.2 * rng.normal(size=x.shape), np.repeat(np.arange(20), 3), target=target, layer=2, group="vision"
    )


def leaves(tree, path=()):
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, (*path, key))
    else:
        yield path, tree


def changed(tree, path):
    body = copy.deepcopy(tree)
    place = body
    for key in path[:-1]:
        place = place[key]
    old = place[path[-1]]
    if isinstance(old, bool):
        place[path[-1]] = not old
    elif isinstance(old, int | float):
        place[path[-1]] = old * (1 - 1e-9) - 1 if isinstance(old, float) else old + 1
    else:
        place[path[-1]] = "altered" if old is None else f"{old}x"
    return body


def found(body):
    try:
        return not LayerPairCertificate.from_json(json.dumps(body)).recheck().ok
    except (SkipItError, ValueError, TypeError):
        return True


def test_json_is_exact_and_recheck_equal():
    certificate = stored_pair()
    again = LayerPairCertificate.from_json(certificate.to_json())
    assert again == certificate
    assert again.to_json() == certificate.to_json()
    assert again.recheck().ok
    body = json.loads(certificate.to_json())
    assert body["schema"] == "skip-it/layer-pair-certificate/1"
    with pytest.raises(StoreError, match="need JSON of schema skip-it/layer-pair-certificate/1"):
        LayerPairCertificate.from_json(json.dumps({**body, "schema": "skip-it/layer-pair-certificate/2"}))


def test_tampering_with_any_field_is_found():
    """Every value in the file, one at a time; the digest sees them all."""
    body = json.loads(stored_pair().to_json())
    paths = [path for path, _ in leaves(body)]
    assert len(paths) > 300
    assert [path for path in paths[:: max(1, len(paths) // 120)] if not found(changed(body, path))] == []


def test_tampering_is_found_even_under_a_fresh_digest():
    """Someone who recomputes the digest is caught by recomputing every bound."""
    body = json.loads(stored_pair().to_json())
    del body["digest"]
    missed, tried, seen = [], 0, set()
    for path, _ in leaves(body):
        kind = tuple(key for key in path if isinstance(key, str))
        # Of arrays, assumptions, and inputs that are certificates themselves, one value of each kind.
        place = kind if {"arrays", "certificate", "assumptions", "failures"} & set(kind) else path
        if place in seen:
            continue
        seen.add(place)
        tried += 1
        if not found(json.loads(seal(changed(body, path)))):
            missed.append(path)
    assert tried > 150
    assert missed == []


def test_codes_hold_the_truth_and_bound_both_entropies():
    rng = np.random.default_rng(7)
    after, before = sample(rng, 300, 6, sticky=0.2)
    certificate = LayerPairCertificate.from_codes(
        before, after, np.repeat(np.arange(300), 6), n_codes=4, task_values=np.eye(2)
    )
    joint = PAIR / PAIR.sum()
    truth = float(-(joint * np.log2(np.maximum(joint, 1e-300) / joint.sum(axis=0))).sum())
    assert certificate.best_upper("mismatch_prob") > 1.0 - np.trace(joint)
    assert truth < certificate.best_upper("conditional_entropy") < 2.0
    assert certificate.recheck().ok


# ------------------------------------------------------------------ pairs of different images


def test_strangers_are_tokens_of_different_images_drawn_evenly():
    """Images far from one another are never close; the mean share is that of independent copies."""
    own = np.repeat(np.eye(40), 3, axis=0)
    assert (
        independent_fractions(
            own, own, index_images(np.repeat(np.arange(40), 3), 120), t=0.05, salt="skip-it", seed=0
        ).tolist()
        == [0.0] * 20
    )
    rng = np.random.default_rng(8)
    after, before = sample(rng, 200, 4)
    index = index_images(np.repeat(np.arange(200), 4), 800)
    shares = [
        independent_fractions(POOL[before], POOL[after], index, t=0.25, salt="skip-it", seed=seed) for seed in range(30)
    ]
    close = pairwise_cosine_distance(POOL) <= 0.25
    first, second = (np.bincount(codes, minlength=4) / 800 for codes in (after, before))
    assert np.concatenate(shares).mean() == pytest.approx(first @ close @ second, abs=0.02)


def test_images_of_unequal_size_weigh_alike_among_strangers():
    """Half of the images have nine tokens; drawing rows evenly would count them nine times."""
    counts = np.tile([1, 9], 100)
    points = np.repeat(np.tile(np.eye(2), (100, 1)), counts, axis=0)  # small images at e1, large ones at e2
    index = index_images(np.repeat(np.arange(200), counts), 1000)
    shares = [
        independent_fractions(points, points, index, t=0.05, salt="skip-it", seed=seed).mean() for seed in range(20)
    ]
    assert np.mean(shares) == pytest.approx(0.5 * 99 / 99.5, abs=0.03)  # 0.82 if rows counted alike
