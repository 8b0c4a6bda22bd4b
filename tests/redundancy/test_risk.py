"""Risk control: graphs against closed testing, p-values against scipy, and the guarantee in simulation."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from redundancy.certificates.certificate import ArrayInput
from redundancy.concentration.multiplicity import holm
from redundancy.errors import InvalidInputError, StoreError
from redundancy.risk import AnytimeControl, ErrorGraph, RiskControl, control_risk, p_value, sequentially_reject

# ---------------------------------------------------------------- graphs


@st.composite
def graphs(draw, n):
    whole = st.integers(0, 4)
    weights = np.array([draw(whole) for _ in range(n)], dtype=float)
    table = np.array([[0 if i == j else draw(whole) for j in range(n)] for i in range(n)], dtype=float)
    weights /= max(1.0, weights.sum() + draw(st.integers(0, 2)))
    table /= np.maximum(1.0, table.sum(axis=1, keepdims=True) + draw(st.integers(0, 2)))
    return ErrorGraph(tuple(weights), tuple(map(tuple, table)))


def intersection_weights(graph, subset):
    """Weights of an intersection hypothesis: remove the others one by one (Guilbaud and Bretz), with plain loops."""
    n = len(graph)
    w = dict(enumerate(graph.weights))
    g = {(i, j): graph.transitions[i][j] for i in range(n) for j in range(n)}
    left = set(range(n))
    for j in sorted(set(range(n)) - set(subset)):
        left.remove(j)
        new = {}
        for a, b in itertools.product(left, left):
            loop = g[a, j] * g[j, a]
            new[a, b] = 0.0 if a == b or loop > 1 - 1e-12 else (g[a, b] + g[a, j] * g[j, b]) / (1 - loop)
        for a in left:
            w[a] += w[j] * g[j, a]
        g = new
    return {i: w[i] for i in subset}


def closed_test(p, graph, delta):
    """Reject i if the weighted Bonferroni test rejects every intersection that contains i."""
    n = len(p)
    subsets = [s for k in range(1, n + 1) for s in itertools.combinations(range(n), k)]
    rejects = {}
    for subset in subsets:
        weights = intersection_weights(graph, subset)
        rejects[subset] = any(weights[i] > 0 and p[i] <= delta * weights[i] * (1 + 1e-12) for i in subset)
    return [all(rejects[s] for s in subsets if i in s) for i in range(n)]


@given(data=st.data(), n=st.integers(1, 4))
def test_a_graph_is_a_closed_test(data, n):
    graph = data.draw(graphs(n))
    p = [data.draw(st.sampled_from([0.0, 0.004, 0.011, 0.019, 0.024, 0.034, 0.049, 0.2])) for _ in range(n)]
    found = [d.is_rejected for d in sequentially_reject(p, graph)]
    assert found == closed_test(p, graph, 0.05)


@given(p=st.lists(st.integers(0, 60).map(lambda k: k / 1000), min_size=1, max_size=6))
def test_holm_is_the_complete_graph(p):
    found = tuple(d.is_rejected for d in sequentially_reject(p, ErrorGraph.holm(len(p)), confidence_level=0.951))
    assert found == holm(p, confidence_level=0.951).refuted


def test_named_graphs():
    p = [0.04, 0.001, 0.06, 0.001]
    chain = sequentially_reject(p, ErrorGraph.chain(4))
    assert [d.is_rejected for d in chain] == [True, True, False, False]
    assert [d.is_tested for d in chain] == [True, True, True, False]
    assert [d.level for d in sequentially_reject(p, ErrorGraph.bonferroni(4))] == pytest.approx([0.0125] * 4)
    fallback = sequentially_reject([0.04, 0.001, 0.02, 0.06], ErrorGraph.fallback([0.4, 0.2, 0.4, 0.0]))
    # 0.04 > 0.02; 0.001 <= 0.01, hands 0.01 on; 0.02 <= 0.02 + 0.01; 0.06 > 0.03
    assert [d.is_rejected for d in fallback] == [False, True, True, False]
    assert fallback[3].level == pytest.approx(0.03)


def test_a_chain_that_ends_well_helps_the_others():
    labels = ["a", "b", "a"]
    p = [0.001, 0.04, 0.02]
    assert [d.is_rejected for d in sequentially_reject(p, ErrorGraph.chains(labels))] == [True, True, True]
    apart = sequentially_reject(p, ErrorGraph.chains(labels, connected=False))
    assert [d.is_rejected for d in apart] == [True, False, True]


@pytest.mark.parametrize(
    ("weights", "transitions", "words"),
    [
        ((0.6, 0.6), ((0, 1), (1, 0)), "sum of at most 1"),
        ((-0.1, 0.6), ((0, 1), (1, 0)), "weights >= 0"),
        ((0.5, 0.5), ((1, 0), (1, 0)), "zero diagonal"),
        ((0.5, 0.5), ((0, 1.5), (1, 0)), "row 0 sums to 1.5"),
        ((0.5, 0.5), ((0, 1), (1,)), "parts of different length"),
        ((0.5, 0.5), ((0, 1),), "shapes"),
        ((float("nan"), 0.5), ((0, 1), (1, 0)), "finite weights"),
    ],
)
def test_impossible_graphs_are_refused(weights, transitions, words):
    with pytest.raises(InvalidInputError, match=words):
        ErrorGraph(weights, transitions)


# ---------------------------------------------------------------- p-values


@given(k=st.integers(0, 40), n=st.integers(40, 200), r=st.integers(1, 30).map(lambda i: i / 100))
def test_binary_p_values_are_exact(k, n, r):
    losses = np.arange(n) < k
    assert p_value(losses, r) == pytest.approx(binomtest(k, n, r, alternative="less").pvalue, rel=1e-9)


def rejection_rate(draw, risk, *, loss_range, kind, repeats=400, level=0.1, seed=0):
    rng = np.random.default_rng(seed)
    return sum(
        p_value(draw(rng), risk, loss_range=loss_range, kind=kind, confidence_level=1 - level) <= level
        for _ in range(repeats)
    )


EDGES = {
    # a law whose mean is exactly the tolerated risk, the hardest case of the hypothesis
    "rare": (lambda rng: (rng.random(200) < 0.05).astype(float), 0.05, (0.0, 1.0)),
    "fractions": (lambda rng: rng.beta(0.5, 4.5, 200), 0.1, (0.0, 1.0)),
    "paired": (lambda rng: rng.choice([-1.0, 0.0, 1.0], 200, p=[0.05, 0.85, 0.10]), 0.05, (-1.0, 1.0)),
    "rare gains": (lambda rng: np.where(rng.random(200) < 0.05, -1.0, 0.1), 0.045, (-1.0, 1.0)),
}


@pytest.mark.parametrize("kind", ["betting", "betting_sequence"])
@pytest.mark.parametrize("law", EDGES)
def test_betting_p_values_are_valid_at_the_edge(law, kind):
    draw, risk, loss_range = EDGES[law]
    failures = rejection_rate(draw, risk, loss_range=loss_range, kind=kind)
    assert binomtest(failures, 400, 0.1, alternative="greater").pvalue > 0.01


def test_the_edge_simulation_can_fail():
    """A p-value for a wrong range is invalid, and the simulation sees it."""

    def draw(rng):
        return np.where(rng.random(200) < 0.02, 1.0, 0.0)

    rng = np.random.default_rng(0)
    failures = sum(p_value(np.minimum(draw(rng), 0.5), 0.02, kind="betting") <= 0.1 for _ in range(400))
    assert binomtest(failures, 400, 0.1, alternative="greater").pvalue < 1e-3


def test_paired_losses_have_power():
    rng = np.random.default_rng(1)
    paired = rng.choice([-1.0, 0.0, 1.0], 600, p=[0.02, 0.96, 0.02])
    assert p_value(paired, 0.05, loss_range=(-1, 1)) < 0.05
    assert p_value(paired, 0.001, loss_range=(-1, 1)) > 0.1


@pytest.mark.parametrize(("n", "risk"), [(100, 0.03), (300, 0.02), (300, 0.05)])
def test_betting_is_nearly_as_sharp_as_the_exact_test(n, risk):
    """Without a loss the exact p-value (1 - r)^n cannot be beaten; a bet comes within a factor of 3."""
    exact = (1 - risk) ** n
    for kind in ("betting", "betting_sequence"):
        assert exact < p_value(np.zeros(n), risk, kind=kind) < 3 * exact


def test_auto_goes_by_the_type_not_by_the_values():
    zeros = np.zeros(100)
    assert p_value(zeros.astype(int), 0.03) == pytest.approx(0.97**100)
    assert p_value(zeros, 0.03) == p_value(zeros, 0.03, kind="betting") != pytest.approx(0.97**100)


# ---------------------------------------------------------------- the whole choice

NAMES = ["a", "b", "c", "d"]
COSTS = [4.0, 3.0, 2.0, 1.0]


def binary(*counts, n=300):
    return np.array([[1] * k + [0] * (n - k) for k in counts])


def test_the_cheapest_certified_plan_is_chosen_and_checks_again():
    control = control_risk(binary(0, 1, 40, 0), names=NAMES, costs=COSTS, risk=0.05)
    assert control.chosen == "b"
    assert control.certified == ("a", "b")
    assert [t.is_tested for t in control.tests] == [True, True, True, False]
    assert control.guarantee == (
        "With confidence at least 0.95 over the draw of 300 i.i.d. samples, the plan b has a mean loss of at most "
        "0.05 on inputs from the same distribution; so does 1 other plan (exact binomial tests, fixed sequence, 3 of 4 "
        "plans tested)."
    )
    assert control.recheck().ok
    assert RiskControl.from_json(control.to_json()) == control
    assert [row["name"] for row in control.to_records()] == NAMES


def test_the_given_order_does_not_matter():
    rows, order = binary(0, 1, 40, 0), [2, 0, 3, 1]
    again = control_risk(
        rows[order], names=[NAMES[i] for i in order], costs=[COSTS[i] for i in order], risk=0.05, procedure="fallback"
    )
    assert again == control_risk(rows, names=NAMES, costs=COSTS, risk=0.05, procedure="fallback")
    graph = ErrorGraph.chains(["x", "y", "x", "y"])
    moved = ErrorGraph(
        tuple(graph.weights[i] for i in order), tuple(tuple(graph.transitions[i][j] for j in order) for i in order)
    )
    first = control_risk(rows, names=NAMES, costs=COSTS, risk=0.05, procedure=graph)
    second = control_risk(
        rows[order], names=[NAMES[i] for i in order], costs=[COSTS[i] for i in order], risk=0.05, procedure=moved
    )
    assert first == second
    assert (
        first.tests
        == control_risk(
            rows, names=NAMES, costs=COSTS, risk=0.05, procedure="chains", chains=["x", "y", "x", "y"]
        ).tests
    )


def test_no_plan_is_no_evidence_against():
    control = control_risk(binary(60, 60, 60, 60), names=NAMES, costs=COSTS, risk=0.05)
    assert control.chosen is None
    assert "no evidence against" in control.guarantee


@pytest.mark.parametrize(
    "alter",
    [
        lambda c: dataclasses.replace(c, risk=0.04),
        lambda c: dataclasses.replace(c, confidence_level=0.9),
        lambda c: dataclasses.replace(c, table=dataclasses.replace(c.table, kind="betting")),
        lambda c: dataclasses.replace(c, graph=ErrorGraph.holm(4)),
        lambda c: dataclasses.replace(c, table=dataclasses.replace(c.table, values=ArrayInput(1.0 - c.losses.values))),
        lambda c: dataclasses.replace(
            c, tests=(*c.tests[:2], dataclasses.replace(c.tests[2], is_certified=True), c.tests[3])
        ),
    ],
)
def test_recheck_sees_what_was_altered(alter):
    control = control_risk(binary(0, 1, 40, 0), names=NAMES, costs=COSTS, risk=0.05)
    assert not alter(control).recheck()


def test_altered_json_is_refused():
    tree = json.loads(control_risk(binary(0, 1, 40, 0), names=NAMES, costs=COSTS, risk=0.05).to_json())
    with pytest.raises(StoreError, match="altered"):
        RiskControl.from_json(json.dumps({**tree, "risk": 0.01}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"losses": np.full((4, 300), 0.5), "kind": "binomial"}, "losses of 0 or 1"),
        ({"losses": np.full((4, 300), np.nan)}, "losses of a in"),
        ({"losses": np.full((4, 300), -0.5)}, "declare another loss_range"),
        ({"losses": binary(0, 0)}, "4 plans"),
        ({"losses": np.zeros((4, 0))}, "one per sample"),
        ({"names": ["a"] * 4}, "each name once"),
        ({"costs": [1.0]}, "a cost for each"),
        ({"risk": 0.0}, "risk inside"),
        ({"risk": 1.5}, "risk inside"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"procedure": "hope"}, "'hope'"),
        ({"procedure": ErrorGraph.chain(3)}, "graph over 4"),
        ({"procedure": "chains"}, "need chains"),
        ({"chains": ["x"] * 4}, "need chains"),
        ({"procedure": "chains", "chains": ["x"]}, "a chain for each"),
        ({"loss_range": (1.0, 0.0)}, "lower < upper"),
        ({"kind": "magic"}, "'magic'"),
        ({"losses": np.ma.zeros((4, 300))}, "without a mask for losses"),
    ],
)
def test_bad_arguments_are_refused(change, words):
    arguments = {"losses": binary(0, 0, 0, 0), "names": NAMES, "costs": COSTS, "risk": 0.05}
    with pytest.raises(InvalidInputError, match=words):
        control_risk(**{**arguments, **change})


# ---------------------------------------------------------------- the guarantee, simulated

JUST_BAD = 0.0501
CASES = {
    "fixed sequence, binary": ("fixed_sequence", None, (0.01, 0.03, JUST_BAD, 0.2), "binary"),
    "chains, binary": ("chains", ("x", "y", "x", "y"), (0.0, JUST_BAD, 0.0, JUST_BAD), "binary"),
    "holm, paired": ("holm", None, (JUST_BAD, 0.0, JUST_BAD, JUST_BAD), "paired"),
    "fallback, fractions": ("fallback", None, (JUST_BAD,) * 4, "fractions"),
}


def draw_losses(rng, risks, n, law):
    """Losses that depend on each other across plans, with exactly these means."""
    hardness = rng.random(n)
    if law == "binary":
        return np.array([hardness < r for r in risks])
    if law == "fractions":
        return np.array([np.where(hardness < 2 * r, 0.5, 0.0) for r in risks])
    gain = rng.random(n) < 0.03
    return np.array([(hardness < r + 0.03).astype(float) - gain for r in risks])


def failures_of(case, repeats, *, seed, n=200, level=0.9, anytime=False):
    procedure, chains, risks, law = CASES[case]
    rng = np.random.default_rng(seed)
    bad = {name for name, r in zip(NAMES, risks, strict=True) if r > 0.05}
    options = {
        "names": NAMES,
        "costs": COSTS,
        "risk": 0.05,
        "confidence_level": level,
        "loss_range": (-1.0, 1.0) if law == "paired" else (0.0, 1.0),
        "procedure": procedure,
        "chains": chains,
    }
    failures = 0
    for _ in range(repeats):
        losses = draw_losses(rng, risks, n, law)
        if not anytime:
            certified = control_risk(losses, **options).certified
        else:
            watch = AnytimeControl(**options)
            for start in range(0, n, 20):  # peeks, and stops as soon as anything bad is certified
                watch.update(losses[:, start : start + 20].T)
                if bad & set(watch.certified):
                    break
            certified = watch.certified
        failures += bool(bad & set(certified))
    return failures


@pytest.mark.parametrize("case", CASES)
def test_the_guarantee_holds(case):
    failures = failures_of(case, 300, seed=3)
    assert binomtest(failures, 300, 0.1, alternative="greater").pvalue > 0.01


@pytest.mark.parametrize("case", ["fixed sequence, binary", "holm, paired"])
def test_the_guarantee_holds_for_whoever_peeks(case):
    failures = failures_of(case, 100, seed=4, anytime=True)
    assert binomtest(failures, 100, 0.1, alternative="greater").pvalue > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("anytime", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_guarantee_holds_over_many_draws(case, anytime):
    repeats = 600 if anytime else 4000
    failures = failures_of(case, repeats, seed=5, anytime=anytime)
    assert binomtest(failures, repeats, 0.1, alternative="greater").pvalue > 1e-3
    if case == "fixed sequence, binary" and not anytime:
        assert failures > 0.03 * repeats  # and is not idle


def test_whoever_peeks_at_a_fixed_n_test_is_misled():
    """The exact binomial test after every 20 samples breaks the promise that the anytime test keeps."""
    rng = np.random.default_rng(6)
    failures = 0
    for _ in range(300):
        losses = rng.random(400) < JUST_BAD
        failures += any(p_value(losses[:n], 0.05) <= 0.1 for n in range(40, 401, 20))
    assert binomtest(failures, 300, 0.1, alternative="greater").pvalue < 1e-3


# ---------------------------------------------------------------- anytime


def test_certificates_of_a_stream_only_grow_and_stop_early():
    rng = np.random.default_rng(7)
    watch = AnytimeControl(names=NAMES, costs=COSTS, risk=0.1, loss_range=(-1.0, 1.0), procedure="holm")
    assert watch.certified == ()
    before = set()
    while "d" not in watch.certified and watch.n_samples < 2000:
        watch.update(rng.choice([-1.0, 0.0, 1.0], (25, 4), p=[0.02, 0.96, 0.02]))
        assert before <= set(watch.certified)
        before = set(watch.certified)
    assert watch.n_samples < 1000
    result = watch.result()
    assert result.kind == "betting_sequence"
    assert result.recheck().ok
    assert RiskControl.from_json(result.to_json()) == result
    assert "any stopping time" in result.guarantee


def test_a_stream_says_at_once_what_is_wrong():
    with pytest.raises(InvalidInputError, match="'hope'"):
        AnytimeControl(names=NAMES, costs=COSTS, risk=0.1, procedure="hope")
    with pytest.raises(InvalidInputError, match="at least one plan"):
        AnytimeControl(names=[], costs=[], risk=0.1)
    watch = AnytimeControl(names=NAMES, costs=COSTS, risk=0.1)
    with pytest.raises(InvalidInputError, match="at least one sample"):
        watch.result()
    with pytest.raises(InvalidInputError, match="4 plans"):
        watch.update([[0.0]])
    with pytest.raises(InvalidInputError, match="finite losses"):
        watch.update([[np.nan] * 4])
    with pytest.raises(InvalidInputError, match="without a mask"):
        watch.update(np.ma.zeros((1, 4)))


def test_costs_are_shares_from_nothing_up():
    free = control_risk(binary(0, 100), names=NAMES[:2], costs=[0.25, 0.0], risk=0.05)
    assert [test.cost for test in free.tests] == [0.25, 0.0]
    with pytest.raises(InvalidInputError, match="each cost"):
        control_risk(binary(0, 100), names=NAMES[:2], costs=[0.25, -0.25], risk=0.05)
