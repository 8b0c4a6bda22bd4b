"""Every symbolic proof goes through, none survives a change of a constant, and all say what the code computes."""

import doctest
import math
from collections import defaultdict
from fractions import Fraction

import pytest
import sympy as sp

import proofs_check.recheck
import proofs_check.symbolic
from proofs_check.symbolic import available, constants, prove
from proofs_check.symbolic.decide import gram_squares, never_negative, sign_on_interval, vanishes
from proofs_check.symbolic.draft import Draft
from redundancy.bounds.ledger import theorems
from redundancy.certificates.certificate import registered
from redundancy.errors import InvalidInputError

CONSTANTS = [(theorem, name) for theorem in available() for name in constants(theorem)]


@pytest.mark.parametrize("theorem", available())
def test_every_proof_goes_through(theorem):
    proof = prove(theorem)
    assert proof.ok, str(proof)
    assert proof.statement in proof.steps
    assert any(step.kind == "checked" for step in proof.steps)
    assert proof.theorem == theorem
    assert theorem in registered()


def test_every_record_of_lemmas_1_to_4_proposition_1_and_theorems_1_to_5_has_a_proof():
    topics = ("tail", "lipschitz", "plug_in", "fano", "braun_pokutta", "pinsker", "mismatch", "performance_gap")
    wanted = {r.id for r in theorems() if r.function and r.id.split(".")[0] in topics}
    wanted |= {r.id for r in theorems() if r.id.startswith("lemmas.") and r.title != "Lemma 5"}
    assert wanted <= set(available())


@pytest.mark.parametrize("theorem", available())
def test_symbols_and_references_of_a_proof_are_sound(theorem):
    """One name, one symbol; a statement of another proof is one that goes through."""
    symbols = defaultdict(set)
    for step in prove(theorem).steps:
        for side in (step.left, step.right):
            for symbol in side.free_symbols:
                symbols[symbol.name].add(symbol)
        if step.kind == "earlier":
            assert prove(step.rule.split(",")[0]).ok, step.rule
    assert {name: found for name, found in symbols.items() if len(found) > 1} == {}


@pytest.mark.parametrize(("theorem", "name"), CONSTANTS)
@pytest.mark.parametrize("factor", [Fraction(39, 40), Fraction(41, 40)])
def test_no_proof_survives_another_constant(theorem, name, factor):
    """On one side the statement is false, on the other the proof that the constant is best fails."""
    value = Fraction(str(constants(theorem)[name]))
    assert not prove(theorem, **{name: value * factor}).ok


@pytest.mark.parametrize(
    ("theorem", "changed"),
    [
        ("lipschitz.printed_upper", {"factor": "39/10"}),
        ("lemmas.squared_sum_upper", {"factor": "29/10"}),
        ("pinsker.chain_information_upper", {"factor": "1/4"}),
        ("mismatch.mismatch_upper_of_diameter", {"vector": 1}),
        ("pinsker.printed_upper", {"factor": "144/100"}),
        ("plug_in.printed_upper", {"outer": "29/10"}),
        ("braun_pokutta.printed_lower", {"entropy": -1}),
        ("fano.printed_upper", {"entropy": 0}),
        ("tail.printed_upper", {"range": "99/100"}),
    ],
)
def test_the_step_that_fails_is_the_statement(theorem, changed):
    """Too small a constant is not only not best: the statement itself no longer follows."""
    failed = {step.name for step in prove(theorem, **changed).failed}
    assert failed & {"statement", "vector constant"}, failed


# ---- the statements proved are those that redundancy computes

