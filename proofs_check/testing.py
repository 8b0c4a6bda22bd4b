"""The five tests of a theorem for your own statements: holds, attained, necessary, coherent, covers.

Each function raises AssertionError with a readable exact law if its test fails; none needs pytest. Laws are
drawn by the Hypothesis strategy `laws`, so counterexamples come shrunk.

Examples
--------
Conditioning lowers entropy, with equality for independent layers:

>>> from proofs_check.extremal import family
>>> from proofs_check.statements import Statement
>>> mine = Statement(
...     theorem="mine",
...     claim="H(X|Y) <= a H(X)",
...     left=lambda law, c: law.forward_entropy,
...     right=lambda law, c: c["a"] * law.entropy("x"),
...     constants={"a": Fraction(1)},
... )
>>> print(five_tests(mine, equality=family("independent bits")))
holds: 200 drawn laws
attained: P(x=0, y=0) = 1/4; P(x=0, y=1) = 1/4; P(x=1, y=0) = 1/4; P(x=1, y=1) = 1/4
coherent: 50 drawn laws, symbols relabelled
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import Phase, assume, given, settings, target
from hypothesis import strategies as st
from scipy.stats import binomtest

from proofs_check.exact.enclosure import exceeds
from proofs_check.exact.law import Law
from proofs_check.printing import describe
from proofs_check.refute import Counterexample, candidates, first_broken, shrink
from proofs_check.statements import Statement
from proofs_check.strategies.laws import laws

__all__ = ["Refuted", "attained", "coherent", "covers", "five_tests", "holds", "laws", "necessary"]

_NUDGE = Fraction(1, 50)  # a constant is seen if moving it by a fiftieth breaks the statement where it is attained
_RARE = 1e-4  # probability with which a valid bound may fail `covers`


class Refuted(AssertionError):
    """A statement is false, and here is a law that shows it.

    Parameters
    ----------
    counterexample : Counterexample
        The statement, the law in ``counterexample.law``, and both sides on it.
    """

    def __init__(self, counterexample: Counterexample) -> None:
        statement = counterexample.statement
        super().__init__(f"{statement.name}: {statement.claim} is false, {counterexample}")
        self.counterexample = counterexample

    @property
    def law(self) -> Law:
        """The law that breaks it, exact."""
        return self.counterexample.law


def holds(statement: Statement, *, max_examples: int = 200, law: st.SearchStrategy[Law] | None = None) -> None:
    """The statement holds on its extremal families and on every law that Hypothesis draws.

    Parameters
    ----------
    statement : Statement
    max_examples : int
    law : SearchStrategy of Law, optional
        Where to draw from; `laws` with the statement's assumptions by default.

    Raises
    ------
    Refuted
        An AssertionError with the smallest law that breaks the statement.
    """
    hit = first_broken(statement, candidates(statement))
    if hit is not None:
        raise _refuted(statement, shrink(statement, hit[0]))

    @_quick(max_examples)
    @given(law=laws(*statement.needs) if law is None else law)
    def check(law: Law) -> None:
        verdict = statement.check(law)
        assume(verdict.applies)
        if np.isfinite(verdict.ratio):
            target(verdict.ratio, label="left / right")
        if verdict.broken:
            raise _refuted(statement, law)

    check()


def attained(statement: Statement, equality: Iterable[Law] = (), *, ratio: float = 1.0) -> Law:
    """Some law has left = right (or a ratio at least `ratio`), and every constant is needed as it is.

    Parameters
    ----------
    statement : Statement
    equality : laws
        Where equality is claimed; the statement's families count, too.
    ratio : float
        For suprema that no law attains.

    Returns
    -------
    Law
        The first law of equality.

    Raises
    ------
    Refuted
        If a law of equality breaks the statement.
    AssertionError
        If no law comes near, or a constant can be moved by 2 % to claim more and nothing breaks.
    """
    known = [law for law in (*equality, *candidates(statement)) if statement.applies(law)]
    hit = first_broken(statement, known)
    if hit is not None:
        raise _refuted(statement, shrink(statement, hit[0]))
    # Two zeros are equal, too, and say less.
    known.sort(key=lambda law: -min(statement.check(law).ratio, 1.0))
    reached = [law for law in known if _reaches(statement, law, ratio)]
    if not reached:
        best = max((statement.check(law).ratio for law in known), default=0.0)
        raise AssertionError(f"{statement.name} is not attained: the largest ratio of {len(known)} laws is {best:.6f}")
    for name, value in statement.constants.items():
        moved = [statement.with_constants(**{name: value * (1 + sign * _NUDGE)}) for sign in (-1, 1)]
        if not any(first_broken(s, known) for s in moved):
            raise AssertionError(f"{statement.name}: no law of equality depends on the constant {name} = {value}")
    return reached[0]


def necessary(statement: Statement, need: str, breaking: Iterable[Law] = ()) -> Counterexample:
    """Without one assumption the statement is false: find the law that breaks it.

    Parameters
    ----------
    statement : Statement
    need : str
        The assumption to drop.
    breaking : laws
        Candidates, in addition to the statement's families and to 100 drawn laws.

    Returns
    -------
    Counterexample
        Smallest that shrinking reached.

    Raises
    ------
    AssertionError
        If none of them breaks it: the assumption may be superfluous.
    """
    weaker = statement.without(need)
    hit = first_broken(weaker, (*breaking, *candidates(statement)))
    if hit is None:
        drawn: list[Law] = []

        @_quick(100)
        @given(law=laws(*weaker.needs))
        def look(law: Law) -> None:
            drawn.append(law)

        look()
        hit = first_broken(weaker, drawn)
    if hit is None:
        raise AssertionError(f"{statement.name}: no law found that breaks it without {need!r}")
    law = shrink(weaker, hit[0])
    return Counterexample(weaker, law, weaker.check(law), ("given",))


def coherent(statement: Statement, change: Callable[[Law], Law] | None = None, *, max_examples: int = 50) -> None:
    """Both sides stay as they are under a change that means nothing: by default, symbols in reversed order.

    Parameters
    ----------
    statement : Statement
    change : callable, optional
        Takes a law and returns one on which both sides must be equal to those on the first: other units,
        an isometry, a refinement that nobody reads.
    max_examples : int

    Raises
    ------
    AssertionError
        With the law on which a side moves.
    """

    @_quick(max_examples)
    @given(law=laws(*statement.needs))
    def check(law: Law) -> None:
        other = (change or _reversed)(law)
        assume(statement.applies(law) and statement.applies(other))
        for side in (statement.left, statement.right):
            before, after = side(law, statement.constants), side(other, statement.constants)
            if exceeds(before, after) or exceeds(after, before):
                raise AssertionError(f"{statement.name}: a side moves by relabelling at {describe(law, statement)}")

    check()


def covers(
    bound: Callable[[Any], tuple[float, float]],
    draw: Callable[[np.random.Generator], Any],
    truth: float,
    *,
    confidence_level: float = 0.95,
    repeats: int = 2000,
    seed: int = 0,
) -> int:
    """With sampled inputs the interval misses the truth no more often than it may, by an exact binomial test.

    Parameters
    ----------
    bound : callable
        From a sample to (lower, upper).
    draw : callable
        From a generator to a sample.
    truth : float
    confidence_level : float
    repeats : int
    seed : int

    Returns
    -------
    int
        Number of misses.

    Raises
    ------
    AssertionError
        If so many misses would have probability below 1e-4 for a valid bound.
    """
    rng = np.random.default_rng(seed)
    misses = 0
    for _ in range(repeats):
        lower, upper = bound(draw(rng))
        misses += not lower <= truth <= upper
    chance = float(binomtest(misses, repeats, 1.0 - confidence_level, alternative="greater").pvalue)
    if chance < _RARE:
        raise AssertionError(
            f"{misses} of {repeats} intervals at level {confidence_level} miss {truth}: "
            f"a valid bound does so with probability {chance:.2g}"
        )
    return misses


def five_tests(
    statement: Statement,
    *,
    equality: Sequence[Law] = (),
    breaking: Mapping[str, Sequence[Law]] | None = None,
    ratio: float = 1.0,
    sampled: Mapping[str, Any] | None = None,
    max_examples: int = 200,
) -> str:
    """Run all tests that apply and say what was shown, one line each.

    Parameters
    ----------
    statement : Statement
    equality : laws
        For `attained`.
    breaking : mapping of assumption to laws, optional
        Every assumption named here is shown to be necessary.
    ratio : float
        For `attained`.
    sampled : mapping, optional
        Arguments of `covers`.
    max_examples : int

    Returns
    -------
    str
        Lines for "holds", "attained", and those of the others that were asked for.

    Raises
    ------
    Refuted
        If a law breaks the statement, which is then false; the law is handed out.
    AssertionError
        From the first test that fails.
    """
    holds(statement, max_examples=max_examples)
    lines = [f"holds: {max_examples} drawn laws"]
    lines.append(f"attained: {describe(attained(statement, equality, ratio=ratio), statement)}")
    for need, candidates_of_need in (breaking or {}).items():
        lines.append(f"necessary: without {need!r}, {necessary(statement, need, candidates_of_need)}")
    coherent(statement)
    lines.append("coherent: 50 drawn laws, symbols relabelled")
    if sampled is not None:
        lines.append(f"covers: {covers(**sampled)} misses")
    return "\n".join(lines)


def _quick(max_examples: int) -> settings:
    """No deadline, no database, the same draws every time; no replay, whose report would hide the law."""
    return settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate, Phase.target, Phase.shrink),
    )


def _reaches(statement: Statement, law: Law, ratio: float) -> bool:
    verdict = statement.check(law)
    return verdict.ratio >= ratio if ratio < 1.0 else verdict.equal


def _refuted(statement: Statement, law: Law) -> Refuted:
    return Refuted(Counterexample(statement, law, statement.check(law), ("given",)))


def _reversed(law: Law) -> Law:
    """The same law with the symbols of both layers and of the task in reversed order, and all extras with them."""
    k, m, n = len(law.x) - 1, len(law.y) - 1, len(law.z) - 1
    moved: dict[str, Callable[[Any], Any]] = {
        "probe_next": lambda v: v[::-1],
        "probe_prev": lambda v: v[::-1],
        "guess_next": lambda v: tuple(k - i for i in v[::-1]),
        "guess_prev": lambda v: tuple(m - j for j in v[::-1]),
        "code_next": lambda v: v[::-1],
        "code_prev": lambda v: v[::-1],
        "lists": lambda v: tuple(frozenset(k - i for i in chosen) for chosen in v[::-1]),
        "predictor": lambda v: tuple({k - i: q for i, q in row.items()} for row in v[::-1]),
        "other": lambda v: replace(v, masses={(k - i, m - j, n - c): p for (i, j, c), p in v.masses.items()}),
    }
    extra = {name: moved.get(name, lambda v: v)(value) for name, value in law.extra.items()}
    return Law(
        {(k - i, m - j, n - c): p for (i, j, c), p in law.masses.items()},
        law.x[::-1],
        law.y[::-1],
        law.z[::-1],
        None if law.rho is None else tuple(row[::-1] for row in law.rho[::-1]),
        law.t,
        extra,
    )
