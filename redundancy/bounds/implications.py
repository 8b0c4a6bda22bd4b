"""The implication graph of Figure 2, corrected: from what is known to every implied bound, the best, and its path.

The printed arrows "proximal => informational" and "large I => informational" are false without more; here an
arrow is a theorem with named inputs and constants, and it fires only if all of them are given.
"""
# Over 400 lines: the table of arrows is half of it, and only `derive` reads it.

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

import numpy.typing as npt

from redundancy.bounds import braun_pokutta, fano, lemmas, lipschitz, mismatch, performance_gap, pinsker, plug_in, tail
from redundancy.certificates.certificate import Assumption, Bound, BoundCertificate, Evidence, bound
from redundancy.certificates.registry import theorem_id
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular
from redundancy.interval import Interval

__all__ = ["ARROWS", "QUANTITIES", "Arrow", "Derivation", "derive", "given", "intersection"]

QUANTITIES: Mapping[str, tuple[str, Interval]] = {
    "mean_distance": ("e = E[rho]", Interval(0.0, 2.0)),
    "tail_prob": ("P_t = P(rho > t)", Interval(0.0, 1.0)),
    "tail_prob_closed": ("P(rho >= t)", Interval(0.0, 1.0)),
    "mean_squared_distance": ("D = E|X - Y|^2", Interval(0.0, math.inf)),
    "mismatch_prob": ("P_0 = P(code of x_next != code of x_prev)", Interval(0.0, 1.0)),
    "ball_prob": ("q_t = P(rho(X', Y') <= t), independent", Interval(0.0, 1.0)),
    "log_loss": ("held-out log-loss of the next code", Interval(0.0, math.inf)),
    "conditional_entropy": ("H(x_next | x_prev)", Interval(0.0, math.inf)),
    "backward_entropy": ("H(x_prev | x_next)", Interval(0.0, math.inf)),
    "mutual_information": ("I(x_next; x_prev)", Interval(0.0, math.inf)),
    "information_next": ("I(Z; x_next | x_prev)", Interval(0.0, math.inf)),
    "information_prev": ("I(Z; x_prev | x_next)", Interval(0.0, math.inf)),
    "unique_information": ("Uni(Z : x_next \\ x_prev)", Interval(0.0, math.inf)),
    "functional_gap": ("F, the functional gap", Interval(0.0, math.inf)),
    "task_variance": ("Var Z", Interval(0.0, math.inf)),
    "probe_gap": ("G, the gap of two probes", Interval(0.0, math.inf)),
    "error_next": ("mean squared error of the probe on x_next", Interval(0.0, math.inf)),
    "error_prev": ("mean squared error of the probe on x_prev", Interval(0.0, math.inf)),
    "mmse_increase": ("mmse(prev) - mmse(next)", Interval(-math.inf, math.inf)),
}
_IN_BASE = {"log_loss", "conditional_entropy", "backward_entropy", "mutual_information"}
_IN_BASE |= {"information_next", "information_prev", "unique_information"}
_MOST_ROUNDS = 8  # the longest useful path has five arrows; more rounds only polish cycles


@bound(
    title="A declared starting point",
    statement="The value that the caller declares holds the quantity.",
    deviation="Whatever follows from it carries the declaration as an assumption.",
)
def given(*, quantity: str, value: Evidence, base: float | None = None, estimated: bool = False) -> Bound:
    """A declared starting point: `value` holds `quantity`, as its supplier says.

    With `estimated` it is a point estimate or an asymptotic interval: whatever rests on it carries the label E.

    Parameters
    ----------
    quantity : str
        A quantity that `derive` knows.
    value : float, Interval or certificate
        What holds it.
    base : float, optional
        Unit of an information; None for other quantities.
    estimated : bool, default=False
        Whether the value is an estimate and no known interval.

    Returns
    -------
    BoundCertificate
        The starting point: label P, or E if estimated.

    Raises
    ------
    InvalidInputError
        If the quantity is unknown or the value leaves its range.

    References
    ----------
    A declared starting point: docs/theorems/implications.md.
    """
    if quantity not in QUANTITIES:
        raise InvalidInputError(f"need a quantity among {sorted(QUANTITIES)}, got {quantity!r}")
    if isinstance(value, BoundCertificate):
        raise InvalidInputError("need a number or an Interval for given(), got a certificate; pass it as it is")
    interval = value if isinstance(value, Interval) else Interval.point(float(value))
    within = QUANTITIES[quantity][1]
    if not within.includes(interval):
        raise InvalidInputError(f"need {quantity} inside {within}, got {interval}")
    status, evidence = ("estimated", "E") if estimated else ("declared", "P")
    assumption = Assumption(
        f"given_{quantity}", f"{quantity} lies in [{interval.lower:.6g}, {interval.upper:.6g}], as given", status
    )
    return Bound(
        quantity=quantity, interval=interval, trivial=within, base=base, assumptions=(assumption,), evidence=evidence
    )


