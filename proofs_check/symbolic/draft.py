"""Proof objects: ordered steps, each with claim, rule and a check that decides it, and the draft that collects them.

A claim is ``left <= right`` or ``left = right`` between expressions. A step is "checked" (decided here by exact
algebra), "assumed" (a hypothesis of the theorem) or "cited" (a named theorem of analysis). The statement of a
proof has to come out of its steps, combined with multipliers that are never negative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy as sp

from proofs_check.symbolic.decide import Expr, gram_squares, never_negative, sign_on_interval, vanishes

__all__ = ["Draft", "Proof", "Step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a proof.

    Parameters
    ----------
    name : str
    left, right : sympy expressions
    sense : {"<=", "="}
    rule : str
        Why it holds, as "sum of squares" or "Minkowski's inequality in L2".
    kind : {"checked", "assumed", "cited", "earlier"}
        Decided by algebra here, a hypothesis or definition, a theorem of analysis that is named and not proved
        here, or a statement that has a proof of its own.
    ok : bool
        Whether the check came out true; cited and assumed steps are as good as their source.
    detail : str
        The certificate: squares, multipliers, cases.
    """

    name: str
    left: Expr
    sense: str
    right: Expr
    rule: str
    kind: str = "checked"
    ok: bool = True
    detail: str = ""

    @property
    def claim(self) -> str:
        """The relation as text."""
        return f"{sp.sstr(self.left)} {self.sense} {sp.sstr(self.right)}"

    @property
    def margin(self) -> Expr:
        """``right - left``, which the step says is >= 0 or = 0."""
        return self.right - self.left

    def __str__(self) -> str:
        mark = (
            {"checked": "ok    ", "assumed": "given ", "cited": "cited ", "earlier": "lemma "}[self.kind]
            if self.ok
            else "FAILS "
        )
        return f"{mark} {self.name}: {self.claim}\n         by {self.rule}" + (
            f": {self.detail}" if self.detail else ""
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "claim": self.claim,
            "rule": self.rule,
            "kind": self.kind,
            "ok": self.ok,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """All steps of one theorem; the last one is its statement.

    Parameters
    ----------
    theorem : str
        Id of the ledger.
    title : str
    steps : tuple of Step
    symbols : mapping of str to str
        What the letters mean.
    statement : Step
        The last of `steps`: what was to be shown.
    """

    theorem: str
    title: str
    steps: tuple[Step, ...]
    symbols: Mapping[str, str] = field(default_factory=dict)
    statement: Step

    @property
    def ok(self) -> bool:
        """Whether every step came out true."""
        return all(step.ok for step in self.steps)

    @property
    def failed(self) -> tuple[Step, ...]:
        """Steps whose check did not come out true."""
        return tuple(step for step in self.steps if not step.ok)

    @property
    def cited(self) -> tuple[str, ...]:
        """Rules that are taken from the literature, not checked here."""
        return tuple(dict.fromkeys(step.rule for step in self.steps if step.kind == "cited"))

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        count = {k: sum(s.kind == k for s in self.steps) for k in ("checked", "assumed", "cited", "earlier")}
        verdict = "proved" if self.ok else f"NOT proved: {', '.join(s.name for s in self.failed)}"
        lines = [f"{self.theorem}: {self.title}", f"Statement: {self.statement.claim}"]
        lines += [f"  {letter}: {meaning}" for letter, meaning in self.symbols.items()]
        lines += [f"  {i:2d} {step}" for i, step in enumerate(self.steps, 1)]
        tally = f"{count['checked']} steps checked, {count['assumed']} assumed, {count['cited']} cited"
        tally += f", {count['earlier']} from other proofs" if count["earlier"] else ""
        return "\n".join([*lines, f"{verdict}; {tally}."])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "theorem": self.theorem,
            "title": self.title,
            "statement": self.statement.claim,
            "ok": self.ok,
            "symbols": dict(self.symbols),
            "cited": list(self.cited),
            "steps": [step.to_dict() for step in self.steps],
        }