_LN2 = math.log(2)
FORMULAS = [
    ("lemmas.squared_triangle_upper", {"first": 1.5, "second": 0.25}, {"a": 1.5, "b": 0.25}),
    ("lemmas.squared_triangle_minkowski", {"first": 1.5, "second": 0.25}, {"a": 1.5, "b": 0.25}),
    ("lemmas.squared_distance_of_cosine", {"mean_distance": 0.3}, {"e": 0.3}),
    ("lemmas.squared_sum_upper", {"first": 1.0, "second": 0.25, "third": 4.0}, {"a": 1.0, "b": 0.5, "c": 2.0}),
    ("lemmas.sum_minkowski", {"first": 1.0, "second": 0.25, "third": 4.0}, {"a": 1.0, "b": 0.5, "c": 2.0}),
    ("tail.strict_tail_upper", {"tail_prob_closed": 0.3}, {"P>=": 0.3}),
    ("tail.printed_upper", {"tail_prob": 0.3, "t": 0.05}, {"P": 0.3, "t": 0.05}),
    ("tail.sandwich_upper", {"tail_prob": 0.3, "t": 0.05}, {"P": 0.3, "t": 0.05, "r": 2.0}),
    ("tail.sandwich_lower", {"tail_prob_closed": 0.3, "t": 0.05}, {"P>=": 0.3, "t": 0.05}),
    ("tail.tail_closed_upper", {"mean_distance": 0.03, "t": 0.05}, {"e": 0.03, "t": 0.05}),
    ("tail.tail_lower", {"mean_distance": 0.3, "t": 0.05}, {"e": 0.3, "t": 0.05, "r-t": 1.95}),
    (
        "lipschitz.printed_upper",
        {"mean_distance": 0.3, "alpha": 1.5, "beta": 0.5},
        {"e": 0.3, "alpha": 1.5, "beta": 0.5},
    ),
    (
        "lipschitz.minkowski_upper",
        {"squared_distance": 0.09, "alpha": 1.5, "beta": 0.5},
        {"sqrtD": 0.3, "alpha": 1.5, "beta": 0.5},
    ),
    (
        "lipschitz.unit_norm_upper",
        {"mean_distance": 0.3, "alpha": 1.5, "beta": 0.5},
        {"e": 0.3, "alpha": 1.5, "beta": 0.5},
    ),
    (
        "lipschitz.residual_upper",
        {"residual_next": 0.09, "residual_prev": 0.25, "alpha": 1.5, "beta": 0.7},
        {"v_next": 0.3, "v_prev": 0.5, "alpha": 1.5, "beta": 0.7},
    ),
    (
        "lipschitz.chain_upper",
        {"chain": "prev-next-task", "residual": 0.09, "lipschitz": 1.5},
        {"v_next": 0.3, "alpha": 1.5},
    ),
    (
        "lipschitz.truncated_upper",
        {"truncated_next": 0.09, "truncated_prev": 0.25, "diameter": 9.0},
        {"T_next": 0.3, "T_prev": 0.5},
    ),
    (
        "lipschitz.proximal_upper",
        {"tail_prob": 0.3, "t": 0.05, "alpha": 0.5, "beta": 0.0, "diameter": 9.0},
        {"P": 0.3, "n": 2 * 0.25 * 0.05, "f": 4 * 0.25},
    ),
    ("lipschitz.variance_cap", {"task_variance": 0.3}, {"Var": 0.3}),
    ("lipschitz.probe_errors_cap", {"error_next": 0.09, "error_prev": 0.25}, {"s_next": 0.3, "s_prev": 0.5}),
    (
        "plug_in.printed_upper",
        {"error_next": 0.09, "error_prev": 0.25, "mean_distance": 0.3, "alpha": 1.5, "beta": 0.5},
        {"a": 0.3, "b": 0.5, "e": 0.3, "alpha": 1.5, "beta": 0.5},
    ),
    (
        "plug_in.minkowski_bounds",
        {"functional_gap": 0.04, "error_next": 0.09, "error_prev": 0.25},
        {"sqrtF": 0.2, "a": 0.3, "b": 0.5},
    ),
    (
        "plug_in.inverse_bounds",
        {"probe_gap": 0.04, "error_next": 0.09, "error_prev": 0.25},
        {"sqrtG": 0.2, "a": 0.3, "b": 0.5},
    ),
    ("plug_in.function_upper", {"functional_gap": 0.16, "error_next": 0.09, "error_prev": 0.25}, {"w": 0.5, "b": 0.5}),
    ("plug_in.probe_lipschitz_upper", {"squared_distance": 0.3, "lipschitz": 1.5}, {"D": 0.3, "L": 1.5}),
    (
        "fano.printed_upper",
        {"tail_prob": 0.3, "support_size": 64, "ball_min": 2, "ball_max": 3, "base": math.e},
        {"P": 0.3, "log(N_max)": math.log(3), "log(K-N_min)": math.log(62)},
    ),
    (
        "fano.list_upper",
        {"miss_prob": 0.3, "list_size": 2, "support_size": 64, "base": math.e},
        {"P": 0.3, "k": 2, "m": 62},
    ),
    (
        "fano.sized_lists_upper",
        {"sizes": [2], "hit_probs": [0.75], "miss_probs": [0.25], "support_size": 8, "base": math.e},
        {"S": -0.25 * math.log(0.25) - 0.75 * math.log(0.75), "A": 0.75 * _LN2, "B": 0.25 * math.log(6)},
    ),
    ("fano.predictor_upper", {"log_loss": 0.3, "base": math.e}, {"L": 0.3}),
    ("braun_pokutta.binary_lower", {"tail_prob": 0.1, "ball_prob": 0.3, "base": math.e}, {"P": 0.1, "q": 0.3}),
    (
        "braun_pokutta.printed_lower",
        {"tail_prob": 0.1, "ball_prob_min": 0.2, "ball_prob_max": 0.3, "base": math.e},
        {"P": 0.1, "1-P": 0.9, "log p_max": math.log(0.3), "log(1-p_min)": math.log(0.8)},
    ),
    (
        "braun_pokutta.law_lower",
        {"joint_law": [0.75, 0.25], "product_law": [0.5, 0.5], "base": math.e},
        {"D": 0.75 * math.log(1.5) - 0.25 * _LN2},
    ),
    (
        "braun_pokutta.variational_lower",
        {"mean_score": 0.7, "mean_exp_score": 1.5, "base": math.e},
        {"E_phi": 0.7, "log_Z": math.log(1.5)},
    ),
    ("pinsker.printed_upper", {"conditional_entropy": 0.2, "norm_bound": 1.5, "base": math.e}, {"H": 0.2, "B": 1.5}),
    (
        "pinsker.chain_information_upper",
        {"chain": "prev-next-task", "information": 0.2, "diameter": 1.5, "base": math.e},
        {"I": 0.2, "Delta": 1.5},
    ),
    (
        "pinsker.chain_entropy_upper",
        {"chain": "prev-next-task", "entropy": 0.2, "radius": 1.5, "base": math.e},
        {"H": 0.2, "R": 1.5},
    ),
    (
        "pinsker.guessing_upper",
        {"chain": "prev-next-task", "joint": [[0.9], [0.1]], "radius": 1.5},
        {"G": 0.36, "R": 1.5},
    ),
    (
        "mismatch.coupling_upper",
        {"chain": "prev-next-task", "miss_prob": 0.2, "diameter": 1.5},
        {"P": 0.2, "Delta": 1.5},
    ),
    ("mismatch.mismatch_upper", {"mismatch_prob": 0.02, "task_values": [[1, 0], [0, 1]]}, {"P": 0.02, "kappa": 2}),
    (
        "mismatch.mismatch_upper_of_diameter",
        {"mismatch_prob": 0.02, "diameter": 1.5, "kind": "vector"},
        {"P": 0.02, "Delta": 1.5},
    ),
    (
        "pinsker.free_information_upper",
        {"information_next": 0.04, "information_prev": 0.01, "diameter": 1.5, "base": math.e},
        {"i_next": 0.2, "i_prev": 0.1, "Delta": 1.5},
    ),
    (
        "pinsker.free_entropy_upper",
        {"forward_entropy": 0.04, "backward_entropy": 0.01, "radius": 1.5, "base": math.e},
        {"k_next": 0.2, "k_prev": 0.1, "C": 1.5**2 / _LN2},
    ),
    (
        "performance_gap.performance_gap_upper",
        {"unique_information": 0.2, "diameter": 1.5, "base": math.e},
        {"U": 0.2, "Delta": 1.5},
    ),
]


