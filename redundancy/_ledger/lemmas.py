"""Records of Lemmas 1 to 5."""

from __future__ import annotations

from typing import Any

__all__ = ["RECORDS"]

RECORDS: tuple[dict[str, Any], ...] = (
    {
        "id": "lemma1",
        "title": "Lemma 1",
        "status": "true",
        "printed": "d(x,y)^2 <= 2 d(x,z)^2 + 2 d(z,y)^2",
        "statement": "d(x,y)^2 <= 2 d(x,z)^2 + 2 d(z,y)^2",
        "counterexample": "Constant 1.9 instead: points 0, 1, 2 on the line, 4 > 3.8.",
        "page": "lemmas",
    },
    {
        "id": "lemma1.minkowski",
        "title": "Lemma 1, sharp",
        "status": "sharpened",
        "statement": "d(x,y)^2 <= (d(x,z) + d(z,y))^2",
        "deviation": "2a^2 + 2b^2 - (a+b)^2 = (a-b)^2.",
        "page": "lemmas",
    },
    {
        "id": "lemma2",
        "title": "Lemma 2",
        "status": "true",
        "printed": "Unit norm: E rho < eps/2 implies E|X-Y|^2 < eps.",
        "statement": "Unit norm: E|X-Y|^2 = 2 E rho.",
        "deviation": "An identity, so also the converse.",
        "counterexample": "Without unit norm: e1 and 3 e1 have rho = 0 and squared distance 4.",
        "page": "lemmas",
    },
    {
        "id": "lemma2.norms",
        "title": "Lemma 2 for any norms",
        "status": "sharpened",
        "statement": "E|X-Y|^2 = E(|X|-|Y|)^2 + 2 E[|X||Y| rho]",
        "deviation": "Hidden states do not have unit norm.",
        "page": "lemmas",
    },
    {
        "id": "lemma3",
        "title": "Lemma 3",
        "status": "true",
        "printed": "|a+b+c|^2 <= 3(|a|^2 + |b|^2 + |c|^2)",
        "statement": "|a+b+c|^2 <= 3(|a|^2 + |b|^2 + |c|^2)",
        "deviation": "Equality at a = b = c only.",
        "counterexample": "Constant 2 instead: a = b = c of norm 1, 9 > 6.",
        "page": "lemmas",
    },
    {
        "id": "lemma3.minkowski",
        "title": "Lemma 3, sharp",
        "status": "sharpened",
        "statement": "|a+b+c|^2 <= (|a| + |b| + |c|)^2",
        "deviation": "3(a^2 + b^2 + c^2) - (a+b+c)^2 = (a-b)^2 + (b-c)^2 + (a-c)^2.",
        "page": "lemmas",
    },
    {
        "id": "lemma4",
        "title": "Lemma 4",
        "status": "true",
        "printed": "Y - X - Z Markov: E D(p(Z|X) || p(Z|Y)) = I(Z;X|Y).",
        "statement": "Y - X - Z Markov: E D(p(Z|X) || p(Z|Y)) = I(Z;X|Y).",
        "deviation": (
            "Densities are not needed; regular conditional laws suffice. The chain is checked on the table. "
            "The paper numbers two equations (11)."
        ),
        "counterexample": "Without the chain: X, Y independent bits, Z = Y flipped w.p. 1/4: 0.1438 against 0.",
        "page": "lemmas",
    },
    {
        "id": "lemma5",
        "title": "Lemma 5",
        "status": "true",
        "printed": "Uni(X : X \\ Y) = H(X|Y)",
        "statement": ("Uni(X : X \\ Y) = H(X|Y) for every non-negative decomposition that satisfies Definition 5."),
        "deviation": "A restatement of conditional entropy; it is not H(X).",
        "counterexample": "H(X) in place of H(X|Y): X = Y a bit, 0.693 against 0.",
        "page": "lemmas",
    },
)
