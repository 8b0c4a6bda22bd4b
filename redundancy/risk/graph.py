"""Test many hypotheses on one error budget: a graph says who starts with which share and who inherits it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats, check_count, check_real
from redundancy.errors import InvalidInputError

__all__ = ["PROCEDURES", "Decision", "ErrorGraph", "ordered_graph", "sequentially_reject"]

PROCEDURES = ("fixed_sequence", "bonferroni", "holm", "fallback", "chains")

_ROUNDING = 1e-12  # sums of shares may pass 1 by rounding, no further


@dataclass(frozen=True, slots=True)
class ErrorGraph:
    """Shares of the error probability and what becomes of them.

    Bonferroni, Holm, fixed sequences, several chains and the fallback procedure are all graphs; any other
    graph that is fixed before the losses are seen is as valid.

    Parameters
    ----------
    weights : tuple of float, shape (n,)
        Share of the error that each hypothesis starts with; >= 0, sum at most 1.
    transitions : tuple of tuple of float, shape (n, n)
        Row i: how the share of i is handed on once i is rejected; >= 0, zero diagonal, row sums at most 1.

    Raises
    ------
    InvalidInputError
        For shares outside these ranges.

    References
    ----------
    .. [1] Bretz, Maurer, Brannath and Posch (2009), A graphical approach to sequentially rejective multiple
       test procedures, Statistics in Medicine 28(4), doi:10.1002/sim.3495.

    Examples
    --------
    >>> ErrorGraph.chain(3).weights
    (1.0, 0.0, 0.0)
    """

    weights: tuple[float, ...]
    transitions: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        weights = as_floats(self.weights, "weights")
        table = as_floats(self.transitions, "transitions")
        n = len(self.weights)
        if weights.shape != (n,) or n == 0 or table.shape != (n, n):
            raise InvalidInputError(
                f"need n >= 1 weights and (n, n) transitions, got shapes {weights.shape} and {table.shape}"
            )
        for name, array in (("weights", weights), ("transitions", table)):
            if not np.isfinite(array).all() or (array < 0.0).any():
                raise InvalidInputError(f"need finite {name} >= 0, got {array.min():.6g} among them")
        if weights.sum() > 1.0 + _ROUNDING:
            raise InvalidInputError(f"need weights with a sum of at most 1, got {weights.sum():.9g}")
        if table.diagonal().any():
            raise InvalidInputError("need a zero diagonal of transitions, a rejected hypothesis keeps no share")
        if (table.sum(axis=1) > 1.0 + _ROUNDING).any():
            row = int(np.argmax(table.sum(axis=1)))
            raise InvalidInputError(
                f"need rows of transitions with sums of at most 1, row {row} sums to {table[row].sum():.9g}"
            )
        object.__setattr__(self, "weights", tuple(float(w) for w in weights))
        object.__setattr__(self, "transitions", tuple(tuple(float(g) for g in row) for row in table))

    def __len__(self) -> int:
        return len(self.weights)

    @classmethod
    def bonferroni(cls, n: int) -> ErrorGraph:
        """Equal shares; nothing is handed on."""
        n = check_count(n, "n", lower=1)
        return _graph(np.full(n, 1.0 / n), np.zeros((n, n)))

    @classmethod
    def holm(cls, n: int) -> ErrorGraph:
        """Equal shares; a rejected hypothesis hands its share to all others equally."""
        n = check_count(n, "n", lower=1)
        others = np.ones((n, n)) - np.eye(n)
        return _graph(np.full(n, 1.0 / n), others / max(1, n - 1))

    @classmethod
    def chain(cls, n: int) -> ErrorGraph:
        """Fixed sequence: the first has all, each hands all to the next; stops at the first not rejected."""
        return cls.chains(["all"] * check_count(n, "n", lower=1), connected=False)

    @classmethod
    def chains(cls, labels: Sequence[str], *, connected: bool = True) -> ErrorGraph:
        """Fixed sequences side by side, one per label, that start with equal shares.

        Parameters
        ----------
        labels : sequence of str
            Chain of each hypothesis; within a chain they are tested in the given order.
        connected : bool, default=True
            Whether a chain that is rejected to its end hands its share to the first hypotheses of the others.
        """
        names = [str(label) for label in labels]
        n = check_count(len(names), "number of labels", lower=1)
        members = {name: [i for i in range(n) if names[i] == name] for name in dict.fromkeys(names)}
        weights, table = np.zeros(n), np.zeros((n, n))
        for name, chain in members.items():
            weights[chain[0]] = 1.0 / len(members)
            for i, j in pairwise(chain):
                table[i, j] = 1.0
            if connected:
                for other, theirs in members.items():
                    if other != name:
                        table[chain[-1], theirs[0]] = 1.0 / (len(members) - 1)
        return _graph(weights, table)

    @classmethod
    def fallback(cls, weights: Sequence[float]) -> ErrorGraph:
        """Fallback: in order, each with a share of its own, plus all of its predecessor's once that is rejected.

        Unlike a fixed sequence it goes on behind a failure.
        """
        shares = as_floats(weights, "weights")
        return _graph(shares, np.eye(len(shares), k=1))


def ordered_graph(procedure: str | ErrorGraph, order: Sequence[int], chains: Sequence[str] | None) -> ErrorGraph:
    """The graph of a procedure, with its rows in test order: `order` holds the given places of the plans.

    Raises
    ------
    InvalidInputError
        For an unknown procedure, a graph of another size, or chains with another procedure than "chains".
    """
    n = len(order)
    if (chains is not None) != (procedure == "chains"):
        raise InvalidInputError(f"need chains with procedure='chains' and only there, got procedure={procedure!r}")
    if isinstance(procedure, ErrorGraph):
        if len(procedure) != n:
            raise InvalidInputError(f"need a graph over {n} plans, got one over {len(procedure)}")
        weights = tuple(procedure.weights[i] for i in order)
        return ErrorGraph(weights, tuple(tuple(procedure.transitions[i][j] for j in order) for i in order))
    if procedure == "chains" and chains is not None:
        if len(chains) != n:
            raise InvalidInputError(f"need a chain for each of {n} plans, got {len(chains)}")
        return ErrorGraph.chains([chains[i] for i in order])
    if procedure == "fallback":
        return ErrorGraph.fallback([1.0 / n] * n)
    makers = {"fixed_sequence": ErrorGraph.chain, "bonferroni": ErrorGraph.bonferroni, "holm": ErrorGraph.holm}
    if procedure not in makers:
        raise InvalidInputError(f"need a procedure among {PROCEDURES} or an ErrorGraph, got {procedure!r}")
    return makers[procedure](n)


@dataclass(frozen=True, slots=True)
class Decision:
    """Outcome for one hypothesis.

    Parameters
    ----------
    level : float
        Its share of the error when it was rejected, or in the end; 0 if nothing ever reached it.
    is_rejected : bool
        Whether its p-value is at most that level.
    """

    level: float
    is_rejected: bool

    @property
    def is_tested(self) -> bool:
        """Whether any of the error reached the hypothesis."""
        return self.level > 0.0


def sequentially_reject(
    p_values: npt.ArrayLike, graph: ErrorGraph, *, confidence_level: float = 0.95
) -> tuple[Decision, ...]:
    """Reject hypotheses, handing on their shares, until none is left that its own level rejects.

    Parameters
    ----------
    p_values : array_like of shape (n,)
        In [0, 1]; any dependence.
    graph : ErrorGraph
    confidence_level : float
        1 minus the probability of rejecting one true hypothesis or more.

    Returns
    -------
    tuple of Decision
        In the given order; the outcome does not depend on the order of rejections.

    Raises
    ------
    InvalidInputError
        If there are not as many p-values as hypotheses in the graph, or one is outside [0, 1].

    Notes
    -----
    A shortcut of the closed test of weighted Bonferroni tests (Bretz et al. 2009, section 2.4).

    Examples
    --------
    >>> [d.is_rejected for d in sequentially_reject([0.01, 0.2, 0.001], ErrorGraph.chain(3))]
    [True, False, False]
    """
    p = as_floats(p_values, "p_values")
    if p.shape != (len(graph),) or not ((p >= 0.0) & (p <= 1.0)).all():
        raise InvalidInputError(f"need {len(graph)} p-values in [0, 1], got an array of shape {p.shape}: {p_values!r}")
    delta = 1.0 - check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    weights, table = np.array(graph.weights), np.array(graph.transitions)
    open_, levels = np.ones(len(p), dtype=np.bool_), np.zeros(len(p))
    while True:
        levels[open_] = delta * weights[open_]
        hits = np.flatnonzero(open_ & (weights > 0.0) & (p <= levels))
        if not hits.size:
            break
        # In order of p-values, so that a reader finds each hypothesis at the level that it was first refuted at.
        j = int(hits[np.argmin(p[hits])])
        open_[j] = False
        weights, table = _without(weights, table, j, open_)
    return tuple(Decision(float(level), not bool(o)) for level, o in zip(levels, open_, strict=True))


def _without(
    weights: npt.NDArray[np.float64], table: npt.NDArray[np.float64], j: int, left: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Hand on the share of j and let edges through j go around it."""
    passed = np.where(left, weights + weights[j] * table[j], 0.0)
    through = table[:, [j]] * table[[j], :]
    returning = table[:, j] * table[j, :]
    rest = (1.0 - returning)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        around = np.where(rest > _ROUNDING, (table + through) / rest, 0.0)
    np.fill_diagonal(around, 0.0)
    around[~left, :] = around[:, ~left] = 0.0
    return passed, around


def _graph(weights: npt.NDArray[np.float64], table: npt.NDArray[np.float64]) -> ErrorGraph:
    return ErrorGraph(tuple(weights.tolist()), tuple(tuple(row) for row in table.tolist()))