@pytest.mark.parametrize(("theorem", "inputs", "letters"), FORMULAS, ids=[f[0] for f in FORMULAS])
def test_the_statement_that_is_proved_is_the_formula_that_is_computed(theorem, inputs, letters):
    """Upper bounds are right sides, lower bounds left sides."""
    certificate = registered()[theorem](**inputs)
    step = prove(theorem).statement
    lower = (
        certificate.interval.lower > certificate.trivial.lower
        and certificate.interval.upper == certificate.trivial.upper
    )
    side = step.left if lower else step.right
    value = side.subs({symbol: letters[symbol.name] for symbol in side.free_symbols})
    assert not certificate.is_vacuous
    assert float(value) == pytest.approx(certificate.interval.lower if lower else certificate.interval.upper, rel=1e-12)


# ---- the object


def test_unknown_theorems_and_constants():
    assert prove("lemma99") is None
    with pytest.raises(InvalidInputError, match=r"need constants of lemmas.squared_sum_upper"):
        prove("lemmas.squared_sum_upper", facto=3)


def test_a_printed_proof_names_rules_and_tells_checked_from_cited():
    text = str(prove("lemmas.squared_triangle_upper"))
    assert "cited  triangle" in text
    assert "sum of squares" in text
    assert text.endswith("1 cited.")
    assert "NOT proved: statement" in str(prove("lemmas.squared_triangle_upper", first="19/10"))
    tree = prove("lemmas.squared_triangle_upper").to_dict()
    assert [step["kind"] for step in tree["steps"]][:2] == ["cited", "checked"]
    assert tree["ok"]
    assert tree["cited"] == ["triangle inequality of the distance"]