class Draft:
    """Collects steps; every method adds one and returns its name, for later steps to build on."""

    def __init__(self, title: str, **symbols: str) -> None:
        self.title, self._symbols = title, symbols
        self._steps: dict[str, Step] = {}

    # ---- not checked here

    def assume(self, name: str, left: Expr, sense: str, right: Expr, text: str) -> str:
        """A hypothesis of the theorem."""
        return self._add(Step(name=name, left=left, sense=sense, right=right, rule=text, kind="assumed"))

    def cite(self, name: str, left: Expr, sense: str, right: Expr, rule: str) -> str:
        """A theorem of analysis, by name."""
        return self._add(Step(name=name, left=left, sense=sense, right=right, rule=rule, kind="cited"))

    def earlier(self, name: str, left: Expr, sense: str, right: Expr, theorem: str, note: str = "") -> str:
        """The statement of another proof, by its id; `note` says to what it is applied."""
        rule = f"{theorem}, which has its own proof" + (f": {note}" if note else "")
        return self._add(Step(name=name, left=left, sense=sense, right=right, rule=rule, kind="earlier"))

    # ---- decided by algebra

    def identity(self, name: str, left: Expr, right: Expr, rule: str = "expansion") -> str:
        """``left = right`` for all values, by expansion."""
        return self._checked(name, left, "=", right, rule, vanishes(sp.sympify(left) - right))

    def squares(self, name: str, left: Expr, right: Expr, variables: Sequence[Expr]) -> str:
        """``left <= right`` since the difference is a sum of squares with a rational Gram matrix."""
        found = gram_squares(sp.sympify(right) - left, variables)
        text = "no such sum" if found is None else " + ".join(f"{w}*({s})**2" for w, s in found) or "0"
        return self._checked(
            name, left, "<=", right, "sum of squares, exact rational Gram matrix", found is not None, text
        )

    def nonnegative(self, name: str, left: Expr, right: Expr, rule: str = "coefficients of one sign") -> str:
        """``left <= right`` since the difference has only terms >= 0 in symbols that are >= 0."""
        return self._checked(name, left, "<=", right, rule, never_negative(sp.sympify(right) - left))

    def cases(self, name: str, left: Expr, right: Expr, cases: Mapping[str, Mapping[Expr, Expr]]) -> str:
        """``left <= right`` in each of the exhaustive cases, given as substitutions with slacks >= 0."""
        margin = sp.sympify(right) - left
        verdicts = {text: never_negative(margin.subs(list(values.items()))) for text, values in cases.items()}
        detail = "; ".join(
            f"{text}: margin {sp.sstr(sp.factor(margin.subs(list(values.items()))))}" for text, values in cases.items()
        )
        return self._checked(name, left, "<=", right, "case by case", all(verdicts.values()), detail)

    def interval(self, name: str, left: Expr, right: Expr, variable: Expr, lower: Expr, upper: Expr) -> str:
        """``left <= right`` for a polynomial difference on [lower, upper], by Sturm's theorem."""
        sign = sign_on_interval(sp.sympify(right) - left, variable, lower, upper)
        detail = f"no root of the difference inside [{lower}, {upper}] and its sign is {sign}"
        return self._checked(name, left, "<=", right, "Sturm's theorem", sign > 0, detail)

    def mean(
        self,
        name: str,
        of: str,
        left: Expr,
        right: Expr,
        meaning: Mapping[Expr, Expr],
        *,
        fixed: Sequence[Expr] = (),
    ) -> str:
        """Expectation of a pointwise step: linear and monotone.

        `meaning` says of which random expression each symbol is the mean; put back, they must give the step.
        Symbols in it are random but for those in `fixed`.
        """
        step = self._steps[of]
        sides = [sp.sympify(left), sp.sympify(right)]
        random = set().union(*(sp.sympify(m).free_symbols for m in meaning.values())) - set(fixed)
        linear = all(
            not side.free_symbols & random and sp.Poly(side, *meaning).total_degree() <= 1 for side in sides
        )  # fmt: skip
        back = [side.subs(list(meaning.items()), simultaneous=True) for side in sides]
        same = vanishes(back[0] - step.left) and vanishes(back[1] - step.right)
        text = ", ".join(f"{sp.sstr(v)} = E[{sp.sstr(m)}]" for v, m in meaning.items())
        why = f"expectation of {of}, linear and monotone"
        return self._checked(name, left, step.sense, right, why, step.ok and linear and same, text)

    def substitute(self, name: str, of: str, values: Mapping[Expr, Expr], rule: str) -> str:
        """A step for special values of its symbols."""
        step = self._steps[of]
        left, right = (side.subs(list(values.items()), simultaneous=True) for side in (step.left, step.right))
        text = ", ".join(f"{sp.sstr(k)} = {sp.sstr(v)}" for k, v in values.items())
        return self._checked(name, left, step.sense, right, f"{of} for special values: {rule}", step.ok, text)

    def root(self, name: str, of: str, left: Expr, right: Expr) -> str:
        """From ``left^2 <= right^2`` to ``left <= right``, for right >= 0."""
        step = self._steps[of]
        matches = vanishes(step.left - left**2) and vanishes(step.right - right**2)
        ok = step.ok and matches and never_negative(right)
        return self._checked(name, left, "<=", right, f"the square root of {of} is monotone", ok)

    def square(self, name: str, of: str) -> str:
        """From ``left <= right`` to ``left^2 <= right^2``, for left >= 0."""
        step = self._steps[of]
        ok = step.ok and never_negative(step.left)
        why = f"squares of {of}, both sides >= 0: (r - l)(r + l) >= 0"
        return self._checked(name, step.left**2, step.sense, step.right**2, why, ok)

    def combine(
        self, name: str, left: Expr, right: Expr, using: Mapping[str, Expr], *, sense: str = "<=", rule: str = ""
    ) -> str:
        """``right - left = sum multiplier * (margin of a step)``, multipliers >= 0 for inequalities."""
        total, ok = sp.sympify(right) - left, True
        for of, multiplier in using.items():
            step = self._steps[of]
            total -= sp.sympify(multiplier) * step.margin
            ok &= step.ok and (step.sense == "=" or (sense == "<=" and never_negative(multiplier)))
        text = " + ".join(f"({sp.sstr(sp.sympify(m))})*[{of}]" for of, m in using.items())
        exact = vanishes(total)
        # What is left over may still be of one sign: it is then a step of its own, and shown.
        if not exact and sense == "<=" and never_negative(sp.expand(total)):
            exact, text = True, f"{text} + {sp.sstr(sp.factor(total))} >= 0"
        return self._checked(name, left, sense, right, rule or "combination of steps", ok and exact, text)

    def stationary(self, name: str, expression: Expr, variable: Expr, point: Expr) -> str:
        """The derivative vanishes at `point`."""
        slope = sp.diff(expression, variable).subs(variable, point)
        return self._checked(
            name, sp.Subs(sp.Derivative(expression, variable), variable, point), "=", 0, "stationary point",
            vanishes(slope),
        )  # fmt: skip

    def curvature(self, name: str, expression: Expr, variable: Expr, second: Expr, *, convex: bool) -> str:
        """The second derivative is `second`, which has one sign wherever the symbols' assumptions hold."""
        ok = vanishes(sp.diff(expression, variable, 2) - second) and never_negative(second if convex else -second)
        left, right = (0, second) if convex else (second, 0)
        return self._checked(name, left, "<=", right, "second derivative, " + ("convex" if convex else "concave"), ok)

    def minimum(self, name: str, expression: Expr, variable: Expr, point: Expr, second: Expr) -> str:
        """``value at point <= expression`` everywhere: the slope vanishes there and the second derivative is >= 0."""
        slope = vanishes(sp.diff(expression, variable).subs(variable, point))
        convex = vanishes(sp.diff(expression, variable, 2) - second) and never_negative(second)
        value = sp.sympify(expression).subs(variable, point)
        detail = f"at {sp.sstr(point)} the slope is 0; second derivative {sp.sstr(second)} >= 0"
        return self._checked(name, value, "<=", expression, "minimum of a convex function", slope and convex, detail)

    def valley(self, name: str, expression: Expr, variable: Expr, point: Expr, inside: Mapping[Expr, Expr]) -> str:
        """``value at point <= expression``: the slope is (variable - point) times something >= 0.

        `inside` writes the domain with symbols > 0, as ``{q: 1/(1 + w)}`` for 0 < q < 1.
        """
        rate = sp.cancel(sp.together(sp.diff(expression, variable)) / (variable - point))
        good = never_negative(rate.subs(list(inside.items())))
        value = sp.sympify(expression).subs(variable, point)
        detail = f"slope = ({sp.sstr(variable)} - {sp.sstr(point)}) * {sp.sstr(sp.factor(rate))}"
        return self._checked(name, value, "<=", expression, "falls, then rises", good, detail)

    def logarithm(self, name: str, smaller: Expr, larger: Expr) -> str:
        """``log smaller <= log larger`` from ``smaller <= larger``."""
        ok = never_negative(sp.sympify(larger) - smaller)
        return self._checked(name, sp.log(smaller), "<=", sp.log(larger), "the logarithm is monotone", ok)

    def attained(self, name: str, left: Expr, right: Expr, at: Mapping[Expr, Expr], text: str) -> str:
        """Equality at a point that a law realises: no constant of the bound can be lowered."""
        values = [sp.simplify(sp.sympify(side).subs(list(at.items()))) for side in (left, right)]
        return self._checked(name, values[0], "=", values[1], f"attained: {text}", vanishes(values[0] - values[1]))

    def limit(self, name: str, expression: Expr, variable: Expr, to: Expr, value: Expr, text: str) -> str:
        """A one-sided limit from above (or to infinity)."""
        found = sp.limit(expression, variable, to, "+")
        ok = bool(sp.simplify(found - value) == 0)
        return self._checked(name, sp.Limit(expression, variable, to), "=", value, f"limit: {text}", ok)

    def refuted(self, name: str, left: Expr, right: Expr, text: str) -> str:
        """An instance with left > right: shows that a hypothesis cannot be dropped. The claim is right < left."""
        ok = bool(sp.sympify(right) < sp.sympify(left))
        return self._checked(name, right, "<=", left, f"necessary: {text}", ok, "strictly")

    def fact(self, name: str, left: Expr, sense: str, right: Expr, rule: str, ok: bool, detail: str = "") -> str:
        """A check made by the caller."""
        return self._checked(name, left, sense, right, rule, ok, detail)

    def done(self, theorem: str, statement: str) -> Proof:
        """The proof whose statement is the step of that name."""
        return Proof(
            theorem=theorem,
            title=self.title,
            steps=tuple(self._steps.values()),
            symbols=self._symbols,
            statement=self._steps[statement],
        )

    def __getitem__(self, name: str) -> Step:
        return self._steps[name]

    def _checked(self, name: str, left: Expr, sense: str, right: Expr, rule: str, ok: bool, detail: str = "") -> str:
        return self._add(Step(name=name, left=left, sense=sense, right=right, rule=rule, ok=bool(ok), detail=detail))

    def _add(self, step: Step) -> str:
        if step.name in self._steps:
            raise ValueError(f"two steps called {step.name!r}")
        step = replace(step, left=sp.sympify(step.left), right=sp.sympify(step.right))
        self._steps[step.name] = step
        return step.name
