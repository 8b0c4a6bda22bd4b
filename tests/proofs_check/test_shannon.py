"""The Shannon prover: known truths proved, known falsehoods not, certificates that no tampering survives."""

import json
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proofs_check.shannon import NotProvable, ShannonProof, find_counterexample, parse_claim, prove, verify
from proofs_check.shannon import certificate as checker
from redundancy.errors import InvalidInputError, SkipItError, StoreError

ZHANG_YEUNG = "I(A;B) + I(A;C,D) + 3 I(C;D|A) + I(C;D|B) - 2 I(C;D) >= 0"
INGLETON = "I(C;D|A) + I(C;D|B) + I(A;B) - I(C;D) >= 0"
CODES = "A = f(X) and B = g(Y)"
TRUE = [
    ("I(Z;X|Y) <= H(X|Y)", ()),
    ("I(Z;Y) <= I(Z;X)", "Z -> X -> Y"),
    ("I(Z;X|Y) = I(Z;X) - I(Z;Y)", "Y -> X -> Z"),
    ("I(Z;Y|X) = 0", "Y = g(X)"),
    ("I(Z;Y|X) <= H(Y|X)", "Z -> Y -> X"),
    ("H(X|Y) <= H(E) + H(X|E,Y)", "E = f(X,Y)"),
    ("H(X|Y) = H(E|Y) + H(X|E,Y)", "E = f(X,Y)"),
    ("I(A;B) <= I(X;Y)", CODES),
    ("H(A|Y) <= H(A|B)", CODES),
    ("H(X,Y) = H(X) + H(Y)", "X _||_ Y"),
    ("I(X;Y|W) >= I(X;Y)", "X _||_ W"),
    ("2 H(X,Y,Z) <= H(X,Y) + H(Y,Z) + H(X,Z)", ()),
    (ZHANG_YEUNG, "R = copy(A | C, D)"),
]
FALSE = [
    ("I(Z;Y) <= I(Z;X)", ()),
    ("I(Z;Y|X) <= H(X|Y)", "Z -> Y -> X"),
    ("I(Z;X|Y) <= I(Z;X)", ()),
    ("I(Z;X|Y) <= 1/2 H(X|Y)", ()),
    ("H(X|Y) <= H(A|B)", CODES),
    ("H(X,Y) = H(X) + H(Y)", ()),
    (INGLETON, ()),
]


@pytest.mark.parametrize(("claim", "premises"), TRUE)
def test_true_statements_are_proved_and_survive_json(claim, premises):
    proof = prove(claim, premises)
    assert proof.proved, proof
    assert verify(proof) == ()
    assert ShannonProof.from_json(proof.to_json()) == proof
    assert "in exact fractions" in str(proof)


@pytest.mark.parametrize(("claim", "premises"), FALSE)
def test_false_statements_get_a_witness_and_a_law(claim, premises):
    result = prove(claim, premises)
    assert isinstance(result, NotProvable)
    assert result.verify() == ()
    assert "not Shannon-provable" in str(result)
    assert "false" not in result.summary
    law = find_counterexample(claim, premises)
    assert law is not None
    assert sum(law.masses.values()) == 1
    # The claim fails on the law by textbook sums that share no code with the search.
    assert float(law.excess) == pytest.approx(_excess(claim, law), abs=1e-12)
    assert float(law.excess) > 1e-3


def _excess(claim, law):
    parsed = parse_claim(claim)
    value = mpmath.mpf(0)
    for names, weight in parsed.expression.items():
        places = [i for i, v in enumerate(law.variables) if v in names]
        masses = {}
        for atom, p in law.masses.items():
            key = tuple(atom[i] for i in places)
            masses[key] = masses.get(key, 0) + p
        value -= float(weight) * sum(float(p) * mpmath.log(float(p)) for p in masses.values())
    return float(abs(value) if parsed.equality else -value)


def test_zhang_yeung_is_true_but_beyond_shannon():
    """Not in the four-variable cone, no law breaks it, and one copied variable proves it."""
    assert not prove(ZHANG_YEUNG).proved
    assert find_counterexample(ZHANG_YEUNG, tries=2) is None
    assert prove(ZHANG_YEUNG, "R = copy(A | C, D)").proved


def test_ingleton_is_not_rescued_by_a_copy():
    assert not prove(INGLETON, "R = copy(A | C, D)").proved


def test_lemma_5_with_atoms_of_a_decomposition():
    atoms = ("UniX", "UniY", "Red", "Syn")
    definition = ("UniX + UniY + Red + Syn = H(X)", "UniX + Red = H(X)", "UniY + Red = I(X;Y)")
    assert prove("UniX = H(X|Y)", definition, atoms=atoms).proved
    assert prove("Syn = 0", definition, atoms=atoms).proved
    assert not prove("UniX = H(X)", definition, atoms=atoms).proved


@pytest.mark.parametrize("n", [6, 7, 8])
def test_long_chains_are_quick(n):
    names = "ABCDEFGH"[:n]
    proof = prove(f"I(A;{names[-1]}) <= I(A;B)", " -> ".join(names))
    assert proof.proved


