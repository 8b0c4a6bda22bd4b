"""Compare a treated run with its base on the same inputs: join the logs by document, refuse what does not match."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from redundancy.comparison.logs import RunLog, read_log
from redundancy.comparison.result import Comparison, judge
from redundancy.errors import InvalidInputError

__all__ = ["compare"]


def compare(
    base: RunLog | str | os.PathLike[str],
    treated: RunLog | str | os.PathLike[str],
    *,
    risk: float = 0.02,
    confidence_level: float = 0.95,
    score_range: tuple[float, float] = (0.0, 1.0),
    only_common: bool = False,
) -> Comparison:
    """Compare two runs on the same inputs, whatever software pruned the second.

    Parameters
    ----------
    base, treated : RunLog or path
        The run without and the run with the change; paths go through `read_log`.
    risk : float
        Share of right answers, or of the score, that may be lost.
    confidence_level : float
        In (0, 1).
    score_range : (float, float)
        Declared range of the score; losses are scaled to it.
    only_common : bool
        Compare the documents that both runs have, and say how many are left out. Otherwise they are refused.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInputError
        If the runs have other documents, prompts, expected answers or metrics, or a score leaves its range.

    Notes
    -----
    The loss of a document is how much lower the treated run scores, never below 0: for an exact score, 1 where the
    base run is right and the treated one is wrong. One 0/1 loss per unit is tested by the exact binomial law, all else
    by betting on the mean of each unit, in the order of a salted hash of their names. McNemar's test counts units
    that lose against units that gain.

    References
    ----------
    .. [1] McNemar (1947), doi:10.1007/BF02295996.
    .. [2] Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting, JRSS-B 86(1).
    """
    first, second = (log if isinstance(log, RunLog) else read_log(log) for log in (base, treated))
    joined = _join(first, second, only_common=only_common)
    return judge(*joined[:2], risk=risk, confidence_level=confidence_level, score_range=score_range, left_out=joined[2])


def _join(base: RunLog, treated: RunLog, *, only_common: bool) -> tuple[RunLog, RunLog, int]:
    """Both logs on the same documents in the order of the base run."""
    if base.metric != treated.metric:
        raise InvalidInputError(f"need the same metric in both runs, got {base.metric} and {treated.metric}; name one")
    places = {document: i for i, document in enumerate(zip(treated.tasks, treated.keys, strict=True))}
    documents = list(zip(base.tasks, base.keys, strict=True))
    common = [i for i, document in enumerate(documents) if document in places]
    left_out = len(documents) + len(places) - 2 * len(common)
    if left_out and not only_common:
        odd = [d for d in documents if d not in places] or [d for d in places if d not in set(documents)]
        first = "/".join(filter(None, odd[0]))
        raise InvalidInputError(
            f"need the same documents in both runs, {left_out} are in one only, first {first}; "
            "run them, or compare the common ones (--only-common)"
        )
    if not common:
        raise InvalidInputError(f"need documents that both runs have, {base.source} and {treated.source} share none")
    mine = _rows_of(base, common)
    theirs = _rows_of(treated, [places[documents[i]] for i in common])
    for what, here, there in (
        ("expected answer", mine.targets, theirs.targets),
        ("prompt", mine.inputs, theirs.inputs),
        ("unit", mine.units or (), theirs.units or ()),
    ):
        for i, (a, b) in enumerate(zip(here, there, strict=False)):
            if a and b and a != b:
                name = "/".join(filter(None, documents[common[i]]))
                raise InvalidInputError(
                    f"need the same {what} in both runs, document {name} has {a!r:.60} and {b!r:.60}; "
                    "compare runs on the same inputs"
                )
    return mine, theirs, left_out


def _rows_of(log: RunLog, rows: Sequence[int]) -> RunLog:
    def take(column: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(column[i] for i in rows)

    return RunLog(
        source=log.source,
        metric=log.metric,
        tasks=take(log.tasks),
        keys=take(log.keys),
        scores=take(log.scores),
        units=None if log.units is None else take(log.units),
        inputs=take(log.inputs),
        targets=take(log.targets),
    )