def test_the_documentation_runs():
    for module in (
        proofs_check.symbolic,
        proofs_check.symbolic.theorems,
        proofs_check.symbolic.decide,
        proofs_check.recheck,
    ):
        assert doctest.testmod(module).failed == 0


# ---- the rules refuse what does not follow


A, B = sp.symbols("a b", nonnegative=True)
X, M = sp.symbols("x m", real=True)
FALSE_STEPS = {
    "identity": lambda d: d.identity("s", (A + B) ** 2, A**2 + B**2),
    "squares": lambda d: d.squares("s", 2 * A * B + A**2 / 2, A**2 + B**2, [A, B]),
    "squares of another degree": lambda d: d.squares("s", 0, A**2 + B, [A, B]),
    "nonnegative": lambda d: d.nonnegative("s", A, B),
    "cases": lambda d: d.cases("s", A, B, {"a <= b": {B: A + 1}, "a > b": {A: B + 1}}),
    "interval": lambda d: d.interval("s", 0, X * (X - sp.Rational(1, 2)), X, 0, 1),
    "combine with a negative multiplier": lambda d: d.combine("s", B, A, {d.assume("h", A, "<=", B, "given"): -1}),
    "combine short of the claim": lambda d: d.combine("s", 2 * A, B, {d.assume("h", A, "<=", B, "given"): 1}),
    "an equality from an inequality": lambda d: d.combine(
        "s", A, B, {d.assume("h", A, "<=", B, "given"): 1}, sense="="
    ),
    "mean of a product": lambda d: d.mean("s", d.identity("p", X**2, X * X), M**2, M**2, {M: X}),
    "mean with a random factor": lambda d: d.mean("s", d.identity("p", X * A, A * X), X * A, M * X, {M: A}),
    "root of other squares": lambda d: d.root("s", d.assume("h", A**2, "<=", 4 * B**2, "given"), A, B),
    "root on the negative side": lambda d: d.root("s", d.assume("h", A**2, "<=", B**2, "given"), A, -B),
    "square of a negative side": lambda d: d.square("s", d.assume("h", X, "<=", B, "given")),
    "stationary": lambda d: d.stationary("s", X**2, X, sp.Integer(1)),
    "curvature": lambda d: d.curvature("s", A**3, A, 6 * A, convex=False),
    "minimum": lambda d: d.minimum("s", -((A - 1) ** 2), A, sp.Integer(1), sp.Integer(-2)),
    "valley": lambda d: d.valley("s", -((A - 1) ** 2), A, sp.Integer(1), {}),
    "logarithm": lambda d: d.logarithm("s", A + 1, B + 1),
    "attained": lambda d: d.attained("s", A, B, {A: 1, B: 2}, ""),
    "limit": lambda d: d.limit("s", sp.sin(A) / A, A, 0, 2, ""),
    "refuted": lambda d: d.refuted("s", 1, 2, ""),
}


@pytest.mark.parametrize("name", FALSE_STEPS)
def test_a_false_step_fails(name):
    draft = Draft("a false step")
    FALSE_STEPS[name](draft)
    assert not draft["s"].ok
    assert not draft.done("none", "s").ok


def test_a_step_that_rests_on_a_failed_one_fails():
    draft = Draft("a false step")
    draft.identity("wrong", A, B)
    draft.combine("after", A, B, {"wrong": 1}, sense="=")
    draft.square("later", "after")
    assert [step.name for step in draft.done("none", "later").failed] == ["wrong", "after", "later"]
    with pytest.raises(ValueError, match="two steps called"):
        draft.identity("wrong", A, A)


def test_decisions_are_not_generous():
    assert vanishes((A + B) ** 2 - A**2 - 2 * A * B - B**2)
    assert vanishes(sp.log(sp.Rational(6, 35)) - sp.log(2) - sp.log(3) + sp.log(5) + sp.log(7))
    assert not vanishes(A**2 - B**2)
    assert not vanishes(sp.log(2 + A) - sp.log(2) - sp.log(A + 1))
    assert never_negative(A + 2 * B)
    assert not never_negative(A - B)
    assert not never_negative(X)
    assert never_negative(X**2 + A)
    assert never_negative((A + B) / (1 + A))
    assert gram_squares(A**2 + B**2 - 3 * A * B, [A, B]) is None
    assert gram_squares(A * B, [A, B]) is None
    assert sign_on_interval(X * (1 - X), X, 0, 1) == 1
    assert sign_on_interval(X - sp.Rational(1, 2), X, 0, 1) == 0