def test_nine_variables_are_refused():
    with pytest.raises(InvalidInputError, match="at most 8"):
        prove("H(A,B,C,D,E,F,G,J,K) >= H(A)")


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(data=st.data())
def test_every_tampered_weight_term_or_premise_is_caught(data):
    """One change anywhere in the certificate of a tight claim: the identity or the sign must fail."""
    claim, premises = data.draw(st.sampled_from(TRUE))
    body = json.loads(prove(claim, premises).to_json())
    certificate = body["certificates"][0]
    rows = certificate["basic"] + certificate["premises"]
    row = data.draw(st.sampled_from(rows))
    kind = data.draw(st.sampled_from(["weight", "sign", "term", "drop"]))
    if kind == "weight":
        row[0] = str(Fraction(row[0]) + Fraction(1, 7))
    elif kind == "sign":
        row[0] = str(-Fraction(row[0]))
    elif kind == "term":
        row[1] = "H(Q|X)"
    else:
        row[0] = "0"
    with pytest.raises(StoreError, match=r"identity|coefficients|weight|given"):
        ShannonProof.from_json(json.dumps(body))


def test_a_false_claim_with_a_true_certificate_is_caught():
    body = json.loads(prove("I(Z;X|Y) <= H(X|Y)").to_json())
    body["claim"] = "I(Z;X|Y) <= 1/2 H(X|Y)"
    with pytest.raises(StoreError, match="coefficients"):
        ShannonProof.from_json(json.dumps(body))


def test_negative_weights_do_not_prove_anything():
    """-H(X) = -1 * H(X) is a true identity and no proof of -H(X) >= 0: only the sign check stands between."""
    forged = ShannonProof("0 >= H(X)", (), (), (checker.Certificate(1, ((Fraction(-1), "H(X)"),), ()),))
    assert verify(forged) == ("the weight -1 of H(X) is negative",)
    difference = ShannonProof("H(X) >= H(Y)", (), (), (checker.Certificate(1, ((Fraction(1), "(H(X) - H(Y))"),), ()),))
    assert any("not a basic quantity" in fault for fault in verify(difference))


def test_an_inequality_premise_may_not_be_reversed():
    forged = ShannonProof(
        "H(Y) >= H(X)", ("H(X) >= H(Y)",), (), (checker.Certificate(1, (), ((Fraction(-1), "H(X) >= H(Y)"),)),)
    )
    assert any("negative" in fault for fault in verify(forged))
    assert prove("H(X) >= H(Y)", "H(X) >= H(Y)").proved
    assert not prove("H(Y) >= H(X)", "H(X) >= H(Y)").proved


def test_the_copy_lemma_is_not_a_wild_card():
    """A copy may be neither mentioned in the claim, nor given premises, nor made twice."""
    with pytest.raises(InvalidInputError, match="auxiliary"):
        prove("I(R;B|C) = 0", "R = copy(A | C)")
    with pytest.raises(InvalidInputError, match="new variable"):
        prove("H(A) >= H(B)", ["R = copy(A | C)", "R = f(B)"])
    with pytest.raises(InvalidInputError, match="one auxiliary"):
        prove("H(A) >= H(B)", ["R = copy(A | C)", "S = copy(B | C)"])


def test_a_spoiled_witness_is_caught():
    result = prove("I(Z;X|Y) <= I(Z;X)")
    spoiled = NotProvable(result.claim, result.given, {k: Fraction(0) for k in result.witness}, result.value)
    assert spoiled.verify() == ("the claim holds",)
    high = {**result.witness, "H(X)": Fraction(99)}
    assert any("fails" in fault for fault in NotProvable(result.claim, (), high, result.value).verify())


@settings(deadline=None, max_examples=30, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_basic_combinations_are_proved_and_their_negatives_are_not(seed):
    """A random sum of basic quantities is a Shannon inequality by construction; its negative is none."""
    rng = np.random.default_rng(seed)
    names = "ABCD"
    terms = []
    for _ in range(int(rng.integers(1, 4))):
        a, b, *given = rng.permutation(list(names))[: int(rng.integers(2, 5))]
        tail = "|" + ",".join(given) if given else ""
        terms.append(f"{int(rng.integers(1, 5))} I({a};{b}{tail})")
    claim = " + ".join(terms)
    assert prove(f"{claim} >= 0").proved
    assert not prove(f"{claim} <= 0").proved


@pytest.mark.parametrize(
    "text",
    [
        *("I(X;Y", "H(X) < H(Y)", "H(X)", "3 <= H(X)", "I(X) >= 0", "H(X) >= 0 extra", "G(X) >= 0", "H(;) >= 0"),
        *("9" * 5000 + " H(X) >= 0", "1/0 H(X) >= 0", "(" * 3000 + "H(X)" + ")" * 3000 + " >= 0"),
    ],
)
def test_unclear_claims_are_refused_in_one_sentence(text):
    with pytest.raises(SkipItError, match="need"):
        prove(text)


@pytest.mark.parametrize("text", ["X -> Y", "X = f()", "X _||_", "R = copy(A, B | C)", "1 -> 2 -> 3"])
def test_unclear_premises_are_refused_in_one_sentence(text):
    with pytest.raises(SkipItError, match="need"):
        prove("H(X) >= 0", text)
