"""The implication graph: every derived bound holds, is the best reachable one, and names its path."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.bounds import fano, lipschitz, tail
from redundancy.bounds.implications import ARROWS, QUANTITIES, derive, intersection
from redundancy.bounds.implications import given as declared
from redundancy.bounds.task_range import task_range
from redundancy.certificates.certificate import BoundCertificate
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval
from support import theory_laws as L


@given(data=st.data(), law=L.tables(3, 3))
@L.QUICK
def test_everything_derived_from_the_truth_holds_of_the_truth(data, law):
    """All quantities of one law: whatever subset is given, every derived interval holds the true value."""
    n = min(law.shape[:2])
    law = law[:n, :n]
    total = sum(law.ravel(), Fraction(0))
    if total == 0:
        return
    law = law / total
    values = data.draw(L.task_values(law.shape[2]))
    states = [data.draw(st.sampled_from(L.UNIT)) for _ in range(n)]
    constants = L.lipschitz_squares(law, values, states, states)
    pair = law.sum(axis=2)
    rho = L.floats(L.table([[1 - L.dot(u, v) for v in states] for u in states]))
    t = 0.25
    exact = [[1 - L.dot(u, v) for v in states] for u in states]
    cells = [(pair[i, j], exact[i][j]) for i in range(n) for j in range(n)]
    balls = [sum(Fraction(r) <= Fraction(1, 4) for r in row) for row in exact]
    truth = {
        "mean_distance": sum((p * r for p, r in cells), Fraction(0)),
        "tail_prob": sum((p for p, r in cells if r > Fraction(1, 4)), Fraction(0)),
        "tail_prob_closed": sum((p for p, r in cells if r >= Fraction(1, 4)), Fraction(0)),
        "mean_squared_distance": L.squared_distance(pair, states, states),
        "mismatch_prob": sum((pair[i, j] for i in range(n) for j in range(n) if i != j), Fraction(0)),
        "conditional_entropy": L.conditional_entropy(pair),
        "backward_entropy": L.conditional_entropy(pair.T),
        "mutual_information": L.mutual_information(pair),
        "information_next": L.information_given(law, 2, 0, 1),
        "information_prev": L.information_given(law, 2, 1, 0),
        "functional_gap": L.functional_gap(law, values),
        "mmse_increase": L.mmse(law, values, 1) - L.mmse(law, values, 0),
        "task_variance": L.variance(law, values),
    }
    chosen = data.draw(st.sets(st.sampled_from(sorted(set(truth) - {"mmse_increase"})), min_size=1, max_size=4))
    task = task_range(L.floats(values))
    arguments = {"t": t, "diameter": task.diameter, "radius": task.radius, "task_values": L.floats(values)}
    arguments |= {"support_size": n, "ball_min": min(balls), "ball_max": max(balls), "unit_norm": True}
    if constants is not None:
        arguments |= {"alpha": L.root_up(constants[0]), "beta": L.root_up(constants[1])}
    assert rho.shape == (n, n)
    slack = 1e-12
    known = {q: Interval(max(0.0, float(truth[q]) - slack), float(truth[q]) + slack) for q in chosen}
    for q in ("mean_distance", "tail_prob", "tail_prob_closed", "mismatch_prob"):
        if q in known:
            known[q] = Interval(known[q].lower, min(known[q].upper, QUANTITIES[q][1].upper))
    found = derive(known=known, base=math.e, **arguments)
    for quantity, statements in found.statements.items():
        for statement in statements:
            assert L.at_least(statement.interval.upper, truth[quantity]), (quantity, statement.theorem)
            assert L.at_most(statement.interval.lower, truth[quantity]), (quantity, statement.theorem)


def test_the_best_of_several_paths_is_taken_and_told():
    """Codes that differ rarely: the direct arrow (0.056) beats the route through the entropy (0.46)."""
    found = derive(
        known={"mismatch_prob": 0.028},
        chain="prev-next-task",
        support_size=1024,
        radius=1.0,
        diameter=math.sqrt(2),
        kind="one_hot",
    )
    by_theorem = {s.theorem: s.interval.upper for s in found.statements["functional_gap"]}
    assert by_theorem["mismatch.mismatch_upper_of_diameter"] == pytest.approx(0.056)
    assert found.best("functional_gap").interval.upper == pytest.approx(0.056)
    assert found.path("functional_gap")[-1] == "mismatch.mismatch_upper_of_diameter: mismatch_prob -> functional_gap"
    route = derive(known={"mismatch_prob": 0.028}, chain="prev-next-task", support_size=1024, radius=1.0)
    assert route.best("functional_gap").interval.upper == pytest.approx(0.322 / math.log(2), abs=2e-3)
    assert route.path("functional_gap") == (
        "given: mismatch_prob",
        "fano.list_upper: mismatch_prob -> conditional_entropy",
        "pinsker.chain_entropy_upper: conditional_entropy -> functional_gap",
    )


def test_arrows_that_the_paper_draws_too_freely_stay_closed():
    """M26: proximal alone implies neither a small entropy nor, with no constants, a small gap."""
    found = derive(known={"tail_prob": 0.0}, t=0.1)
    assert set(found.statements) == {"tail_prob", "mean_distance", "tail_prob_closed"}
    # M27: information never implies entropy.
    assert not any(a.target == "conditional_entropy" and "mutual_information" in a.sources for a in ARROWS)
    # M24: unique information never implies the gap.
    assert not any(a.target == "functional_gap" and "unique_information" in a.sources for a in ARROWS)
    # The range counts: without unit norm no arrow from cosine distance to the task.
    assert "functional_gap" not in derive(known={"mean_distance": 0.01}, alpha=1, beta=1).statements
    assert "functional_gap" in derive(known={"mean_distance": 0.01}, alpha=1, beta=1, unit_norm=True).statements


def test_chains_open_their_own_arrows_only():
    both = {"conditional_entropy": 0.1, "backward_entropy": 0.2}
    forward = derive(known={"conditional_entropy": 0.1}, radius=1.0, chain="prev-next-task")
    assert forward.best("functional_gap").interval.upper == pytest.approx(0.1)
    assert "functional_gap" not in derive(known={"conditional_entropy": 0.1}, radius=1.0).statements
    assert (
        "functional_gap"
        not in derive(known={"conditional_entropy": 0.1}, radius=1.0, chain="next-prev-task").statements
    )
    natural = derive(known=both, radius=1.0, chain="next-prev-task")
    assert natural.best("functional_gap").interval.upper == pytest.approx(0.2)
    free = derive(known=both, radius=1.0)
    assert free.best("functional_gap").interval.upper == pytest.approx((math.sqrt(0.1) + math.sqrt(0.2)) ** 2)


def test_proximal_to_geometric_to_functional():
    found = derive(known={"tail_prob": Interval(0.0, 0.01)}, t=0.05, alpha=1.0, beta=0.0, diameter=1.0, unit_norm=True)
    e = 0.05 + 1.95 * 0.01
    assert found.best("mean_distance").interval.upper == pytest.approx(e)
    uppers = {s.theorem: s.interval.upper for s in found.statements["functional_gap"]}
    assert uppers["lipschitz.proximal_upper"] == pytest.approx(0.1 * 0.99 + 0.01)
    assert found.best("functional_gap").interval.upper == pytest.approx(min(uppers.values()))


def test_certificates_keep_their_evidence_and_confidence():
    import numpy as np

    from redundancy.concentration.betting import betting_upper

    sampled = betting_upper(values=np.full(200, 0.01), quantity="tail_prob", confidence_level=0.9)
    found = derive(known={"tail_prob": sampled}, t=0.05, alpha=1.0, beta=1.0, unit_norm=True)
    distance, gap = found.best("mean_distance"), found.best("functional_gap")
    assert distance.evidence == "C"
    assert distance.confidence_level == pytest.approx(0.9)
    assert gap.evidence == "A"
    assert gap.confidence_level == pytest.approx(0.9)
    again = BoundCertificate.from_json(gap.to_json())
    assert again.recheck()


def test_intersection_pays_for_all_its_members():
    import numpy as np

    from redundancy.concentration.betting import betting_upper

    members = tuple(
        tail.sandwich_upper(
            tail_prob=betting_upper(values=np.full(n, 0.01), quantity="tail_prob", confidence_level=0.95), t=t
        )
        for n, t in ((100, 0.05), (150, 0.1))
    )
    both = intersection(statements=members)
    assert both.interval.upper == min(m.interval.upper for m in members)
    assert both.confidence_level == pytest.approx(0.9)
    assert both.recheck()
    same = intersection(statements=(members[0], members[0]))
    assert same.confidence_level == pytest.approx(0.95)


def test_a_tampered_member_is_found_by_recheck():
    from dataclasses import replace

    honest = lipschitz.unit_norm_upper(mean_distance=0.1, alpha=1, beta=1)
    forged = replace(honest, interval=Interval(0.0, 1e-6))
    both = intersection(statements=(forged, honest))
    assert not both.recheck().ok


def test_contradictions_are_refused():
    with pytest.raises(InvalidInputError, match="overlap"):
        derive(known={"tail_prob": 0.0, "mean_distance": 1.9}, t=0.05)
    with pytest.raises(InvalidInputError, match="one quantity"):
        intersection(
            statements=(declared(quantity="tail_prob", value=0.1), declared(quantity="mean_distance", value=0.1))
        )
    with pytest.raises(InvalidInputError, match="one certificate"):
        intersection(statements=())


def test_bad_requests_are_refused():
    with pytest.raises(InvalidInputError, match="need a quantity among"):
        derive(known={"distance": 0.1})
    with pytest.raises(InvalidInputError, match="need constants among"):
        derive(known={"mean_distance": 0.1}, lipschitz=1.0)
    with pytest.raises(InvalidInputError, match="inside"):
        derive(known={"mean_distance": 2.5})
    with pytest.raises(InvalidInputError, match="need a chain"):
        derive(known={"mean_distance": 0.1}, chain="O")
    with pytest.raises(InvalidInputError, match="need a certificate on mean_distance"):
        derive(known={"mean_distance": fano.predictor_upper(log_loss=1.0)})
    with pytest.raises(InvalidInputError, match="in base"):
        derive(known={"conditional_entropy": fano.predictor_upper(log_loss=1.0, base=math.e)})
    with pytest.raises(InvalidInputError, match="need a quantity among"):
        derive(known={"mean_distance": 0.1}).best("functional_gap")


def test_every_arrow_can_fire():
    """Each arrow with all sources and constants: no name in the table is misspelt."""
    for arrow in ARROWS:
        known = {source: 0.9 if source == "ball_prob" else 0.01 for source in arrow.sources}
        constants = {"t": 0.1, "rho_max": 2.0, "unit_norm": True, "alpha": 1.0, "beta": 1.0, "diameter": 1.0}
        constants |= {"radius": 0.6, "kind": "scalar", "task_values": [0.0, 1.0]}
        constants |= {"support_size": 4, "ball_min": 1, "ball_max": 2}
        chain = arrow.fixed.get("chain")
        found = derive(known=known, chain=chain, **constants)
        assert arrow.target in found.statements, arrow.theorem
        direct = arrow.function(
            **{p: declared(quantity=s, value=known[s]) for s, p in arrow.sources.items()},
            **{p: constants[c] for c, p in arrow.constants.items() if c != "unit_norm"},
            **arrow.fixed,
        )
        assert direct.theorem == arrow.theorem
        assert direct.quantity == arrow.target