@bound(
    title="Several statements at once",
    statement="If all statements hold, so does their intersection; probabilities of failure add.",
    deviation="How a bound is optimised over t, radii or methods without paying too little.",
)
def intersection(*, statements: tuple[BoundCertificate, ...]) -> Bound:
    """All statements about one quantity at once; the joint confidence is that of all of them together.

    This is how a bound is optimised over t, over radii or over methods without paying too little: each
    member's own probability of failure is counted.

    Parameters
    ----------
    statements : tuple of BoundCertificate
        About one quantity in one unit.

    Returns
    -------
    BoundCertificate
        The common part of all intervals; evidence is the weakest of all.

    Raises
    ------
    InvalidInputError
        If they are about different quantities or bases, or contradict each other.
    """
    if not statements or not all(isinstance(s, BoundCertificate) for s in statements):
        raise InvalidInputError(f"need one certificate at least in statements, got {statements!r}")
    first = statements[0]
    for other in statements[1:]:
        if (other.quantity, other.base) != (first.quantity, first.base):
            raise InvalidInputError(
                f"need statements about one quantity in one base, got {first.quantity} (base {first.base}) "
                f"and {other.quantity} (base {other.base})"
            )
    interval, trivial = first.interval, first.trivial
    for other in statements[1:]:
        interval, trivial = interval.intersect(other.interval), trivial.intersect(other.trivial)
    return Bound(quantity=first.quantity, interval=interval, trivial=trivial, base=first.base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """One implication: `function` takes the sources and constants by name and bounds `target`.

    `sources` and `constants` map names among the known quantities or constants to the function's parameters.

    Parameters
    ----------
    theorem : str
        Id in the ledger.
    function : callable
        The registered bound.
    target : str
        Quantity that is bounded.
    sources : mapping of str to str
        Quantity to argument of the function.
    constants : mapping of str to str
        Declared constant to argument; all are needed.
    options : mapping of str to str
        Declared constant to argument; taken if declared.
    fixed : mapping of str to Any
        Arguments with a fixed value.
    """

    theorem: str
    function: Callable[..., BoundCertificate]
    target: str
    sources: Mapping[str, str]
    constants: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


def _arrow(
    function: Callable[..., BoundCertificate],
    sources: str | Mapping[str, str],
    target: str,
    constants: str = "",
    options: str = "",
    **fixed: Any,
) -> Arrow:
    named = {s: s for s in sources.split()} if isinstance(sources, str) else dict(sources)
    return Arrow(
        theorem=theorem_id(inspect.unwrap(function)),
        function=function,
        target=target,
        sources=named,
        constants={c: c for c in constants.split()},
        options={c: c for c in options.split()},
        fixed=fixed,
    )


_O, _N = "prev-next-task", "next-prev-task"
_GAP = "functional_gap"
ARROWS: tuple[Arrow, ...] = (
    _arrow(tail.sandwich_upper, "tail_prob", "mean_distance", "t", "rho_max"),
    _arrow(tail.sandwich_lower, "tail_prob_closed", "mean_distance", "t", "rho_max"),
    _arrow(tail.tail_closed_upper, "mean_distance", "tail_prob_closed", "t"),
    _arrow(tail.tail_lower, "mean_distance", "tail_prob", "t", "rho_max"),
    _arrow(tail.strict_tail_upper, "tail_prob_closed", "tail_prob"),
    _arrow(tail.closed_tail_lower, "tail_prob", "tail_prob_closed"),
    _arrow(
        lemmas.squared_distance_of_cosine,
        "mean_distance",
        "mean_squared_distance",
        "unit_norm",
    ),
    _arrow(lipschitz.unit_norm_upper, "mean_distance", _GAP, "alpha beta unit_norm"),
    _arrow(
        lipschitz.minkowski_upper,
        {"mean_squared_distance": "squared_distance"},
        _GAP,
        "alpha beta",
    ),
    _arrow(lipschitz.proximal_upper, "tail_prob", _GAP, "t alpha beta diameter unit_norm"),
    _arrow(
        fano.printed_upper,
        "tail_prob",
        "conditional_entropy",
        "support_size ball_min ball_max",
        "base",
    ),
    _arrow(
        fano.list_upper,
        {"mismatch_prob": "miss_prob"},
        "conditional_entropy",
        "support_size",
        "base",
        list_size=1,
    ),
    _arrow(fano.predictor_upper, "log_loss", "conditional_entropy", "", "support_size base"),
    _arrow(
        braun_pokutta.binary_lower,
        "tail_prob ball_prob",
        "mutual_information",
        "",
        "support_size base",
    ),
    _arrow(
        pinsker.chain_entropy_upper,
        {"conditional_entropy": "entropy"},
        _GAP,
        "radius",
        "base",
        chain=_O,
    ),
    _arrow(
        pinsker.chain_entropy_upper,
        {"backward_entropy": "entropy"},
        _GAP,
        "radius",
        "base",
        chain=_N,
    ),
    _arrow(
        pinsker.chain_information_upper,
        {"information_next": "information"},
        _GAP,
        "diameter",
        "base",
        chain=_O,
    ),
    _arrow(
        pinsker.chain_information_upper,
        {"information_prev": "information"},
        _GAP,
        "diameter",
        "base",
        chain=_N,
    ),
    _arrow(
        pinsker.free_information_upper,
        "information_next information_prev",
        _GAP,
        "diameter",
        "base",
    ),
    _arrow(
        pinsker.free_entropy_upper,
        {"conditional_entropy": "forward_entropy", "backward_entropy": "backward_entropy"},
        _GAP,
        "radius",
        "diameter base",
    ),
    _arrow(mismatch.mismatch_upper, "mismatch_prob", _GAP, "task_values"),
    _arrow(
        mismatch.mismatch_upper_of_diameter,
        "mismatch_prob",
        _GAP,
        "diameter kind",
    ),
    _arrow(
        performance_gap.performance_gap_upper,
        "unique_information",
        "mmse_increase",
        "diameter",
        "base",
    ),
    _arrow(
        performance_gap.performance_gap_upper,
        {"information_next": "unique_information"},
        "mmse_increase",
        "diameter",
        "base",
    ),
    _arrow(plug_in.inverse_bounds, "probe_gap error_next error_prev", _GAP),
    _arrow(plug_in.minkowski_bounds, "functional_gap error_next error_prev", "probe_gap"),
    _arrow(lipschitz.probe_errors_cap, "error_next error_prev", _GAP),
    _arrow(lipschitz.variance_cap, "task_variance", _GAP, "", "radius"),
)
_GATES = {"unit_norm"}  # switches: needed, but not arguments of the function


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation(Tabular):
    """Everything that follows: per quantity the certificates that bound it, known ones first.

    Parameters
    ----------
    statements : mapping of str to tuple of BoundCertificate
        By quantity.
    """

    statements: Mapping[str, tuple[BoundCertificate, ...]]

    def best(self, quantity: str) -> BoundCertificate:
        """The narrowest statement: one certificate if it is best at both ends, else their intersection.

        Raises
        ------
        InvalidInputError
            If nothing is known of the quantity.
        """
        known = self.statements.get(quantity, ())
        if not known:
            raise InvalidInputError(f"need a quantity among {sorted(self.statements)}, got {quantity!r}")
        lower = max(known, key=lambda s: s.interval.lower)
        upper = min(known, key=lambda s: s.interval.upper)
        if upper.interval.lower == lower.interval.lower:
            return upper
        if lower.interval.upper == upper.interval.upper:
            return lower
        return intersection(statements=(lower, upper))

    def path(self, quantity: str) -> tuple[str, ...]:
        """The theorems that lead to the best statement, first used first, as "theorem: inputs -> quantity"."""
        return tuple(_path(self.best(quantity)))

    def to_records(self) -> list[dict[str, Any]]:
        """One flat row per quantity: the best statement and its path."""
        return [{**self.best(q).to_record(), "path": list(self.path(q))} for q in self.statements]


class Constants(TypedDict, total=False):
    """What the arrows may need besides evidence; None is the same as absent."""

    t: float | None
    rho_max: float | None
    unit_norm: bool | None
    alpha: Evidence | None
    beta: Evidence | None
    diameter: float | None
    radius: float | None
    kind: str | None
    task_values: npt.ArrayLike | None
    support_size: int | None
    ball_min: int | None
    ball_max: int | None


def derive(
    *,
    known: Mapping[str, Evidence],
    chain: str | None = None,
    base: float = 2.0,
    **constants: Unpack[Constants],
) -> Derivation:
    """Follow every arrow from the known quantities until nothing improves.

    Parameters
    ----------
    known : mapping of str to Evidence
        Keys of `QUANTITIES`; numbers and intervals count as declared, certificates bring their evidence.
        Amounts of information are in units of `base`, certificates included.
    chain : {"prev-next-task", "next-prev-task"}, optional
        The Markov chain that is assumed, if one is. Arrows that need the other chain stay closed.
    base : float, default=2
    **constants
        Of the theorems: t, rho_max, unit_norm=True, alpha, beta, diameter, radius, kind, task_values,
        support_size, ball_min, ball_max. An arrow fires only if all it needs are there.

    Returns
    -------
    Derivation

    Raises
    ------
    InvalidInputError
        For unknown quantities or constants, or known values that contradict each other.

    Examples
    --------
    >>> found = derive(known={"mismatch_prob": 0.028}, diameter=2**0.5, kind="one_hot")
    >>> round(found.best("functional_gap").interval.upper, 6)
    0.056
    >>> found.path("functional_gap")
    ('given: mismatch_prob', 'mismatch.mismatch_upper_of_diameter: mismatch_prob -> functional_gap')
    """
    if chain is not None and chain not in lipschitz.CHAINS:
        raise InvalidInputError(f"need a chain among {sorted(lipschitz.CHAINS)} or None, got {chain!r}")
    usable = set(Constants.__annotations__)
    unknown = sorted(set(constants) - usable)
    if unknown:
        raise InvalidInputError(f"need constants among {sorted(usable)}, got {unknown}")
    given_constants = {k: v for k, v in constants.items() if v is not None and v is not False} | {"base": base}
    statements: dict[str, list[BoundCertificate]] = {}
    for quantity, value in known.items():
        if isinstance(value, BoundCertificate):
            if value.quantity != quantity:
                raise InvalidInputError(f"need a certificate on {quantity}, got one on {value.quantity}")
            if value.base is not None and value.base != base:
                raise InvalidInputError(f"need {quantity} in base {base:g}, got a certificate in base {value.base:g}")
            statements[quantity] = [value]
        else:
            statements[quantity] = [given(quantity=quantity, value=value, base=base if quantity in _IN_BASE else None)]
    for _ in range(_MOST_ROUNDS):
        improved = 0
        for arrow in ARROWS:
            improved += _follow(arrow, statements, given_constants, chain)
        if not improved:
            break
    for quantity in statements:
        # Contradictory evidence must not pass unseen.
        joint = statements[quantity][0].interval
        for statement in statements[quantity][1:]:
            joint = joint.intersect(statement.interval)
    return Derivation(statements={q: tuple(s) for q, s in statements.items()})


def _follow(
    arrow: Arrow, statements: dict[str, list[BoundCertificate]], constants: Mapping[str, Any], chain: str | None
) -> bool:
    """Apply one arrow if it can fire; whether the target's best interval became smaller."""
    if arrow.fixed.get("chain", chain) != chain:
        return False
    if not all(s in statements for s in arrow.sources) or not all(c in constants for c in arrow.constants):
        return False
    arguments: dict[str, Any] = dict(arrow.fixed)
    arguments |= {p: constants[c] for c, p in arrow.constants.items() if c not in _GATES}
    arguments |= {p: constants[c] for c, p in arrow.options.items() if c in constants}
    found = Derivation(statements={s: tuple(statements[s]) for s in arrow.sources})
    arguments |= {parameter: found.best(source) for source, parameter in arrow.sources.items()}
    statement = arrow.function(**arguments)
    rivals = statements.setdefault(arrow.target, [])
    lower = max((s.interval.lower for s in rivals), default=-math.inf)
    upper = min((s.interval.upper for s in rivals), default=math.inf)
    fresh = not rivals
    if not fresh and statement.interval.lower <= lower and statement.interval.upper >= upper:
        return False
    rivals.append(statement)
    return True


def _path(certificate: BoundCertificate) -> list[str]:
    lines: list[str] = []
    sources: list[str] = []
    for value in certificate.inputs.values():
        for parent in value if isinstance(value, tuple) else (value,):
            if isinstance(parent, BoundCertificate):
                lines += [line for line in _path(parent) if line not in lines]
                sources.append(parent.quantity)
    if certificate.theorem == "implications.given":
        return [f"given: {certificate.quantity}"]
    arrow = f"{', '.join(sources)} -> " if sources else ""
    return [*lines, f"{certificate.theorem}: {arrow}{certificate.quantity}"]
